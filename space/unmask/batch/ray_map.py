"""Map a function over items on a Ray cluster, whose machines all see the same files and have the same code."""

import logging
import socket
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from unmask.errors import BadInput

MAX_TASKS_PER_CPU = 2  # handed to Ray at a time: enough that no core waits, few enough to stop soon
CONNECT_SECONDS = 5.0  # to the head of a cluster

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_on_ray(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    address: str,
    *,
    retries: int = 1,
    tasks_per_gpu: int | None = None,
) -> Iterator[tuple[Item, Result | Exception]]:
    """Yield each item with what the function returned or raised for it, as tasks finish.

    `address` is the head's host:port, `auto`, or `local` for a cluster on this machine alone. A task whose
    worker died is tried again `retries` times; then Ray's error is its result. With `tasks_per_gpu` tasks share
    the GPUs, if there are any.

    Raises:
        BadInput: Ray is not installed, or there is no cluster at the address.
    """
    ray = _connect(address)
    return _map(ray, function, items, retries, tasks_per_gpu)


def _map(
    ray: Any, function: Callable[[Item], Result], items: Iterable[Item], retries: int, tasks_per_gpu: int | None
) -> Iterator[tuple[Item, Result | Exception]]:
    try:
        gpus = 1 / tasks_per_gpu if tasks_per_gpu and ray.cluster_resources().get("GPU") else 0
        task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=retries)(_call)
        waiting = iter(items)
        running: dict[Any, Item] = {}
        while True:
            free = max(0, _max_tasks(ray) - len(running))  # machines come and go
            running.update({task.remote(function, item): item for item in islice(waiting, free)})
            if not running:
                return
            (done,), _ = ray.wait(list(running), num_returns=1)
            yield running.pop(done), _outcome(ray, done)
    finally:
        ray.shutdown()


def _max_tasks(ray: Any) -> int:
    return max(1, int(ray.cluster_resources().get("CPU", 1))) * MAX_TASKS_PER_CPU


def _call(function: Callable[[Item], Result], item: Item) -> Result:
    return function(item)


def _outcome(ray: Any, done: Any) -> Any:
    """Get what a task returned or raised; Ray's own error when its worker died, out of memory for instance."""
    try:
        return ray.get(done)
    except ray.exceptions.RayTaskError as error:
        return error.cause if isinstance(error.cause, Exception) else error
    except ray.exceptions.RayError as error:
        return error


def _connect(address: str) -> Any:
    try:
        import ray
    except ImportError as error:
        raise BadInput("--ray needs Ray, which is not installed here: pip install ray.") from error
    try:
        if ":" in address and "//" not in address:
            _connect_once(address)  # Ray itself would try for many minutes
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise BadInput(f"There is no Ray cluster at {address}: {reason}") from error
    return ray


def _connect_once(address: str) -> None:
    """Raise OSError or ValueError when nothing listens at host:port."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
