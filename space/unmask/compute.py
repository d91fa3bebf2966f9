"""Choose what computes the networks, on how many threads, and how checks share these."""

import ctypes
import importlib.util
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from unmask.errors import BadInput

BACKENDS = ("auto", "onnxruntime", "torch")
PRECISIONS = ("auto", "float32", "bfloat16")
CPU_BFLOAT16 = ("avx512_bf16", "amx_bf16")  # a processor without these emulates it, many times slower than float32
POLL_SECONDS = 0.25  # how often a check that waits for a slot looks whether it was cancelled

thread_share = ContextVar("thread_share", default=0)  # of the check in this context; 0: all


def machine_threads() -> int:
    """Return how many threads the networks use: OMP_NUM_THREADS, or as many as this process has cores."""
    if (asked := os.environ.get("OMP_NUM_THREADS", "")).isdigit() and int(asked):
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Backend:
    """What computes the networks."""

    name: Literal["onnxruntime", "torch"] = "onnxruntime"
    device: str = "cpu"  # as torch names it
    precision: str = "float32"  # or `bfloat16`
    threads: int = field(default_factory=machine_threads)  # of ONNX Runtime


@dataclass(frozen=True)
class ComputeOptions:
    """What is asked for; `auto` and None leave the choice to `choose_backend`."""

    backend: str = "auto"  # one of BACKENDS
    precision: str = "auto"  # one of PRECISIONS
    device: str | None = None  # as torch names it


AUTO = ComputeOptions()


def choose_backend(options: ComputeOptions = AUTO) -> Backend:
    """Choose torch for a GPU and ONNX Runtime for a CPU, by what there is: the same machine always says the same.

    ONNX Runtime computes float32 also where a CPU has instructions for bfloat16, so that a CPU gives the same answer
    with torch installed and without; torch on a CPU is for who asks for it, or for bfloat16.

    Raises:
        BadInput: What is asked for is not installed, or does not exist.
    """
    device = options.device
    if device is None:
        device = "cuda" if options.backend != "onnxruntime" and _has_cuda() else "cpu"
    wants_torch = options.backend == "torch" or device != "cpu" or options.precision == "bfloat16"
    if options.backend == "onnxruntime" and wants_torch:
        raise BadInput("ONNX Runtime computes on the CPU in float32 only; the backend torch does more.")
    if not wants_torch:
        return Backend()
    if not has_torch():
        raise BadInput("PyTorch is asked for and is not installed: pip install 'unmask[torch]'.")
    return Backend("torch", device, choose_precision(device, options.precision))


def choose_precision(device: str, asked: str = "auto") -> str:
    """Choose `bfloat16` where the device has instructions for it, else `float32`; `asked` overrides the choice."""
    import torch

    if asked != "auto":
        return asked
    kind = torch.device(device).type
    if kind == "cuda":
        able = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities = torch.cpu.get_capabilities()
        able = kind == "cpu" and any(capabilities.get(name) for name in CPU_BFLOAT16)
    return "bfloat16" if able else "float32"


def free_memory_bytes() -> int | None:
    """Return how much memory there is for this process, of the machine and of its container; None where unknown."""
    found = []
    with suppress(OSError, ValueError, IndexError):
        found.append(1024 * int(_field("/proc/meminfo", "MemAvailable:")))
    with suppress(OSError, ValueError, IndexError):
        limit, used = (int(Path(f"/sys/fs/cgroup/memory.{name}").read_text()) for name in ("max", "current"))
        found.append(limit - used + int(_field("/sys/fs/cgroup/memory.stat", "inactive_file")))
    return min(found, default=None)


def _field(path: str, name: str) -> str:
    return Path(path).read_text().partition(name)[2].split()[0]


def has_torch() -> bool:
    """Return whether torch is installed, without importing it, which takes seconds."""
    return importlib.util.find_spec("torch") is not None


def _has_cuda() -> bool:
    """Return whether torch sees a GPU. Without a driver it is not even imported.

    On ZeroGPU torch says that there is one before one is borrowed.
    """
    if not has_torch():
        return False
    if "SPACES_ZERO_GPU" not in os.environ:
        try:
            ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
        except OSError:
            return False
    import torch

    return torch.cuda.is_available()


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
        """Wait for a slot -> its share of the threads, which is `thread_share` meanwhile.

        Raises what `raise_if_cancelled` raises, which is called while waiting.
        """
        while not self._free.acquire(timeout=POLL_SECONDS):
            raise_if_cancelled()
        with self._lock:
            self.used += 1
            share = self._threads // self.used
        token = thread_share.set(share)
        try:
            yield share
        finally:
            thread_share.reset(token)
            with self._lock:
                self.used -= 1
            self._free.release()
