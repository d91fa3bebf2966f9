"""Grade how strongly a score speaks for a deepfake or against it, in the frequencies of a validation. Pure.

The grades follow the scale of the ENFSI Guideline for Evaluative Reporting in Forensic Science (2015) in kind, not in
its numbers: no validation here is large enough for its higher ones.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal

Direction = Literal["fake", "real", "none"]
Strength = Literal["strong", "moderate", "weak", "none"]

MAX_SHARE = 0.995  # of a bin, so that a likelihood ratio is finite: none was measured on enough videos to say more


@dataclass(frozen=True)
class EvidenceScale:
    """What scores meant on validation videos, half of which are fake; saved with a model. Edges are log-odds."""

    edges: tuple[float, ...] = ()  # between the bins, rising
    per_100: tuple[float, ...] = ()  # fakes among 100 videos of each bin, rising; one more than edges, or none
    low: tuple[float, ...] = ()  # ends of their 95 % intervals
    high: tuple[float, ...] = ()
    videos: tuple[int, ...] = ()  # that each rests on
    moderate: tuple[float, float] = (-99.0, 99.0)  # below: moderate for real; above: for fake
    weak: tuple[float, float] = (-math.log(2), math.log(2))

    def __post_init__(self) -> None:
        lengths = {len(self.per_100), len(self.low), len(self.high), len(self.videos)}
        if lengths != {len(self.edges) + bool(self.per_100)}:
            raise ValueError(f"bins of different number: {self}")
        if list(self.edges) != sorted(self.edges) or list(self.per_100) != sorted(self.per_100):
            raise ValueError(f"edges or frequencies that do not rise: {self}")
        if not self.moderate[0] <= self.weak[0] <= self.weak[1] <= self.moderate[1]:
            raise ValueError(f"grades that do not follow each other: {self}")


@dataclass(frozen=True)
class Frequency:
    """So many of 100 validation videos with such a score were fake, where half of all are."""

    fakes: float
    low: float  # 95 % interval
    high: float
    videos: int  # that this rests on


@dataclass(frozen=True)
class Evidence:
    """How strongly a face's score speaks, and for what."""

    direction: Direction
    strength: Strength
    likelihood_ratio: float  # how many times as likely such a score is of a fake as of a real video
    per_100: Frequency | None  # None for a model without a validation, and for several models together


def grade(log_odds: float, label: str, is_doubtful: bool, scale: EvidenceScale) -> Evidence:
    """Grade a face's calibrated log-odds.

    Args:
        log_odds: before reasons to abstain keep them between the thresholds.
        label: of the face; `fake` and `real` are strong.
        is_doubtful: there is a reason to abstain: it is weak at most.
        scale: of the model.
    """
    direction: Direction = "fake" if log_odds > scale.weak[1] else "real" if log_odds < scale.weak[0] else "none"
    strength: Strength = "none" if direction == "none" else "weak"
    if not is_doubtful and not scale.moderate[0] <= log_odds <= scale.moderate[1]:
        strength = "moderate"
    if label == "fake":
        direction, strength = "fake", "strong"
    elif label == "real":
        direction, strength = "real", "strong"
    frequency = _frequency(log_odds, scale)
    if frequency is None:
        return Evidence(direction, strength, math.exp(log_odds), None)
    share = min(max(frequency.fakes / 100, 1 - MAX_SHARE), MAX_SHARE)
    return Evidence(direction, strength, share / (1 - share), frequency)


def _frequency(log_odds: float, scale: EvidenceScale) -> Frequency | None:
    if not scale.per_100:
        return None
    row = bisect_right(scale.edges, log_odds)
    return Frequency(scale.per_100[row], scale.low[row], scale.high[row], scale.videos[row])
