"""How well scores separate fake from real; pure. Higher scores mean fake, labels are True for fake."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

Scores = NDArray[np.float64]
Labels = NDArray[np.bool_]


@dataclass(frozen=True)
class Interval:
    value: float
    low: float  # 2.5 %
    high: float  # 97.5 %

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.2f}–{self.high:.2f})"


def auc(scores: Scores, fake: Labels) -> float:
    """Area under the ROC curve."""
    return float(roc_auc_score(fake, scores))


def bootstrap(
    metric: Callable[[Scores, Labels], float],
    scores: Scores,
    fake: Labels,
    groups: Sequence[str],
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """A metric with its 95 % interval; whole groups (people) are drawn, since their videos are alike."""
    names, membership = np.unique(np.asarray(groups), return_inverse=True)
    members = [np.flatnonzero(membership == index) for index in range(len(names))]
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(draws):
        rows = np.concatenate([members[index] for index in rng.integers(len(names), size=len(names))])
        if 0 < fake[rows].sum() < len(rows):
            values.append(metric(scores[rows], fake[rows]))
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(metric(scores, fake), float(low), float(high))
