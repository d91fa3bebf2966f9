"""Load a model to score with, in one of two backends, and calibrate its scores."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from unmask.compute import Backend, choose_backend, has_torch
from unmask.errors import ModelUnavailable
from unmask.faces.clips import ClipSpec, FaceClip
from unmask.faces.exclusion import crop_sharpness
from unmask.models import checkpoint
from unmask.models.checkpoint import ModelInfo
from unmask.models.configs import EXTRAS
from unmask.verdict import Calibration, ClipScore, Policy

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class LoadedModel(ABC):
    """A model in memory with all that belongs to its weights."""

    info: ModelInfo
    spec: ClipSpec
    calibration: Calibration
    policy: Policy
    backend: Backend

    @property
    def name(self) -> str:
        """Return the name in config.json."""
        return self.info.name

    @property
    def revision(self) -> str:
        """Return the commit on the Hub, or the start of the weight file's SHA-256."""
        return self.info.revision

    @abstractmethod
    def logits(self, clips: Sequence[FaceClip]) -> Float32Array:
        """Score clips cut by the model's spec -> logits (B,), positive means fake."""

    @abstractmethod
    def heat(self, blurred: FaceClip, sharp: FaceClip) -> Float32Array:
        """Compute how much each place of each frame moves its logit, up or down -> (T, h, w), of any scale."""


def load(name: str, backend: Backend | None = None) -> LoadedModel:
    """Load a bundled name, `default`, a folder, or `owner/name[@revision]` on the Hub, to score with.

    A model that is not among the graphs of the package, by architecture or size, is computed by torch.

    Raises:
        ModelUnavailable: There is no such model, its files do not fit together, or it needs torch, which is missing.
    """
    backend = backend or choose_backend()
    config, info, payload = checkpoint.read(name)
    if backend.name == "onnxruntime":
        from unmask.models import onnx_model

        if onnx_model.has_graph(config):
            return onnx_model.from_files(backend, config, info, payload)
        if not has_torch():
            extra = EXTRAS.get(config.architecture, "torch")
            raise ModelUnavailable(
                f"{info.name} is computed by PyTorch, which is not installed: pip install 'unmask[{extra}]'."
            )
    from unmask.models import torch_model

    if backend.name == "torch":
        return torch_model.from_files(backend, config, info, payload)
    return torch_model.from_files(Backend("torch"), config, info, payload)


def clip_score(model: LoadedModel, clip: FaceClip, logit: float) -> ClipScore:
    """Calibrate the logit that the model gives a clip. Raises ValueError when it is not finite."""
    return ClipScore(
        model=model.name,
        track_id=clip.track_id,
        start_seconds=float(clip.seconds[0]),
        end_seconds=float(clip.seconds[-1]),
        frames=len(clip.seconds),
        sharpness=crop_sharpness(clip.data),
        logit=float(logit),
        log_odds=model.calibration.log_odds(float(logit)),
    )
