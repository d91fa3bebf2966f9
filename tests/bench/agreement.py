"""What the shortcuts of a check cost in accuracy: the same videos with them and without, as a table.

    python -m tests.bench.agreement [FOLDER …]

Without: faces are searched in every frame instead of being followed between the ends of a window, and the
model counts in full precision. A folder has a `manifest.tsv` with the columns file and label; without a
FOLDER those of the research data beside the checkout, where it is. The AUC is that of the videos with a face.
"""

import argparse
import csv
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np

from tests.bench.speed import SHARED
from training.evaluation.metrics import auc
from unmask.compute import ComputeOptions
from unmask.download.sources import FileSource, Options
from unmask.faces import detector
from unmask.pipeline import Checker

SETS = ("dfdc-videos", "talking-videos", "ffpp-c40-dev")


@dataclass(frozen=True)
class Pair:
    """What is said of one video with the shortcuts, and without them."""

    is_fake: bool
    labels: tuple[str, str]
    chances: tuple[float | None, float | None]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*", metavar="FOLDER")
    research = [path for path in (SHARED / "data" / name for name in SETS) if path.is_dir()]
    folders = parser.parse_args(argv).folders or research
    checkers = Checker(ComputeOptions(device="cpu")), Checker(ComputeOptions(precision="float32", device="cpu"))
    print(f"{'':18}{'videos':>8}{'same label':>12}{'apart by most':>15}{'median':>9}{'AUC':>8}{'without':>9}")
    for folder in folders:
        show(folder.name, [Pair(is_fake, *both(*checkers, path)) for path, is_fake in labelled(folder)])


def labelled(folder: Path) -> Iterator[tuple[Path, bool]]:
    with (folder / "manifest.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            yield folder / row["file"], row["label"] == "fake"


def both(quick: Checker, exact: Checker, video: Path) -> tuple[tuple[str, str], tuple[float | None, float | None]]:
    said = []
    for checker, search in ((quick, nullcontext()), (exact, patch.object(detector, "FRAMES_PER_GROUP", 2))):
        with search:
            verdict = checker.check(FileSource(video, video.name), Options())["verdict"]
        said.append((verdict["label"], verdict["probability_fake"]))
    (one, chance), (other, other_chance) = said
    return (one, other), (chance, other_chance)


def show(name: str, pairs: Sequence[Pair]) -> None:
    same = sum(one == other for one, other in (pair.labels for pair in pairs))
    judged = [pair for pair in pairs if None not in pair.chances]
    chances = np.array([pair.chances for pair in judged], float)
    apart = np.abs(chances[:, 0] - chances[:, 1])
    fakes = np.array([pair.is_fake for pair in judged])
    aucs = [f"{auc(column, fakes):.3f}" for column in chances.T] if 0 < fakes.sum() < len(fakes) else ["–"] * 2
    print(
        f"{name:18}{len(pairs):>8}{same:>12}{apart.max():>15.3f}{np.median(apart):>9.3f}{aucs[0]:>8}{aucs[1]:>9}",
        flush=True,
    )


if __name__ == "__main__":
    main()
