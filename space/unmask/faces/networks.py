"""Run the three networks of MTCNN on pictures: in ONNX Runtime, or in torch on a GPU.

The weights are data files of the package `mtcnn`, whose code (TensorFlow) is never imported.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import numpy.typing as npt

from unmask.compute import Backend
from unmask.graphs.session import Graph, manifest

UInt8Array = npt.NDArray[np.uint8]
Float32Array = npt.NDArray[np.float32]
FaceNetwork = Callable[[UInt8Array], list[Float32Array]]  # pictures (n, h, w, 3) -> outputs of `mtcnn.PNet` and so on

NAMES = ("pnet", "rnet", "onet")
PIXEL_MEAN = 127.5  # the networks take (pixel - mean) / scale
PIXEL_SCALE = 128.0


def load_networks(backend: Backend) -> tuple[FaceNetwork, ...]:
    """Load the three networks, in the order of NAMES."""
    if backend.name == "torch":
        from unmask.faces.mtcnn import load_on

        return tuple(load_on(backend.device, name) for name in NAMES)
    return tuple(_in_onnxruntime(name, backend.threads) for name in NAMES)


def _in_onnxruntime(name: str, threads: int) -> FaceNetwork:
    graph = Graph(name, dict(zip(manifest()[name]["weights"], read_arrays(name), strict=True)), threads)

    def run(images: UInt8Array) -> list[Float32Array]:
        data = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).astype(np.float32)
        data -= PIXEL_MEAN
        data /= PIXEL_SCALE
        return graph(data)

    return run


def read_arrays(name: str) -> list[Float32Array]:
    """Read the published weights of a network, in the order of our layers and in torch's layout."""
    arrays = joblib.load(_weights_folder() / f"{name}.lz4")  # a pickle: as trustworthy as any code of a pinned package
    return [_to_torch_layout(array) for array in arrays]


def _weights_folder() -> Path:
    package = importlib.util.find_spec("mtcnn")  # finds, does not import: that would need TensorFlow
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("the package mtcnn, which holds the weights of the face finder, is missing")
    return Path(package.submodule_search_locations[0]) / "assets" / "weights"


def _to_torch_layout(array: Float32Array) -> Float32Array:
    """Convert convolutions from HWIO to OIHW, transpose dense layers, flatten PReLU (1, 1, c) to (c,)."""
    axes = {4: (3, 2, 0, 1), 2: (1, 0)}.get(array.ndim)
    return np.ascontiguousarray(array.transpose(axes) if axes else array.reshape(-1))
