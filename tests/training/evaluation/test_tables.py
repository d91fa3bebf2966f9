"""Rows -> summaries and text; results survive the way to disk and back."""

from dataclasses import replace

import pytest

from tests.training import rows as made_up
from training.evaluation import metrics, tables
from training.evaluation.results import read, write


def test_a_summary_counts_labels_by_kind():
    rows = made_up.rows({"m": 3.0})
    summary = tables.summarise(rows, "m", made_up.DRAWS)
    said = [(row.fake, row.answers["m"].label) for row in rows]
    for fake, counted in ((False, summary.whole.real_labels), (True, summary.whole.fake_labels)):
        assert counted == {label: said.count((fake, label)) for label in tables.ORDER}
    answered = [item for item in said if item[1] in ("fake", "real")]
    wrong = [item for item in answered if (item[1] == "fake") != item[0]]
    assert summary.wrong_answers.value == len(wrong) / len(answered)
    assert summary.abstained.value == 1 - len(answered) / len(said)
    assert summary.false_alarms.value == said.count((False, "fake")) / 20
    assert summary.missed.value == said.count((True, "real")) / 20


def test_the_metrics_of_a_summary_are_those_of_the_shown_scores():
    rows = made_up.rows({"m": 3.0})
    found = tables.summarise(rows, "m", made_up.DRAWS).metrics
    scores, fake = tables.scores_of(rows, "m"), tables.labels_of(rows)
    quoted = metrics.measures(scores, fake)
    assert {name: found[name].value for name in quoted} == quoted
    assert all(interval.low <= interval.high for interval in found.values())
    assert set(found) - set(quoted) == {
        "auc_uncapped",
        "ece_uncapped",
        "auc_mean_of_frames",
        "ece_answered",
    }


def test_a_set_of_reals_alone_has_rates_but_no_auc():
    rows = [row for row in made_up.rows({"m": 3.0}) if not row.fake]
    summary = tables.summarise(rows, "m", made_up.DRAWS)
    assert "auc" not in summary.metrics
    assert summary.missed is None
    assert summary.false_alarms.low < 0.2 < summary.false_alarms.high or summary.false_alarms.value < 0.2


def test_a_video_without_a_face_counts_as_a_coin_toss_and_as_no_answer():
    rows = made_up.rows({"m": 3.0})
    blind = [*rows[:-1], rows[-1].__class__(**{**vars(rows[-1]), "answers": {"m": made_up.answer(None)}})]
    assert tables.scores_of(blind, "m")[-1] == 0.5
    summary = tables.summarise(blind, "m", made_up.DRAWS)
    assert summary.whole.fake_labels["no_face"] == 1
    assert summary.abstained.value >= 1 / 40


def test_each_method_is_measured_against_all_reals_and_each_group_by_itself():
    summary = tables.summarise(made_up.rows({"m": 3.0}), "m", made_up.DRAWS)
    assert {name: (part.reals, part.fakes) for name, part in summary.by_method.items()} == {
        "mask": (20, 10),
        "swap": (20, 10),
    }
    assert {name: (part.reals, part.fakes) for name, part in summary.by_group.items()} == {
        "dark": (10, 10),
        "light": (10, 10),
    }


def test_every_pair_is_compared_on_every_set_with_both_kinds():
    results = made_up.results()
    assert len(results.comparisons) == 2 * 3
    for item in results.comparisons:
        rows = results.set(item.set).rows
        first, second = (
            metrics.auc(tables.scores_of(rows, name), tables.labels_of(rows)) for name in (item.first, item.second)
        )
        assert item.auc.value == pytest.approx(second - first)


def test_results_are_read_as_they_were_written(tmp_path):
    results = made_up.results()
    write(results, tmp_path / "results.json")
    assert read(tmp_path / "results.json") == results


def test_other_json_is_refused(tmp_path):
    path = tmp_path / "results.json"
    path.write_text('{"schema": "unmask.report/1"}')
    with pytest.raises(ValueError, match="Results"):
        read(path)
    write(replace(made_up.results(), schema="unmask.evaluation/0"), path)
    with pytest.raises(ValueError, match="evaluation/0, not unmask"):
        read(path)
