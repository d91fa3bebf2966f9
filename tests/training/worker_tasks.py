"""Work for the tests of workers: it must be importable, and quickly, in a process of its own."""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil

Item = TypeVar("Item")
Result = TypeVar("Result")


def double(number: int) -> int:
    return 2 * number


def double_or_refuse(number: int) -> int:
    if number == 3:
        raise ValueError("three is\nnot for doubling")
    return 2 * number


def double_or_die(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


def double_after_a_death(number: int, folder: Path) -> int:
    """The first worker that meets 3 dies of it; the next one does not."""
    mark = folder / "died"
    if number == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


def after_a_machine_died(function: Callable[[Item], Result], folder: Path, item: Item) -> Result:
    """In a Ray cluster: the first task that begins `midway` dies with its raylet and all its processes."""
    if (folder / "midway").exists() and _first_to_touch(folder / "died"):
        itself, raylet = psutil.Process(), psutil.Process(os.getppid())
        for process in (raylet, *raylet.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):  # a worker ends with its raylet
                if process != itself:
                    process.kill()
        itself.kill()
    return function(item)


def _first_to_touch(mark: Path) -> bool:
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds
