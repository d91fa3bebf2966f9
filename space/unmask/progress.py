"""Report the progress of a check, and measure the time that each stage takes."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

OnProgress = Callable[[str, float, str], None]  # stage, fraction 0..1, text; may raise Cancelled
Item = TypeVar("Item")

# Stages in their order, with the share of the whole check at which each begins.
STAGES = {
    "queued": 0.0,
    "fetch": 0.0,
    "decode": 0.35,
    "faces": 0.37,  # and their scores, unless the models run at the end, see `Checker`
    "model": 0.8,
    "explain": 0.9,
    "done": 1.0,
}


def ignore_progress(stage: str, fraction: float, text: str) -> None:
    """Do nothing."""


def to_overall_progress(on_progress: OnProgress) -> OnProgress:
    """Convert the fraction of a stage to the share of the whole check, which never goes back."""
    begins = list(STAGES.values())
    spans = dict(zip(STAGES, zip(begins, [*begins[1:], 1.0], strict=True), strict=True))
    furthest = 0.0

    def report(stage: str, fraction: float, text: str) -> None:
        nonlocal furthest
        begin, end = spans[stage]
        furthest = max(furthest, begin + min(max(fraction, 0.0), 1.0) * (end - begin))
        on_progress(stage, furthest, text)

    return report


class StageTimer:
    """Wall time of each stage, in seconds."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._spent: dict[str, float] = defaultdict(float)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time that the block takes to a stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._spent[name] += time.perf_counter() - started

    def timed(self, name: str, items: Iterable[Item]) -> Iterator[Item]:
        """Yield the items, and add the time that making them takes to a stage."""
        iterator = iter(items)
        while True:
            with self.stage(name):
                item = next(iterator, None)
            if item is None:
                return
            yield item

    def read(self) -> dict[str, float]:
        """Return the seconds by stage, and in `total` since the timer was made."""
        spent = {name: self._spent[name] for name in ("fetch", "decode", "faces", "model", "explain")}
        return {**spent, "total": time.perf_counter() - self._started}
