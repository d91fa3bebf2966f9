"""Work cut into parts for several threads, each of which computes its part alone.

torch's own threads wait for each other after every layer. In networks as small as these that costs about as
much as a second core gives.
"""

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import torch

Part = TypeVar("Part")
Result = TypeVar("Result")

_size = ContextVar("size", default=0)  # 0: outside `of`


@contextmanager
def of(threads: int) -> Iterator[None]:
    """Meanwhile `each` of this thread works on so many parts at a time, and torch with one thread."""
    before, told = torch.get_num_threads(), _size.set(threads)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        _size.reset(told)


def size() -> int:
    """How many parts are worked on at a time; outside `of`, as many as torch has threads."""
    return _size.get() or torch.get_num_threads()


def each(work: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
    """The results in order; this thread does the first part. What `work` raises is raised here."""
    with of(size()):
        if len(parts) < 2 or size() < 2:
            return [work(part) for part in parts]
        share = functools.partial(_one, work, torch.is_inference_mode_enabled())
        others = [_pool().submit(share, part) for part in parts[1:]]
        first = work(parts[0])
        return [first, *(other.result() for other in others)]


def _one(work: Callable[[Part], Result], inference: bool, part: Part) -> Result:
    """In a thread that knows nothing of the one that asks."""
    with torch.inference_mode(inference):
        return work(part)


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), "unmask-crew", torch.set_num_threads, (1,))
