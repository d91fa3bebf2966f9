"""Score and explain with a model in ONNX Runtime, with the weights of its safetensors file."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors

from unmask.compute import Backend
from unmask.errors import ModelUnavailable
from unmask.faces.clips import FaceClip, normalise
from unmask.graphs.session import Graph, manifest
from unmask.models.checkpoint import ModelConfigFile, ModelInfo
from unmask.models.configs import ModelConfig
from unmask.models.inference import Float32Array, LoadedModel
from unmask.models.quantization import dequantize

MEAN, COUNTERS = "running_mean", "num_batches_tracked"  # of a batch norm; the second is for training alone


@dataclass(frozen=True)
class OnnxModel(LoadedModel):
    """A model in ONNX Runtime."""

    clip_graph: (
        Graph  # frames of one clip (T, 3, S, S) -> logit (1,), logits of the frames alone (T,), maps (T, C, h, w)
    )
    heat_graph: Graph  # maps of a face, blurred and sharp (2, C, h, w) -> heat (h, w)

    def logits(self, clips: Sequence[FaceClip]) -> Float32Array:
        """Score clips, see LoadedModel."""
        return np.array([self.clip_graph(normalise(clip, self.spec))[0][0] for clip in clips], np.float32)

    def heat(self, blurred: FaceClip, sharp: FaceClip) -> Float32Array:
        """Explain frames, see LoadedModel."""
        maps = (self.clip_graph(normalise(clip, self.spec))[2] for clip in (blurred, sharp))
        return np.stack([self.heat_graph(np.stack(pair))[0] for pair in zip(*maps, strict=True)])


def has_graph(config: ModelConfigFile) -> bool:
    """Return whether the package has the graph of a model's architecture in the model's sizes."""
    entry = manifest().get(config.architecture)
    return entry is not None and entry["sizes"] == sizes(config.model)


def sizes(config: ModelConfig) -> dict[str, float]:
    """Return what decides the shape of the graph: all but dropout, which is for training."""
    fields = dataclasses.asdict(config)
    return {key: value for key, value in fields.items() if key != "dropout"}


def from_files(backend: Backend, config: ModelConfigFile, info: ModelInfo, payload: bytes) -> OnnxModel:
    """Load what `checkpoint.read` returned. Raises ModelUnavailable."""
    whole, heat = config.architecture, f"{config.architecture}.heat"
    try:
        tensors = dequantize(load_tensors(payload))
        weights = {key: value for key, value in tensors.items() if not key.endswith(COUNTERS)}
        if set(tensors) - set(weights) != {
            f"{norm.removesuffix(MEAN)}{COUNTERS}" for norm in weights if norm.endswith(MEAN)
        }:
            raise ValueError("counters of other norms")
        clip_graph = Graph(whole, weights, backend.threads)
        head = {key: weights[key] for key in manifest()[heat]["weights"]}
    except (SafetensorError, ValueError, TypeError, KeyError) as error:  # the last two: a number type that numpy lacks
        raise ModelUnavailable(f"The weights of {config.name} do not fit its config: {error}.") from error
    heat_graph = Graph(heat, head, backend.threads)
    return OnnxModel(info, config.clip, config.calibration, config.policy, backend, clip_graph, heat_graph)
