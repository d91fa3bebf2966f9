"""The default is the cheapest lineup that keeps its promises and that no dearer one surely beats."""

import functools
from dataclasses import replace

import pytest

from tests.training import rows as made_up
from training.evaluation import tables
from training.evaluation.results import Comparison, Difference, Interval, Lineup, ModelRecord, Results
from training.release.model_selection import default_lineup

LINEUPS = ("small", "large", "small+large")
SETS = ("near", "far")
HELD, UNSURE, BROKEN = Interval(0.0, 0.0, 0.2), Interval(0.05, 0.002, 0.3), Interval(0.1, 0.02, 0.3)


@functools.cache
def nothing_differs() -> Results:
    sets = tuple(made_up.set_result(name, made_up.rows(dict.fromkeys(LINEUPS, 2.0))) for name in SETS)
    held = tuple(
        replace(
            one,
            summaries=tuple(replace(item, false_alarms=HELD, wrong_answers=HELD) for item in one.summaries),
        )
        for one in sets
    )
    return Results(
        command="",
        day="2026-01-02",
        models=(ModelRecord("small", "", 1_000_000, 0), ModelRecord("large", "", 9_000_000, 0)),
        lineups=tuple(Lineup(name, tuple(name.split("+")), 0.2, 0.8) for name in LINEUPS),
        sets=held,
        comparisons=tuple(tables.comparisons(held, [Lineup(name, (), 0, 1) for name in LINEUPS], 50)),
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


def with_rates(results, lineup, where, **rates):
    sets = tuple(
        replace(
            one,
            summaries=tuple(
                replace(item, **rates) if (item.lineup, one.name) == (lineup, where) else item for item in one.summaries
            ),
        )
        for one in results.sets
    )
    return replace(results, sets=sets)


GAINS = [
    ({}, "small"),
    ({("near", "small", "large"): (0.01, 0.2)}, "large"),
    ({("near", "small", "large"): (-0.01, 0.3)}, "small"),
    ({("near", "small", "large"): (0.01, 0.2), ("far", "small", "large"): (-0.3, -0.01)}, "small"),
    ({("near", "small", "large"): (0.01, 0.2), ("near", "large", "small+large"): (0.01, 0.1)}, "small+large"),
    ({("near", "small", "small+large"): (0.01, 0.1)}, "small+large"),
]


@pytest.mark.parametrize(("gains", "expected"), GAINS)
def test_a_dearer_lineup_must_surely_be_better_and_nowhere_worse(gains, expected):
    assert default_lineup(with_gains(nothing_differs(), gains)) == expected


RATES: list[tuple[str, Interval | None, str]] = [
    ("false_alarms", HELD, "small"),
    ("false_alarms", UNSURE, "small"),
    ("false_alarms", BROKEN, "large"),
    ("wrong_answers", BROKEN, "small"),
    ("wrong_answers", Interval(0.3, 0.06, 0.5), "large"),
    ("wrong_answers", None, "small"),
]


@pytest.mark.parametrize(("kind", "rate", "expected"), RATES)
def test_who_surely_breaks_a_promise_is_not_chosen(kind, rate, expected):
    assert default_lineup(with_rates(nothing_differs(), "small", "far", **{kind: rate})) == expected


def test_the_order_in_which_two_were_compared_does_not_matter():
    results = with_gains(nothing_differs(), {("near", "small", "large"): (0.01, 0.2)})
    turned = tuple(
        Comparison(item.set, item.second, item.first, Difference(-item.auc.value, -item.auc.high, -item.auc.low, 0))
        for item in results.comparisons
    )
    assert default_lineup(replace(results, comparisons=turned)) == "large"


def test_sets_that_models_were_chosen_on_do_not_choose():
    results = nothing_differs()
    home = tuple(replace(one, splits=("val",)) for one in results.sets)
    assert default_lineup(replace(results, sets=home)) is None
    spoiled = with_rates(results, "small", "near", false_alarms=BROKEN)
    assert default_lineup(replace(spoiled, lineups=spoiled.lineups[:1])) is None
