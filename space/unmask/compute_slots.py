"""Who may use the models now, and with how many threads: checks share the cores instead of queueing for all.

One check alone takes them all. Two on two cores are through sooner with a core each than one after the other
with both: what runs on two threads is less than twice as fast.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

WAIT_SECONDS = 0.25  # how often a check that waits for its turn looks whether it is still wanted


class Turns:
    """As many at a time as there are threads; a GPU's one is not shared."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._places = threading.Semaphore(threads)
        self._counting = threading.Lock()
        self.taken = 0

    @contextmanager
    def take(self, still_wanted: Callable[[], None]) -> Iterator[int]:
        """Wait for a turn -> its share of the threads. What `still_wanted` raises ends the waiting."""
        while not self._places.acquire(timeout=WAIT_SECONDS):
            still_wanted()
        with self._counting:
            self.taken += 1
            share = self._threads // self.taken
        try:
            yield share
        finally:
            with self._counting:
                self.taken -= 1
            self._places.release()
