"""How far a check is: what a waiting person is told, and the time that each stage took."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from unmask.report import Timing

OnProgress = Callable[[str, float, str], None]  # stage, fraction 0..1, text; may raise Cancelled
Item = TypeVar("Item")

# Stages in their order, with the share of the whole bar at which each begins.
STAGES = {
    "queued": 0.0,
    "fetch": 0.0,
    "decode": 0.35,
    "faces": 0.37,  # and what a model says of them, unless it is asked at the end, see `Checker`
    "model": 0.8,
    "explain": 0.9,
    "done": 1.0,
}


def ignore_progress(stage: str, fraction: float, text: str) -> None:
    """For callers who do not want to know."""


def on_whole_bar(on_progress: OnProgress) -> OnProgress:
    """Turn a stage's own fraction into the share of the whole check; it never goes back."""
    begins = list(STAGES.values())
    spans = dict(zip(STAGES, zip(begins, [*begins[1:], 1.0], strict=True), strict=True))
    furthest = 0.0

    def tell(stage: str, fraction: float, text: str) -> None:
        nonlocal furthest
        begin, end = spans[stage]
        furthest = max(furthest, begin + min(max(fraction, 0.0), 1.0) * (end - begin))
        on_progress(stage, furthest, text)

    return tell


class Clock:
    """Wall time of each stage."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._spent: dict[str, float] = defaultdict(float)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self._spent[name] += time.perf_counter() - started

    def timed(self, name: str, items: Iterable[Item]) -> Iterator[Item]:
        """The items; the time that making them takes counts for the stage."""
        iterator = iter(items)
        while True:
            with self.stage(name):
                item = next(iterator, None)
            if item is None:
                return
            yield item

    def read(self) -> Timing:
        names = ("fetch", "decode", "faces", "model", "explain")
        spent = {name: self._spent[name] for name in names}
        return Timing(**spent, total=time.perf_counter() - self._started)
