"""Take over weights that others published on the Hugging Face Hub, as a model folder that `unmask` loads.

    python -m training.adopt yermandy/GenD_CLIP_L_14 --as gend --out MODEL
    python -m training.calibrate --model-folder MODEL --data FACES --out CALIBRATED

Of the repository, `owner/name[@revision]` or a folder, only config.json, model.safetensors or its shards, and README.md
are read, at one commit; its code is neither fetched nor run. Every tensor is used, or has no effect on the answers of
the authors' code and is named. The card names authors, licence, commit, and the figures that README.md states, as
theirs. Until it is calibrated the model gives no label, only a probability. Where the sizes of the tower are
not known, they are read from the config.json of its backbone, which --backbone can name instead.
"""

import argparse
import fnmatch
import hashlib
import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from httpx2 import TransportError  # which huggingface_hub lets through
from huggingface_hub import HfApi, ModelCard, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from yaml import YAMLError

from training.release import gend
from training.release.card import write_card
from training.release.gend import CheckpointError
from unmask.errors import ModelUnavailable
from unmask.models import checkpoint, torch_model
from unmask.models.checkpoint import ModelConfigFile, Origin
from unmask.text import printable_line
from unmask.verdict import Calibration, Policy

LAYOUTS = {"gend": gend.convert}
FAILURES = (TransportError, HfHubHTTPError, HFValidationError, OSError, ValueError, SafetensorError, ModelUnavailable)
MEASURED = re.compile(r"\b(AUC|AUROC|AUPRC|ROC|m?AP|EER|F1|TPR|FPR|acc|accuracy|precision|recall)\b", re.IGNORECASE)
NUMBER = re.compile(r"\d[.,]\d|\d\s?%")
CODE = re.compile(r"^(```|~~~).*?(^\1|\Z)", re.DOTALL | re.MULTILINE)
MAX_LINES, MAX_LINE = 60, 300  # of their figures
NO_LABEL = Policy(real_below=0.0, fake_above=1.0)  # no probability lies beyond


@dataclass(frozen=True)
class Published:
    """The files of a published checkpoint, at one commit."""

    name: str  # owner/name, or the folder's
    revision: str  # the commit, or the start of the weights' sha256
    config: Path
    weights: tuple[Path, ...]  # model.safetensors or its shards, in order
    card: Path | None


def main(argv: Sequence[str] | None = None) -> None:
    """Adopt what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="owner/name[@revision]", help="on the Hub, or a folder")
    parser.add_argument("--as", dest="layout", choices=sorted(LAYOUTS), required=True, help="layout of the checkpoint")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--backbone", metavar="owner/name", help="whose config.json tells the sizes; or a folder")
    arguments = parser.parse_args(argv)
    try:
        left_out = adopt(arguments.source, arguments.layout, arguments.out, arguments.backbone)
    except FAILURES as error:
        sys.exit(f"adopt: {printable_line(error, MAX_LINE)}")
    print(f"{arguments.out}: every tensor is used" + "".join(f"\nwithout effect: {item}" for item in left_out))
    print(f"no label is given yet: python -m training.calibrate --model-folder {arguments.out} --data … --out …")


def adopt(source: str, layout: str, out: Path, backbone: str | None = None) -> list[str]:
    """Write a model folder -> what was left out, and why that has no effect.

    Raises:
        CheckpointError, ModelUnavailable: the checkpoint is of another layout, or its tensors do not fit.
    """
    published = fetch(source)
    if published.config.parent.resolve() == out.resolve():
        raise CheckpointError("--out is the folder of the checkpoint, which it would replace")
    checkpoint.require_memory(published.name, published.weights)
    config = read_object(published.config)
    tensors = {name: value for shard in published.weights for name, value in load_file(shard).items()}
    if broken := sorted(name for name, value in tensors.items() if not value.float().isfinite().all()):
        raise CheckpointError(f"{len(broken)} tensors hold numbers that are not finite, {broken[0]} among them")
    asked = backbone or gend.needs_config_of(config, tensors)
    converted = LAYOUTS[layout](config, tensors, None if asked is None else tower_config(asked))
    origin = Origin(layout, published.name, published.revision, *stated(published.card))
    file = ModelConfigFile(
        name=out.resolve().name,
        architecture="vit-linear",
        model=converted.model,
        clip=converted.clip,
        calibration=Calibration(),
        policy=NO_LABEL,
        headline=f"weights of {origin}; not calibrated: gives no label",
        origin=origin,
    )
    checkpoint.save(out, torch_model.assemble(file, converted.tensors), file)  # names and shapes must fit exactly
    write_card(out)
    return [f"{key}: {gend.WITHOUT_EFFECT[key]}" for key in converted.left_out]


def fetch(source: str) -> Published:
    """Fetch config.json, weights and README.md of a repository at one commit, or find them in a folder."""
    find: Callable[[str], Path]
    if Path(source).is_dir():
        folder, names = Path(source), [path.name for path in Path(source).iterdir()]
        name, find, revision = folder.resolve().name, folder.joinpath, ""
    else:
        name, _, asked = source.partition("@")
        found = HfApi().model_info(name, revision=asked or None)
        names, revision = [file.rfilename for file in found.siblings or ()], str(found.sha)
        find = lambda file: Path(hf_hub_download(name, file, revision=revision))
    shards = sorted(fnmatch.filter(names, "model-*-of-*.safetensors")) or ["model.safetensors"]
    told = re.fullmatch(r"model-\d+-of-(\d+)\.safetensors", shards[0])
    if missing := {"config.json", *shards} - {*names}:
        raise CheckpointError(f"{name} has no {min(missing)}; weights in other formats are not read")
    if told and int(told[1]) != len(shards):
        raise CheckpointError(f"{name} has {len(shards)} of {int(told[1])} parts of its weights")
    card = find("README.md") if "README.md" in names else None
    weights = tuple(find(shard) for shard in shards)
    revision = revision or hashlib.sha256(b"".join(path.read_bytes() for path in weights)).hexdigest()[:12]
    return Published(name, revision, find("config.json"), weights, card)


def tower_config(backbone: str) -> dict[str, Any]:
    """Read the config.json of a backbone, of its vision tower where it holds several."""
    folder = Path(backbone)
    path = folder / "config.json" if folder.is_dir() else Path(hf_hub_download(backbone, "config.json"))
    raw = read_object(path)
    found: dict[str, Any] = raw.get("vision_config", raw)
    return found


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises CheckpointError where it is none."""
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise CheckpointError(f"{path.name} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{path.name} is no JSON object")
    return found


def stated(path: Path | None) -> tuple[str, str]:
    """Read what a card states -> the licence; the figures as quotations, in Markdown."""
    try:
        card = ModelCard(path.read_text("utf-8", "replace") if path else "", ignore_metadata_errors=True)
    except (ValueError, YAMLError):
        return "not stated", ""
    data: Any = card.data
    licence = [data.license, data.license_name, data.license_link] if data.license == "other" else [data.license]
    results = [
        f"{one.metric_name or one.metric_type} on {one.dataset_name}, {one.dataset_split or 'no split named'}: "
        f"{one.metric_value}"
        for one in data.eval_results or ()
    ]
    parts = re.split(r"\n\s*\n", CODE.sub("", card.text))
    quoted = ["\n".join(f"- {one}" for one in results)] if results else []
    quoted += [part.strip() for part in parts if MEASURED.search(part) and NUMBER.search(part)]
    lines = [printable_line(line, MAX_LINE).replace("<", "&lt;") for line in "\n\n".join(quoted).split("\n")]
    figures = "\n".join(f"> {line}".rstrip() for line in lines[:MAX_LINES]) if quoted else ""
    return printable_line(", ".join(map(str, filter(None, licence))), MAX_LINE) or "not stated", figures


if __name__ == "__main__":
    main()
