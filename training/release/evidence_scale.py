"""Fit the scale of evidence: how often scores like one are those of fakes, and where moderate and weak begin."""

import math

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import isotonic_regression

from training.release.score_table import Bools, Floats, Table, balanced_weights, by_column
from unmask.evidence import EvidenceScale
from unmask.verdict import MAX_LOG_ODDS, Calibration, Policy

MAX_MODERATE_WRONG = 0.1  # of the moderate answers on validation, fakes as frequent as reals
MAX_MODERATE_WRONG_DOMAIN = 0.25  # of those of one domain, as far as it has MIN_ITEMS of them
MAX_MODERATE_ALARMS = 0.03  # of the videos of a domain without any of the other kind
WEAK_RATIO = 2.0  # likelihood ratio from which an answer leans at all
EVIDENCE_BINS = 12
RESAMPLES = 400  # of the intervals of frequencies
MIN_ITEMS = 20  # moderate answers of a domain, of which a share is taken


def fit_evidence(videos: Table, calibration: Calibration, policy: Policy) -> EvidenceScale:
    """Fit what scores mean on whole validation videos, domains and labels weighing the same.

    Frequencies are those of bins, pooled until they rise with the score (isotonic regression); their intervals are
    bootstrapped over the videos of each domain and label. None without fakes or without reals.
    """
    if len(set(videos["fake"].tolist())) < 2:
        return EvidenceScale()
    domains = [*by_column(videos, "domain")]
    rows, weights = np.concatenate(domains), np.concatenate([balanced_weights(domain, domains) for domain in domains])
    log_odds, fake = rows["logit"] / calibration.temperature + calibration.bias, rows["fake"]
    order = np.argsort(log_odds, kind="stable")
    cuts = np.searchsorted(np.cumsum(weights[order]), np.linspace(0, 1, EVIDENCE_BINS + 1)[1:-1])
    share = rising_shares(np.digitize(log_odds, log_odds[order][cuts]), fake, weights)
    first = np.flatnonzero(np.r_[True, np.diff(share) > 0])  # of each pool of bins
    edges = log_odds[order][cuts][first[1:] - 1]
    weak = _weak_edges(edges, share[first])
    strong = to_log_odds(policy.real_below), to_log_odds(policy.fake_above)
    moderate = [
        side * moderate_edge(side * log_odds, fake == (side < 0), weights, rows["domain"], side * answer, side * lean)
        for side, answer, lean in zip((-1, 1), strong, weak, strict=True)
    ]
    for edge in moderate:  # no bin lies in two grades, or weak evidence would be quoted with moderate's frequency
        movable = [old for old in edges if old not in weak]
        moved = min(movable, key=lambda old: abs(old - edge)) if movable else None
        edges = np.unique([edge, *(old for old in edges if old != moved)])
    edges = np.unique([*edges, *(edge for edge in strong if log_odds.min() < edge < log_odds.max())])
    bins = np.digitize(log_odds, edges)
    share = rising_shares(bins, fake, weights, len(edges) + 1)
    low, high = _intervals(rows, bins, weights, len(edges) + 1)
    return EvidenceScale(
        edges=_rounded(edges, 3),
        per_100=_rounded(100 * share, 1),
        low=_rounded(100 * np.minimum(low, share), 1),
        high=_rounded(100 * np.maximum(high, share), 1),
        videos=tuple(np.bincount(bins, minlength=len(edges) + 1).tolist()),
        moderate=(round(moderate[0], 3), round(moderate[1], 3)),
        weak=(round(weak[0], 3), round(weak[1], 3)),
    )


def _intervals(rows: Table, bins: NDArray[np.int_], weights: Floats, bin_count: int) -> tuple[Floats, Floats]:
    """Compute the 95% interval of the share of fakes in each bin, over resampled videos of each domain and label."""
    rng, drawn, fake = np.random.default_rng(0), [], rows["fake"]
    strata = [
        np.flatnonzero((rows["domain"] == name) & (fake == label))
        for name in sorted(set(rows["domain"]))
        for label in (0, 1)
    ]
    for _ in range(RESAMPLES):
        chosen = np.concatenate([rng.choice(stratum, len(stratum)) for stratum in strata if len(stratum)])
        drawn.append(rising_shares(bins[chosen], fake[chosen], weights[chosen], bin_count))
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    count, fakes = np.bincount(bins, minlength=bin_count), np.bincount(bins[fake], minlength=bin_count)
    bound = 0.025 ** (1 / np.maximum(count, 1))  # where all are alike, no resample differs: Clopper and Pearson (1934)
    low = np.where(fakes == count, np.minimum(low, bound), low)
    return low, np.where(fakes == 0, np.maximum(high, 1 - bound), high)


def _weak_edges(edges: Floats, share: Floats) -> tuple[float, float]:
    """Return the log-odds below and above which the bins' frequencies lean by WEAK_RATIO at least."""
    low, high = share <= 1 / (1 + WEAK_RATIO), share >= WEAK_RATIO / (1 + WEAK_RATIO)
    below = edges[low.sum() - 1] if 0 < low.sum() < len(share) else -math.log(WEAK_RATIO)
    above = edges[len(share) - high.sum() - 1] if 0 < high.sum() < len(share) else math.log(WEAK_RATIO)
    return float(below), float(above)


def rising_shares(bins: NDArray[np.int_], fake: Bools, weights: Floats, count: int = EVIDENCE_BINS) -> Floats:
    """Compute the weighted share of fakes in each bin, where needed pooled with the neighbours so that it rises."""
    total = np.bincount(bins, weights, count)
    fakes = np.bincount(bins, weights * fake, count)
    share = np.divide(fakes, total, out=np.full(count, 0.5), where=total > 0)
    return np.asarray(isotonic_regression(share, sample_weight=np.maximum(total, 1e-9), y_min=0, y_max=1), np.float64)


def moderate_edge(
    score: Floats, wrong: Bools, weights: Floats, domain: NDArray[np.str_], strong: float, weak: float
) -> float:
    """Return the lowest score from which on, up to `strong`, few enough answers are wrong; `strong` where none is.

    Args:
        score: larger where the answer is surer.
        wrong: where that answer would be.
        weights: of the videos.
        domain: of the videos, each of which has limits of its own.
        strong: the score beyond which an answer is strong.
        weak: the score below which it is none.
    """
    inside = np.flatnonzero((score > weak) & (score <= strong))
    inside = inside[np.argsort(-score[inside], kind="stable")]
    bad, all_ = weights[inside] * wrong[inside], weights[inside]
    is_good = np.cumsum(bad) <= MAX_MODERATE_WRONG * np.cumsum(all_)
    for name in set(domain.tolist()):
        own = domain[inside] == name
        count, missed = np.cumsum(own), np.cumsum(own & wrong[inside])
        if wrong[domain == name].all():
            is_good &= missed <= MAX_MODERATE_ALARMS * (domain == name).sum()
        else:
            is_good &= (count < MIN_ITEMS) | (missed <= MAX_MODERATE_WRONG_DOMAIN * count)
    kept = np.flatnonzero(is_good)
    return float(score[inside[kept[-1]]]) if len(kept) else max(strong, weak)


def to_log_odds(probability: float) -> float:
    """Invert `verdict.to_probability`, within the log-odds that are shown."""
    edge = MAX_LOG_ODDS
    return edge if probability >= 1 else -edge if probability <= 0 else math.log(probability / (1 - probability))


def _rounded(values: Floats, digits: int) -> tuple[float, ...]:
    return tuple(round(value, digits) for value in values.tolist())
