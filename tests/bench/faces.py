"""The face finder on windows of real videos, against itself when it searches every frame.

    python -m tests.bench.faces [FOLDER]

Without a FOLDER of videos, those of the research data beside the checkout. Prints processor time a frame and
how far the boxes agree. Exits with 1 when fewer than 98 % of the faces do.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from unmask.boxes import overlaps
from unmask.faces import FaceFinder
from unmask.video import DecodePlan, Frames, decode

SHARED_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
VIDEOS = ("dfdc-videos", "talking-videos")
SAME_FACE = 0.8  # IoU
LEAST_AGREEING = 0.98


@dataclass
class Compared:
    """What the finder says of windows, and what it says of each of their frames alone."""

    overlap: list[float] = field(default_factory=list)  # IoU of every face that frames alone show
    frames: int = 0
    more: int = 0  # faces that only the windows show
    window_seconds: float = 0.0  # processor time
    alone_seconds: float = 0.0

    def add(self, other: "Compared") -> None:
        self.overlap += other.overlap
        self.frames += other.frames
        self.more += other.more
        self.window_seconds += other.window_seconds
        self.alone_seconds += other.alone_seconds


def compare(finder: FaceFinder, window: Frames) -> Compared:
    started = time.process_time()
    together = finder.detect(window)
    between = time.process_time()
    singles = [
        finder.detect(Frames(window.data[i : i + 1], window.seconds[i : i + 1]))[0]
        for i in range(len(window))
    ]
    ended = time.process_time()
    overlap, more = [], 0
    for mine, alone in zip(together, singles, strict=True):
        overlap += overlaps(alone.xyxy, mine.xyxy).max(1, initial=0.0).tolist()
        more += max(0, len(mine) - len(alone))
    return Compared(overlap, len(window), more, between - started, ended - between)


def main(arguments: Sequence[str]) -> None:
    torch.set_num_threads(1)  # on a busy machine, threads that wait for each other count as work
    finder, whole = FaceFinder(), Compared()
    folders = [Path(arguments[0])] if arguments else [SHARED_DATA / name for name in VIDEOS]
    for path in sorted(path for folder in folders for path in folder.glob("*.mp4")):
        for window in decode(path, DecodePlan()):
            whole.add(compare(finder, window))
    if not whole.frames:
        print(f"There are no videos in {', '.join(map(str, folders))}: nothing is compared.")
    elif show(whole) < LEAST_AGREEING:
        sys.exit(1)


def show(whole: Compared) -> float:
    overlap = np.array(whole.overlap)
    agreeing = float((overlap >= SAME_FACE).mean())
    alone, window = (1000 * spent / whole.frames for spent in (whole.alone_seconds, whole.window_seconds))
    print(f"{len(overlap):,} faces in {whole.frames:,} frames; {whole.more} more when followed")
    print(f"  IoU at least {SAME_FACE}: {agreeing:.2%}; median {np.median(overlap):.3f}")
    print(f"  every frame searched: {alone:.1f} ms of processor time a frame")
    print(f"  followed:             {window:.1f} ms, {alone / window:.1f} times less")
    return agreeing


if __name__ == "__main__":
    main(sys.argv[1:])
