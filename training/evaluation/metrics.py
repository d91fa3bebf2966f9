"""Measure how well scores separate fakes from reals. Pure functions; higher scores mean fake, labels are True for fake.

One score a video, a probability; 0.5 is the threshold where one is needed. The definitions are those of DeepfakeBench
(Yan et al., NeurIPS 2023).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import isotonic_regression

from training.evaluation.results import Difference, Interval

Scores = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]
Metric = Callable[[Scores, Labels], float]

THRESHOLD = 0.5
LOW_RATES = (0.001, 0.01, 0.05)  # of false positives, at which the share of found fakes is quoted
CALIBRATION_BINS = 10
DRAWS = 2000


@dataclass(frozen=True)
class Roc:
    """A ROC curve: one point a distinct threshold, from the strictest, where nothing is called fake, to the mildest.

    Equal to scikit-learn's `roc_curve(drop_intermediate=False)`, whose checks of its input take twenty times as long as
    the counting; a bootstrap computes thousands.
    """

    false_positive: Scores  # (k,) share of the reals called fake, rising from 0 to 1
    true_positive: Scores  # (k,) share of the fakes called fake
    precision: Scores  # (k,) share of fakes among what is called fake; 1 where nothing is

    @property
    def area(self) -> float:
        """Compute the area under the curve (AUC)."""
        return float(np.trapezoid(self.true_positive, self.false_positive))

    @property
    def average_precision(self) -> float:
        """Compute the area under the precision-recall curve, by steps; for chance it is the share of fakes."""
        return float(np.diff(self.true_positive) @ self.precision[1:])

    @property
    def equal_error_rate(self) -> float:
        """Return the false-positive rate where the false-negative rate is nearest to it."""
        nearest = np.abs(1 - self.true_positive - self.false_positive).argmin()
        return float(self.false_positive[nearest])

    def tpr_at_fpr(self, rate: float) -> float:
        """Return the largest share of fakes found at a threshold that calls at most `rate` of the reals fake.

        With n reals, rates below 1/n mean: not a single one.
        """
        return float(self.true_positive[self.false_positive <= rate].max())


def roc(scores: Scores, fake: Labels) -> Roc:
    """Compute the ROC curve."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.diff(scores[order]) != 0, True)
    found = np.append(0, np.cumsum(fake[order])[ends])
    called = np.append(0, np.arange(1, len(scores) + 1)[ends])
    fakes, reals = found[-1], called[-1] - found[-1]
    precision = np.divide(found, called, out=np.ones(len(called)), where=called > 0)
    return Roc((called - found) / reals, found / fakes, precision)


def auc(scores: Scores, fake: Labels) -> float:
    """Compute the area under the ROC curve."""
    return roc(scores, fake).area


def log_likelihood_ratio_costs(scores: Scores, fake: Labels) -> dict[str, float]:
    """Compute Cllr of probabilities, in bits, and how much of it is lost by calibration (Brümmer & du Preez, 2006).

    1 is the cost of saying nothing. The loss is the cost beyond that of the best rising map of the same scores.
    """
    weights = np.where(fake, 0.5 / fake.sum(), 0.5 / (~fake).sum())
    _, place = np.unique(scores, return_inverse=True)
    total = np.bincount(place, weights)
    best = isotonic_regression(np.bincount(place, weights * fake) / total, sample_weight=total)[place]
    costs = [_cross_entropy(probability, fake, weights) for probability in (scores, best)]
    return {"cllr": costs[0], "cllr_calibration_loss": costs[0] - costs[1]}


def _cross_entropy(probability: Scores, fake: Labels, weights: Scores) -> float:
    right = np.clip(np.where(fake, probability, 1 - probability), 1e-6, 1)
    return float(-(weights * np.log2(right)).sum())


def calibration_error(scores: Scores, fake: Labels) -> float:
    """Compute ECE: the mean gap, over bins of similar probabilities, between their mean and the share of fakes."""
    gaps = np.bincount(_bins(scores), scores - fake, CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(scores))


@dataclass(frozen=True)
class ReliabilityBin:
    """Videos of similar probabilities."""

    said: float  # mean probability
    found: float  # share of fakes
    count: int


def reliability(scores: Scores, fake: Labels) -> list[ReliabilityBin]:
    """Bin videos by probability; list the bins that are not empty."""
    place = _bins(scores)
    return [
        ReliabilityBin(float(scores[here].mean()), float(fake[here].mean()), int(here.sum()))
        for here in (place == index for index in np.unique(place))
    ]


def _bins(scores: Scores) -> npt.NDArray[np.intp]:
    """Return the index of the bin, of equal width, of each probability."""
    return np.minimum((scores * CALIBRATION_BINS).astype(np.intp), CALIBRATION_BINS - 1)


@dataclass(frozen=True)
class RiskCoverage:
    """A risk-coverage curve, surest answers first; one point a distinct confidence."""

    coverage: Scores  # (k,) share of the videos that are answered, rising
    risk: Scores  # (k,) share of those answers that are wrong

    @property
    def area(self) -> float:
        """Compute the mean risk over the coverages (AURC): lower is better."""
        return float(np.diff(self.coverage, prepend=0.0) @ self.risk / self.coverage[-1])


def risk_coverage(scores: Scores, fake: Labels) -> RiskCoverage:
    """Compute the curve; confidence is the distance from 0.5, equal confidences are answered together."""
    confidence = np.abs(scores - THRESHOLD)
    order = np.argsort(-confidence, kind="stable")
    wrong = np.cumsum(((scores > THRESHOLD) != fake)[order])
    answered = np.arange(1, len(scores) + 1)
    ends = np.append(np.diff(confidence[order]) != 0, True)
    return RiskCoverage((answered / len(scores))[ends], (wrong / answered)[ends])


def measures(scores: Scores, fake: Labels) -> dict[str, float]:
    """Compute the metrics of a set that has reals and fakes; a bootstrap does it thousands of times."""
    curve, called_fake = roc(scores, fake), scores > THRESHOLD
    return {
        "auc": curve.area,
        "ap": curve.average_precision,
        "eer": curve.equal_error_rate,
        **{f"tpr_at_fpr_{rate:g}": curve.tpr_at_fpr(rate) for rate in LOW_RATES},
        "accuracy": float((called_fake == fake).mean()),
        "f1": float(2 * (called_fake & fake).sum() / (called_fake.sum() + fake.sum())),
        "ece": calibration_error(scores, fake),
        "brier": float(((scores - fake) ** 2).mean()),
        "aurc": risk_coverage(scores, fake).area,
    }


# --- intervals


def bootstrap(metric: Metric, scores: Scores, fake: Labels, groups: Sequence[str], draws: int = DRAWS) -> Interval:
    """Compute a metric with its 95 % interval; whole groups (people) are drawn, as their videos are alike."""
    return intervals(lambda *sample: {"": metric(*sample)}, scores, fake, groups, draws)[""]


def intervals(
    measure: Callable[[Scores, Labels], dict[str, float]],
    scores: Scores,
    fake: Labels,
    groups: Sequence[str],
    draws: int,
    *,
    one_kind: bool = False,
) -> dict[str, Interval]:
    """Compute several metrics with their 95 % intervals on the same draws.

    Args:
        measure: scores and labels -> metrics by name.
        scores: (n,)
        fake: (n,)
        groups: (n,), drawn as a whole.
        draws: number of resamples.
        one_kind: there may be reals alone, or fakes alone, as for ECE.

    Raises:
        ValueError: there are no reals or no fakes.
    """
    resampled = [
        list(measure(scores[rows], fake[rows]).values())
        for rows in resamples(fake, groups, draws, 1 if one_kind else 2)
    ]
    values = measure(scores, fake)
    low, high = np.percentile(np.array(resampled), [2.5, 97.5], axis=0).tolist()
    return {name: Interval(values[name], low[i], high[i]) for i, name in enumerate(values)}


def paired_bootstrap(
    metric: Metric,
    first: Scores,
    second: Scores,
    fake: Labels,
    groups: Sequence[str],
    draws: int,
) -> Difference:
    """Compute how much higher a metric is with the second scores, on the same resamples of people."""
    gains = np.array(
        [metric(second[rows], fake[rows]) - metric(first[rows], fake[rows]) for rows in resamples(fake, groups, draws)]
    )
    value = metric(second, fake) - metric(first, fake)
    low, high = np.percentile(gains, [2.5, 97.5])
    # counted with the sample itself, so that it is never zero (Davison & Hinkley 1997, eq. 4.11)
    beyond = (1 + min((gains <= 0).sum(), (gains >= 0).sum())) / (1 + len(gains))
    return Difference(float(value), float(low), float(high), float(min(1.0, 2 * beyond)))


def resamples(fake: Labels, groups: Sequence[str], draws: int, kinds: int = 2) -> Iterator[npt.NDArray[np.intp]]:
    """Yield the rows of `draws` resamples of whole groups, with replacement; skip those of fewer kinds.

    Raises:
        ValueError: the set itself has fewer kinds.
    """
    if len(np.unique(fake)) < kinds:
        raise ValueError("needs both reals and fakes")
    names, membership = np.unique(np.asarray(groups), return_inverse=True)
    members = [np.flatnonzero(membership == index) for index in range(len(names))]
    rng = np.random.default_rng(0)
    for _ in range(draws):
        rows = np.concatenate([members[index] for index in rng.integers(len(names), size=len(names))])
        if kinds == 1 or 0 < fake[rows].sum() < len(rows):
            yield rows


def share(count: int, total: int) -> Interval:
    """Compute a rate with its exact binomial 95 % interval (Clopper-Pearson), valid even for 0 of 16."""
    from scipy.stats import binomtest  # takes longer to import than training does to start

    test = binomtest(count, total).proportion_ci(0.95, "exact")
    return Interval(count / total, float(test.low), float(test.high))
