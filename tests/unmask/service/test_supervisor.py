"""The keeper, with small programs that are killed, crash and end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from unmask.service import supervisor

SPACE = Path(supervisor.__file__).parents[2]
BUSY_SECONDS = 30.0

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs signals")


@pytest.fixture
def keep(tmp_path):
    started = []

    def start(code: str) -> subprocess.Popen[str]:
        program = tmp_path / "program.py"
        program.write_text(f"import os, signal, sys, time\nprint(os.getpid(), flush=True)\n{code}\n")
        process = subprocess.Popen(
            [sys.executable, "-m", "unmask.service.supervisor", str(program)],
            cwd=SPACE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def next_pid(process) -> int:
    return int(process.stdout.readline())


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + BUSY_SECONDS
    while is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_program_that_is_killed_lives_again(keep, number):
    process = keep("time.sleep(600)")
    first = next_pid(process)
    os.kill(first, number)
    second = next_pid(process)
    assert second != first
    assert is_running(second)
    process.terminate()
    assert process.wait(BUSY_SECONDS) == 0
    assert signal.Signals(number).name in process.stderr.read()
    wait_until_gone(second)


@pytest.mark.parametrize("status", [0, 1, 7])
def test_a_program_that_ends_by_itself_stays_ended(keep, status):
    process = keep(f"sys.exit({status})")
    assert process.wait(BUSY_SECONDS) == status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopping_the_keeper_stops_the_program_which_may_clean_up(keep, tmp_path, number):
    trace = tmp_path / "cleaned"
    code = f"signal.signal(signal.SIGTERM, lambda *_: sys.exit(open({str(trace)!r}, 'w').close()))"
    process = keep(f"{code}\nprint('ready', flush=True)\ntime.sleep(600)")
    pid = next_pid(process)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert process.wait(BUSY_SECONDS) == 0
    assert trace.exists()
    wait_until_gone(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a program that its parent is gone")
def test_a_program_does_not_outlive_a_keeper_that_is_killed(keep):
    process = keep("time.sleep(600)")
    pid = next_pid(process)
    process.kill()
    wait_until_gone(pid)
