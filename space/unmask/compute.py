"""Decide in which precision models are computed, by how many threads, and how checks share these."""

import functools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import torch

Batch = TypeVar("Batch")
Result = TypeVar("Result")

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}  # by their names in UNMASK_PRECISION
CPU_BFLOAT16 = ("avx512_bf16", "amx_bf16")  # a processor without these emulates it, many times slower than float32
MACHINE_THREADS = torch.get_num_threads()  # of the machine, as torch counts them when it is imported
POLL_SECONDS = 0.25  # how often a check that waits for a slot looks whether it was cancelled

_threads = ContextVar("threads", default=0)  # 0: outside `use_threads`


def choose_dtype(device: torch.device, precision: str = "auto") -> torch.dtype:
    """Choose the number format that models are computed in: bfloat16 where the device has instructions for it.

    `precision` is `auto` or a key of DTYPES, which overrides the choice. No timing is involved: the same machine always
    computes the same numbers.
    """
    if precision != "auto":
        return DTYPES[precision]
    if device.type == "cuda":
        able = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities = torch.cpu.get_capabilities()
        able = device.type == "cpu" and any(capabilities.get(name) for name in CPU_BFLOAT16)
    return torch.bfloat16 if able else torch.float32


@contextmanager
def use_threads(count: int) -> Iterator[None]:
    """Let `map_batches` use so many threads in this context, each of them with one thread of torch."""
    before, token = torch.get_num_threads(), _threads.set(count)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        _threads.reset(token)


def map_batches(compute: Callable[[Batch], Result], batches: Sequence[Batch]) -> list[Result]:
    """Compute the batches by several threads, each batch by one -> results in order.

    torch's own threads wait for each other after every layer, which in small networks costs as much as a second core
    gives. Outside `use_threads` there are as many as torch has. Raises what `compute` raises.
    """
    count = min(_threads.get() or torch.get_num_threads(), len(batches))

    def compute_share(first: int) -> list[Result]:
        return [compute(batch) for batch in batches[first::count]]

    with use_threads(1):
        others = [_pool().submit(compute_share, first) for first in range(1, count)]
        shares = [compute_share(0), *(other.result() for other in others)] if batches else []
    return [shares[index % count][index // count] for index in range(len(batches))]


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), "unmask-compute", torch.set_num_threads, (1,))


class ComputeSlots:
    """Admits as many checks to the models as there are threads; those inside share the threads.

    Two checks on two cores are through sooner with a core each than one after the other with both.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._free = threading.Semaphore(threads)
        self._lock = threading.Lock()
        self.used = 0

    @contextmanager
    def acquire(self, raise_if_cancelled: Callable[[], None]) -> Iterator[int]:
        """Wait for a slot -> its share of the threads, which `map_batches` uses meanwhile.

        Raises what `raise_if_cancelled` raises, which is called while waiting.
        """
        while not self._free.acquire(timeout=POLL_SECONDS):
            raise_if_cancelled()
        with self._lock:
            self.used += 1
            share = self._threads // self.used
        try:
            with use_threads(share):
                yield share
        finally:
            with self._lock:
                self.used -= 1
            self._free.release()
