"""Read and write model folders; find them by name: bundled, on disk, or on the Hub with a pinned revision.

A model folder holds `config.json` (architecture, clip geometry, calibration, thresholds, headline),
`model.safetensors`, and `README.md` (the card). Only safetensors is read; keys and shapes must fit exactly.
"""

import dataclasses
import hashlib
import json
import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save as save_tensors

from unmask.compute import free_memory_bytes
from unmask.errors import ModelUnavailable
from unmask.evidence import EvidenceScale
from unmask.faces.clips import ClipSpec
from unmask.models import bundled
from unmask.models.configs import CONFIGS, ModelConfig
from unmask.models.quantization import SCALE, quantize
from unmask.verdict import Calibration, Policy

if TYPE_CHECKING:
    from unmask.models.architectures import VideoModel

SCHEMA = "unmask.model/1"
CODE_SUFFIXES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".dill", ".py"})

COPIES = 3  # of the weights that are in memory while a model is loaded
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")  # ends of names of what is no parameter

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelInfo:
    """What is shown of a model before it is used."""

    name: str
    revision: str  # of a folder: start of the weight file's sha256; of a Hub model: the commit
    parameters: int
    size_bytes: int
    headline: str  # its evaluation in one line


@dataclass(frozen=True)
class Origin:
    """Where weights come from that others trained and published; training/adopt.py took them over."""

    layout: str  # of their checkpoint
    source: str  # owner/name on the Hub, or a folder's name
    revision: str  # the commit, or the start of the weight file's sha256
    licence: str  # as their card states it
    figures: str = ""  # which their card states, as quotations in Markdown

    def __str__(self) -> str:
        return f"{self.source}@{self.revision}"


@dataclass(frozen=True)
class ModelConfigFile:
    """The content of config.json."""

    name: str
    architecture: str
    model: ModelConfig
    clip: ClipSpec
    calibration: Calibration
    policy: Policy
    headline: str
    origin: Origin | None = None  # of weights that others published


def read(name: str) -> tuple[ModelConfigFile, ModelInfo, bytes]:
    """Read a model by its name, see `locate` -> its config, what is shown of it, and its weight file.

    Raises:
        ModelUnavailable: There is no such model, or a file is missing or does not parse.
    """
    folder, commit = locate(name)
    config = read_config(folder)
    require_memory(config.name, [folder / "model.safetensors"])
    payload = _read_bytes(folder / "model.safetensors")
    return config, _info(config, payload, commit), payload


def restore(folder: Path) -> "VideoModel":
    """Build the torch module of a folder as it was saved, to train it further or to save it anew.

    Raises:
        ModelUnavailable: The files are missing or do not fit together.
    """
    from unmask.models.torch_model import build

    config = read_config(folder)
    require_memory(config.name, [folder / "model.safetensors"])
    return build(config, _read_bytes(folder / "model.safetensors"))


def save(folder: Path, module: "VideoModel", config: ModelConfigFile, *, int8: bool = False) -> None:
    """Write config.json and model.safetensors, in the number format of the architecture, or the layers at 8 bits."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {key: value.detach().cpu().contiguous().numpy() for key, value in module.state_dict().items()}
    tensors = {
        key: value.astype(module.stored_as) if np.issubdtype(value.dtype, np.floating) else value
        for key, value in arrays.items()
    }
    (folder / "model.safetensors").write_bytes(save_tensors(quantize(arrays) if int8 else tensors))
    text = json.dumps({"schema": SCHEMA, **dataclasses.asdict(config)}, indent=2)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")


def available() -> tuple[ModelInfo, ...]:
    """Describe the bundled models, in the order of their names; damaged ones are left out and logged."""
    infos = []
    for name in bundled.names():
        folder = bundled.FOLDER / name
        try:
            config, payload = read_config(folder), _read_bytes(folder / "model.safetensors")
            infos.append(_info(config, payload, None))
        except ModelUnavailable as error:
            logger.warning("A bundled model cannot be used: %s", error.message)
    return tuple(infos)


def locate(name: str) -> tuple[Path, str | None]:
    """Find the folder of a bundled model, of `default`, of a folder's path, or of `owner/name[@revision]` on the Hub.

    Returns:
        The folder on this machine and, for a model of the Hub, its commit.

    Raises:
        ModelUnavailable: There is no such model, or its repository holds files that can carry code.
    """
    if name == "default":
        name = bundled.DEFAULT
    if name in CONFIGS:
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
    """Read the config.json of a model folder.

    Raises:
        ModelUnavailable: It is missing, does not parse, or has unknown or impossible fields.
    """
    try:
        raw = json.loads(_read_bytes(folder / "config.json"))
        if raw.pop("schema") != SCHEMA:
            raise ValueError(f"schema is not {SCHEMA}")
        return ModelConfigFile(
            name=str(raw["name"]),
            architecture=raw["architecture"],
            model=CONFIGS[raw["architecture"]](**raw["model"]),
            clip=ClipSpec(**_tuples(raw["clip"])),
            calibration=Calibration(**raw["calibration"]),
            policy=_policy(raw["policy"]),
            headline=str(raw["headline"]),
            origin=Origin(**raw["origin"]) if raw.get("origin") else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelUnavailable(f"The config.json of {folder.name} is not usable: {error!r}.") from error


def _policy(raw: dict[str, Any]) -> Policy:
    return Policy(**{**raw, "evidence": EvidenceScale(**_tuples(raw.get("evidence", {})))})


def _download(name: str) -> tuple[Path, str]:
    from huggingface_hub import snapshot_download  # takes half a second to import
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    repository, _, revision = name.partition("@")
    if repository.count("/") != 1:
        raise ModelUnavailable(f"There is no model {name!r}; known are {', '.join(CONFIGS)}, a folder, or owner/name.")
    files = ["config.json", "model.safetensors", "README.md"]
    try:
        commit = _vetted_commit(repository, revision or None)
        folder = snapshot_download(repository, revision=revision or None, allow_patterns=files)
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ModelUnavailable(f"The Hub did not give {name}: {type(error).__name__}.") from error
    if commit not in (None, Path(folder).name):
        raise ModelUnavailable(f"{name} was changed while it was fetched; try again.")
    return Path(folder), Path(folder).name


def _vetted_commit(repository: str, revision: str | None) -> str | None:
    """Resolve a revision to its commit and refuse it where a file of it can run code.

    None without a connection: the cache holds only what was vetted when it was fetched.
    """
    from httpx2 import TransportError  # which huggingface_hub lets through
    from huggingface_hub import HfApi
    from huggingface_hub.errors import OfflineModeIsEnabled

    try:
        info = HfApi().model_info(repository, revision=revision)
    except (OfflineModeIsEnabled, TransportError):
        return None
    _refuse_code(repository, [file.rfilename for file in info.siblings or ()])
    return info.sha


def _refuse_code(place: str, names: Iterable[str]) -> None:
    """Raise ModelUnavailable where a file beside the weights can carry code."""
    if found := sorted(name for name in names if Path(name).suffix.lower() in CODE_SUFFIXES):
        raise ModelUnavailable(
            f"{place} holds {found[0]}, a kind of file that can carry code. Only safetensors are taken; "
            "remove the file, or give another revision."
        )


def _info(config: ModelConfigFile, payload: bytes, commit: str | None) -> ModelInfo:
    try:
        shapes = {name: tensor["shape"] for name, tensor in deserialize(payload)}
    except SafetensorError as error:
        raise ModelUnavailable(f"The weights of {config.name} cannot be read: {error}.") from error
    return ModelInfo(
        name=config.name,
        revision=commit or hashlib.sha256(payload).hexdigest()[:12],
        parameters=sum(math.prod(shape) for name, shape in shapes.items() if not name.endswith((*BUFFERS, SCALE))),
        size_bytes=len(payload),
        headline=config.headline,
    )


def require_memory(name: str, weights: Iterable[Path]) -> None:
    """Raise ModelUnavailable where loading would take more memory than there is: the system would end the process."""
    needed = COPIES * sum(path.stat().st_size for path in weights if path.is_file())
    free = free_memory_bytes()
    if free is not None and needed > free:
        raise ModelUnavailable(
            f"{name} needs {needed / 2**30:.1f} GiB of memory to be loaded, and {free / 2**30:.1f} GiB are free. "
            "Take a machine with more memory, or a smaller model."
        )


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelUnavailable(f"{path.parent.name} has no readable {path.name}.") from error


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
