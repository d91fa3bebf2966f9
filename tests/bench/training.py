"""Training beside a plain loop of the same model, and cutting faces with one worker and with all, as tables.

    python -m tests.bench.training [RECIPE …] [--rounds 3] [--batches 8] [--workers 2]

The plain loop is the usual one: float32, a batch made when it is asked for, in the same process. Both see the
same pairs, of one public-domain portrait. In turns, medians of the rounds; wall seconds, on an idle machine.
"""

import argparse
import functools
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import joblib
import torch
from accelerate import Accelerator
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader

from tests.bench.speed import Made
from tests.training.faces import face
from training.data import workers
from training.data.extract_faces import CACHE_SIDE_PX, CutSpec
from training.fit.recipes import RECIPES, TrainConfig
from training.fit.torch_dataset import ClipPairs, collate, find_meshes
from training.fit.trainer import Loop
from training.prepare import list_tasks, prepare
from training.train import precision
from unmask.faces.clips import ClipSpec
from unmask.models.architectures import ARCHITECTURES, VideoModel, channels_last

PAIRS = 16  # a batch
VIDEO, VIDEOS = Made(480, "libx264", ".mp4"), 6


@dataclass(frozen=True)
class Trial:
    """One recipe's single faces, and how many of them."""

    recipe: TrainConfig
    pairs: ClipPairs
    batches: int

    @property
    def spec(self) -> ClipSpec:
        return self.pairs.spec

    def rate(self, seconds: float) -> float:
        """Faces a second."""
        return 2 * PAIRS * self.batches / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=["mobilenet-gru"], metavar="RECIPE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, default=8, help=f"of {PAIRS} pairs each")
    parser.add_argument("--workers", type=int, default=2, help="processes that make batches")
    options = parser.parse_args()
    cv2.setNumThreads(1)  # its thread pool does not survive the fork of the loader's processes
    print(f"faces a second, training single faces\n{'plain':>10}{'ours':>10}{'faster':>10}")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.recipes:
            found = trial(RECIPES[name], options.batches, Path(folder))
            rounds = [(plain(found), ours(found, options.workers)) for _ in range(options.rounds)]
            slow, fast = (found.rate(statistics.median(column)) for column in zip(*rounds, strict=True))
            print(f"{slow:>10.1f}{fast:>10.1f}{f'{fast / slow:.1f}x':>10}  {name}", flush=True)
    print(f"\nvideos a minute, cut into clips\n{'workers':>10}{'videos':>10}")
    with tempfile.TemporaryDirectory() as folder:
        videos = Path(folder) / "real"
        videos.mkdir()
        for _ in range(VIDEOS):
            VIDEO.write(videos)
        for count in sorted({1, joblib.cpu_count()}):
            seconds = cutting(Path(folder), count)
            print(f"{count:>10}{60 * VIDEOS / seconds:>10.1f}", flush=True)


def trial(recipe: TrainConfig, batches: int, cache: Path) -> Trial:
    """Pairs of a portrait that lies a little lower each time; every second has a true fake."""
    count = PAIRS * batches
    reals = [face(f"r{index}", shift=index % 40) for index in range(count)]
    fakes = [face(f"f{index}", source=f"r{index}", shift=index % 40) for index in range(0, count, 2)]
    spec, mixture = replace(recipe.clip, frames_per_clip=1), recipe.frames.mixture
    return Trial(recipe, ClipPairs(reals, find_meshes(reals, cache), fakes, spec, mixture, seed=0), batches)


def fresh(found: Trial) -> VideoModel:
    torch.manual_seed(0)
    _, module = ARCHITECTURES[found.recipe.architecture]
    return module(found.recipe.model)


def plain(found: Trial) -> float:
    """Seconds of an epoch as everybody writes it first."""
    device = Accelerator().device
    model = fresh(found).to(device).train()
    optimiser = torch.optim.AdamW(model.parameters(), 1e-4)
    made = functools.partial(collate, spec=found.spec)
    began = time.perf_counter()
    for batch in DataLoader(found.pairs, PAIRS, shuffle=True, collate_fn=made):
        logits = model(batch.clips.data.to(device), batch.clips.mask.to(device))
        loss = binary_cross_entropy_with_logits(logits, batch.fake.to(device))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        loss.item()
    return time.perf_counter() - began


def ours(found: Trial, workers: int) -> float:
    """Seconds of an epoch of the loop that `training.train` runs, the start of its workers included."""
    model = fresh(found)
    channels_last(model)
    config = replace(found.recipe.frames, epochs=1, pairs_per_batch=PAIRS)
    with tempfile.TemporaryDirectory() as folder:
        accelerator = Accelerator(mixed_precision=precision())
        loop = Loop(accelerator, model, [found.pairs], found.spec, config, Path(folder), workers=workers)
        began = time.perf_counter()
        loop.epoch()
        return time.perf_counter() - began


def cutting(videos: Path, count: int) -> float:
    """Seconds until every video in `videos` is cut."""
    spec = CutSpec(ClipSpec(side_px=CACHE_SIDE_PX), windows=4)
    with tempfile.TemporaryDirectory() as folder:
        _, tasks = list_tasks([f"videos={videos}"], "train")
        began = time.perf_counter()
        prepare(tasks, Path(folder), spec, functools.partial(workers.spread, workers=count))
        return time.perf_counter() - began


if __name__ == "__main__":
    main()
