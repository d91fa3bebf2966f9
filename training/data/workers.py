"""Map a function over items in worker processes; `unmask.batch.ray_map` does the same over a Ray cluster."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

MAX_TASKS_PER_WORKER = 2  # submitted at a time: enough that no worker is idle, few enough to stop soon

Item = TypeVar("Item")
Result = TypeVar("Result")


class WorkerDiedError(Exception):
    """Raised when the process that worked on an item died, also on a second try with this item alone."""


def map_in_processes(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Generator[tuple[Item, Result | Exception], None, None]:
    """Yield each item with what the function returned or raised for it, as tasks finish.

    Always in separate processes: a video that crashes its decoder must not crash the run.
    """
    pending = deque(items)
    while True:
        running: dict[Future[Result], Item] = {}
        with _pool(workers) as pool:
            try:
                yield from _run(pool, function, pending, running, workers)
                return
            except BrokenProcessPool:
                pass
        for item in running.values():  # one of them killed its process
            yield item, _run_alone(function, item)


def _run(
    pool: ProcessPoolExecutor,
    function: Callable[[Item], Result],
    pending: deque[Item],
    running: dict[Future[Result], Item],
    workers: int,
) -> Iterator[tuple[Item, Result | Exception]]:
    """Yield outcomes; raise BrokenProcessPool when a process died: `running` then holds what is not finished."""
    while True:
        while pending and len(running) < workers * MAX_TASKS_PER_WORKER:
            running[pool.submit(function, pending[0])] = pending[0]
            pending.popleft()
        if not running:
            return
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            outcome = _outcome(future)
            yield running.pop(future), outcome


def _run_alone(function: Callable[[Item], Result], item: Item) -> Result | Exception:
    with _pool(1) as pool:
        try:
            return _outcome(pool.submit(function, item))
        except BrokenProcessPool as error:
            return WorkerDiedError(f"the process that worked on it died twice: {error}")


def _outcome(future: Future[Result]) -> Result | Exception:
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, BrokenProcessPool) or not isinstance(error, Exception):
        raise error
    return error


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    # spawned, because threads of torch and OpenCV do not survive a fork
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_follow_parent)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _follow_parent() -> None:
    """End a worker when its parent ends, however that was; leave Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
