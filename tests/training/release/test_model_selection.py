"""Tests of the choice of the default model, by validation alone."""

import functools
from dataclasses import replace

import pytest

from tests.training import rows as made_up
from training.evaluation import tables
from training.evaluation.results import Comparison, Difference, EnsembleRecord, Interval, ModelRecord, Results
from training.release.model_selection import default_ensemble

ENSEMBLES = ("small", "large", "small+large")
SETS = ("near", "far")
HELD, UNSURE, BROKEN = Interval(0.0, 0.0, 0.2), Interval(0.05, 0.002, 0.3), Interval(0.1, 0.02, 0.3)


@functools.cache
def nothing_differs() -> Results:
    sets = tuple(made_up.set_result(name, made_up.rows(dict.fromkeys(ENSEMBLES, 2.0)), ("val",)) for name in SETS)
    held = tuple(
        replace(one, summaries=tuple(replace(item, false_alarms=HELD, wrong_answers=HELD) for item in one.summaries))
        for one in sets
    )
    return Results(
        command="",
        day="2026-01-02",
        models=(ModelRecord("small", "", 1_000_000, 0), ModelRecord("large", "", 9_000_000, 0)),
        ensembles=tuple(EnsembleRecord(name, tuple(name.split("+")), 0.2, 0.8) for name in ENSEMBLES),
        sets=held,
        comparisons=tuple(tables.comparisons(held, [EnsembleRecord(name, (), 0, 1) for name in ENSEMBLES], 50)),
        robustness=(),
    )


def with_gains(results, gains):
    """`gains`: (set, first, second) -> the interval by which the second is better."""
    pairs = tuple(
        Comparison(where, first, second, Difference((low + high) / 2, low, high, 0.0))
        for (where, first, second), (low, high) in gains.items()
    )
    asked = {(item.set, item.first, item.second) for item in pairs}
    rest = [item for item in results.comparisons if (item.set, item.first, item.second) not in asked]
    return replace(results, comparisons=(*rest, *pairs))


def with_rates(results, ensemble, where, **rates):
    sets = tuple(
        replace(
            one,
            summaries=tuple(
                replace(item, **rates) if (item.ensemble, one.name) == (ensemble, where) else item
                for item in one.summaries
            ),
        )
        for one in results.sets
    )
    return replace(results, sets=sets)


GAINS = [
    ({}, "small"),
    ({("near", "small", "large"): (0.02, 0.2)}, "large"),
    ({("near", "small", "large"): (-0.01, 0.3)}, "small"),
    ({("near", "small", "large"): (0.005, 0.3)}, "small"),
    ({("near", "small", "large"): (0.02, 0.2), ("far", "small", "large"): (-0.3, -0.01)}, "small"),
    ({("near", "small", "large"): (0.02, 0.2), ("near", "large", "small+large"): (0.02, 0.1)}, "small+large"),
    ({("near", "small", "small+large"): (0.02, 0.1)}, "small+large"),
]


@pytest.mark.parametrize(("gains", "expected"), GAINS)
def test_a_larger_ensemble_must_be_better_and_nowhere_worse(gains, expected):
    assert default_ensemble(with_gains(nothing_differs(), gains)) == expected


RATES: list[tuple[str, Interval | None, str]] = [
    ("false_alarms", HELD, "small"),
    ("false_alarms", UNSURE, "small"),
    ("false_alarms", BROKEN, "large"),
    ("wrong_answers", BROKEN, "small"),
    ("wrong_answers", Interval(0.3, 0.06, 0.5), "large"),
    ("wrong_answers", None, "small"),
]


@pytest.mark.parametrize(("kind", "rate", "expected"), RATES)
def test_an_ensemble_that_misses_a_target_is_not_chosen(kind, rate, expected):
    assert default_ensemble(with_rates(nothing_differs(), "small", "far", **{kind: rate})) == expected


def test_the_order_in_which_two_were_compared_does_not_matter():
    results = with_gains(nothing_differs(), {("near", "small", "large"): (0.02, 0.2)})
    turned = tuple(
        Comparison(item.set, item.second, item.first, Difference(-item.auc.value, -item.auc.high, -item.auc.low, 0))
        for item in results.comparisons
    )
    assert default_ensemble(replace(results, comparisons=turned)) == "large"


def test_development_sets_have_no_part_in_the_choice():
    results = with_gains(nothing_differs(), {("near", "small", "large"): (0.02, 0.2)})
    near, far = results.sets
    assert default_ensemble(replace(results, sets=(near, replace(far, splits=("test",))))) == "large"
    assert default_ensemble(replace(results, sets=(replace(near, splits=("test",)), far))) == "small"
    assert (
        default_ensemble(replace(results, sets=tuple(replace(one, splits=("test",)) for one in results.sets))) is None
    )


def test_there_is_no_default_where_all_miss_a_target():
    missed = with_rates(nothing_differs(), "small", "near", false_alarms=BROKEN)
    assert default_ensemble(replace(missed, ensembles=missed.ensembles[:1])) is None
