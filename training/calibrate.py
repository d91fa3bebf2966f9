"""Fit a model's calibration and thresholds on validation clips, and write the model folder that is shipped.

    python -m training.calibrate --run RUN --data FACES [--data CLIPS] --out space/unmask/models/weights/mobilenet-gru

Only rows of the split "val" are used, and every data folder is a domain for which the promises are kept. What is
fitted: whole videos as they are stored, by their pooled logits, since that is what is shown; single clips, with true
fakes of their folder and blended ones, re-compressed as the web does, and mildly once more, as serving does before it
gives an answer; and reals corrupted in each way of HARD, the worst of which decides what is called fake. Reals blurred
as in BLURRED would put that beyond most fakes; they decide how sharp a face must be to get an answer. A folder without
such rows is refused, so nothing is ever fitted on a set that is for measuring. Keeps the logits in
RUN/validation.npz, and prints what the thresholds give on halves of the data that they were not fitted on.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import beta
from sklearn.linear_model import LogisticRegression
from torch.utils.data import Dataset

from training.data.augment import NO_AUGMENTATION
from training.data.shards import StoredClip, read_clips
from training.evaluation.corruptions import Condition
from training.evaluation.eval_sets import face_clip
from training.evaluation.metrics import auc
from training.fit.predict import predict
from training.fit.recipes import Mixture
from training.fit.run_folder import RunFolder
from training.fit.torch_dataset import ClipPairs, Pair, PlainClips, as_face_clip, cached_meshes
from training.fit.training_clips import spread_evenly
from unmask.faces.clips import ClipSpec, recompressed
from unmask.faces.tracking import crop_sharpness
from unmask.models import checkpoint, inference
from unmask.models.architectures import VideoModel
from unmask.verdict import Calibration, ClipScore, Policy, pool

MAX_FALSE_ALARMS = 0.005  # of real clips, labelled fake: half of the promised 1 %, as people elsewhere differ
MAX_WRONG = 0.05  # of the clips that get a label, fakes as frequent as reals
MAX_WITHHELD = 0.02  # of right labels, because a second look after re-compression says otherwise
CONFIDENCE = 0.9  # with which the second promise holds
WEB = replace(NO_AUGMENTATION, geometry=1.0, resize=0.4, compression=0.7)
HARD = tuple(  # what ordinary uploads go through; no false alarms more often under any of them
    Condition(kind, level)
    for kind, levels in {
        "h264": (28, 34, 40),
        "jpeg": (30,),
        "resize": (2, 4),
        "blur": (1, 2),
        "noise": (8,),
        "brightness": (-80,),
    }.items()
    for level in levels
)
BLURRED = (Condition("blur", 3), Condition("blur", 4))  # what is blurred more, `FaceRules` leave out anyway
MIN_SLOPE = 0.01  # of a model that ranks no better than chance: its probabilities say nothing, and it abstains
HARD_REALS = 400  # real clips under each
VIDEOS = 600  # of each label and folder, at most
DRAWS = 20  # halvings of the data, to see whether the promises hold on the other half
FEWEST = 20  # pairs and hard reals that can be halved so often without an empty half

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]
NONE: Floats = np.zeros(0)
Item = TypeVar("Item")


@dataclass(frozen=True)
class Videos:
    """The validation videos of one data folder."""

    logits: Floats  # (n,) pooled over the clips of each
    fake: Rows  # (n,)

    def half(self, chosen: Rows) -> "Videos":
        """Keep the chosen videos."""
        return Videos(self.logits[chosen], self.fake[chosen])


@dataclass(frozen=True)
class Scored:
    """Validation clips, as many reals as fakes: a real one beside each fake."""

    logits: Floats  # (n,)
    fake: NDArray[np.bool_]  # (n,)
    blended: NDArray[np.bool_]  # (n,) the pair's fake is a blended one
    again: Floats  # (n,) of the same clips, mildly re-compressed
    hard: Floats  # (conditions, m) of the same real clips under each condition of HARD
    blurred: Floats  # (levels, k) of all real clips under each of BLURRED
    sharpness: Floats  # (levels, k) of their crops
    plain: Floats  # (l,) of clips as they are stored, l / 2 of each kind; none without true fakes
    plain_fake: NDArray[np.bool_]  # (l,)

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """How many pairs, hard reals, plain clips and blurred reals there are."""
        return len(self.fake) // 2, self.hard.shape[1], len(self.plain), self.blurred.shape[1]

    def half(self, pairs: Rows, reals: Rows, plain: Rows, blurred: Rows) -> "Scored":
        """Take some of the pairs, of the hard reals, of the plain clips, and of the blurred reals."""
        chosen = np.repeat(pairs, 2)
        return Scored(
            self.logits[chosen],
            self.fake[chosen],
            self.blended[chosen],
            self.again[chosen],
            self.hard[:, reals],
            self.blurred[:, blurred],
            self.sharpness[:, blurred],
            self.plain[plain],
            self.plain_fake[plain],
        )


class Again(Dataset[Pair]):
    """The same pairs, mildly re-compressed."""

    def __init__(self, pairs: ClipPairs) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Pair:
        spec = self.pairs.spec
        return [(recompressed(as_face_clip(clip, spec)).data, fake) for clip, fake in self.pairs[index]]


class SpoiledReals(Dataset[Pair]):
    """Real clips under one condition."""

    def __init__(self, clips: Sequence[StoredClip], spec: ClipSpec, condition: Condition) -> None:
        self.clips, self.spec, self.condition = clips, spec, condition

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Pair:
        face = face_clip(self.clips[index], self.spec, self.condition)
        return [(face.data, False)]


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="run folder of the stage `clips`")
    parser.add_argument("--data", type=Path, action="append", required=True, help="folder of stored clips")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--limit", type=int, help="only so many real videos of each folder: quicker, and looser")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    start = RunFolder(arguments.run)
    model = inference.load(str(start.model), torch.device("cpu"))
    cache = arguments.run.parent / "meshes"
    clips = validation_clips(arguments.data, arguments.limit)
    scored = score_validation(model.module, clips, model.spec, cache, arguments.workers)
    videos = {
        name: score_videos(model.module, some, model.spec, arguments.workers)
        for name, some in validation_clips(arguments.data).items()
    }
    by_video = {f"{name}/{key}": value for name, some in videos.items() for key, value in vars(some).items()}
    np.savez(arguments.run / "validation.npz", **vars(scored), **by_video)
    calibration, policy = fit(scored, videos)
    file = replace(
        checkpoint.read_config(start.model), calibration=calibration, policy=policy, headline=headline(scored)
    )
    checkpoint.save(arguments.out, checkpoint.restore(start.model), file)
    print(file.headline, calibration, policy, sep="\n")
    print(promises(scored, videos))


def validation_clips(folders: Sequence[Path], limit: int | None = None) -> dict[str, list[StoredClip]]:
    """Read the clips that may be fitted on, at most `limit` real and `limit` fake ones a folder.

    Raises:
        ValueError: a folder holds none; names it.
    """
    found = {}
    for folder in folders:
        clips = [clip for clip in read_clips(folder) if clip.split == "val"]
        if not clips:
            raise ValueError(f"{folder.name} holds no row of split `val`: it is not for fitting")
        found[folder.name] = clips if limit is None else spread_evenly(clips, limit)
    return found


def score_validation(
    model: VideoModel, by_folder: Mapping[str, Sequence[StoredClip]], spec: ClipSpec, cache: Path, workers: int
) -> Scored:
    """Score pairs of a real clip with a true fake of its folder, then with a blended one, as the web leaves them.

    A photograph is a clip of one frame.
    """
    parts, hard, blurred, sharpness, plain = [], [], [], [], []
    for clips in by_folder.values():
        own = replace(spec, frames_per_clip=min(spec.frames_per_clip, max(len(clip.jpegs) for clip in clips)))
        reals, fakes = ([clip for clip in clips if clip.fake == fake] for fake in (False, True))
        meshes = cached_meshes(reals, cache)
        for blended in (False, True) if fakes else (True,):
            mixture = Mixture(blended_share=float(blended), same_source=False, augment=WEB)
            pairs = ClipPairs(reals, meshes, [] if blended else fakes, own, mixture, seed=7)
            logits, fake = predict(model, pairs, own, workers)
            again, _ = predict(model, Again(pairs), own, workers)
            parts.append((logits, fake, np.full(len(fake), blended), again))
        hard_reals = evenly(reals, HARD_REALS // len(by_folder))
        hard.append([predict(model, SpoiledReals(hard_reals, own, way), own, workers)[0] for way in HARD])
        soft, clear = score_blurred(model, reals, own, workers)
        blurred.append(soft)
        sharpness.append(clear)
        alike = min(len(reals), len(fakes))
        if alike:
            plain.append(predict(model, PlainClips([*evenly(reals, alike), *evenly(fakes, alike)], own), own, workers))
    logits, fake, kind, again = (np.concatenate(column) for column in zip(*parts, strict=True))
    plain_logits, plain_fake = (np.concatenate(column) for column in zip((NONE, NONE > 0), *plain, strict=True))
    worst, soft, clear = (np.concatenate(column, 1) for column in (hard, blurred, sharpness))
    return Scored(logits, fake, kind, again, worst, soft, clear, plain_logits, plain_fake)


def score_videos(model: VideoModel, clips: Sequence[StoredClip], spec: ClipSpec, workers: int) -> Videos:
    """Score whole videos as they are stored, at most VIDEOS real and as many fake ones."""
    clips_of: dict[str, list[StoredClip]] = {}
    for clip in clips:
        clips_of.setdefault(clip.video_id, []).append(clip)
    chosen = [
        video
        for fake in (False, True)
        for video in evenly([some for some in clips_of.values() if some[0].fake == fake], VIDEOS)
    ]
    own = replace(spec, frames_per_clip=min(spec.frames_per_clip, max(len(clip.jpegs) for clip in clips)))
    logits, _ = predict(model, PlainClips([clip for some in chosen for clip in some], own), own, workers)
    ends = np.cumsum([len(some) for some in chosen])[:-1]
    pooled = [pool_clips(part, some) for part, some in zip(np.split(logits, ends), chosen, strict=True)]
    return Videos(np.array(pooled), np.array([some[0].fake for some in chosen]))


def pool_clips(logits: Floats, clips: Sequence[StoredClip]) -> float:
    """Pool the clips of one video as serving does; calibration is linear, so it may come afterwards."""
    scores = [
        ClipScore("", 0, 0.0, 0.0, len(clip.jpegs), 1.0, logit, logit)
        for clip, logit in zip(clips, logits.tolist(), strict=True)
    ]
    return pool(scores, Policy().trim)


def score_blurred(
    model: VideoModel, reals: Sequence[StoredClip], spec: ClipSpec, workers: int
) -> tuple[Floats, Floats]:
    """Logits and sharpness (levels, k) of real clips under each of BLURRED."""
    sets = [SpoiledReals(reals, spec, way) for way in BLURRED]
    logits = [predict(model, some, spec, workers)[0] for some in sets]
    sharpness = [[crop_sharpness(some[index][0][0]) for index in range(len(some))] for some in sets]
    return np.stack(logits), np.array(sharpness)


def evenly(items: Sequence[Item], count: int) -> list[Item]:
    """Choose at most so many, from all over the list."""
    return [items[row] for row in np.linspace(0, len(items) - 1, min(count, len(items))).astype(int)]


def fit(scored: Scored, videos: Mapping[str, Videos] | None = None) -> tuple[Calibration, Policy]:
    """Fit Platt scaling, the narrowest abstain band that keeps both promises everywhere, and when else to abstain."""
    domains = [Videos(scored.logits, scored.fake), *(videos or {}).values()]
    calibration = platt(domains)
    if len(scored.plain):
        domains.append(Videos(scored.plain, scored.plain_fake))
    judged = [(probabilities(domain.logits, calibration), domain.fake) for domain in domains]
    both = [(probability, fake) for probability, fake in judged if 0 < fake.sum() < len(fake)]
    fake_above = max(
        above_reals(judged[0][0][~scored.fake]),
        *(above_or_highest(probability[~fake]) for probability, fake in judged[1:]),
        *(above_reals(probabilities(logits, calibration)) for logits in scored.hard),
        *(trusted_above(probability, fake) for probability, fake in both),
    )
    real_below = min(below_fakes(probability, fake, fake_above) for probability, fake in both)
    policy = Policy(real_below=round(real_below, 4), fake_above=round(fake_above, 4))
    return calibration, replace(
        policy,
        min_sharpness=ceil(1e4 * sharp_enough(scored, calibration, policy)) / 1e4,
        max_drift=round(usual_drift(scored, calibration, policy), 3),
    )


def platt(domains: Sequence[Videos]) -> Calibration:
    """Fit a line (Platt, 1999) to the log-odds; labels weigh the same, and so do the domains of each label."""
    logits, fake = (np.concatenate([getattr(one, name) for one in domains]) for name in ("logits", "fake"))
    weights = np.concatenate([_weights(one, domains) for one in domains])
    line = LogisticRegression(C=1e6).fit(logits[:, None], fake, sample_weight=weights * len(fake))
    return Calibration(temperature=1 / max(float(line.coef_[0, 0]), MIN_SLOPE), bias=float(line.intercept_[0]))


def _weights(domain: Videos, domains: Sequence[Videos]) -> Floats:
    weights = np.zeros(len(domain.fake))
    for label in (False, True):
        rows = domain.fake == label
        weights[rows] = 0.5 / max(1, rows.sum()) / sum((one.fake == label).any() for one in domains)
    return weights


def above_or_highest(reals: Floats) -> float:
    """Return the conformal threshold, or the highest real of a domain with too few for it."""
    return min(above_reals(reals), float(reals.max())) if len(reals) else 0.0


def sharp_enough(scored: Scored, calibration: Calibration, policy: Policy) -> float:
    """At most MAX_FALSE_ALARMS of the reals at any level of BLURRED are sharper than this and called fake."""
    said_fake = probabilities(scored.blurred, calibration) > policy.fake_above
    if not said_fake.any():
        return 0.0
    return max(map(above_reals, np.where(said_fake, scored.sharpness, 0.0)))


def usual_drift(scored: Scored, calibration: Calibration, policy: Policy) -> float:
    """How far, in log-odds, re-compression moves right labels towards the other one, but for MAX_WITHHELD."""
    probability = probabilities(scored.logits, calibration)
    right_fake = (probability > policy.fake_above) & scored.fake
    right_real = (probability < policy.real_below) & ~scored.fake
    drift = (scored.logits - scored.again) / calibration.temperature
    drifts = np.concatenate([drift[right_fake], -drift[right_real]])
    return max(0.0, float(np.quantile(drifts, 1 - MAX_WITHHELD))) if len(drifts) else policy.max_drift


def above_reals(reals: Floats) -> float:
    """Split-conformal (Vovk et al., 2005): a new real clip exceeds it with at most MAX_FALSE_ALARMS."""
    rank = int(np.ceil((1 - MAX_FALSE_ALARMS) * (len(reals) + 1)))
    return float(np.sort(reals)[rank - 1]) if rank <= len(reals) else 1.0


def trusted_above(probability: Floats, fake: NDArray[np.bool_]) -> float:
    """Return the lowest threshold for `fake` above which, at CONFIDENCE, at most MAX_WRONG are real; else 1."""
    order = np.argsort(-probability, kind="stable")
    bound = highest_share(np.cumsum(~fake[order]), np.arange(1, len(order) + 1))
    kept = np.flatnonzero(bound <= MAX_WRONG)
    return float(probability[order][kept[-1]]) if len(kept) else 1.0


def below_fakes(probability: Floats, fake: NDArray[np.bool_], fake_above: float) -> float:
    """Return the highest threshold for `real` with which, at CONFIDENCE, at most MAX_WRONG of all labels are wrong.

    0 where there is none.
    """
    order = np.argsort(probability, kind="stable")
    said_fake = probability > fake_above
    labels = np.arange(1, len(order) + 1) + said_fake.sum()
    wrong = np.cumsum(fake[order]) + (said_fake & ~fake).sum()
    kept = np.flatnonzero((highest_share(wrong, labels) <= MAX_WRONG) & (probability[order] < fake_above))
    return float(probability[order][kept[-1]]) if len(kept) else 0.0


def highest_share(count: NDArray[np.int_], total: NDArray[np.int_]) -> Floats:
    """Return the upper bound of Clopper and Pearson (1934), at CONFIDENCE, on the share that a count stands for."""
    return np.asarray(beta.ppf(CONFIDENCE, count + 1, np.maximum(total - count, 1e-9)), np.float64)


def probabilities(logits: Floats, calibration: Calibration) -> Floats:
    """Apply `Calibration.log_odds` and `to_probability` to an array."""
    return 1 / (1 + np.exp(-(logits / calibration.temperature + calibration.bias)))


def headline(scored: Scored) -> str:
    """Sum up the AUC on validation, true and blended fakes apart."""
    parts = []
    for blended, name in ((False, "true fakes"), (True, "blended fakes")):
        rows = scored.blended == blended
        if rows.any():
            parts.append(f"{auc(scored.logits[rows], scored.fake[rows]):.3f} on {name}")
    return f"validation AUC of re-compressed clips: {', '.join(parts)}"


def promises(scored: Scored, videos: Mapping[str, Videos]) -> str:
    """Fit on one half of the data and measure the other, many times: what a person may rely on."""
    if (fewest := min(scored.sizes[:2])) < FEWEST:
        return f"{fewest} clips are too few to try the thresholds on halves of them; {FEWEST} is the least"
    rng = np.random.default_rng(0)
    rates = []
    for _ in range(DRAWS):
        chosen = [rng.permutation(size) < size / 2 for size in scored.sizes]
        own = {name: rng.permutation(len(some.fake)) < len(some.fake) / 2 for name, some in videos.items()}
        calibration, policy = fit(scored.half(*chosen), {name: videos[name].half(rows) for name, rows in own.items()})
        rest = scored.half(*(~rows for rows in chosen))
        found = label_rates(probabilities(rest.logits, calibration), rest.fake, policy)
        worst = (probabilities(rest.hard, calibration) > policy.fake_above).mean(1).max()
        blurred = (probabilities(rest.blurred, calibration) > policy.fake_above) & (
            rest.sharpness >= policy.min_sharpness
        )
        other = {name: videos[name].half(~rows) for name, rows in own.items()}
        if len(rest.plain):
            other["plain"] = Videos(rest.plain, rest.plain_fake)
        for name, some in other.items():
            found |= {
                f"{name}_{key}": value
                for key, value in label_rates(probabilities(some.logits, calibration), some.fake, policy).items()
            }
        found |= {
            "hard_reals_labelled_fake": float(worst),
            "blurred_reals_labelled_fake": float(blurred.mean(1).max()),
        }
        rates.append(found)
    return json.dumps({key: round(float(np.mean([r[key] for r in rates])), 4) for key in rates[0]})


def share(rows: Rows) -> float:
    """Return the share of rows that are True; 0 where there is none."""
    return float(rows.mean()) if len(rows) else 0.0


def label_rates(probability: Floats, fake: NDArray[np.bool_], policy: Policy) -> dict[str, float]:
    """Return how often reals and fakes get each label, how often a label is wrong, and how often there is none."""
    said_fake, said_real = probability > policy.fake_above, probability < policy.real_below
    confident = said_fake | said_real
    wrong = (said_fake & ~fake) | (said_real & fake)
    return {
        "reals_labelled_fake": share(said_fake[~fake]),
        "fakes_labelled_fake": share(said_fake[fake]),
        "reals_labelled_real": share(said_real[~fake]),
        "wrong_of_confident": float(wrong.sum() / max(1, confident.sum())),
        "wrong_of_labelled_real": float((said_real & fake).sum() / max(1, said_real.sum())),
        "abstained": float(1 - confident.mean()),
    }


if __name__ == "__main__":
    main()
