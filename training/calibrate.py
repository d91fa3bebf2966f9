"""Fit a model's calibration and thresholds on validation faces, and write the model folder.

    python -m training.calibrate --faces DIR --run RUN --out space/weights/mobilenet-gru

Fitted on the validation split of the faces alone: its reals, its DFDC fakes, and blended fakes of its reals,
all re-compressed as the web does; never on a set that is marked for evaluation.
"""

import argparse
import functools
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression

from training.augment import AugmentSpec
from training.catalog import FaceImage, face_shards
from training.dataset import FacePairs, PairSpec
from training.metrics import auc
from training.train import by_split, meshes, predict
from unmask import weights
from unmask.clips import ClipSpec
from unmask.models import MobileNetGru, MobileNetGruConfig
from unmask.verdict import Calibration, Policy

MAX_FALSE_ALARMS = 0.01  # of real validation clips, labelled fake
MAX_MISSED = 0.10  # of validation clips labelled real, fakes as frequent as reals
WEB = AugmentSpec(colour=0.0, blur=0.0, noise=0.0, resize=0.4, compression=0.7)


@dataclass(frozen=True)
class Scored:
    """Logits of validation clips, as many reals as fakes: first DFDC's fakes and reals, then blended ones."""

    logits: np.ndarray  # (n,)
    fake: np.ndarray  # (n,) bool


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True, help="run folder of the step `clips`")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--side", type=int, default=ClipSpec.side_px)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    spec, config = ClipSpec(side_px=arguments.side), MobileNetGruConfig()
    model = MobileNetGru(config)
    model.load_state_dict(load_file(arguments.run / "model.safetensors"))
    _, validation = by_split(face_shards(arguments.faces))
    scored = score_validation(model, validation, spec, arguments.run)
    calibration = fit_calibration(scored)
    policy = fit_policy(scored, calibration)
    on_dfdc, on_blended = (_auc_against(scored, kind) for kind in (0, 1))
    headline = f"validation AUC: {on_dfdc:.3f} on DFDC faces, {on_blended:.3f} on blended faces"
    file = weights.ModelConfigFile(
        "mobilenet-gru", "mobilenet-gru", config, spec, calibration, policy, headline
    )
    weights.save(arguments.out, model, file)
    print(headline)
    print(calibration, policy)
    print(_shares(scored, calibration, policy))


def score_validation(model: MobileNetGru, faces: list[FaceImage], spec: ClipSpec, run: Path) -> Scored:
    """Clips of the model's own length out of single validation faces: reals, DFDC fakes, blended fakes."""
    reals = [face for face in faces if not face.fake]
    points = meshes(reals, run / "meshes-val.npy")
    draw = PairSpec(spec, augment=WEB, seed=7)
    data = functools.partial(FacePairs, reals, points)
    true_fakes = data([face for face in faces if face.fake], replace(draw, blended_share=0.0))
    blended = data([], replace(draw, blended_share=1.0))
    first, second = (predict(model, pairs, spec) for pairs in (true_fakes, blended))
    logits, fake = (np.concatenate(pair) for pair in zip(first, second, strict=True))
    return Scored(logits, fake)


def fit_calibration(scored: Scored) -> Calibration:
    """Platt scaling: the log-odds that explain the validation labels best."""
    fit = LogisticRegression(C=1e6).fit(scored.logits[:, None], scored.fake)
    return Calibration(temperature=1 / float(fit.coef_[0, 0]), bias=float(fit.intercept_[0]))


def fit_policy(scored: Scored, calibration: Calibration) -> Policy:
    """The narrowest abstain band that keeps both promises on the validation clips."""
    probability = _probabilities(scored, calibration)
    reals = np.sort(probability[~scored.fake])
    rank = int(np.ceil((1 - MAX_FALSE_ALARMS) * (len(reals) + 1))) - 1  # split-conformal, Vovk et al. 2005
    fake_above = float(reals[min(rank, len(reals) - 1)])
    order = np.argsort(probability)
    missed = np.cumsum(scored.fake[order]) / np.arange(1, len(order) + 1)
    kept = np.flatnonzero((missed <= MAX_MISSED) & (np.arange(len(order)) >= 50))
    real_below = float(probability[order][kept[-1]]) if len(kept) else 0.0
    return Policy(real_below=round(min(real_below, fake_above), 4), fake_above=round(fake_above, 4))


def _probabilities(scored: Scored, calibration: Calibration) -> np.ndarray:
    return 1 / (1 + np.exp(-(scored.logits / calibration.temperature + calibration.bias)))


def _auc_against(scored: Scored, kind: int) -> float:
    half = len(scored.logits) // 2
    part = slice(kind * half, (kind + 1) * half)
    return auc(scored.logits[part], scored.fake[part])


def _shares(scored: Scored, calibration: Calibration, policy: Policy) -> str:
    probability = _probabilities(scored, calibration)
    lines = []
    for name, rows in (("real", ~scored.fake), ("fake", scored.fake)):
        above = float((probability[rows] > policy.fake_above).mean())
        below = float((probability[rows] < policy.real_below).mean())
        lines.append(f"{name}: {above:.1%} labelled fake, {below:.1%} labelled real")
    return "; ".join(lines)


if __name__ == "__main__":
    main()
