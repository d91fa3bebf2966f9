"""Compute in torch in a chosen number format, by several threads. Only what needs torch imports this."""

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

from unmask.compute import thread_share

Batch = TypeVar("Batch")
Result = TypeVar("Result")

MACHINE_THREADS = torch.get_num_threads()  # of the machine, as torch counts them when it is imported


def autocast(device: torch.device | str, precision: str) -> torch.autocast:
    """Compute in bfloat16 on the device within this context, if that is the precision."""
    return torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=precision == "bfloat16")


def import_torchvision() -> Any:
    """Import torchvision also where its wheel and torch disagree about CUDA. Raises ImportError.

    A torchvision wheel built for CUDA cannot register its operators beside a CPU build of torch; nothing here needs
    them, so declaring the two that its import looks up is enough. Everywhere else the plain import succeeds and
    nothing is declared.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for operator in ("nms", "qnms"):
            schema = f"torchvision::{operator}"
            torch.library.define(schema, "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision
    return torchvision


def map_batches(compute: Callable[[Batch], Result], batches: Sequence[Batch]) -> list[Result]:
    """Compute the batches by the `thread_share` of this context, each batch by one thread -> results in order.

    torch's own threads wait for each other after every layer, which in small networks costs as much as a second core
    gives. Raises what `compute` raises.
    """
    count = min(thread_share.get() or torch.get_num_threads(), len(batches))

    def compute_share(first: int) -> list[Result]:
        return [compute(batch) for batch in batches[first::count]]

    with _one_thread():
        others = [_pool().submit(compute_share, first) for first in range(1, count)]
        shares = [compute_share(0), *(other.result() for other in others)] if batches else []
    return [shares[index % count][index // count] for index in range(len(batches))]


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), "unmask-compute", torch.set_num_threads, (1,))
