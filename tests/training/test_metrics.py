"""Metrics: known answers, and intervals that respect groups."""

import numpy as np
import pytest

from training.metrics import auc, bootstrap

CASES = [
    ("perfect", [0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], 1.0),
    ("the wrong way round", [0.9, 0.8, 0.2, 0.1], [0, 0, 1, 1], 0.0),
    ("all tied", [0.5] * 4, [0, 0, 1, 1], 0.5),
    ("one pair of four wrong", [0.1, 0.6, 0.5, 0.9], [0, 0, 1, 1], 0.75),
]


@pytest.mark.parametrize(
    ("scores", "fake", "expected"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_auc_of_known_cases(scores, fake, expected):
    assert auc(np.array(scores), np.array(fake, bool)) == pytest.approx(expected)


def example(n=60, seed=0):
    rng = np.random.default_rng(seed)
    fake = np.arange(n) % 2 == 0
    return rng.normal(fake * 1.0, 1.0), fake


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
    repeated = bootstrap(
        auc, np.tile(scores, 10), np.tile(fake, 10), [str(i % 60) for i in range(600)], draws=400
    )
    assert together.value == pytest.approx(alone.value)
    # ten copies of everybody add nothing when people, not videos, are drawn
    assert repeated.high - repeated.low == pytest.approx(alone.high - alone.low, rel=0.3)
