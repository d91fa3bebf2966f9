"""The decode worker: what it gives, what it may not do, and how it ends."""

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.media import RECIPES, decoded, glide
from tests.servers import Site, content
from unmask import errors
from unmask.limits import Limits
from unmask.video import captured_frames, decode, decode_client
from unmask.video.byte_ranges import MAX_RANGE_BYTES, ByteRanges
from unmask.video.frames import Frames
from unmask.video.sampling import DecodePlan, Piece, Span

Media = Callable[[str], Path]

linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's limits differ")
NOT_FILES = frozenset({"three-hours.mp4", "one-minute.mp4", "ten-minutes.mp4"})  # slow to make, nothing new
BUSY_SECONDS = 20.0  # what a machine may lag that does other things, too

SPACE = str(Path(decode_client.__file__).parents[2])
PREPARE = "import sys; sys.path[:] = sys.argv[1:]; from unmask.video import decode_worker\n"
PREPARE += "import ctypes, json, os, resource, socket, subprocess, time\n"  # later nothing can be imported


def outcome(windows: Callable[[], Iterator[Frames]]) -> list[Frames] | str:
    try:
        return list(windows())
    except errors.UnmaskError as error:
        return f"{error.code}: {error.message}"


def looked_at(path: Path, plan: DecodePlan) -> Iterator[Frames]:
    decode.probe(path)
    return decode.decode(path, plan)


@pytest.mark.parametrize("name", sorted(set(RECIPES) - NOT_FILES))
def test_the_worker_gives_what_the_decoder_gives(media: Media, name: str) -> None:
    """Also: whatever kind of file it is, nothing has to be imported in the sandbox."""
    path, plan = media(name), DecodePlan(windows=2, frames_per_window=3, max_side_px=640)
    here = outcome(lambda: looked_at(path, plan))
    there = outcome(lambda: decoded(path, plan))
    if isinstance(here, str) or isinstance(there, str):
        assert there == here
        return
    assert len(there) == len(here) > 0
    for ours, theirs in zip(here, there, strict=True):
        assert np.array_equal(ours.data, theirs.data)
        assert np.array_equal(ours.seconds, theirs.seconds)
        assert ours.scale == theirs.scale


def test_of_a_video_whose_start_was_cut_off_the_asked_part_is_found(media: Media) -> None:
    asked = DecodePlan(windows=1, start_seconds=101.0, end_seconds=102.0)
    whole = Piece(0, media("h264.mp4").stat().st_size, 100.0, 106.0)
    with closing(decode_client.OpenVideo(media("h264.mp4"), asked, [whole], [101.0])) as opened:
        (there,) = opened.windows()
    (here,) = decode.decode(media("h264.mp4"), DecodePlan(windows=1, start_seconds=1.0, end_seconds=2.0))
    assert there.seconds == pytest.approx(here.seconds + 100.0)


def test_where_no_open_file_can_be_given_ranges_are(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is on Windows."""
    here = list(decoded(media("h264.mp4"), DecodePlan()))
    monkeypatch.setattr(decode_client, "CAN_INHERIT", False)
    there = list(decoded(media("h264.mp4"), DecodePlan()))
    assert len(here) == len(there) > 0
    assert all(np.array_equal(a.data, b.data) for a, b in zip(here, there, strict=True))


def test_the_worker_plays_like_the_decoder(media: Media) -> None:
    span = Span(1.0, 2.0)
    here, there = (list(kind.play(media("h264.mp4"), span, 160)) for kind in (decode, decode_client))
    assert here
    for (seconds, image), (child_seconds, child_image) in zip(here, there, strict=True):
        assert seconds == child_seconds
        assert np.array_equal(image, child_image)


def test_captured_pictures_are_decoded_in_the_worker_too_and_a_damaged_one_is_bad_input() -> None:
    images = [cv2.imencode(".jpg", image)[1].tobytes() for image in glide(12)]
    captured = captured_frames.collect(images, [0.12 * i for i in range(12)], Limits())
    plan = DecodePlan(windows=2, frames_per_window=6)
    here, there = list(captured_frames.decode(captured, plan)), list(decode_client.decode_capture(captured, plan))
    assert [window.seconds.tolist() for window in here] == [window.seconds.tolist() for window in there]
    assert all(np.array_equal(a.data, b.data) for a, b in zip(here, there, strict=True))
    head = images[0][:-2000] + images[0][-2:]
    hollow = head[:700] + bytes(len(head) - 702) + head[-2:]
    captured = captured_frames.Capture((hollow[:200] + hollow[-2:],), (0.0,), ((320, 240),), "")
    with pytest.raises(errors.BadInput, match="damaged"):
        list(decode_client.decode_capture(captured, DecodePlan()))


ENDS: list[tuple[str, str, type[errors.UnmaskError], str]] = [
    ("a crash in native code", "ctypes.string_at(0)", errors.NotAVideo, "SIGSEGV"),
    ("an assertion in native code", "os.abort()", errors.NotAVideo, "SIGABRT"),
    ("a decoder that never ends", "while True: pass", errors.TimedOut, ""),
    ("a file that fills the memory", "b = [bytearray(2**28) for _ in range(64)]", errors.TooLarge, ""),
    ("a defect of ours", "raise KeyError('out of cheese')", errors.InternalError, "KeyError"),
    ("the kernel, short of memory", "os.kill(os.getpid(), 9)", errors.InternalError, "SIGKILL"),
    ("an exit without a word", "os._exit(0)", errors.InternalError, "ended with 0"),
]


def doing(code: str, cpu_seconds: float = 30.0) -> str:
    """Code of a worker in which decoding does `code`."""
    body = "\n    ".join(code.splitlines())
    limits = f"decode_worker.DecodeTask.cpu_seconds = {cpu_seconds}"
    bad = f"def bad(request, parent):\n    {body}\ndecode_worker.RUN[decode_worker.DecodeTask] = bad"
    return f"{PREPARE}{limits}\n{bad}\ndecode_worker.main()"


@linux
@pytest.mark.parametrize(("name", "code", "kind", "logged"), ENDS, ids=[end[0] for end in ENDS])
def test_whatever_ends_the_decoder_is_one_failed_call(name, code, kind, logged, media, monkeypatch, caplog):
    caplog.set_level(logging.WARNING)
    with monkeypatch.context() as patch:
        patch.setattr(decode_client, "WORKER", doing(code, cpu_seconds=1.0 if "while" in code else 30.0))
        with pytest.raises(errors.UnmaskError) as caught:
            list(decoded(media("short.mp4"), DecodePlan()))
    assert type(caught.value) is kind
    assert "cheese" not in caught.value.message + caplog.text
    assert logged in caplog.text
    assert len(list(decoded(media("short.mp4"), DecodePlan()))) == 1  # and this process lives on


def test_a_decoder_that_sleeps_is_ended(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_client, "WORKER", doing("time.sleep(600)"))
    monkeypatch.setattr(decode_client, "SILENCE_SECONDS", 1.0)
    began = time.monotonic()
    with pytest.raises(errors.TimedOut):
        list(decoded(media("short.mp4"), DecodePlan()))
    assert time.monotonic() - began < BUSY_SECONDS
    assert children() == []


def test_decoding_can_be_cancelled_at_any_moment(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_client, "WORKER", doing("time.sleep(600)"))
    asked = iter([None, None, errors.Cancelled("Not wanted any more.")])

    def on_wait() -> None:
        if problem := next(asked):
            raise problem

    with pytest.raises(errors.Cancelled):
        list(decoded(media("short.mp4"), DecodePlan(), on_wait))
    assert children() == []


SIZE_BYTES = 2**30  # of a file that stays on its server


@pytest.mark.parametrize(
    ("begin", "end"),
    [(-1, 10), (5, 5), (10, 5), (0, SIZE_BYTES + 1), (SIZE_BYTES, SIZE_BYTES + 1), (0, MAX_RANGE_BYTES + 1)],
)
def test_a_worker_that_asks_for_no_part_of_the_file_gets_nothing(begin, end, monkeypatch):
    asked: list[tuple[int, int]] = []

    def read(begin: int, end: int) -> bytes:
        asked.append((begin, end))
        return bytes(end - begin)

    first = "parent.send(decode_worker.ReadRange(0, 4)); parent.receive(decode_worker.RangeData)"
    code = f"{first}; parent.send(decode_worker.ReadRange({begin}, {end})); time.sleep(600)"
    monkeypatch.setattr(decode_client, "WORKER", doing(code))
    with pytest.raises(errors.InternalError):
        decode_client.OpenVideo(ByteRanges(SIZE_BYTES, read), DecodePlan()).close()
    assert asked == [(0, 4)]
    assert children() == []


def test_leaving_the_windows_ends_the_worker(media: Media) -> None:
    windows = decoded(media("one-key.mp4"), DecodePlan())
    next(windows)
    assert len(children()) == 1
    windows.close()  # type: ignore[attr-defined]
    assert children() == []


def children() -> list[str]:
    """Running children of this process that decode."""
    me, found = str(os.getpid()), []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
            command = (process / "cmdline").read_bytes()
        except OSError:  # gone
            continue
        if parent == me and b"unmask" in command:
            found.append(process.name)
    return found


PARENT = """
import sys; sys.path[:0] = [sys.argv[1]]
from pathlib import Path
from unmask.video import decode_client
from unmask.video.sampling import DecodePlan
windows = decode_client.OpenVideo(Path(sys.argv[2]), DecodePlan(max_side_px=1920)).windows()
next(windows)
print("decoding", flush=True)
import time; time.sleep(600)
"""


@linux
def test_a_worker_dies_with_its_parent(media: Media) -> None:
    command = [sys.executable, "-c", PARENT, SPACE, str(media("one-key.mp4"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"decoding\n"
        (child,) = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        parent.kill()
    deadline = time.monotonic() + BUSY_SECONDS
    while is_running(child):
        assert time.monotonic() < deadline, "the decoder lives on without its Space"
        time.sleep(0.05)


def is_running(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


ATTEMPTS = """
native = ctypes.CDLL(None, use_errno=True)
host, port, secret = HOST, PORT, SECRET

def in_native_code(call):
    return "refused" if call < 0 else "done"

def native_connect():
    made = native.socket(2, 1, 0)  # AF_INET, SOCK_STREAM
    address = b"\\2\\0" + port.to_bytes(2, "big") + socket.inet_aton(host) + bytes(8)
    return in_native_code(native.connect(made, address, 16))

def native_after_closing():
    # a number that was free before the limit is of no use either
    native.close(2)
    return in_native_code(native.socket(2, 1, 0))

def give_back_limit():
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

def fork_and_load():
    # fork is allowed to native code, but what it starts cannot even load its libraries
    pid = native.fork()
    if pid == 0:
        native.execl(b"/bin/cat", b"cat", secret.encode(), None)
        native._exit(7)
    return "refused" if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0 else "done"

attempts = {
    "connect": lambda: socket.create_connection((host, port), 5),
    "look up": lambda: socket.getaddrinfo("example.com", 80),
    "datagram": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "unix": lambda: socket.socket(socket.AF_UNIX),
    "read a file": lambda: open(secret).read(),
    "write a file": lambda: open(secret + "-new", "w"),
    "list a folder": lambda: os.listdir("/"),
    "program": lambda: subprocess.run(["true"]),
    "shell": lambda: os.system("true"),
    "fork": lambda: os.fork() or os._exit(0),
    "native connect": native_connect,
    "native socket after closing": native_after_closing,
    "native open": lambda: in_native_code(native.open(secret.encode(), 0)),
    "native program": fork_and_load,
    "a higher limit": give_back_limit,
    "write into the video": lambda: os.write(request.body.media.descriptor, b"x"),
    "root again": lambda: os.setuid(0) if os.getuid() else refuse(),
}

def refuse():
    raise PermissionError("still root")

outcome = {}
for name, attempt in attempts.items():
    try:
        answer = attempt()
    except (OSError, ValueError) as error:
        answer = "refused"
    outcome[name] = answer if answer == "refused" else "done"
words = json.dumps([outcome, dict(os.environ), os.getcwd()])
parent.send_failure(decode_worker.UnmaskError(words))
"""
REFUSED = [
    "connect", "look up", "datagram", "unix", "read a file", "write a file", "list a folder", "program",
    "shell", "fork", "native connect", "native socket after closing", "native open", "native program",
    "a higher limit", "write into the video", "root again",
]  # fmt: skip


@pytest.fixture(scope="module")
def attempts(tmp_path_factory: pytest.TempPathFactory, media: Media) -> tuple[Any, Any, str, list[Any]]:
    """What a worker tried, its environment, its folder, and the requests that the canary got."""
    secret = tmp_path_factory.mktemp("secret") / "secret.txt"
    secret.write_text("a secret")
    secret.chmod(0o644)
    with pytest.MonkeyPatch.context() as patch, Site({"/": content(b"a secret")}) as canary:
        for name in ("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "http_proxy", "PYTHONPATH", "UNMASK_TOKENS"):
            patch.setenv(name, "a secret")
        code = ATTEMPTS.replace("HOST", repr(canary.host)).replace("PORT", str(canary.port))
        code = code.replace("SECRET", repr(str(secret)))
        patch.setattr(decode_client, "WORKER", doing(code))
        with pytest.raises(errors.InternalError) as caught:
            list(decoded(media("short.mp4"), DecodePlan()))
        outcome, environment, folder = json.loads(caught.value.message)
        return outcome, environment, folder, canary.requests


@linux
@pytest.mark.parametrize("name", REFUSED)
def test_a_decoder_cannot(attempts, name):
    assert attempts[0][name] == "refused"


@linux
def test_nothing_of_it_reaches_a_server(attempts):
    assert set(attempts[0]) == set(REFUSED)
    assert attempts[3] == []


@linux
def test_a_decoder_inherits_no_secret(attempts):
    assert "a secret" not in attempts[1].values()
    assert attempts[2] == "/"


STREAM = {"width": 4, "height": 4, "duration_seconds": None, "frame_rate": None, "codec": "h264"}
WINDOW = {"shape": [1, 4, 4, 3], "seconds": [0.0], "scale": 1.0}
LIES: list[tuple[str, dict[str, Any], int]] = [  # type, fields, bytes of the payload
    ("VideoStream", {}, 0),
    ("VideoStream", STREAM | {"width": -1}, 0),
    ("VideoStream", STREAM | {"width": 4.0}, 0),
    ("VideoStream", STREAM | {"duration_seconds": "long"}, 0),
    ("VideoStream", STREAM | {"duration_seconds": float("inf")}, 0),
    ("VideoStream", STREAM | {"codec": ["<b>"]}, 0),
    ("VideoStream", STREAM | {"more": 1}, 0),
    ("WindowFrames", WINDOW, 2**40),  # more than a window holds
    ("WindowFrames", WINDOW, -1),
    ("WindowFrames", WINDOW | {"shape": [2, 4, 4, 3]}, 48),  # fewer bytes than pixels
    ("WindowFrames", WINDOW | {"shape": [-1, 4, 4, 3]}, 48),
    ("WindowFrames", WINDOW | {"shape": "large"}, 48),
    ("WindowFrames", WINDOW | {"shape": [48]}, 48),
    ("WindowFrames", WINDOW | {"seconds": [0.0, 1.0]}, 48),
    ("WindowFrames", WINDOW | {"seconds": ["soon"]}, 48),
    ("WindowFrames", WINDOW | {"shape": [2, 2, 4, 3], "seconds": [1.0, 0.0]}, 48),  # backwards
    ("WindowFrames", WINDOW | {"shape": [9, 1, 1, 3], "seconds": [*map(float, range(9))]}, 27),  # too many
    ("WindowFrames", WINDOW | {"scale": 0.0}, 48),
    ("WindowFrames", WINDOW | {"scale": float("nan")}, 48),
    ("ReadRange", {"begin": -1, "end": 5}, 0),
    ("ReadRange", {"begin": 5, "end": 5}, 0),
    ("ReadRange", {"begin": 0, "end": 10**9}, 0),
    ("ReadRange", {"begin": 0, "end": 2**22 + 1}, 0),
    ("ReadRange", {"begin": [], "end": None}, 0),
    ("Popen", {"args": "true"}, 0),
]


def sends(*messages: tuple[str, dict[str, Any], int]) -> str:
    """Code of a worker that sends these messages, with 48 bytes of payload at most."""
    lines = [{"type": name, "fields": fields, "payload_bytes": size} for name, fields, size in messages]
    return f"""
import json, sys, time
for line in json.loads({json.dumps(lines)!r}):
    sys.stdout.buffer.write(json.dumps(line).encode() + b"\\n" + bytes(max(0, min(48, line["payload_bytes"]))))
sys.stdout.flush()
time.sleep(1)
"""


def test_the_lies_are_told_in_a_way_that_would_be_believed(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        decode_client, "WORKER", sends(("VideoStream", STREAM, 0), ("WindowFrames", WINDOW, 48), ("Done", {}, 0))
    )
    (window,) = decoded(media("short.mp4"), DecodePlan())
    assert window.data.shape == (1, 4, 4, 3)


@pytest.mark.parametrize("lie", LIES, ids=str)
def test_a_worker_that_lies_is_not_believed(lie, media, monkeypatch):
    first = [] if lie[0] == "VideoStream" else [("VideoStream", STREAM, 0)]
    monkeypatch.setattr(decode_client, "WORKER", sends(*first, lie, ("Done", {}, 0)))
    with pytest.raises(errors.InternalError):
        list(decoded(media("short.mp4"), DecodePlan()))


@pytest.mark.parametrize("line", ["[]", "words", '"text"', "{}", "[" * 60_000, '{"type": "Done"}', "x" * 100_000])
def test_nor_is_one_that_talks_nonsense(line: str, media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_client, "WORKER", f"print({line!r}, flush=True); import time; time.sleep(1)")
    with pytest.raises(errors.InternalError):
        decode_client.probe(media("short.mp4"))
