"""Known answers, scikit-learn's answers, DeepfakeBench's definitions, intervals that respect groups."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from training.evaluation import metrics
from training.evaluation.metrics import auc, bootstrap, measures, paired_bootstrap

CASES = [
    ("perfect", [0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], {"auc": 1.0, "eer": 0.0, "accuracy": 1.0, "f1": 1.0}),
    ("the wrong way round", [0.9, 0.8, 0.2, 0.1], [0, 0, 1, 1], {"auc": 0.0, "eer": 1.0, "accuracy": 0.0}),
    ("all tied", [0.5] * 4, [0, 0, 1, 1], {"auc": 0.5, "ap": 0.5, "f1": 0.0, "ece": 0.0, "brier": 0.25}),
    ("one pair of four wrong", [0.1, 0.6, 0.5, 0.9], [0, 0, 1, 1], {"auc": 0.75, "eer": 0.5}),
    ("sure and right", [0.0, 1.0], [0, 1], {"ece": 0.0, "brier": 0.0, "aurc": 0.0}),
    ("sure and wrong", [1.0, 0.0], [0, 1], {"ece": 1.0, "brier": 1.0, "aurc": 1.0}),
    ("one real in the way", [0.1, 0.8, 0.7, 0.9], [0, 0, 1, 1], {"tpr_at_fpr_0.01": 0.5}),
]


@pytest.mark.parametrize(("scores", "fake", "expected"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_known_cases(scores, fake, expected):
    found = measures(np.array(scores), np.array(fake, bool))
    assert {name: found[name] for name in expected} == pytest.approx(expected)


@st.composite
def samples(draw):
    """Probabilities, many of them tied, and labels of both kinds."""
    size = draw(st.integers(2, 60))
    scores = draw(st.lists(st.integers(0, 20).map(lambda n: n / 20), min_size=size, max_size=size))
    fake = draw(st.lists(st.booleans(), min_size=size - 2, max_size=size - 2))
    return np.array(scores, np.float64), np.array([True, False, *fake])


@settings(max_examples=60, deadline=None)
@given(samples())
def test_every_metric_that_scikit_learn_has_equals_its_own(sample):
    scores, fake = sample
    found = measures(scores, fake)
    assert auc(scores, fake) == pytest.approx(reference.roc_auc_score(fake, scores))
    assert found["ap"] == pytest.approx(reference.average_precision_score(fake, scores))
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(fake, scores > 0.5))
    assert found["f1"] == pytest.approx(reference.f1_score(fake, scores > 0.5, zero_division=0))
    assert found["brier"] == pytest.approx(reference.brier_score_loss(fake, scores))
    curve = metrics.roc(scores, fake)
    expected = reference.roc_curve(fake, scores, drop_intermediate=False)
    assert np.allclose(curve.false_positive, expected[0])
    assert np.allclose(curve.true_positive, expected[1])


@settings(max_examples=60, deadline=None)
@given(samples())
def test_the_equal_error_rate_is_deepfakebenchs(sample):
    """Its `get_test_metrics`: fpr[nanargmin(|fnr - fpr|)] of scikit-learn's curve."""
    scores, fake = sample
    fpr, tpr, _ = reference.roc_curve(fake, scores, pos_label=1, drop_intermediate=False)
    found = measures(scores, fake)
    theirs = fpr[np.nanargmin(np.absolute((1 - tpr) - fpr))]
    assert found["eer"] == pytest.approx(theirs)


def test_calibration_error_of_known_bins():
    # ten of 0.85 of which nine are fake, ten of 0.15 of which none is
    scores = np.repeat([0.85, 0.15], 10)
    fake = np.array([True] * 9 + [False] * 11)
    assert metrics.calibration_error(scores, fake) == pytest.approx((0.05 * 10 + 0.15 * 10) / 20)
    low, high = metrics.reliability(scores, fake)
    assert (low.said, low.found, low.count) == (pytest.approx(0.15), 0.0, 10)
    assert (high.said, high.found, high.count) == (pytest.approx(0.85), 0.9, 10)


def test_risk_rises_with_coverage_where_sure_answers_are_right():
    scores = np.array([0.99, 0.02, 0.9, 0.6, 0.45])
    fake = np.array([True, False, True, False, True])
    curve = metrics.risk_coverage(scores, fake)
    assert curve.coverage.tolist() == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert curve.risk.tolist() == pytest.approx([0, 0, 0, 0.25, 0.4])
    assert curve.area == pytest.approx(0.13)


def example(n=60, seed=0, gap=1.0):
    rng = np.random.default_rng(seed)
    fake = np.arange(n) % 2 == 0
    return 1 / (1 + np.exp(-rng.normal(fake * gap, 1.0))), fake


def test_the_interval_holds_the_value_and_is_the_same_each_time():
    scores, fake = example()
    groups = [str(index) for index in range(len(fake))]
    first, second = (bootstrap(auc, scores, fake, groups, draws=200) for _ in range(2))
    assert first == second
    assert first.low < first.value < first.high
    assert str(first).startswith(f"{first.value:.3f} (")


def test_fewer_people_make_a_wider_interval():
    scores, fake = example()
    alone = bootstrap(auc, scores, fake, [str(i) for i in range(60)], draws=400)
    together = bootstrap(auc, scores, fake, [str(i // 12) for i in range(60)], draws=400)
    repeated = bootstrap(auc, np.tile(scores, 10), np.tile(fake, 10), [str(i % 60) for i in range(600)], draws=400)
    assert together.value == pytest.approx(alone.value)
    # ten copies of everybody add nothing when people, not videos, are drawn
    assert repeated.high - repeated.low == pytest.approx(alone.high - alone.low, rel=0.3)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    truth = 0.7602  # AUC of two unit normal distributions one apart
    hits = 0
    for seed in range(100):
        scores, fake = example(80, seed)
        interval = bootstrap(auc, scores, fake, [str(i) for i in range(80)], draws=150)
        hits += interval.low <= truth <= interval.high
    assert 86 <= hits <= 100


def test_paired_bootstrap_sees_a_difference_that_two_intervals_hide():
    rng = np.random.default_rng(3)
    scores, fake = example(80, seed=3)
    worse = np.clip(scores + rng.normal(0, 0.02, 80) - 0.08 * fake, 0, 1)
    groups = [str(i) for i in range(80)]
    first, second = (bootstrap(auc, some, fake, groups, draws=400) for some in (worse, scores))
    assert second.low < first.high  # apart from the pairing, nothing would be certain
    gain = paired_bootstrap(auc, worse, scores, fake, groups, draws=400)
    assert gain.value == pytest.approx(second.value - first.value)
    assert 0 < gain.low < gain.value < gain.high
    assert gain.p_value < 0.05


def test_a_model_is_not_better_than_itself_and_a_set_of_one_kind_has_no_auc():
    with pytest.raises(ValueError, match=r"^needs both reals and fakes$"):
        bootstrap(auc, np.array([0.1, 0.2]), np.array([False, False]), ["a", "b"])
    scores, fake = example()
    gain = paired_bootstrap(auc, scores, scores, fake, [str(i) for i in range(60)], draws=50)
    assert (gain.value, gain.low, gain.high, gain.p_value) == (0, 0, 0, 1)


def test_a_rate_has_its_exact_interval():
    for count, total, low, high in ((0, 16, 0.0, 0.206), (16, 16, 0.794, 1.0), (5, 10, 0.187, 0.813)):
        rate = metrics.share(count, total)
        assert (rate.value, rate.low, rate.high) == pytest.approx((count / total, low, high), abs=1e-3)
