"""Build the models in torch, and score and explain with them: on a GPU, in training, and for who asks for it."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from unmask import compute, torch_compute
from unmask.compute import Backend
from unmask.errors import ModelUnavailable
from unmask.faces.clips import ClipSpec, FaceClip, normalise
from unmask.models import checkpoint
from unmask.models.architectures import ARCHITECTURES, VideoModel, channels_last
from unmask.models.backbones import fuse_conv_bn
from unmask.models.checkpoint import ModelConfigFile
from unmask.models.configs import EXTRAS
from unmask.models.inference import Float32Array, LoadedModel
from unmask.models.quantization import dequantize

FRAMES_PER_BATCH = {"cpu": 8, "cuda": 64}  # bounds memory
# Of a batch, computed by one thread. Where a CPU's tensors exceed 32 MB, the allocator returns them to the system after
# each layer, which costs as much as half of the arithmetic.
FRAMES_PER_THREAD = 4
GRADIENT_STEPS = 8  # from the blurred face to the face itself


@dataclass(frozen=True)
class ClipBatch:
    """Model input."""

    data: Tensor  # float32 (B, T, 3, S, S), normalised; zeros where there is no frame
    mask: Tensor  # bool (B, T), True where a frame is real


def to_input(clips: Sequence[FaceClip], spec: ClipSpec) -> ClipBatch:
    """Normalise clips and pad each to the longest. Raises ValueError where there is none, and as `normalise` does."""
    if not clips:
        raise ValueError("no clips")
    shape = (len(clips), max(len(clip.data) for clip in clips))
    data = torch.zeros(*shape, 3, spec.side_px, spec.side_px)
    mask = torch.zeros(shape, dtype=torch.bool)
    for row, clip in enumerate(clips):
        count = len(clip.data)
        data[row, :count] = torch.from_numpy(normalise(clip, spec))
        mask[row, :count] = True
    return ClipBatch(data, mask)


@dataclass(frozen=True)
class TorchModel(LoadedModel):
    """A model in torch, on one device."""

    module: VideoModel

    @property
    def device(self) -> torch.device:
        """Return where the module is."""
        return torch.device(self.backend.device)

    def logits(self, clips: Sequence[FaceClip]) -> Float32Array:
        """Score clips, see LoadedModel."""
        longest = max((len(clip.seconds) for clip in clips), default=1)
        size = max(1, FRAMES_PER_BATCH.get(self.device.type, 8) // longest)
        logits = [self._score_batch(clips[start : start + size]) for start in range(0, len(clips), size)]
        return np.concatenate(logits) if logits else np.zeros(0, np.float32)

    def heat(self, blurred: FaceClip, sharp: FaceClip) -> Float32Array:
        """Explain frames, see LoadedModel."""
        # cuDNN cannot go backward through a recurrent network that is not being trained
        with (
            torch.inference_mode(False),
            torch.autocast(self.device.type, enabled=False),
            torch.backends.cudnn.flags(enabled=False),
        ):
            heat = IntegratedGradients(self.module)
            pairs = torch.stack([self._maps(blurred), self._maps(sharp)], 1)
            return torch.stack([heat(pair) for pair in pairs]).cpu().numpy()

    @torch.inference_mode()
    def _score_batch(self, clips: Sequence[FaceClip]) -> Float32Array:
        batch = to_input(clips, self.spec)
        data, mask = batch.data.to(self.device), batch.mask.to(self.device)
        with torch_compute.autocast(self.device, self.backend.precision):
            logits = self.module(data, mask, functools.partial(_map_images, self.backend.precision))
        result: Float32Array = logits.float().cpu().numpy()
        return result

    @torch.no_grad()
    def _maps(self, clip: FaceClip) -> Tensor:
        """Compute the last feature map of each frame, float32 (T, C, h, w)."""
        images = torch.from_numpy(normalise(clip, self.spec))
        return self.module.frame_features(images.to(self.device)).float()


class IntegratedGradients(nn.Module):
    """Heat by integrated gradients: last feature maps of a face, blurred and sharp (2, C, h, w) -> heat (h, w)."""

    def __init__(self, model: VideoModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, data: Tensor) -> Tensor:
        """Average the logit's gradient along the line between the maps, and apply it to their difference."""
        start, change = data[:1], data[1:] - data[:1]
        shares = (torch.arange(GRADIENT_STEPS, device=data.device) + 0.5) / GRADIENT_STEPS
        maps = (start + shares.view(-1, 1, 1, 1) * change).requires_grad_()
        mask = torch.ones(GRADIENT_STEPS, 1, dtype=torch.bool, device=data.device)
        with torch.enable_grad():  # of clips of one frame, whose gradients do not mix
            (gradients,) = torch.autograd.grad(self.model.temporal(maps[:, None], mask).sum(), maps)
        return (change[0] * gradients.mean(0)).sum(0).abs()


def load(name: str, device: torch.device | str = "cpu", precision: str = "auto") -> TorchModel:
    """Load a model by its name, see `checkpoint.locate`. `precision` is as in `compute.choose_precision`.

    Raises:
        ModelUnavailable: There is no such model, or its files do not fit together.
    """
    chosen = compute.choose_precision(str(device), precision)
    return from_files(Backend("torch", str(device), chosen), *checkpoint.read(name))


def from_files(backend: Backend, config: ModelConfigFile, info: checkpoint.ModelInfo, payload: bytes) -> TorchModel:
    """Load what `checkpoint.read` returned. Raises ModelUnavailable."""
    module = build(config, payload).eval().requires_grad_(False)
    fuse_conv_bn(module)
    try:
        channels_last(module.to(backend.device))
    except torch.OutOfMemoryError as error:
        size = f"{info.size_bytes / 2**30:.1f} GiB"
        raise ModelUnavailable(f"The weights of {config.name} ({size}) do not fit into the GPU's memory.") from error
    return TorchModel(info, config.clip, config.calibration, config.policy, backend, module)


def build(config: ModelConfigFile, payload: bytes) -> VideoModel:
    """Build the module with the weights of a file. Raises ModelUnavailable where they do not fit."""
    try:
        tensors = dequantize(load_tensors(payload))
    except (SafetensorError, ValueError) as error:
        raise ModelUnavailable(f"The weights of {config.name} cannot be read: {error}.") from error
    return assemble(config, tensors)


def assemble(config: ModelConfigFile, tensors: Mapping[str, Tensor]) -> VideoModel:
    """Build the module with weights. Raises ModelUnavailable where names or shapes do not fit."""
    try:
        module = _build_on_meta(config)
        wanted = module.state_dict()
        if wrong := {key for key in wanted.keys() | tensors.keys() if _shape(wanted, key) != _shape(tensors, key)}:
            raise ValueError(f"{len(wrong)} tensors differ, {min(wrong)} among them")
        typed = {key: value.to(wanted[key].dtype) for key, value in tensors.items()}
        module.load_state_dict(typed, assign=True)
        module.fill_buffers()
    except (ValueError, RuntimeError) as error:
        raise ModelUnavailable(f"The weights of {config.name} do not fit its config: {error}.") from error
    return module


def _build_on_meta(config: ModelConfigFile) -> VideoModel:
    """Build the module without memory for its weights; raise ModelUnavailable for sizes that no module has."""
    try:
        with torch.device("meta"):
            return ARCHITECTURES[config.architecture](config.model)
    except ImportError as error:
        extra = EXTRAS.get(config.architecture, "torch")
        raise ModelUnavailable(f"{config.name} needs {error.name}: pip install 'unmask[{extra}]'.") from error
    except (TypeError, ValueError, RuntimeError, ArithmeticError, AssertionError) as error:
        raise ModelUnavailable(f"The config.json of {config.name} describes no model: {error}.") from error


def _shape(tensors: Mapping[str, Tensor], key: str) -> torch.Size | None:
    return tensors[key].shape if key in tensors else None


def _map_images(precision: str, to_vectors: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Compute vectors (N, D) of images (N, 3, S, S); on a CPU by several threads.

    How the images are divided does not depend on how many threads are free, so the logits do not either.
    """
    if images.device.type != "cpu":
        return to_vectors(images)

    @torch.inference_mode()  # this and autocast hold for one thread
    def compute_part(part: Tensor) -> Tensor:
        with torch_compute.autocast(part.device, precision):
            return to_vectors(part)

    size = min(FRAMES_PER_THREAD, math.ceil(len(images) / torch_compute.MACHINE_THREADS))
    return torch.cat(torch_compute.map_batches(compute_part, images.split(size)))
