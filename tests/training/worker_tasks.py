"""Work for the tests of workers: it must be importable, and quickly, in a process of its own."""

import os
import signal
import time
from pathlib import Path
from typing import TypeVar

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


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds
