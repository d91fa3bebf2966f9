"""Evidence is graded by the scale of a model, and says how often validation was fake with such a score."""

import math

import pytest

from tests.vectors import SCALE
from unmask.evidence import EvidenceScale, grade


@pytest.mark.parametrize(
    ("log_odds", "label", "is_doubtful", "expected"),
    [
        (0.0, "uncertain", False, ("none", "none", 51.5)),
        (0.8, "uncertain", False, ("fake", "weak", 51.5)),
        (-0.8, "uncertain", False, ("real", "weak", 20.0)),
        (2.0, "uncertain", False, ("fake", "moderate", 88.0)),
        (-2.5, "uncertain", False, ("real", "moderate", 2.5)),
        (2.0, "uncertain", True, ("fake", "weak", 88.0)),  # a reason to abstain
        (3.0, "fake", False, ("fake", "strong", 100.0)),
        (3.0, "fake", True, ("fake", "strong", 100.0)),  # mixed over time, but fake
        (-5.0, "real", False, ("real", "strong", 2.5)),
    ],
)
def test_grades(log_odds, label, is_doubtful, expected):
    evidence = grade(log_odds, label, is_doubtful, SCALE)
    assert (evidence.direction, evidence.strength, evidence.per_100.fakes) == expected
    assert evidence.per_100.low <= evidence.per_100.fakes <= evidence.per_100.high
    assert 0 < evidence.likelihood_ratio < math.inf


def test_without_a_validation_the_ratio_is_that_of_the_calibration():
    evidence = grade(math.log(5), "uncertain", False, EvidenceScale())
    assert evidence.per_100 is None and evidence.likelihood_ratio == pytest.approx(5)
    assert (evidence.direction, evidence.strength) == ("fake", "weak")


@pytest.mark.parametrize(
    "wrong",
    [
        {"edges": (0.0,)},
        {"edges": (1.0, 0.0), "per_100": (1.0, 2.0, 3.0), "low": (0,) * 3, "high": (9,) * 3, "videos": (1,) * 3},
        {"per_100": (1.0,)},
        {"moderate": (0.0, 1.0)},
    ],
)
def test_a_scale_that_contradicts_itself_is_refused(wrong):
    with pytest.raises(ValueError, match=r"bins|rise|follow"):
        EvidenceScale(**wrong)
