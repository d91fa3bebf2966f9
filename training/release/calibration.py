"""Fit the calibration and the thresholds of a model on scored validation data. Pure functions.

The scores are one `score_table.Table`: pairs of a real clip and a fake, re-compressed; real clips under each of
CORRUPTED and BLURRED; clips as they are stored; whole videos of each data folder, which are domains.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from math import ceil

import numpy as np
from numpy.random import Generator
from scipy.stats import beta
from sklearn.linear_model import LogisticRegression

from training.evaluation.corruptions import Condition
from training.evaluation.metrics import auc
from training.release.evidence_scale import fit_evidence
from training.release.score_table import Bools, Floats, Table, balanced_weights, by_column, select
from unmask.verdict import Calibration, Policy

MAX_FALSE_ALARMS = 0.005  # of real clips, labelled fake: half of the target of 1 %, as people of other data differ
MAX_WRONG = 0.05  # of the clips that get a label, fakes as frequent as reals
MAX_MISSED = 0.03  # of the fakes of a domain, labelled real
COMPOSITE_FACES = (2, 4, 8)  # of the composites on which the correction for several faces is fitted
CROWD_WEIGHTS = tuple(step / 20 for step in range(21))
MAX_WITHHELD = 0.02  # of right labels, because a second pass after re-compression says otherwise
CONFIDENCE = 0.9  # of the bound on MAX_WRONG
CORRUPTED = tuple(  # as ordinary uploads are; no more false alarms under any of them
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
BLURRED = (Condition("blur", 3), Condition("blur", 4))  # `FaceRules` exclude what is blurred more
MIN_SLOPE = 0.01  # of a model that ranks no better than chance, so that it abstains
DRAWS = 20  # halvings of the data that check the thresholds
MIN_ITEMS = 20  # pairs and corrupted reals, that halves are not empty


def fit(table: Table) -> tuple[Calibration, Policy]:
    """Fit calibration, thresholds, and the grades of what lies between the thresholds."""
    calibration = fit_temperature([select(table, "pairs"), *by_column(select(table, "videos"), "domain")])
    videos = select(table, "videos")
    policy = select_thresholds(table, calibration)
    policy = replace(policy, evidence=fit_evidence(videos, calibration, policy))
    crowd_weight = fit_crowd_weight(videos, calibration, policy.evidence.moderate[1])
    return calibration, replace(policy, crowd_weight=crowd_weight)


def fit_crowd_weight(videos: Table, calibration: Calibration, edge: float) -> float:
    """Fit how much each of several faces loses, as `verdict.multi_face_correction` says, on composites of videos.

    A composite shows the faces of several real videos of one domain. The smallest weight with which the highest of
    COMPOSITE_FACES exceeds `edge`, in log-odds, no more often than a single face does, domains weighing the same; 1,
    as if one face in a group were fake as often as a single face, where none does.
    """
    domains = [rows["logit"] / calibration.temperature + calibration.bias for rows in by_column(videos, "domain")]
    reals = [some[~rows["fake"]] for some, rows in zip(domains, by_column(videos, "domain"), strict=True)]
    reals = [some for some in reals if len(some)]

    def alarms(faces: int, weight: float) -> float:
        below = [(some <= edge + weight * math.log(faces)).mean() for some in reals]
        return float(np.mean([1 - share**faces for share in below]))

    if not any((some > edge).any() for some in reals):
        return 1.0
    kept = (weight for weight in CROWD_WEIGHTS if all(alarms(n, weight) <= alarms(1, 0) for n in COMPOSITE_FACES))
    return next(kept, 1.0)


def fit_temperature(domains: Sequence[Table]) -> Calibration:
    """Fit a line (Platt, 1999) to the log-odds; labels weigh the same, and so do the domains of each label."""
    rows, weights = np.concatenate(domains), np.concatenate([balanced_weights(domain, domains) for domain in domains])
    line = LogisticRegression(C=1e6).fit(rows["logit"][:, None], rows["fake"], sample_weight=weights * len(rows))
    return Calibration(temperature=1 / max(float(line.coef_[0, 0]), MIN_SLOPE), bias=float(line.intercept_[0]))


def select_thresholds(table: Table, calibration: Calibration) -> Policy:
    """Select the narrowest abstain band that meets both targets in every domain, and when else to abstain."""
    pairs, videos, stored = (select(table, part) for part in ("pairs", "videos", "stored"))
    domains = [*by_column(videos, "domain")] if len(videos) else [stored] if len(stored) else []
    judged = [(probabilities(rows["logit"], calibration), rows["fake"]) for rows in (pairs, *domains)]
    everything = [judged[0]]  # a small domain alone gives no bound on wrong labels
    if domains:
        everything.append(
            (np.concatenate([p for p, _ in judged[1:]]), np.concatenate([fake for _, fake in judged[1:]]))
        )
    corrupted = by_column(select(table, "corrupted"), "condition")
    fake_above = max(
        conformal_threshold(judged[0][0][~pairs["fake"]]),
        *(conformal_threshold_or_max(probability[~fake]) for probability, fake in judged[1:]),
        *(conformal_threshold(probabilities(rows["logit"], calibration)) for rows in corrupted),
        *(trusted_above(probability, fake) for probability, fake in everything),
    )
    real_below = min(
        *(below_fakes(probability, fake, fake_above) for probability, fake in everything),
        *(conformal_lower_threshold(p[fake]) for p, fake in judged[1:] if len(videos) and fake.any()),
    )
    policy = Policy(real_below=round(real_below, 4), fake_above=round(fake_above, 4))
    return replace(
        policy,
        min_sharpness=ceil(1e4 * min_sharpness(select(table, "blurred"), calibration, policy)) / 1e4,
        max_drift=round(max_recompression_shift(pairs, calibration, policy), 3),
    )


def min_sharpness(blurred: Table, calibration: Calibration, policy: Policy) -> float:
    """Select the sharpness above which at most MAX_FALSE_ALARMS of the reals at any blur are called fake."""
    called_fake = probabilities(blurred["logit"], calibration) > policy.fake_above
    if not called_fake.any():
        return 0.0
    values = np.where(called_fake, blurred["sharpness"], 0.0)
    return max(conformal_threshold(values[blurred["condition"] == level]) for level in np.unique(blurred["condition"]))


def max_recompression_shift(pairs: Table, calibration: Calibration, policy: Policy) -> float:
    """Return how far, in log-odds, re-compression moves right labels the other way, except MAX_WITHHELD of them."""
    probability = probabilities(pairs["logit"], calibration)
    right_fake = (probability > policy.fake_above) & pairs["fake"]
    right_real = (probability < policy.real_below) & ~pairs["fake"]
    shift = (pairs["logit"] - pairs["recompressed_logit"]) / calibration.temperature
    shifts = np.concatenate([shift[right_fake], -shift[right_real]])
    return max(0.0, float(np.quantile(shifts, 1 - MAX_WITHHELD))) if len(shifts) else policy.max_drift


def conformal_threshold(reals: Floats) -> float:
    """Return the score that a new real exceeds with probability MAX_FALSE_ALARMS at most (Vovk et al., 2005)."""
    rank = int(np.ceil((1 - MAX_FALSE_ALARMS) * (len(reals) + 1)))
    return float(np.sort(reals)[rank - 1]) if rank <= len(reals) else 1.0


def conformal_lower_threshold(fakes: Floats) -> float:
    """Return the conformal threshold: a new fake of the domain is below it with probability MAX_MISSED at most."""
    rank = int(MAX_MISSED * (len(fakes) + 1))
    return float(np.sort(fakes)[rank - 1]) if rank else 0.0


def conformal_threshold_or_max(reals: Floats) -> float:
    """Return the conformal threshold, or the highest real of a domain with too few for it."""
    return min(conformal_threshold(reals), float(reals.max())) if len(reals) else 0.0


def trusted_above(probability: Floats, fake: Bools) -> float:
    """Return the lowest threshold above which, at CONFIDENCE, at most MAX_WRONG are real; 1 where there is none."""
    order = np.argsort(-probability, kind="stable")
    weights = weigh_labels(fake)[order]
    kept = np.flatnonzero(bound_on_wrong(weights * ~fake[order], weights) <= MAX_WRONG)
    return float(probability[order][kept[-1]]) if len(kept) else 1.0


def below_fakes(probability: Floats, fake: Bools, fake_above: float) -> float:
    """Return the highest threshold for `real` at which, at CONFIDENCE, at most MAX_WRONG of all labels are wrong.

    0 where there is none.
    """
    labelled_fake = probability > fake_above
    order = np.argsort(np.where(labelled_fake, -1.0, probability), kind="stable")  # what is called fake comes first
    weights, right = weigh_labels(fake)[order], (fake == labelled_fake)[order]
    kept = np.flatnonzero(bound_on_wrong(weights * ~right, weights) <= MAX_WRONG)
    kept = kept[~labelled_fake[order][kept]]
    return float(probability[order][kept[-1]]) if len(kept) else 0.0


def weigh_labels(fake: Bools) -> Floats:
    """Weigh fakes and reals so that each weigh 1 in all."""
    return np.where(fake, 1 / max(1, fake.sum()), 1 / max(1, (~fake).sum()))


def bound_on_wrong(wrong: Floats, weights: Floats) -> Floats:
    """Bound the share of what is wrong among the first rows, for each number of them, at CONFIDENCE.

    The bound of Clopper and Pearson (1934), weighted rows counting as many equal ones as tell as much (Kish, 1965).

    Args:
        wrong: weights of the rows that are wrong, 0 of the others.
        weights: of all rows.
    """
    total = np.cumsum(weights)
    count = total**2 / np.cumsum(weights**2)
    found = count * np.cumsum(wrong) / total
    return np.asarray(beta.ppf(CONFIDENCE, found + 1, np.maximum(count - found, 1e-9)), np.float64)


def probabilities(logits: Floats, calibration: Calibration) -> Floats:
    """Calibrate an array of logits, as `Calibration.log_odds` and `to_probability` do one."""
    return 1 / (1 + np.exp(-(logits / calibration.temperature + calibration.bias)))


def headline(table: Table) -> str:
    """Say in a line how well the model ranks re-compressed validation clips."""
    pairs, parts = select(table, "pairs"), []
    for blended, name in ((False, "true fakes"), (True, "blended fakes")):
        rows = pairs[pairs["blended"] == blended]
        if len(rows):
            parts.append(f"{auc(rows['logit'], rows['fake']):.3f} on {name}")
    return f"validation AUC of re-compressed clips: {', '.join(parts)}"


def check_on_halves(table: Table) -> str:
    """Fit on one half of the data and measure the other, DRAWS times -> mean rates as JSON."""
    fewest = min(len(np.unique(select(table, part)["item"])) for part in ("pairs", "corrupted"))
    if fewest < MIN_ITEMS:
        return f"{fewest} clips are too few to check the thresholds on halves of them; {MIN_ITEMS} is the least"
    rng = np.random.default_rng(0)
    rates = []
    for _ in range(DRAWS):
        first, second = split_in_halves(table, rng)
        rates.append(_rates(second, *fit(first)))
    return json.dumps({key: round(float(np.mean([rate[key] for rate in rates])), 4) for key in rates[0]})


def split_in_halves(table: Table, rng: Generator) -> tuple[Table, Table]:
    """Split the items of every part and domain at random into halves."""
    first = np.zeros(len(table), bool)
    for part, domain in np.unique(table[["part", "domain"]]):
        own = (table["part"] == part) & (table["domain"] == domain)
        items = rng.permutation(np.unique(table["item"][own]))
        first |= own & np.isin(table["item"], items[: (len(items) + 1) // 2])
    return table[first], table[~first]


def _rates(table: Table, calibration: Calibration, policy: Policy) -> dict[str, float]:
    pairs, stored, blurred = (select(table, part) for part in ("pairs", "stored", "blurred"))
    found = label_rates(probabilities(pairs["logit"], calibration), pairs["fake"], policy)
    others = {str(rows["domain"][0]): rows for rows in by_column(select(table, "videos"), "domain")}
    if len(stored):
        others["stored"] = stored
    for name, rows in others.items():
        rates = label_rates(probabilities(rows["logit"], calibration), rows["fake"], policy)
        found |= {f"{name}_{key}": value for key, value in rates.items()}
    blurred = blurred[blurred["sharpness"] >= policy.min_sharpness]
    for name, rows in (("corrupted", select(table, "corrupted")), ("blurred", blurred)):
        every = select(table, name)
        alarms = rows[probabilities(rows["logit"], calibration) > policy.fake_above]
        counts = [
            (alarms["condition"] == level).sum() / (every["condition"] == level).sum()
            for level in np.unique(every["condition"])
        ]
        found[f"{name}_reals_labelled_fake"] = float(max(counts))
    return found


def label_rates(probability: Floats, fake: Bools, policy: Policy) -> dict[str, float]:
    """Compute how often reals and fakes get which label, and how often a label is wrong."""
    called_fake, called_real = probability > policy.fake_above, probability < policy.real_below
    labelled = called_fake | called_real
    wrong = (called_fake & ~fake) | (called_real & fake)
    return {
        "reals_labelled_fake": _share(called_fake[~fake]),
        "fakes_labelled_fake": _share(called_fake[fake]),
        "reals_labelled_real": _share(called_real[~fake]),
        "wrong_of_labelled": float(wrong.sum() / max(1, labelled.sum())),
        "wrong_of_labelled_real": float((called_real & fake).sum() / max(1, called_real.sum())),
        "abstained": float(1 - labelled.mean()),
    }


def _share(rows: Bools) -> float:
    return float(rows.mean()) if len(rows) else 0.0
