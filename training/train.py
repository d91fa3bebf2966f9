"""Train a model: single faces first, then clips.

    python -m training.train mobilenet-gru frames --data FACES [--data MORE=2] --out RUN
    python -m training.train mobilenet-gru clips --data FACES --data CLIPS=4 --start RUN --out RUN2

A data folder holds tar shards with manifest.tsv, as `training.prepare` writes them; with `=N` it is gone
through N times an epoch. Its `val` rows are for validation, its `test` rows are never read. Faked clips may
be missing altogether: then every fake is blended from real ones. After each epoch the averaged weights are
validated, and the best so far stand in OUT/model, which `unmask` loads as it is. A run that was stopped goes
on where it was when the same command is given again. `accelerate launch -m training.train …` runs it on many
devices.
"""

import argparse
import functools
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar, cast

import cv2
import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import broadcast_object_list
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from training.data.shards import StoredClip, stored_clips
from training.evaluation.metrics import auc
from training.fit.estimate import estimate
from training.fit.recipes import RECIPES, StageName, TrainConfig
from training.fit.run_folder import Epoch, RunFolder
from training.fit.torch_dataset import ClipPairs, Pair, PlainClips, collate, find_meshes, held_back_blends
from training.fit.trainer import Loop, made_for, single_thread
from training.synthesis import autoencoder
from training.synthesis.autoencoder import Painter
from unmask.compute import choose_dtype
from unmask.faces.clips import ClipSpec
from unmask.models import checkpoint, inference
from unmask.models.architectures import ARCHITECTURES, VideoModel, channels_last

Found = TypeVar("Found")


@dataclass(frozen=True)
class Material:
    """Clips for one run."""

    training: tuple[list[StoredClip], ...]  # stills and moving clips apart: a fake stands beside its like
    validation: list[StoredClip]


@dataclass(frozen=True)
class Request:
    """The command line, typed."""

    config: TrainConfig
    stage: StageName
    data: list[tuple[Path, int]]  # folder, how often an epoch
    out: Path
    start: Path | None
    scratch: bool
    teacher: str | None
    painters: Path | None
    workers: int
    precision: str
    limit: int | None
    dry_run: bool


def main() -> None:
    request = parse()
    accelerator = Accelerator(
        mixed_precision=request.precision,
        gradient_accumulation_steps=request.config.stage(request.stage).accumulate,
        log_with="tensorboard",
        project_dir=str(request.out),
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    train(request, accelerator)


def train(request: Request, accelerator: Accelerator) -> RunFolder:
    """Run one stage to its end."""
    cv2.setNumThreads(1)  # its thread pool does not survive the fork of the loader's processes
    config, run = request.config, RunFolder(request.out)
    stage = config.stage(request.stage)
    spec = config.clip if request.stage == "clips" else replace(config.clip, frames_per_clip=1)
    torch.manual_seed(config.seed)
    model = first_weights(request)
    teacher = None if request.teacher is None else inference.load(request.teacher, accelerator.device)
    material = read(request.data, request.limit, config.seed)
    painters = [] if request.painters is None else autoencoder.load(request.painters)
    cache = request.out.parent / "meshes"
    with accelerator.main_process_first():
        parts = [
            pairs(clips, made_for(spec, teacher), request, cache, painters[:-1]) for clips in material.training if clips
        ]
    cost = estimate(accelerator, model, ConcatDataset(parts), spec, stage, request.workers, teacher)
    accelerator.print(cost)
    if request.dry_run:
        return run
    if accelerator.is_main_process:
        run.start(config, request.stage, {key: str(value) for key, value in vars(request).items()})
    accelerator.init_trackers("tensorboard")
    loop = Loop(
        accelerator,
        model,
        parts,
        spec,
        stage,
        request.out,
        seed=config.seed,
        workers=request.workers,
        teacher=teacher,
    )
    while not loop.done:
        started, number = time.monotonic(), loop.progress.epoch
        loss = loop.epoch()
        aucs = on_main(
            accelerator,
            lambda: validate(loop.average, material.validation, spec, cache, request.workers, painters[-1:]),
        )
        line = Epoch(number, loop.progress.step, loss, round(time.monotonic() - started, 1), **aucs)
        accelerator.log(aucs, line.step)
        accelerator.print(line)
        if loop.judge(line.score) and accelerator.is_main_process:
            run.keep(loop.average, config, line)
        if accelerator.is_main_process:
            run.note(line)
        loop.save()
    accelerator.end_training()
    return run


def first_weights(request: Request) -> VideoModel:
    """A model to begin with: another run's result, else ImageNet's backbone where there is one."""
    if request.start is not None:
        return checkpoint.restore(RunFolder(request.start).model)
    _, module = ARCHITECTURES[request.config.architecture]
    model = module(request.config.model)
    if not request.scratch:
        from training.fit.imagenet import from_imagenet  # torchvision takes as long to import as all the rest

        from_imagenet(model)
    channels_last(model)
    return model


def read(data: Sequence[tuple[Path, int]], limit: int | None, seed: int) -> Material:
    """Folders of shards -> what is trained on, repeats spelled out, and what is validated on.

    Each folder's splits share nobody; where one folder trains on people whom another validates on, their
    training clips are left out, and told.
    """
    every = [
        (clip, times)
        for folder, times in data
        for clip in (stored_clips(folder) if limit is None else some(stored_clips(folder), limit, seed))
    ]
    validation = [clip for clip, _ in every if clip.split == "val"]
    held = {name for clip in validation for name in (clip.group, clip.original_id)}
    training = [(clip, times) for clip, times in every if clip.split == "train"]
    leaks = sorted({clip.video_id for clip, _ in training if {clip.group, clip.original_id} & held})
    if leaks:
        print(f"Left out, because validation holds the same people: {', '.join(leaks)}", file=sys.stderr)
    kept = [(clip, times) for clip, times in training if clip.video_id not in leaks]
    stills, moving = (
        [clip for clip, times in kept if (len(clip.jpegs) > 1) == moves for _ in range(times)]
        for moves in (False, True)
    )
    return Material((stills, moving), validation)


def some(clips: list[StoredClip], limit: int, seed: int) -> list[StoredClip]:
    """At most `limit` real videos a split, and the fakes made of them."""
    rng, kept = np.random.default_rng(seed), set()
    for split in ("train", "val"):
        reals = sorted({clip.original_id for clip in clips if clip.split == split and not clip.fake})
        kept.update(rng.permutation(reals)[:limit].tolist())
    return [clip for clip in clips if clip.original_id in kept]


def pairs(
    clips: list[StoredClip], spec: ClipSpec, request: Request, cache: Path, painters: Sequence[Painter]
) -> ClipPairs:
    reals, fakes = ([clip for clip in clips if clip.fake == fake] for fake in (False, True))
    mixture = request.config.stage(request.stage).mixture
    return ClipPairs(reals, find_meshes(reals, cache), fakes, spec, mixture, request.config.seed, painters)


def validate(
    model: VideoModel,
    clips: list[StoredClip],
    spec: ClipSpec,
    cache: Path,
    workers: int,
    painters: Sequence[Painter] = (),
) -> dict[str, float]:
    """AUC of validation's reals against their blended fakes, and against true and redrawn ones if any.

    Keys are the fields of `Epoch`.
    """
    reals = [clip for clip in clips if not clip.fake]
    if not reals:
        raise ValueError("no row of split `val` is real, so no epoch can be chosen")
    meshes = find_meshes(reals, cache)
    against: dict[str, Dataset[Pair]] = {"blended_auc": held_back_blends(reals, meshes, spec)}
    if len(reals) < len(clips):
        against["true_auc"] = PlainClips(clips, spec)
    if painters:
        against["redrawn_auc"] = held_back_blends(reals, meshes, spec, painters=painters)
    return {name: auc(*predict(model, data, spec, workers)) for name, data in against.items()}


@torch.inference_mode()
def predict(model: VideoModel, data: Dataset[Pair], spec: ClipSpec, workers: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits (n,) and labels (n,) of a dataset, in its order."""
    model.eval()
    device = next(model.parameters()).device
    batches = DataLoader(
        data,
        max(1, inference.FRAMES_PER_BATCH.get(device.type, 8) // spec.frames_per_clip),
        num_workers=workers,
        collate_fn=functools.partial(collate, spec=spec),
        worker_init_fn=single_thread,
    )
    logits, labels = [], []
    for batch in batches:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision() == "bf16"):
            logits.append(model(batch.clips.data.to(device), batch.clips.mask.to(device)).float().cpu())
        labels.append(batch.fake)
    return torch.cat(logits).double().numpy(), torch.cat(labels).numpy() > 0.5


def on_main(accelerator: Accelerator, work: Callable[[], Found]) -> Found:
    """Do the work in one process and tell the others, so that all decide alike."""
    found = [work() if accelerator.is_main_process else None]
    return cast(Found, broadcast_object_list(found)[0])


def precision() -> str:
    """Name the number format to train in, as Accelerate does: like `choose_dtype`, or float16 on an older GPU."""
    on_gpu = torch.cuda.is_available()
    if choose_dtype(torch.device("cuda" if on_gpu else "cpu")) == torch.bfloat16:
        return "bf16"
    return "fp16" if on_gpu else "no"


def parse() -> Request:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("recipe", choices=sorted(RECIPES))
    add("stage", choices=["frames", "clips"])
    add("--data", action="append", required=True, metavar="DIR[=N]", help="folder of stored clips, N times")
    add("--out", type=Path, required=True, help="run folder")
    add("--start", type=Path, help="run folder whose result is trained further")
    add("--scratch", action="store_true", help="start from random weights, not from ImageNet's")
    add("--teacher", help="a model that is learned from beside the labels: a folder, or a name")
    add("--painters", type=Path, help="folder of `training.fit.train_autoencoder`: some fakes are redrawn by them")
    add("--epochs", type=int)
    add("--pairs-per-batch", type=int, help="of each process")
    add("--accumulate", type=int, help="batches a step")
    add("--learning-rate", type=float)
    add("--patience", type=int, help="epochs without a better validation before it stops")
    add("--blended-share", type=float, help="of the fakes; 1: real footage alone is enough")
    add("--side", type=int, help="pixels of the square input")
    add("--seed", type=int, default=0)
    add("--workers", type=int, default=2, help="processes that make batches")
    add("--precision", choices=["bf16", "fp16", "no"], default=precision())
    add("--limit", type=int, help="only so many real videos of each folder and split, for a short try")
    add("--dry-run", action="store_true", help="only say what it will cost")
    arguments = parser.parse_args()
    return Request(
        config=changed(RECIPES[arguments.recipe], arguments),
        stage=arguments.stage,
        data=[folder_and_times(text) for text in arguments.data],
        out=arguments.out,
        start=arguments.start,
        scratch=arguments.scratch,
        teacher=arguments.teacher,
        painters=arguments.painters,
        workers=arguments.workers,
        precision=arguments.precision,
        limit=arguments.limit,
        dry_run=arguments.dry_run,
    )


def changed(recipe: TrainConfig, arguments: argparse.Namespace) -> TrainConfig:
    """The recipe with what the command line says otherwise."""
    stage = recipe.stage(arguments.stage)
    for name in ("epochs", "pairs_per_batch", "accumulate", "learning_rate", "patience"):
        value = getattr(arguments, name)
        if value is not None:
            stage = replace(stage, **{name: value})
    if arguments.blended_share is not None:
        stage = replace(stage, mixture=replace(stage.mixture, blended_share=arguments.blended_share))
    if arguments.side is not None:
        recipe = replace(recipe, clip=replace(recipe.clip, side_px=arguments.side))
    recipe = replace(recipe, seed=arguments.seed)
    return replace(recipe, frames=stage) if arguments.stage == "frames" else replace(recipe, clips=stage)


def folder_and_times(text: str) -> tuple[Path, int]:
    folder, _, times = text.partition("=")
    return Path(folder), int(times or 1)


if __name__ == "__main__":
    main()
