"""A check beside its limits and beside the original project's procedure, in turns, as a table.

    python -m tests.bench.speed [VIDEO …] [--rounds 3] [--peer seed_pipeline.py] [--picture speed.png]

Without a VIDEO: three made ones (720p of 10 s, 60 s and 10 min) and two of the research data beside the
checkout, where it is. The limits are decoding alone and the model alone, on as many frames as the check
looked at. All are processor seconds, of children too, which other programs do not lengthen much; medians of
the rounds. The peer is a program that takes a video; without it that column stays empty.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from matplotlib.figure import Figure

from tests.media import astronaut, repeat, write_video
from unmask import weights
from unmask.check import Checker, plan_windows
from unmask.clips import FaceClip
from unmask.plan import Span
from unmask.report import Report
from unmask.sources import FileSource, Options
from unmask.video import decode
from unmask.weights import LoadedModel

SHARED = Path(__file__).resolve().parents[3] / "shared"
RESEARCH = ("anndvqgoko.mp4", "aououvkimi.mp4")  # 1080p and 360x360, 10 s each
MADE = {"720p 10 s": 1, "720p 60 s": 6, "720p 10 min": 60}  # times that ten seconds are repeated
STAGES = ("fetch", "decode", "faces", "model", "explain")


@dataclass(frozen=True)
class Cost:
    """Of one round with one video, in processor seconds."""

    check: float
    decoding: float
    model: float
    peer: float | None
    frames: int  # that were looked at
    stages: dict[str, float]  # wall seconds of the check


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("videos", type=Path, nargs="*", metavar="VIDEO")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", type=Path, default=SHARED / "peers" / "seed_pipeline.py")
    parser.add_argument("--picture", type=Path, help="draw it as well")
    options = parser.parse_args()
    peer = options.peer if options.peer.is_file() else None
    if peer is None:
        print(f"There is no {options.peer}: nothing is compared with the original procedure.\n")
    torch.set_num_threads(1)  # on a busy machine, threads that wait for each other count as work
    checker = Checker(torch.device("cpu"))
    (model,) = checker.load(["default"])
    with tempfile.TemporaryDirectory() as folder:
        videos = {path.name: path for path in options.videos} or dict(usual(Path(folder)))
        costs: dict[str, list[Cost]] = {name: [] for name in videos}
        checker.check(FileSource(next(iter(videos.values())), "warm-up"), Options())
        for _ in range(options.rounds):
            for name, path in videos.items():
                costs[name].append(measure(checker, model, path, peer))
    show(costs)
    if options.picture is not None:
        draw(costs).savefig(options.picture, dpi=110)


def usual(folder: Path) -> Iterator[tuple[str, Path]]:
    """Names and paths of the videos that are measured when none is named."""
    first = folder / "first.mp4"
    write_video(first, gliding(250))
    for name, times in MADE.items():
        path = folder / f"{times}.mp4"
        repeat(first, path, times)
        yield name, path
    for name in RESEARCH:
        path = SHARED / "data" / "dfdc-videos" / name
        if path.is_file():
            yield name, path


def gliding(count: int) -> Iterator[np.ndarray]:
    """A face of 200 px that moves slowly through 720p."""
    wide = cv2.resize(astronaut(), (1536, 1536), interpolation=cv2.INTER_CUBIC)
    for number in range(count):
        left = round(128 + 100 * np.sin(number / 40))
        yield np.ascontiguousarray(wide[:720, left : left + 1280])


def measure(checker: Checker, model: LoadedModel, path: Path, peer: Path | None) -> Cost:
    report: Report = {}
    check = spent(lambda: report.update(checker.check(FileSource(path, path.name), Options())))
    plan, frames = plan_windows([model], Span()), report["coverage"]["frames"]
    noise = clips(model, frames)
    return Cost(
        check=check,
        decoding=spent(lambda: list(decode(path, plan))),
        model=spent(lambda: weights.score(model, noise)),
        peer=None if peer is None else spent(lambda: ask_peer(peer, path)),
        frames=frames,
        stages=report["timing_seconds"],
    )


def clips(model: LoadedModel, frames: int) -> list[FaceClip]:
    """As many whole clips as so many frames give."""
    spec, count = model.spec, max(1, frames // model.spec.frames_per_clip)
    shape = (spec.frames_per_clip, spec.side_px, spec.side_px, 3)
    seconds, box = np.arange(spec.frames_per_clip) / 8, np.zeros((spec.frames_per_clip, 4), np.float32)
    return [FaceClip(np.full(shape, 90, np.uint8), seconds, track, box) for track in range(count)]


def ask_peer(peer: Path, video: Path) -> None:
    subprocess.run([sys.executable, str(peer), str(video)], check=True, capture_output=True)


def spent(work: Callable[[], object]) -> float:
    """Processor seconds of this process and of children that it has ended."""
    before = _processor_seconds()
    work()
    return _processor_seconds() - before


def _processor_seconds() -> float:
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(use.ru_utime + use.ru_stime for use in map(resource.getrusage, whose))


def medians(rounds: list[Cost]) -> tuple[float, float, float, float | None]:
    """Processor seconds of a check, of decoding and the model alone, and of the peer where there is one."""
    check, decoding, model = (
        statistics.median(getattr(cost, what) for cost in rounds) for what in ("check", "decoding", "model")
    )
    theirs = [cost.peer for cost in rounds if cost.peer is not None]
    return check, decoding, model, statistics.median(theirs) if theirs else None


def draw(costs: dict[str, list[Cost]]) -> Figure:
    """A group of bars a video: the peer's procedure, a check, and the limits that it cannot go below."""
    figure = Figure(figsize=(8, 1 + 0.75 * len(costs)), layout="constrained")
    axes = figure.subplots()
    for place, rounds in enumerate(costs.values()):
        check, decoding, model, peer = medians(rounds)
        hidden = "_" if place else ""  # one entry of the legend each
        if peer is not None:
            axes.barh(place - 0.27, peer, 0.25, color="#b9c1cb", label=f"{hidden}original procedure")
            axes.text(peer, place - 0.27, f" {peer / check:.1f} ×", va="center", fontsize=9)
        axes.barh(place, check, 0.25, color="#3538cd", label=f"{hidden}Unmask")
        axes.barh(place + 0.27, decoding, 0.25, color="#0f9b8e", label=f"{hidden}limit: decoding alone")
        axes.barh(place + 0.27, model, 0.25, decoding, color="#e08a1e", label=f"{hidden}and the model alone")
    axes.set_yticks(range(len(costs)), list(costs))
    axes.invert_yaxis()
    axes.set_xlabel("processor seconds, from file to report")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    return figure


def show(costs: dict[str, list[Cost]]) -> None:
    print("".join(f"{title:>10}" for title in ("check", "decoding", "model", "peer", "faster", "frames")))
    for name, rounds in costs.items():
        check, decoding, model, peer = medians(rounds)
        row = "".join(f"{value:>10.2f}" for value in (check, decoding, model))
        row += f"{'-':>10}{'-':>10}" if peer is None else f"{peer:>10.2f}{f'{peer / check:.1f}x':>10}"
        print(f"{row}{rounds[0].frames:>10}  {name}")
    print("\nwall seconds of the stages\n" + "".join(f"{stage:>10}" for stage in STAGES))
    for name, rounds in costs.items():
        spent_on = (statistics.median(cost.stages[stage] for cost in rounds) for stage in STAGES)
        print("".join(f"{median:>10.2f}" for median in spent_on) + f"  {name}")
    print(f"\nmost memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
