"""Rows -> summaries and text; results survive the way to disk and back."""

from dataclasses import replace

import numpy as np
import pytest

from tests.training import rows as made_up
from training.evaluation import metrics, tables
from training.evaluation.results import GRADES, read, write


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
        "cllr",
        "cllr_calibration_loss",
    }


def test_the_evidence_is_counted_by_grade_and_by_how_often_it_leans_the_wrong_way():
    rows = made_up.rows({"m": 3.0}, count=400)
    summary = tables.summarise(rows, "m", made_up.DRAWS)
    for grades, fake in ((summary.whole.real_grades, False), (summary.whole.fake_grades, True)):
        assert list(grades) == list(GRADES)
        given = [row.answers["m"].grade for row in rows if row.fake == fake]
        assert grades == {name: given.count(name) for name in GRADES}
    wrong = [summary.wrong_by_strength[strength].value for strength in ("strong", "moderate", "weak")]
    assert wrong == sorted(wrong) and wrong[0] < wrong[2]
    assert summary.leans_right.value > 0.8


def test_the_cost_of_likelihood_ratios_is_one_without_information_and_grows_with_wrong_certainty():
    fake = np.tile([False, True], 200)
    silent = metrics.log_likelihood_ratio_costs(np.full(400, 0.5), fake)
    assert silent == {"cllr": pytest.approx(1), "cllr_calibration_loss": pytest.approx(0)}
    rng = np.random.default_rng(0)
    log_odds = rng.normal(0, 1, 400) + np.where(fake, 0.5, -0.5)  # whose log-likelihood ratio is itself
    good, bold = (metrics.log_likelihood_ratio_costs(1 / (1 + np.exp(-scale * log_odds)), fake) for scale in (1, 4))
    assert good["cllr"] < 1 < bold["cllr"]
    assert good["cllr_calibration_loss"] < 0.1 < bold["cllr_calibration_loss"]
    assert good["cllr"] - good["cllr_calibration_loss"] == pytest.approx(bold["cllr"] - bold["cllr_calibration_loss"])


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
    reals = [row.answers["m"].score for row in made_up.rows({"m": 3.0}) if not row.fake and row.group_label == "dark"]
    assert summary.by_group["dark"].real_median == pytest.approx(float(np.median(reals)))
    assert 0 <= summary.by_group["dark"].reals_called_fake.value <= summary.by_group["dark"].reals_called_fake.high <= 1


def test_every_pair_is_compared_on_every_set_with_both_kinds():
    results = made_up.results()
    assert len(results.comparisons) == 2 * 3
    for item in results.comparisons:
        rows = results.set(item.set).rows
        first, second = (
            metrics.auc(tables.scores_of(rows, name), tables.labels_of(rows)) for name in (item.first, item.second)
        )
        assert item.auc.value == pytest.approx(second - first)


def test_results_are_read_as_they_were_written_and_other_json_is_refused(tmp_path):
    path = tmp_path / "results.json"
    write(made_up.results(), path)
    assert read(path) == made_up.results()
    path.write_text('{"schema": "unmask.report/1"}')
    with pytest.raises(ValueError, match="Results"):
        read(path)
    write(replace(made_up.results(), schema="unmask.evaluation/0"), path)
    with pytest.raises(ValueError, match="evaluation/0, not unmask"):
        read(path)
