"""Measure how well plain file properties tell training's fakes from its reals: near 0.5 where there is no shortcut.

    python -m training.tools.shortcuts mobilenet-gru --data FACES [--data MORE] --meshes CACHE

Draws training pairs of each folder as `training.train … frames` does, and fits a classifier to what is known without
looking at a face: sharpness, noise, blockiness, contrast and mean colour. Prints the cross-validated AUC of each
folder; no person is in two folds.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GroupKFold, cross_val_predict

from training.evaluation.metrics import auc
from training.fit.recipes import RECIPES
from training.fit.torch_dataset import ClipPairs, cached_meshes
from training.fit.training_clips import limit_each_label, read_training_clips

FOLDS = 5
JPEG_BLOCK_PX = 8


def main() -> None:
    """Print the AUC of every folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", choices=sorted(RECIPES))
    parser.add_argument("--data", type=Path, action="append", required=True, metavar="DIR", help="folder of clips")
    parser.add_argument("--limit", type=int, default=500, help="real clips of a folder (%(default)s)")
    parser.add_argument("--meshes", type=Path, required=True, help="folder where face meshes are kept")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    config = RECIPES[arguments.recipe]
    spec = replace(config.clip, frames_per_clip=1)
    for folder in arguments.data:
        for clips in read_training_clips([(folder, 1)], None, 0).training:
            reals = [clip for clip in limit_each_label(clips, arguments.limit) if not clip.fake]
            fakes = [clip for clip in clips if clip.fake]
            meshes = cached_meshes(reals, arguments.meshes)
            pairs = ClipPairs(reals, meshes, fakes, spec, config.frames.mixture, 0)
            print(f"{folder.name}: AUC {shortcut_auc(pairs):.3f}, {len(pairs)} pairs")


def shortcut_auc(pairs: ClipPairs) -> float:
    """Fit a classifier to the properties of all pairs -> its cross-validated AUC."""
    found = [
        (properties(clip[0]), fake, pairs.reals[index].group)
        for index in range(len(pairs))
        for clip, fake in pairs[index]
    ]
    values, fake, groups = (np.array(column) for column in zip(*found, strict=True))
    folds = GroupKFold(min(FOLDS, len(set(groups))))
    model = HistGradientBoostingClassifier(max_iter=100, random_state=0)
    scores = cross_val_predict(model, values, fake, groups=groups, cv=folds, method="predict_proba")
    return auc(scores[:, 1], fake)


def properties(image: NDArray[np.uint8]) -> Sequence[float]:
    """Return what a face crop (S, S, 3) tells without its content."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    detail = cv2.Laplacian(grey, cv2.CV_32F)
    steps = np.abs(np.diff(grey, axis=1)).mean(0)
    edges = np.arange(len(steps)) % JPEG_BLOCK_PX == JPEG_BLOCK_PX - 1
    chroma = cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)[..., 1:].astype(np.float32), cv2.CV_32F)
    return [
        float(detail.var()),
        float(np.median(np.abs(detail))),
        float(chroma.var()),
        float(steps[edges].mean() / max(steps[~edges].mean(), 1e-3)),
        float(grey.std()),
        *image.reshape(-1, 3).mean(0).tolist(),
    ]


if __name__ == "__main__":
    main()
