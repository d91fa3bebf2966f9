"""Run a graph of this folder in ONNX Runtime, with weights that are given.

`python -m training.publish --graphs` writes the graphs and `manifest.json`, which lists the weights that each takes.
Graphs are part of the package, so that no file from outside is ever parsed as one: of a model only the safetensors is.
"""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

Float32Array = npt.NDArray[np.float32]

FOLDER = Path(__file__).parent
MANIFEST = FOLDER / "manifest.json"


@functools.cache
def manifest() -> dict[str, Any]:
    """Read what each graph takes: by its name `weights`, by theirs their shapes, and the `sizes` of its model."""
    entries: dict[str, Any] = json.loads(MANIFEST.read_bytes())
    return entries


@functools.cache
def share_allocator() -> None:
    """Let all networks of this process take the memory of a run from one store; each would keep one of its own."""
    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(memory, None)


class Graph:
    """One network, ready to run. Safe to share between threads, which share the threads of ONNX Runtime."""

    def __init__(self, name: str, weights: Mapping[str, npt.NDArray[Any]], threads: int) -> None:
        """Load a graph. Raises ValueError unless names and shapes of the weights are those that it takes."""
        wanted = {key: tuple(shape) for key, shape in manifest()[name]["weights"].items()}
        given = {key: value.shape for key, value in weights.items()}
        if wrong := sorted(key for key in wanted | given if wanted.get(key) != given.get(key)):
            raise ValueError(f"{len(wrong)} tensors differ, {wrong[0]} among them")
        # ONNX Runtime does not copy what it is given: it must live as long as the session
        self._weights = {key: np.ascontiguousarray(value, np.float32) for key, value in weights.items()}
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(value) for value in self._weights.values()]
        share_allocator()
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.use_env_allocators", "1")
        options.intra_op_num_threads = threads
        options.enable_mem_pattern = False  # one is kept for every shape, and shapes differ from call to call
        # threads that spin while they wait take the core from those of another check
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_external_initializers(list(self._weights), values)
        self._session = onnxruntime.InferenceSession(
            FOLDER / f"{name}.onnx", options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, data: Float32Array) -> list[Float32Array]:
        """Run the network -> its outputs."""
        outputs: list[Float32Array] = self._session.run(None, {"data": data})
        return outputs
