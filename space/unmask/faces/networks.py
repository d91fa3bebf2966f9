"""Run the three networks of MTCNN on pictures: in ONNX Runtime, or in torch on a GPU.

The weights are data files of the package `mtcnn`, whose code (TensorFlow) is never imported.
"""

import importlib.util
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import lz4.frame
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
    file = io.BytesIO(lz4.frame.decompress((_weights_folder() / f"{name}.lz4").read_bytes()))
    return [_to_torch_layout(array) for array in _JoblibReader(file).load()]


class _JoblibArray:
    """Stands in joblib's pickles before the bytes of an array."""

    dtype: Any
    shape: tuple[int, ...]
    order: Any

    def read(self, file: io.BytesIO) -> Float32Array:
        """Read the array that follows, behind what aligns it."""
        file.seek(file.read(1)[0], io.SEEK_CUR)
        data = file.read(int(np.prod(self.shape)) * self.dtype.itemsize)
        return np.frombuffer(data, self.dtype).reshape(self.shape, order=self.order)


class _JoblibReader(pickle._Unpickler):
    """Read arrays that joblib wrote, and nothing else: to import joblib takes 0.1 s and 14 MB."""

    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)
    stack: list[Any]

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self._bytes = file

    def find_class(self, module: str, name: str) -> Any:
        """Return one of the three classes that arrays are made of. Raises pickle.UnpicklingError."""
        known = {"NumpyArrayWrapper": _JoblibArray, "ndarray": np.ndarray, "dtype": np.dtype}
        if name not in known:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of an array")
        return known[name]

    def load_build(self) -> None:
        """Fill an object; where it stands before an array, put the array in its place."""
        super().load_build()  # type: ignore[misc]  # of Python's own reader, which typeshed leaves out
        if isinstance(self.stack[-1], _JoblibArray):
            self.stack.append(self.stack.pop().read(self._bytes))

    dispatch[pickle.BUILD[0]] = load_build


def _weights_folder() -> Path:
    package = importlib.util.find_spec("mtcnn")  # finds, does not import: that would need TensorFlow
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("the package mtcnn, which holds the weights of the face finder, is missing")
    return Path(package.submodule_search_locations[0]) / "assets" / "weights"


def _to_torch_layout(array: Float32Array) -> Float32Array:
    """Convert convolutions from HWIO to OIHW, transpose dense layers, flatten PReLU (1, 1, c) to (c,)."""
    axes = {4: (3, 2, 0, 1), 2: (1, 0)}.get(array.ndim)
    return np.ascontiguousarray(array.transpose(axes) if axes else array.reshape(-1))
