"""Time a check beside its limits and beside the original project's procedure, in turns, as a table.

    python -m tests.bench.speed [VIDEO …] [--rounds 3] [--threads 1] [--peer PROGRAM]

Without a VIDEO: made ones, see MADE, and two of the research data beside the checkout, where it is. The limits are
decoding alone and the model alone, on as many frames as the check looked at. Processor seconds are those of
children, too, and other programs do not lengthen them much; wall seconds mean something on an idle machine only.
Medians of the rounds. The peer is a program that takes a video; without it that column stays empty.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tests.media import astronaut, repeat, write_video
from unmask.compute import BACKENDS, PRECISIONS, ComputeOptions
from unmask.download.sources import FileSource, Options
from unmask.faces.clips import FaceClip
from unmask.limits import Limits
from unmask.models.inference import LoadedModel
from unmask.pipeline import Checker
from unmask.report import CheckReport
from unmask.video.decode import decode
from unmask.video.sampling import plan_windows

SHARED = Path(__file__).resolve().parents[3] / "shared"
RESEARCH = ("anndvqgoko.mp4", "aououvkimi.mp4")  # 1080p and 360x360, 10 s each
TEN_SECONDS, RATE = 10, 25
AT_HOME = Limits(max_bytes=8 * 2**30, max_seconds=3 * 3600.0)  # as an owner may raise them
STAGES = ("fetch", "decode", "faces", "model", "explain")


@dataclass(frozen=True)
class Made:
    """A video of the bench's own."""

    height: int
    codec: str
    suffix: str
    times: int = 1  # that ten seconds are repeated
    with_peer: bool = False  # it takes its time

    def write(self, folder: Path) -> Path:
        """Into a file of its own."""
        number = len(list(folder.iterdir()))
        path, ten = folder / f"{number}{self.suffix}", folder / f"ten-seconds-{number}{self.suffix}"
        frames = gliding(TEN_SECONDS * RATE, self.height)
        once = path if self.times == 1 else ten
        write_video(once, frames, self.codec, rate=RATE)
        if self.times > 1:
            repeat(ten, path, self.times)
        return path


MADE = {
    "480p h264 10 s": Made(480, "libx264", ".mp4"),
    "720p h264 10 s": Made(720, "libx264", ".mp4", with_peer=True),
    "720p h264 60 s": Made(720, "libx264", ".mp4", 6, with_peer=True),
    "720p h264 10 min": Made(720, "libx264", ".mp4", 60, with_peer=True),
    "720p h264 2 h": Made(720, "libx264", ".mp4", 720),
    "720p vp9 10 s": Made(720, "libvpx-vp9", ".webm"),
    "720p av1 10 s": Made(720, "libsvtav1", ".mp4"),
    "1080p h264 60 s": Made(1080, "libx264", ".mp4", 6),
    "2160p h264 60 s": Made(2160, "libx264", ".mp4", 6),
}


@dataclass(frozen=True)
class Spent:
    """Seconds of something."""

    processor: float
    wall: float


@dataclass(frozen=True)
class Cost:
    """Of one round with one video."""

    check: Spent
    decoding: Spent
    model: Spent
    peer: Spent | None
    frames: int  # that were looked at
    stages: dict[str, float]  # wall seconds of the check


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="*", metavar="VIDEO")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="more wait for each other on a busy machine")
    parser.add_argument("--backend", choices=BACKENDS, default="auto")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto")
    parser.add_argument("--peer", type=Path, default=SHARED / "peers" / "seed_pipeline.py")
    options = parser.parse_args()
    peer = options.peer if options.peer.is_file() else None
    if peer is None:
        print(f"There is no {options.peer}: nothing is compared with the original procedure.\n")
    os.environ["OMP_NUM_THREADS"] = str(options.threads)  # before torch is imported, if it is
    checker = Checker(ComputeOptions(options.backend, options.precision, "cpu"))
    asked = Options(models=("default",), limits=AT_HOME)
    with tempfile.TemporaryDirectory() as folder:
        (model,) = checker.load(asked.models)
        videos = {path.name: path for path in options.videos} or dict(usual(Path(folder)))
        costs: dict[str, list[Cost]] = {name: [] for name in videos}
        checker.check(FileSource(next(iter(videos.values())), "warm-up"), asked)
        for _ in range(options.rounds):
            for name, path in videos.items():
                with_peer = name not in MADE or MADE[name].with_peer
                costs[name].append(measure(checker, model, path, asked, peer if with_peer else None))
    show(costs)


def usual(folder: Path) -> Iterator[tuple[str, Path]]:
    """Names and paths of the videos that are measured when none is named."""
    for name, made in MADE.items():
        yield name, made.write(folder)
    for name in RESEARCH:
        path = SHARED / "data" / "dfdc-videos" / name
        if path.is_file():
            yield name, path


def gliding(count: int, height: int = 720) -> Iterator[np.ndarray]:
    """A face of more than a quarter of the height that moves slowly through a wide picture."""
    scale, width = height / 720, height * 8 // 9 * 2
    wide = cv2.resize(astronaut(), (width * 6 // 5, width * 6 // 5), interpolation=cv2.INTER_CUBIC)
    for number in range(count):
        left = round(scale * (128 + 100 * np.sin(number / 40)))
        yield np.ascontiguousarray(wide[:height, left : left + width])


def measure(checker: Checker, model: LoadedModel, path: Path, asked: Options, peer: Path | None) -> Cost:
    reports: list[CheckReport] = []
    check = spent(lambda: reports.append(checker.check(FileSource(path, path.name), asked)))
    plan, frames = plan_windows([model.spec]), reports[-1]["coverage"]["frames"]
    noise = clips(model, frames)
    return Cost(
        check=check,
        decoding=spent(lambda: list(decode(path, plan))),
        model=spent(lambda: model.logits(noise)),
        peer=None if peer is None else spent(lambda: ask_peer(peer, path)),
        frames=frames,
        stages=reports[-1]["timing_seconds"],
    )


def clips(model: LoadedModel, frames: int) -> list[FaceClip]:
    """As many whole clips as so many frames give."""
    spec, count = model.spec, max(1, frames // model.spec.frames_per_clip)
    shape = (spec.frames_per_clip, spec.side_px, spec.side_px, 3)
    seconds, box = np.arange(spec.frames_per_clip) / 8, np.zeros((spec.frames_per_clip, 4), np.float32)
    return [FaceClip(np.full(shape, 90, np.uint8), seconds, track, box) for track in range(count)]


def ask_peer(peer: Path, video: Path) -> None:
    """As it is, in the environment that it would have without us."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    subprocess.run([sys.executable, str(peer), str(video)], check=True, capture_output=True, env=environment)


def spent(work: Callable[[], object]) -> Spent:
    """Of this process, and of children that it has ended."""
    before, began = _processor_seconds(), time.monotonic()
    work()
    return Spent(_processor_seconds() - before, time.monotonic() - began)


def _processor_seconds() -> float:
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(use.ru_utime + use.ru_stime for use in map(resource.getrusage, whose))


def median(spents: Sequence[Spent]) -> Spent:
    return Spent(statistics.median(one.processor for one in spents), statistics.median(one.wall for one in spents))


def medians(rounds: list[Cost]) -> tuple[Spent, Spent, Spent, Spent | None]:
    """Of a check, of decoding and the model alone, and of the peer where there is one."""
    peers = [cost.peer for cost in rounds if cost.peer is not None]
    check, decoding, model = (
        median([getattr(cost, what) for cost in rounds]) for what in ("check", "decoding", "model")
    )
    return check, decoding, model, median(peers) if peers else None


def show(costs: dict[str, list[Cost]]) -> None:
    for kind in ("processor", "wall"):
        print(f"{kind} seconds")
        titles = ("check", "least", "most", "decoding", "model", "x limits", "peer", "faster", "frames")
        print("".join(f"{title:>10}" for title in titles))
        for name, rounds in costs.items():
            check, decoding, model, *peer = (getattr(one, kind) for one in medians(rounds) if one)
            every = [getattr(cost.check, kind) for cost in rounds]
            row = "".join(f"{value:>10.2f}" for value in (check, min(every), max(every), decoding, model))
            row += f"{check / (decoding + model):>10.1f}"
            row += f"{peer[0]:>10.2f}{f'{peer[0] / check:.1f}x':>10}" if peer else f"{'-':>10}{'-':>10}"
            print(f"{row}{rounds[0].frames:>10}  {name}")
        print()
    print("wall seconds of the stages\n" + "".join(f"{stage:>10}" for stage in STAGES))
    for name, rounds in costs.items():
        of_stages = (statistics.median(cost.stages[stage] for cost in rounds) for stage in STAGES)
        print("".join(f"{seconds:>10.2f}" for seconds in of_stages) + f"  {name}")


if __name__ == "__main__":
    main()
