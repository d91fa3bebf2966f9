"""Load a model to score with, and score face clips in batches."""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unmask import compute
from unmask.faces.clips import ClipSpec, FaceClip, to_input
from unmask.faces.exclusion import crop_sharpness
from unmask.models import checkpoint
from unmask.models.architectures import VideoModel, channels_last
from unmask.models.backbones import fuse_conv_bn
from unmask.models.checkpoint import ModelInfo
from unmask.verdict import Calibration, ClipScore, Policy

FRAMES_PER_BATCH = {"cpu": 8, "cuda": 64}  # bounds memory
# Of a batch, computed by one thread. Where a CPU's tensors exceed 32 MB, the allocator returns them to the system after
# each layer, which costs as much as half of the arithmetic.
FRAMES_PER_THREAD = 4


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory with all that belongs to its weights."""

    info: ModelInfo
    module: VideoModel
    spec: ClipSpec
    calibration: Calibration
    policy: Policy
    device: torch.device
    dtype: torch.dtype = torch.float32  # in which it is computed; the weights are float32

    @property
    def name(self) -> str:
        """Return the name in config.json."""
        return self.info.name

    @property
    def revision(self) -> str:
        """Return the commit on the Hub, or the start of the weight file's SHA-256."""
        return self.info.revision


def load(name: str, device: torch.device, precision: str = "auto") -> LoadedModel:
    """Load a bundled name, `default`, a folder, or `owner/name[@revision]` on the Hub, to score with.

    `precision` is as in `compute.choose_dtype`.

    Raises:
        ModelUnavailable: There is no such model, or its files do not fit together.
    """
    config, info, module = checkpoint.read(name)
    module.eval().requires_grad_(False)
    fuse_conv_bn(module)
    channels_last(module.to(device))
    dtype = compute.choose_dtype(device, precision)
    return LoadedModel(info, module, config.clip, config.calibration, config.policy, device, dtype)


def score(model: LoadedModel, clips: Sequence[FaceClip]) -> np.ndarray:
    """Score clips cut by the model's spec -> logits float32 (B,), positive means fake."""
    longest = max((len(clip.seconds) for clip in clips), default=1)
    size = max(1, FRAMES_PER_BATCH.get(model.device.type, 8) // longest)
    logits = [_score_batch(model, clips[start : start + size]) for start in range(0, len(clips), size)]
    return np.concatenate(logits) if logits else np.zeros(0, np.float32)


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


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Compute in bfloat16 on the device within this context, if that is the dtype."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16)


@torch.inference_mode()
def _score_batch(model: LoadedModel, clips: Sequence[FaceClip]) -> np.ndarray:
    batch = to_input(clips, model.spec)
    data, mask = batch.data.to(model.device), batch.mask.to(model.device)

    with autocast(model.device, model.dtype):
        logits = model.module(data, mask, functools.partial(_map_images, model.dtype))
    result: np.ndarray = logits.float().cpu().numpy()
    return result


def _map_images(dtype: torch.dtype, to_vectors: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Compute vectors (N, D) of images (N, 3, S, S); on a CPU by several threads.

    How the images are divided does not depend on how many threads are free, so the logits do not either.
    """
    if images.device.type != "cpu":
        return to_vectors(images)

    @torch.inference_mode()  # this and autocast hold for one thread
    def compute_part(part: Tensor) -> Tensor:
        with autocast(part.device, dtype):
            return to_vectors(part)

    size = min(FRAMES_PER_THREAD, math.ceil(len(images) / compute.MACHINE_THREADS))
    return torch.cat(compute.map_batches(compute_part, images.split(size)))
