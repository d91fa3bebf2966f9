"""Fit the projection by which `unmask.faces.appearance` finds a person again in another shot, and measure its errors.

    python -m training.tools.appearance --data FOLDER [--out space/unmask/faces/appearance.safetensors]

FOLDER holds pictures of people and `manifest.tsv` with their file, target_id (who it is) and split. Prints,
for people of the split `val`, how many pairs of one person are missed where so many pairs of two are taken for one.
"""

import argparse
import csv
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from unmask.faces.appearance import align, features
from unmask.faces.detector import FaceFinder
from unmask.video.frames import Frames

PICTURES = 11  # of one person
SIDE_PX = 320  # longer side at which faces are found
COMPONENTS, DIMENSIONS = 200, 64  # principal and discriminant
SHRINKAGE = 0.1  # of the covariance within people, towards a sphere
VARIANTS = 3  # of a training picture: as it is, and in other sizes, light and compression
FALSE_ACCEPTANCE = (0.001, 0.005, 0.01, 0.02, 0.05)

Float64Array = npt.NDArray[np.float64]


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.tsv")
    parser.add_argument("--out", type=Path, default=Path("space/unmask/faces/appearance.safetensors"))
    args = parser.parse_args()
    rows = list(read_features(args.data))
    people = np.array([person for person, *_ in rows])
    train = np.array([split == "train" for _, split, _, _ in rows])
    pictures = np.array([picture for _, _, picture, _ in rows])
    values = np.stack([each for *_, each in rows])
    mean, projection = fit(values[train], people[train])
    print_errors((values[~train] - mean) @ projection, people[~train], pictures[~train])
    tensors = {"mean": mean.astype(np.float16), "projection": np.ascontiguousarray(projection, np.float16)}
    save_file(tensors, args.out)


def read_features(folder: Path) -> Iterator[tuple[str, str, str, npt.NDArray[np.float32]]]:
    """Yield (person, split, file, features) of variants of every picture in which a face is found."""
    finder, rng = FaceFinder(), np.random.default_rng(0)
    by_person: dict[str, list[dict[str, str]]] = defaultdict(list)
    with (folder / "manifest.tsv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            by_person[row["target_id"]].append(row)
    for person, rows in by_person.items():
        for row in rows[:: max(1, len(rows) // (PICTURES - 1))][:PICTURES]:
            image = cv2.imread(str(folder / row["file"]), cv2.IMREAD_COLOR_RGB)
            scale = SIDE_PX / max(image.shape[:2])
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
            found = finder.detect(Frames(image[None], np.zeros(1)))[0]
            if not len(found):
                continue
            largest = int(np.argmax((found.xyxy[:, 2:] - found.xyxy[:, :2]).prod(1)))
            for variant in range(VARIANTS):
                seen = (image, found.landmarks[largest])
                seen = seen if not variant else vary(*seen, rng)
                yield person, row["split"], row["file"], features(align(*seen))


def vary(
    image: npt.NDArray[np.uint8], landmarks: npt.NDArray[np.float32], rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Show a face as another shot might: smaller, in another light, compressed, from the other side."""
    scale = rng.uniform(0.35, 1.0)
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.float32)
    small = small * rng.uniform(0.8, 1.2, 3) * rng.uniform(0.8, 1.2) + rng.uniform(-15, 15)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 90))]
    data = cv2.imencode(".jpg", small.clip(0, 255).astype(np.uint8), quality)[1]
    varied, points = cv2.imdecode(data, cv2.IMREAD_COLOR), landmarks * scale
    if rng.random() < 0.5:
        varied = varied[:, ::-1]
        points = (points * [-1, 1] + [varied.shape[1], 0])[[1, 0, 2, 4, 3]]
    jitter = rng.normal(0, 1.5 * scale, points.shape)
    return np.ascontiguousarray(varied), (points + jitter).astype(np.float32)


def fit(values: npt.NDArray[np.float32], people: npt.NDArray[np.str_]) -> tuple[Float64Array, Float64Array]:
    """Fit a linear discriminant analysis on the principal components -> (mean, projection)."""
    mean = values.mean(0, dtype=np.float64)
    _, sizes, axes = np.linalg.svd(values - mean, full_matrices=False)
    components = axes[:COMPONENTS].T / np.sqrt(sizes[:COMPONENTS] / np.sqrt(len(values)))
    reduced = (values - mean) @ components
    who = np.unique(people, return_inverse=True)[1]
    counts = np.bincount(who)
    centres = np.zeros((len(counts), reduced.shape[1]))
    np.add.at(centres, who, reduced)
    centres /= counts[:, None]
    within = (reduced - centres[who]).T @ (reduced - centres[who]) / len(reduced)
    between = (centres.T * counts) @ centres / len(reduced)
    within += SHRINKAGE * np.trace(within) / len(within) * np.eye(len(within))
    whiten = np.linalg.inv(np.linalg.cholesky(within))
    _, vectors = np.linalg.eigh(whiten @ between @ whiten.T)
    return mean, components @ whiten.T @ vectors[:, ::-1][:, :DIMENSIONS]


def print_errors(embeddings: Float64Array, people: npt.NDArray[np.str_], pictures: npt.NDArray[np.str_]) -> None:
    """Print the share of pairs of one person that is missed, at thresholds that accept a share of other pairs."""
    embeddings = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    first, second = np.triu_indices(len(embeddings), 1)
    similarity = (embeddings @ embeddings.T)[first, second]
    same, other_picture = people[first] == people[second], pictures[first] != pictures[second]
    others = np.sort(similarity[~same])
    print(f"{len(np.unique(people))} people, {(same & other_picture).sum()} pairs of one, {len(others)} of two")
    for share in FALSE_ACCEPTANCE:
        threshold = others[int(len(others) * (1 - share))]
        missed = (similarity[same & other_picture] < threshold).mean()
        print(f"above {threshold:.3f}: {share:.1%} of two people taken for one, {missed:.1%} of one missed")


if __name__ == "__main__":
    main()
