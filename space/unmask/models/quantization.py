"""Store weights at 8 bits: each output channel of a layer as int8 numbers and one scale (Jacob et al., CVPR 2018)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

SCALE = ".int8_scale"  # end of the name of a tensor's scales
LEVELS = 127


def quantize(tensors: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Round the weights of layers, (out, ...), to 8 bits; tensors with one axis or none stay as they are."""
    stored = dict(tensors)
    for name, value in tensors.items():
        if value.ndim > 1 and np.issubdtype(value.dtype, np.floating):
            scale = np.abs(value).max(tuple(range(1, value.ndim))).astype(np.float32) / LEVELS
            steps = value / _beside(np.where(scale, scale, 1), value)
            stored[name], stored[name + SCALE] = steps.round().astype(np.int8), scale
    return stored


def dequantize(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Return the weights of a file, arrays or torch tensors, with those at 8 bits multiplied by their scales.

    Raises:
        ValueError: a scale fits no tensor.
    """
    weights = {name: value for name, value in tensors.items() if not name.endswith(SCALE)}
    for name, scale in tensors.items():
        if name.endswith(SCALE):
            value = weights.get(name.removesuffix(SCALE))
            if value is None or value.ndim < 2 or tuple(scale.shape) != (value.shape[0],):
                raise ValueError(f"{name} fits no tensor")
            weights[name.removesuffix(SCALE)] = value * _beside(scale, value)
    return weights


def _beside(scale: Any, value: Any) -> Any:
    return scale.reshape(-1, *[1] * (value.ndim - 1))
