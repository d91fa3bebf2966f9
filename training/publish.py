"""Publish a model folder on the Hugging Face Hub and read it back, or deploy the Space.

    python -m training.publish --model-folder space/unmask/models/weights/NAME --repo owner/name [--private] [--tag v1]
    python -m training.publish --space owner/name [--model owner/name[@revision]] [--hardware l4x1] [--private]
    python -m training.publish --onnx --model-folder space/unmask/models/weights/NAME --out extension/models
    python -m training.publish --graphs

The card, its pictures, `config.json` and `model.safetensors` go up in one commit; then the model is loaded
from that commit as any user would, and must give the same logits, bit for bit, as the folder. `--space` makes
a Space the very copy of the folder `space/`, in one commit. With --model, which answers there then, it gets what large
models need as well; --hardware asks for a GPU, which may cost money. HF_TOKEN, or `hf auth login`, says who you
are; HF_ENDPOINT which Hub. `--onnx` writes what the browser runs, and `--graphs` what runs a new architecture on CPUs,
see training/release/export_onnx.py; they publish nothing.
"""

import argparse
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, SpaceHardware
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from training.release import export_onnx
from training.release.card import EVALUATION, problem, read_folder
from unmask.faces.clips import FaceClip
from unmask.models import inference
from unmask.models.inference import LoadedModel
from unmask.text import printable_line

SPACE = Path(__file__).parents[1] / "space"
MODEL_FILES = ("README.md", EVALUATION, "config.json", "model.safetensors")
MAX_ERROR = 300  # characters
KEPT = ".gitattributes"  # made by the Hub, needed by its large files


def main(argv: Sequence[str] | None = None) -> None:
    """Publish what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-folder", type=Path)
    parser.add_argument("--repo", metavar="owner/name", help="model repository; made if it is not there")
    parser.add_argument("--tag", help="a name for the commit, such as v1")
    parser.add_argument("--space", metavar="owner/name", help="Space; made if it is not there")
    parser.add_argument("--model", metavar="owner/name", help="answers on the Space, in place of the bundled one")
    parser.add_argument(
        "--hardware", type=SpaceHardware, metavar="FLAVOR", help="of the Space, as the Hub names it: zero-a10g, l4x1 …"
    )
    parser.add_argument("--private", action="store_true", help="only you can see what is made")
    parser.add_argument("--onnx", action="store_true", help="write the networks for the browser into --out")
    parser.add_argument("--out", type=Path, help="folder for --onnx")
    parser.add_argument("--graphs", action="store_true", help="write the graphs in space/unmask/graphs anew")
    arguments = parser.parse_args(argv)
    if arguments.graphs:
        export_onnx.write_graphs()
        return
    if arguments.onnx:
        if not (arguments.model_folder and arguments.out):
            parser.error("--onnx needs --model-folder and --out")
        export_onnx.write(arguments.model_folder, arguments.out)
        return
    if bool(arguments.model_folder) != bool(arguments.repo) or not (arguments.repo or arguments.space):
        parser.error("give --model-folder with --repo, or --space, or all three")
    try:
        _publish(arguments)
    except (HfHubHTTPError, HFValidationError) as error:
        raise SystemExit(f"publish: {printable_line(error, MAX_ERROR)}") from error


def _publish(arguments: argparse.Namespace) -> None:
    api = HfApi()
    if arguments.repo:
        commit = publish_model(api, arguments.model_folder, arguments.repo, arguments.private, arguments.tag)
        verify(arguments.model_folder, f"{arguments.repo}@{commit}")
        print(f"published: {api.endpoint}/{arguments.repo}, commit {commit}; read back, the logits are equal")
    if arguments.space:
        if arguments.model:  # a Space that cannot find it would answer with the bundled one
            name, _, revision = arguments.model.partition("@")
            api.model_info(name, revision=revision or None)
        commit = deploy_space(api, SPACE, arguments.space, arguments.private, arguments.model, arguments.hardware)
        print(f"deployed: {api.endpoint}/spaces/{arguments.space}, commit {commit}")


def publish_model(api: HfApi, folder: Path, repo: str, private: bool, tag: str | None) -> str:
    """Put a model folder on the Hub in one commit -> its id. Raises SystemExit unless its card is of its weights."""
    missing = [name for name in MODEL_FILES if not (folder / name).is_file()]
    if missing:
        raise SystemExit(f"{folder.name} has no {', '.join(missing)}")
    if found := problem(folder):
        raise SystemExit(found)
    revision = read_folder(folder).revision
    files = [*(folder / name for name in MODEL_FILES), *sorted(folder.glob("figures/*.png"))]
    api.create_repo(repo, private=private, exist_ok=True)
    commit = _commit(api, "model", repo, _named(folder, files), f"{folder.name} {revision}")
    if tag:
        api.create_tag(repo, tag=tag, revision=commit)
    return commit


def deploy_space(
    api: HfApi, folder: Path, space: str, private: bool, model: str | None = None, hardware: SpaceHardware | None = None
) -> str:
    """Make a Space equal to the folder in one commit -> its id. What the folder lacks is deleted there."""
    files = _named(folder, tracked(folder))
    api.create_repo(space, repo_type="space", space_sdk="gradio", private=private, exist_ok=True)
    if model:
        files["requirements.txt"] = b"".join(
            (folder / f"requirements{part}.txt").read_bytes() for part in ("", "-large")
        )
        api.add_space_variable(space, "UNMASK_MODEL", model)
    commit = _commit(api, "space", space, files, "The Space, as it is in the repository")
    if hardware:
        api.request_space_hardware(space, hardware)
    return commit


def tracked(folder: Path) -> list[Path]:
    """List the files of a folder that git tracks: no caches, nothing private."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=folder, capture_output=True, check=True, encoding="utf-8")
    paths = (folder / name for name in listed.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def _named(folder: Path, files: Iterable[Path]) -> dict[str, Path | bytes]:
    return {path.relative_to(folder).as_posix(): path for path in files}


def _commit(api: HfApi, kind: str, repo: str, files: Mapping[str, Path | bytes], title: str) -> str:
    """Make one commit after which the repository holds these files, and nothing else."""
    there = api.list_repo_files(repo, repo_type=kind)
    operations = [CommitOperationAdd(name, content) for name, content in files.items()]
    stale = [CommitOperationDelete(name) for name in there if name not in files and name != KEPT]
    made = api.create_commit(repo, [*operations, *stale], commit_message=title, repo_type=kind)
    return made.oid


def verify(folder: Path, name: str) -> None:
    """Load both and compare. Raises SystemExit when a logit differs in a single bit."""
    models = [inference.load(where) for where in (str(folder), name)]
    here, there = (model.logits(fixed_clips(model)) for model in models)
    if here.tobytes() != there.tobytes():
        raise SystemExit(f"{name} gives other logits than {folder.name}: {there} instead of {here}")


def fixed_clips(model: LoadedModel) -> list[FaceClip]:
    """Make two clips of noise, of the model's own geometry, the same every time."""
    spec, rng = model.spec, np.random.default_rng(0)
    shape = (spec.frames_per_clip, spec.side_px, spec.side_px, 3)
    seconds = spec.frame_stride_seconds * np.arange(spec.frames_per_clip, dtype=np.float64)
    square = np.tile(np.array([0, 0, spec.side_px, spec.side_px], np.float32), (spec.frames_per_clip, 1))
    return [FaceClip(rng.integers(0, 256, shape, np.uint8), seconds, track, square) for track in range(2)]


if __name__ == "__main__":
    main()
