"""Train a model: on single frames first, then on clips.

    python -m training.train mobilenet-gru frames --data FACES [--data MORE=2] --out RUN
    python -m training.train mobilenet-gru clips --data FACES --data CLIPS=4 --start RUN --out RUN2

A data folder holds tar shards with manifest.tsv, as `training.prepare` writes them; with `=N` it is repeated N times an
epoch. Its `val` rows are for validation, its `test` rows are never read. If there are no fakes, all are blended from
reals. After each epoch the averaged weights are validated, and the best so far are in OUT/model, which `unmask` loads.
A run that was stopped resumes when the same command is given again. What a large model needs is said first; --estimate
says only that. `accelerate launch -m training.train …` runs it on many devices.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar, cast

import cv2
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import broadcast_object_list
from httpx2 import TransportError  # which huggingface_hub lets through

from training.fit.estimate import estimate
from training.fit.predict import precision, validate
from training.fit.recipes import RECIPES, StageName, TrainConfig
from training.fit.run_folder import Epoch, RunFolder, Validation
from training.fit.torch_dataset import make_pairs
from training.fit.trainer import Trainer, teacher_clip_spec
from training.fit.training_clips import TrainingClips, read_training_clips
from unmask.faces.clips import ClipSpec
from unmask.models import checkpoint, torch_model
from unmask.models.architectures import ARCHITECTURES, VideoModel, channels_last

Found = TypeVar("Found")
LARGE = 100e6  # parameters from which on it is said what a run needs, before it begins


@dataclass(frozen=True)
class Request:
    """The arguments of the command line."""

    config: TrainConfig
    stage: StageName
    data: list[tuple[Path, int]]  # folder, repeats an epoch
    out: Path
    start: Path | None
    scratch: bool
    teacher: str | None
    workers: int
    precision: str
    only_estimate: bool
    limit: int | None
    validation_limit: int | None
    save_seconds: float


def main() -> None:
    """Train what the command line asks for."""
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
    """Train one stage to its end."""
    cv2.setNumThreads(1)  # its thread pool does not survive the fork of the loader's processes
    config, run = request.config, RunFolder(request.out)
    stage = config.stage(request.stage)
    spec = config.clip if request.stage == "clips" else replace(config.clip, frames_per_clip=1)
    torch.manual_seed(config.seed)
    model = initial_model(request)
    teacher = None if request.teacher is None else torch_model.load(request.teacher, accelerator.device)
    clips = read_training_clips(request.data, request.limit, config.seed, request.validation_limit)
    cache, pair_spec = request.out.parent / "meshes", teacher_clip_spec(spec, teacher)
    if request.only_estimate or sum(value.numel() for value in model.parameters()) > LARGE:
        print_needs(request, model, spec, clips, accelerator)
    if request.only_estimate:
        return run
    if request.start is None and not request.scratch:
        load_backbone(model)
    with accelerator.main_process_first():
        parts = [make_pairs(part, pair_spec, stage.mixture, config.seed, cache) for part in clips.training]
    if accelerator.is_main_process:
        run.start(config, request.stage, {key: str(value) for key, value in vars(request).items()})
    accelerator.init_trackers("tensorboard")
    trainer = Trainer(
        accelerator,
        model,
        parts,
        spec,
        stage,
        request.out,
        seed=config.seed,
        workers=request.workers,
        teacher=teacher,
        save_seconds=request.save_seconds,
    )
    train_epochs(
        trainer, run, config, lambda: validate(trainer.average, clips.validation, spec, cache, request.workers)
    )
    accelerator.end_training()
    return run


def train_epochs(trainer: Trainer, run: RunFolder, config: TrainConfig, measure: Callable[[], Validation]) -> None:
    """Train epoch by epoch to the end of the stage; after each, validate, log, and save."""
    accelerator = trainer.accelerator
    while not trainer.done:
        started, number = time.monotonic(), trainer.progress.epoch
        loss = trainer.train_epoch()
        found = run_on_main_process(accelerator, measure)
        seconds = round(time.monotonic() - started, 1)
        line = Epoch(epoch=number, step=trainer.progress.step, loss=loss, seconds=seconds, **vars(found))
        accelerator.log({name: value for name, value in vars(found).items() if isinstance(value, float)}, line.step)
        accelerator.print(line)
        if trainer.record_validation(line.score) and accelerator.is_main_process:
            run.save_best(trainer.average, config, line)
        if accelerator.is_main_process:
            run.log(line)
        trainer.save()


def print_needs(
    request: Request, model: VideoModel, spec: ClipSpec, clips: TrainingClips, accelerator: Accelerator
) -> None:
    """Print what the run needs. Raises SystemExit where it should begin and does not fit."""
    stage = request.config.stage(request.stage)
    pairs = sum(not clip.fake for part in clips.training for clip in part)
    batches = pairs // (stage.pairs_per_batch * accelerator.num_processes)
    needs = estimate(model, spec, stage, batches, accelerator.device, accelerator.autocast)
    accelerator.print(f"{request.config.architecture}: {needs}")
    if not (needs.fits or request.only_estimate):
        sys.exit("train: that does not fit; lower --pairs-per-batch, and raise --accumulate as much")


def initial_model(request: Request) -> VideoModel:
    """Load another run's result, else make a model with random weights."""
    if request.start is not None:
        return checkpoint.restore(RunFolder(request.start).model)
    module = ARCHITECTURES[request.config.architecture]
    model = module(request.config.model)
    channels_last(model)
    return model


def load_backbone(model: VideoModel) -> None:
    """Load pretrained weights of the backbone, where there are any. Raises SystemExit where they cannot be had."""
    from training.fit.pretrained import load_pretrained  # torchvision takes as long to import as all the rest

    try:
        load_pretrained(model)
    except (OSError, TransportError) as error:
        sys.exit(f"train: the pretrained weights cannot be had, --scratch starts without: {error}")


def run_on_main_process(accelerator: Accelerator, work: Callable[[], Found]) -> Found:
    """Do the work in one process and broadcast its result, so that all processes decide alike."""
    found = [work() if accelerator.is_main_process else None]
    return cast(Found, broadcast_object_list(found)[0])


def parse() -> Request:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("recipe", choices=sorted(RECIPES))
    add("stage", choices=["frames", "clips"])
    add("--data", action="append", required=True, metavar="DIR[=N]", help="folder of stored clips, N times")
    add("--out", type=Path, required=True, help="run folder")
    add("--start", type=Path, help="run folder whose result is trained further")
    add("--estimate", dest="only_estimate", action="store_true", help="only say how much memory and time it takes")
    add("--scratch", action="store_true", help="start from random weights, not from pretrained ones")
    add("--teacher", help="model to distil, beside the labels: a folder, or a name")
    add("--epochs", type=int)
    add("--pairs-per-batch", type=int, help="of each process")
    add("--accumulate", type=int, help="batches a step")
    add("--learning-rate", type=float)
    add("--patience", type=int, help="epochs without a better validation before it stops")
    add("--blended-share", type=float, help="of the fakes; 1: no true fakes are needed")
    add("--part", type=int, dest="part_px", help="pixels of the random square of each face that is seen, of --side")
    add("--side", type=int, help="pixels of the square input")
    add("--seed", type=int, default=0)
    add("--workers", type=int, default=2, help="processes that make batches")
    add("--precision", choices=["bf16", "fp16", "no"], default=precision())
    add("--validation-limit", type=int, help="real and fake clips of each folder that an epoch is validated on")
    add("--limit", type=int, help="only so many real videos of each folder and split, for a short try")
    add("--save-seconds", type=float, default=300.0, help="between two checkpoints (%(default)s)")
    arguments = parser.parse_args()
    given = {name: value for name, value in vars(arguments).items() if name in Request.__annotations__}
    given |= {"data": [folder_and_repeats(text) for text in arguments.data]}
    return Request(config=apply_arguments(RECIPES[arguments.recipe], arguments), **given)


def apply_arguments(recipe: TrainConfig, arguments: argparse.Namespace) -> TrainConfig:
    """Return the recipe with the values that the command line gives."""
    stage = recipe.stage(arguments.stage)
    for name in ("epochs", "pairs_per_batch", "accumulate", "learning_rate", "patience", "part_px"):
        value = getattr(arguments, name)
        if value is not None:
            stage = replace(stage, **{name: value})
    if arguments.blended_share is not None:
        stage = replace(stage, mixture=replace(stage.mixture, blended_share=arguments.blended_share))
    if arguments.side is not None:
        recipe = replace(recipe, clip=replace(recipe.clip, side_px=arguments.side))
    recipe = replace(recipe, seed=arguments.seed)
    return replace(recipe, frames=stage) if arguments.stage == "frames" else replace(recipe, clips=stage)


def folder_and_repeats(text: str) -> tuple[Path, int]:
    """Parse `DIR[=N]`."""
    folder, _, repeats = text.partition("=")
    return Path(folder), int(repeats or 1)


if __name__ == "__main__":
    main()
