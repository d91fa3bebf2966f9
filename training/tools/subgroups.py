"""Measure errors by subgroups that a crop itself shows: light, view and skin tone.

    python -m training.tools.subgroups --model mobilenet-gru --data FACES

Validation clips, as they are stored, in groups by light (mean of L* in the face), view (how far the nose is
from the middle of the face) and skin (individual typology angle of the cheeks; Chardon et al., 1991). The
angle depends on the light as well: it sorts pictures, not people. Prints AUC and what each group is counts.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.evaluation import metrics
from training.evaluation.tables import aligned
from training.fit.predict import predict
from training.fit.torch_dataset import PlainClips, cached_meshes, decode
from training.release.calibration import probabilities
from training.release.score_validation import validation_clips
from training.synthesis import landmarks
from unmask.models import torch_model

CHEEKS = ((117, 118, 101, 36, 205, 50), (346, 347, 330, 266, 425, 280))  # outlines, as indices into the mesh
LEFT, RIGHT, NOSE_TIP = 234, 454, 1
VIEW_FROM = {"frontal": 0.0, "half turned": 0.15, "side": 0.4}  # of half the face's width
LIGHT_FROM = {"dark": 0.0, "medium": 40.0, "bright": 60.0}  # L*, 0 to 100
SKIN_FROM = {"dark": -90.0, "brown": -30.0, "tan": 10.0, "medium": 28.0, "light": 41.0}  # degrees
KINDS = {"light": LIGHT_FROM, "view": VIEW_FROM, "skin": SKIN_FROM}  # fields of `Subgroups`
LABELS = ("fake", "uncertain", "real")

Image = NDArray[np.uint8]
Points = NDArray[np.float32]


@dataclass(frozen=True)
class Subgroups:
    """The subgroups of a crop."""

    light: str
    view: str
    skin: str


def main() -> None:
    """Print the table for the data that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a folder, or a name")
    parser.add_argument("--data", type=Path, action="append", required=True, help="folder of stored clips")
    parser.add_argument("--meshes", type=Path, default=Path("meshes"), help="folder where meshes are kept")
    parser.add_argument("--limit", type=int, help="only so many real videos of each folder")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    model = torch_model.load(arguments.model)
    clips = [clip for some in validation_clips(arguments.data, arguments.limit).values() for clip in some]
    found = [
        subgroups_of(decode(clip)[0], points[0])
        for clip, points in zip(clips, cached_meshes(clips, arguments.meshes), strict=True)
    ]
    logits, fake = predict(model.module, PlainClips(clips, model.spec), model.spec, arguments.workers)
    probability = probabilities(logits, model.calibration)
    labels = [model.policy.label(float(value)) for value in probability]
    print(table(found, probability, labels, fake))


def subgroups_of(image: Image, points: Points) -> Subgroups:
    """Assign a crop (S, S, 3) RGB with its mesh (468, 2) to subgroups."""
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    face = lab[_inside(points[list(landmarks.OVAL)], image.shape[0])]
    cheeks = np.concatenate([lab[_inside(points[list(outline)], image.shape[0])] for outline in CHEEKS])
    lightness, _, yellow = np.median(cheeks, 0)
    return Subgroups(
        group(LIGHT_FROM, float(face[:, 0].mean())),
        group(VIEW_FROM, yaw(points)),
        group(SKIN_FROM, float(np.degrees(np.arctan2(lightness - 50, max(yellow, 1e-3))))),
    )


def yaw(points: Points) -> float:
    """Measure how far the tip of the nose is from the middle of the face, in halves of its width; 0 is frontal."""
    left, right, nose = (points[index, 0] for index in (LEFT, RIGHT, NOSE_TIP))
    return float(abs(nose - (left + right) / 2) / max(abs(right - left) / 2, 1e-3))


def group(starts: dict[str, float], value: float) -> str:
    """Return the last group that starts at or below the value; the first for what lies below all."""
    names = list(starts)
    return names[max(0, int(np.searchsorted(list(starts.values()), value, side="right")) - 1)]


def _inside(outline: Points, side_px: int) -> NDArray[np.bool_]:
    filled = np.zeros((side_px, side_px), np.uint8)
    cv2.fillConvexPoly(filled, cv2.convexHull(outline.astype(np.float32)).astype(np.int32), 1)
    filled[0, 0] |= not filled.any()  # a face outside of its crop has one pixel
    return filled > 0


def table(
    found: Sequence[Subgroups], probability: NDArray[np.float64], labels: Sequence[str], fake: NDArray[np.bool_]
) -> str:
    """Format a row for each group that holds clips."""
    rows = []
    said = np.array(labels)
    for kind, names in KINDS.items():
        for name in names:
            own = np.array([getattr(item, kind) == name for item in found])
            reals, fakes = own & ~fake, own & fake
            if not (reals.any() and fakes.any()):
                continue
            area = metrics.bootstrap(
                metrics.auc, probability[own], fake[own], [str(row) for row in np.flatnonzero(own)], 1000
            )
            alarms = metrics.share(int((said[reals] == "fake").sum()), int(reals.sum()))
            counts = [str(int((said[some] == label).sum())) for some in (reals, fakes) for label in LABELS]
            rows.append(
                [kind, name, str(area), f"{alarms.value:.1%} ({alarms.low:.0%}–{alarms.high:.0%})"]
                + ["/".join(counts[:3]), "/".join(counts[3:])]
            )
    header = ["", "group", "AUC", "reals called fake", "reals: fake/?/real", "fakes: fake/?/real"]
    return aligned(header, rows)


if __name__ == "__main__":
    main()
