"""config.json + model.safetensors <-> a model ready to score; from a folder or the Hub, revision pinned.

A model is a folder: `config.json` (architecture, clip geometry, calibration, thresholds, headline),
`model.safetensors`, `README.md` (the card). Only safetensors is read, keys and shapes must fit exactly.
"""

import dataclasses
import functools
import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from unmask import compute
from unmask.errors import ModelUnavailable
from unmask.faces.clips import ClipSpec, FaceClip, to_input
from unmask.models import bundled
from unmask.models.architectures import ARCHITECTURES, ModelConfig, VideoModel, channels_last
from unmask.models.backbones import fold_norms
from unmask.verdict import Calibration, Policy

SCHEMA = "unmask.model/1"
CARRY_CODE = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".dill", ".py"})
CPU_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16")  # as torch calls them, the last one on ARM
# bounds memory, too. On a CPU, tensors above 32 MB go back to the system after each layer and come anew for
# the next, which costs as much as half of the arithmetic
FRAMES_PER_BATCH = {"cpu": 8, "cuda": 64}
FRAMES_PER_PART = {True: 8, False: 4}  # the same for a thread, in bfloat16 and in twice as large float32

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelInfo:
    """What a person is told of a model before using it."""

    name: str
    revision: str  # of a folder: start of the weight file's sha256; of a Hub model: the commit
    parameters: int
    size_bytes: int
    headline: str  # its evaluation in one line


@dataclass(frozen=True)
class ModelConfigFile:
    """config.json, typed."""

    name: str
    architecture: str
    model: ModelConfig
    clip: ClipSpec
    calibration: Calibration
    policy: Policy
    headline: str


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory with all that belongs to its weights."""

    info: ModelInfo
    module: VideoModel
    spec: ClipSpec
    calibration: Calibration
    policy: Policy
    device: torch.device

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def revision(self) -> str:
        return self.info.revision


def load(name: str, device: torch.device) -> LoadedModel:
    """Load a bundled name, `default`, a folder, or `owner/name[@revision]` on the Hub, to score with.

    Raises ModelUnavailable when there is no such model or its files do not fit together.
    """
    folder, revision = locate(name)
    config = read_config(folder)
    payload = _read_bytes(folder / "model.safetensors")
    module = _build(config, payload).eval().requires_grad_(False)
    info = _info(config, module, payload, revision)
    fold_norms(module)
    channels_last(module.to(device))
    return LoadedModel(info, module, config.clip, config.calibration, config.policy, device)


def restore(folder: Path) -> VideoModel:
    """The module of a folder as it was saved, to train it on or to save it anew. Raises ModelUnavailable."""
    return _build(read_config(folder), _read_bytes(folder / "model.safetensors"))


def save(folder: Path, module: VideoModel, config: ModelConfigFile) -> None:
    """Write config.json and model.safetensors; float16 on disk halves the file, scores move by < 1e-3."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        key: value.detach().cpu().contiguous().to(torch.float16 if value.is_floating_point() else value.dtype)
        for key, value in module.state_dict().items()
    }
    (folder / "model.safetensors").write_bytes(save_tensors(tensors))
    text = json.dumps({"schema": SCHEMA, **dataclasses.asdict(config)}, indent=2)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")


def available() -> tuple[ModelInfo, ...]:
    """The bundled models, by name; one whose files are damaged is left out."""
    infos = (_look(bundled.FOLDER / name) for name in bundled.names())
    return tuple(info for info in infos if info is not None)


def _look(folder: Path) -> ModelInfo | None:
    try:
        config = read_config(folder)
        return _info(config, _outline(config), _read_bytes(folder / "model.safetensors"), None)
    except ModelUnavailable as error:
        logger.warning("A bundled model cannot be used: %s", error.message)
        return None


def score(model: LoadedModel, clips: Sequence[FaceClip]) -> np.ndarray:
    """Clips of one spec -> logits float32 (B,)."""
    longest = max((len(clip.seconds) for clip in clips), default=1)
    size = max(1, FRAMES_PER_BATCH.get(model.device.type, 8) // longest)
    logits = [_logits(model, clips[start : start + size]) for start in range(0, len(clips), size)]
    return np.concatenate(logits) if logits else np.zeros(0, np.float32)


def locate(name: str) -> tuple[Path, str | None]:
    """A model's name -> its folder on disk and, for the Hub, the commit. Raises ModelUnavailable."""
    if name == "default":
        name = bundled.DEFAULT
    if name in ARCHITECTURES:
        if name not in bundled.names():
            raise ModelUnavailable(
                f"No weights for {name} are bundled; train it, or give a folder or a Hub name that holds it."
            )
        return bundled.FOLDER / name, None
    if Path(name).is_dir():
        _refuse_code(Path(name).name, [path.name for path in Path(name).iterdir()])
        return Path(name), None
    return _download(name)


def read_config(folder: Path) -> ModelConfigFile:
    """config.json -> typed config. Raises ModelUnavailable when it does not parse or does not fit."""
    try:
        raw = json.loads(_read_bytes(folder / "config.json"))
        if raw.pop("schema") != SCHEMA:
            raise ValueError(f"schema is not {SCHEMA}")
        config_type, _ = ARCHITECTURES[raw["architecture"]]
        return ModelConfigFile(
            name=str(raw["name"]),
            architecture=raw["architecture"],
            model=config_type(**raw["model"]),
            clip=ClipSpec(**_tuples(raw["clip"])),
            calibration=Calibration(**raw["calibration"]),
            policy=Policy(**raw["policy"]),
            headline=str(raw["headline"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelUnavailable(f"The config.json of {folder.name} is not usable: {error!r}.") from error


def _download(name: str) -> tuple[Path, str]:
    from huggingface_hub import snapshot_download  # takes half a second to import; most models are here
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    repository, _, revision = name.partition("@")
    if repository.count("/") != 1:
        raise ModelUnavailable(
            f"There is no model {name!r}; known are {', '.join(ARCHITECTURES)}, a folder, or owner/name."
        )
    try:
        folder = snapshot_download(
            repository,
            revision=_vetted_commit(repository, revision or None),
            allow_patterns=["config.json", "model.safetensors", "README.md"],
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ModelUnavailable(f"The Hub did not give {name}: {type(error).__name__}.") from error
    return Path(folder), Path(folder).name


def _vetted_commit(repository: str, revision: str | None) -> str | None:
    """The commit that `revision` stands for, if nothing in it can run code.

    Offline there is only what was vetted when it was fetched.
    """
    from httpx import TransportError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import OfflineModeIsEnabled

    try:
        info = HfApi().model_info(repository, revision=revision)
    except (OfflineModeIsEnabled, TransportError):
        return revision
    _refuse_code(repository, [file.rfilename for file in info.siblings or ()])
    return info.sha


def _refuse_code(place: str, names: Iterable[str]) -> None:
    """A place that also offers weights that can carry code is not one to take weights from."""
    if found := sorted(name for name in names if Path(name).suffix.lower() in CARRY_CODE):
        raise ModelUnavailable(
            f"{place} holds {found[0]}, a kind of file that can carry code. Only safetensors are taken; "
            "remove the file, or give another revision."
        )


def _build(config: ModelConfigFile, payload: bytes) -> VideoModel:
    try:
        tensors = load_tensors(payload)
        module = _outline(config)
        wanted = module.state_dict()
        if wrong := {key for key in wanted | tensors if _shape(wanted, key) != _shape(tensors, key)}:
            raise ValueError(f"{len(wrong)} tensors differ, {min(wrong)} among them")
        typed = {key: value.to(wanted[key].dtype) for key, value in tensors.items()}
        module.load_state_dict(typed, assign=True)
    except (SafetensorError, ValueError, RuntimeError) as error:
        raise ModelUnavailable(f"The weights of {config.name} do not fit its config: {error}.") from error
    return module


def _outline(config: ModelConfigFile) -> VideoModel:
    """The module without memory for its weights. Raises ModelUnavailable for sizes that no module has."""
    try:
        with torch.device("meta"):
            return ARCHITECTURES[config.architecture][1](config.model)
    except (TypeError, ValueError, RuntimeError, ArithmeticError, AssertionError) as error:
        raise ModelUnavailable(f"The config.json of {config.name} describes no model: {error}.") from error


def _shape(tensors: Mapping[str, Tensor], key: str) -> torch.Size | None:
    return tensors[key].shape if key in tensors else None


def _info(config: ModelConfigFile, module: VideoModel, payload: bytes, revision: str | None) -> ModelInfo:
    return ModelInfo(
        name=config.name,
        revision=revision or hashlib.sha256(payload).hexdigest()[:12],
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        size_bytes=len(payload),
        headline=config.headline,
    )


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelUnavailable(f"{path.parent.name} has no readable {path.name}.") from error


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}


@torch.inference_mode()
def _logits(model: LoadedModel, clips: Sequence[FaceClip]) -> np.ndarray:
    batch = to_input(clips, model.spec)
    data, mask = batch.data.to(model.device), batch.mask.to(model.device)
    with autocast(model.device):
        logits = model.module(data, mask, _spread)
    result: np.ndarray = logits.float().cpu().numpy()
    return result


def _spread(work: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Images (N, 3, S, S) -> vectors (N, D), on a CPU by as many threads as there are."""
    if images.device.type != "cpu":
        return work(images)
    most = FRAMES_PER_PART[_bfloat16_wins(images.device)]

    def share(part: Tensor) -> Tensor:
        with autocast(part.device):  # every thread has its own
            return work(part)

    return torch.cat(compute.each(share, images.split(min(most, math.ceil(len(images) / compute.size())))))


def autocast(device: torch.device) -> torch.autocast:
    """The precision in which models are asked on this device."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=_bfloat16_wins(device))


@functools.cache
def _bfloat16_wins(device: torch.device) -> bool:
    """CUDA: yes. A CPU that has bfloat16 arithmetic: if a layer, timed both ways once, is faster with it."""
    if device.type == "cuda":
        return True
    abilities = torch.cpu.get_capabilities()
    if not any(abilities.get(name) for name in CPU_BFLOAT16):
        return False  # it would be imitated, which takes many times longer: also to find out
    layer = nn.Conv2d(64, 64, 3, padding=1).eval()
    channels_last(layer)
    images = torch.zeros(16, 64, 56, 56).contiguous(memory_format=torch.channels_last)
    return _seconds(layer, images, True) < 0.8 * _seconds(layer, images, False)


@torch.inference_mode()
def _seconds(layer: nn.Module, images: Tensor, bfloat16: bool) -> float:
    times = []
    for _ in range(4):
        started = time.thread_time()  # what else the machine does must not decide
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
            layer(images)
        times.append(time.thread_time() - started)
    return min(times)
