"""Tests of calibration: targets hold on data that was not fitted on, and evaluation sets are not fitted on."""

import json

import numpy as np
import pytest

from tests.training.faces import face
from training.data.shards import write_clips
from training.release.calibration import (
    MAX_FALSE_ALARMS,
    MAX_MISSED,
    MAX_WITHHELD,
    MAX_WRONG,
    check_on_halves,
    conformal_lower_threshold,
    conformal_threshold,
    conformal_threshold_or_max,
    fit,
    fit_crowd_weight,
    fit_temperature,
    label_rates,
    probabilities,
)
from training.release.evidence_scale import fit_evidence, to_log_odds
from training.release.score_table import make_rows, select
from training.release.score_validation import pool_clips, validation_clips
from unmask.evidence import EvidenceScale
from unmask.verdict import Calibration, Policy


def scored(pairs, gap=2.0, seed=0, scale=1.0, harder=-1.0, shift=0.0, blur=-9.0):
    """Logits of real and fake clips in turn, `gap` apart, in units of their spread; plain ones twice that.

    Real faces look the more manipulated the less sharp they are, the least sharp as `blur` says.
    """
    rng = np.random.default_rng(seed)
    fake = np.tile([False, True], pairs)
    logits = scale * (rng.normal(0, 1, 2 * pairs) + gap * (fake - 0.5))
    hard = scale * (rng.normal(0, 1, (2, 400)) - gap / 2 + np.array([[-1.0], [harder]]))
    again = logits - 0.3 * scale * rng.exponential(1, 2 * pairs)
    plain = np.concatenate([rng.normal(0, scale, 200) + scale * side * gap for side in (-1, 1)])
    sharpness = rng.uniform(0, 1, (2, 900)) ** 2
    blurred = scale * (rng.normal(0, 1, (2, 900)) + blur * (1 - sharpness) - gap / 2)
    levels = [[0], [1]]
    parts = [
        make_rows("pairs", logits, fake=fake, recompressed_logit=again, item=np.arange(2 * pairs) // 2),
        make_rows("corrupted", hard, condition=levels),
        make_rows("blurred", blurred, condition=levels, sharpness=sharpness),
        make_rows("stored", plain + shift, fake=np.arange(400) >= 200),
    ]
    return np.concatenate(parts)


def pairs_of(table, calibration):
    rows = select(table, "pairs")
    return probabilities(rows["logit"], calibration), rows["fake"]


def rates_of_pairs(table, calibration, policy):
    probability, fake = pairs_of(table, calibration)
    return label_rates(probability, fake, policy)


def videos(logits, fake, name="other"):
    return make_rows("videos", logits, fake=fake, domain=name)


@pytest.mark.parametrize("gap", [0.5, 2.0, 4.0])
def test_the_targets_hold_on_new_data(gap):
    fresh = scored(30_000, gap, seed=99)
    rates = []
    for seed in range(100, 150):
        calibration, policy = fit(scored(1000, gap, seed))
        rates.append(rates_of_pairs(fresh, calibration, policy))
    assert np.mean([rate["reals_labelled_fake"] for rate in rates]) <= 1.15 * MAX_FALSE_ALARMS
    assert np.mean([rate["wrong_of_labelled"] for rate in rates]) <= MAX_WRONG


def test_many_reals_do_not_loosen_what_is_called_real():
    wrong = []
    for seed in range(100, 120):
        rng = np.random.default_rng(seed)
        logits = np.concatenate([rng.normal(-1, 1, 3000), rng.normal(1, 1, 300)])
        some = np.concatenate([scored(1000, 4.0, seed), videos(logits, np.arange(3300) >= 3000)])
        calibration, policy = fit(some[some["part"] != "stored"])
        edge = (to_log_odds(policy.real_below) - calibration.bias) * calibration.temperature
        reals, fakes = (rng.normal(side, 1, 20_000) < edge for side in (-1, 1))
        wrong.append(fakes.mean() / (fakes.mean() + reals.mean()))
    assert 0.005 < np.mean(wrong) <= MAX_WRONG


def test_the_worst_condition_decides_what_is_called_fake():
    rates = []
    for seed in range(100, 130):
        calibration, policy = fit(scored(1000, seed=seed, harder=1.0))
        fresh = scored(10, seed=seed + 1000, harder=1.0)
        worst = select(fresh, "corrupted")
        worst = worst[worst["condition"] == 1]
        rates.append((probabilities(worst["logit"], calibration) > policy.fake_above).mean())
    assert 0.002 < np.mean(rates) < 0.015


def test_of_blurred_reals_that_are_sharp_enough_few_are_called_fake():
    rates = []
    for seed in range(100, 130):
        calibration, policy = fit(scored(1000, seed=seed, blur=9.0))
        fresh = scored(10, seed=seed + 1000, blur=9.0)
        rows = select(fresh, "blurred")
        called_fake = probabilities(rows["logit"], calibration) > policy.fake_above
        assert called_fake.mean() > 0.5 and 0 < policy.min_sharpness < 1
        wrong = called_fake & (rows["sharpness"] >= policy.min_sharpness)
        rates.append(max(wrong[rows["condition"] == level].mean() for level in (0, 1)))
    assert np.mean(rates) < 2 * MAX_FALSE_ALARMS


def test_few_right_labels_are_withheld_because_recompression_moves_them():
    calibration, policy = fit(scored(2000))
    fresh = scored(20_000, seed=1)
    probability, fake = pairs_of(fresh, calibration)
    fakes = (probability > policy.fake_above) & fake
    reals = (probability < policy.real_below) & ~fake
    rows = select(fresh, "pairs")
    drift = (rows["logit"] - rows["recompressed_logit"]) / calibration.temperature
    withheld = np.concatenate([drift[fakes], -drift[reals]]) > policy.max_drift
    assert 0.5 * MAX_WITHHELD < withheld.mean() < 1.5 * MAX_WITHHELD


@pytest.mark.parametrize("scale", [0.2, 1.0, 5.0])
def test_a_probability_means_what_it_says(scale):
    calibration, _ = fit(scored(5000, scale=scale))
    fresh = scored(50_000, scale=scale, seed=1)
    probability, fake = pairs_of(fresh, calibration)
    for low in (0.1, 0.4, 0.7):
        inside = (probability > low) & (probability < low + 0.1)
        assert fake[inside].mean() == pytest.approx(low + 0.05, abs=0.04)


@pytest.mark.parametrize("gap", [0.0, -1.0])
def test_a_model_that_knows_nothing_abstains(gap):
    some = scored(1000, gap=gap)
    calibration, policy = fit(some)
    rates = rates_of_pairs(some, calibration, policy)
    assert rates["abstained"] == 1.0


# reals, threshold: the ceil(0.995 (n + 1))-th smallest, and none where that does not exist
RANKS = [(199, 0.99), (399, 0.995 - 1e-9), (198, 1.0), (5, 1.0)]


@pytest.mark.parametrize(("count", "least"), RANKS)
def test_too_few_reals_give_no_threshold(count, least):
    threshold = conformal_threshold(np.arange(count) / count)
    assert threshold >= least - 0.01
    assert (threshold == 1.0) == (count < 199)


def test_a_domain_of_few_reals_puts_the_threshold_at_its_highest_one():
    few, many = np.linspace(0, 0.9, 40), np.linspace(0, 0.9, 1000)
    assert conformal_threshold_or_max(few) == 0.9
    assert conformal_threshold_or_max(many) == conformal_threshold(many) < 0.9
    assert conformal_threshold_or_max(np.zeros(0)) == 0.0


def test_few_fakes_of_a_domain_are_called_real():
    fresh, rng = np.random.default_rng(1), np.random.default_rng(0)
    missed = [(fresh.normal(0, 1, 4000) < conformal_lower_threshold(rng.normal(0, 1, 200))).mean() for _ in range(100)]
    assert 0.6 * MAX_MISSED < np.mean(missed) <= 1.1 * MAX_MISSED
    assert conformal_lower_threshold(np.arange(30.0)) == 0.0


DOMAINS = [  # logits of the reals and of the fakes of one more domain
    ("reals that look fake", [6.0] * 300, []),
    ("fakes that look real", [-3.0] * 60, [-6.0] * 60),
    ("reals that look fake, beside fakes", [6.0] * 60, [6.5] * 60),
]


@pytest.mark.parametrize(("reals", "fakes"), [case[1:] for case in DOMAINS], ids=[case[0] for case in DOMAINS])
def test_the_targets_hold_in_every_domain(reals, fakes):
    jitter = np.random.default_rng(0).normal(0, 0.1, len(reals) + len(fakes))
    domain = videos(np.array([*reals, *fakes]) + jitter, np.arange(len(jitter)) >= len(reals))
    alone = scored(2000, gap=6.0)
    calibration, policy = fit(np.concatenate([alone, domain]))
    probability = probabilities(domain["logit"], calibration)
    rates = label_rates(probability, domain["fake"], policy)
    assert rates["reals_labelled_fake"] <= 0.01
    assert not fakes or rates["wrong_of_labelled"] <= MAX_WRONG
    plain_rates = label_rates(probability, domain["fake"], fit(alone)[1])
    assert max(plain_rates["reals_labelled_fake"], plain_rates["wrong_of_labelled"]) > MAX_WRONG


def test_domains_weigh_the_same_however_many_videos_they_have():
    rng = np.random.default_rng(0)
    one, other = (videos(rng.normal(shift, 1, 400), np.arange(400) >= 200) for shift in (-1.0, 1.0))
    one["logit"] += 3 * one["fake"]
    expected = fit_temperature([one, other]).temperature
    assert fit_temperature([np.tile(one, 3), other]).temperature == pytest.approx(expected, rel=1e-3)


def test_a_video_is_pooled_as_it_is_shown():
    clips = [face("a", frames=8), face("a", frames=8), face("a", frames=4)]
    assert pool_clips(np.array([1.0, 1.0, 1.0]), clips) == pytest.approx(1.0)
    assert 2.0 < pool_clips(np.array([0.0, 4.0, 4.0]), clips) < 3.2


@pytest.mark.parametrize("shift", [-3.0, 3.0])
def test_clips_as_they_are_narrow_the_band_where_they_are_judged_worse(shift):
    """Fakes that look real, or reals that look fake, before anything was re-compressed."""
    _, usual = fit(scored(1000))
    _, policy = fit(scored(1000, shift=shift))
    assert policy.fake_above >= usual.fake_above and policy.real_below <= usual.real_below
    assert policy.fake_above > usual.fake_above or policy.real_below < usual.real_below


def test_thresholds_are_checked_on_halves_that_they_were_not_fitted_on():
    domain = videos(np.repeat([-4.0, 4.0], 300), np.arange(600) >= 300, "more")
    rates = json.loads(check_on_halves(np.concatenate([scored(1000, gap=4.0), domain])))
    assert rates["fakes_labelled_fake"] > 0.5 and rates["more_fakes_labelled_fake"] == 1.0
    assert max(rates["reals_labelled_fake"], rates["corrupted_reals_labelled_fake"]) < 0.015
    assert "too few" in check_on_halves(scored(10))


def test_a_set_that_is_for_measuring_is_refused(tmp_path):
    write_clips(tmp_path / "fit", [face("a", split="val"), face("b", split="train", shift=3)])
    write_clips(tmp_path / "measure", [face("c", split="test")])
    assert [clip.video_id for clip in validation_clips([tmp_path / "fit"])["fit"]] == ["a"]
    write_clips(tmp_path / "more", [face(name, split="val") for name in "defg"])
    assert len(validation_clips([tmp_path / "more"], limit=3)["more"]) == 3
    with pytest.raises(ValueError, match="measure holds no row of split `val`"):
        validation_clips([tmp_path / "fit", tmp_path / "measure"])


def evidence_domains(seed, count=300):
    """Two domains of which one has no fakes; log-odds are right as they are."""
    rng = np.random.default_rng(seed)
    fake = np.tile([False, True], count)
    both = rng.normal(0, 2, 2 * count) + np.where(fake, 2, -2)
    return np.concatenate([videos(both, fake), videos(rng.normal(-2, 2, count), np.zeros(count, bool), "reals")])


def test_the_frequencies_of_evidence_hold_on_new_videos():
    policy, seen = Policy(real_below=0.01, fake_above=0.99), []
    for seed in range(6):
        scale = fit_evidence(evidence_domains(seed), Calibration(), policy)
        assert list(scale.per_100) == sorted(scale.per_100) and sum(scale.videos) == 900
        fresh = evidence_domains(seed + 50, 20_000)
        fresh = fresh[fresh["domain"] == "other"]
        bins = np.digitize(fresh["logit"], scale.edges)
        for row, (low, high) in enumerate(zip(scale.low, scale.high, strict=True)):
            share = 100 * fresh["fake"][bins == row].mean()
            seen.append(low - 1 <= share <= high + 1)
    assert np.mean(seen) > 0.85


def test_few_moderate_answers_are_wrong_on_new_videos_and_strong_ones_need_no_grade():
    policy, wrong = Policy(real_below=0.01, fake_above=0.99), []
    for seed in range(6):
        scale = fit_evidence(evidence_domains(seed), Calibration(), policy)
        low, high = scale.moderate
        answers = {round(side * to_log_odds(policy.fake_above), 3) for side in (-1, 1)}
        assert {*scale.moderate, *scale.weak} | answers <= {*scale.edges}  # no bin lies in two grades
        assert scale.low[-1] < 100 and scale.high[0] > 0  # of some videos, however alike, nothing is certain
        assert -4.6 <= low < 0 < high <= 4.6
        fresh = evidence_domains(seed + 50, 20_000)
        fresh = fresh[fresh["domain"] == "other"]
        logit, fake = fresh["logit"], fresh["fake"]
        called_fake, called_real = (logit > high) & (logit < 4.6), (logit < low) & (logit > -4.6)
        wrong.append(((called_fake & ~fake) | (called_real & fake)).sum() / (called_fake | called_real).sum())
    assert np.mean(wrong) < 0.12
    assert fit_evidence(videos([1.0], [True]), Calibration(), policy) == EvidenceScale()


@pytest.mark.parametrize("scale", [0.4, 1.0])
def test_a_group_of_reals_is_suspected_no_more_often_than_one_face(scale):
    reals = scale * np.random.default_rng(0).logistic(-1, 1, 4000)
    weight = fit_crowd_weight(videos(reals, np.zeros(4000, bool)), Calibration(), edge=scale * 2)
    groups = np.random.default_rng(1).choice(reals, (4000, 4)).max(1) - weight * np.log(4)
    assert (groups > scale * 2).mean() <= 1.3 * (reals > scale * 2).mean()
    assert abs(weight - scale) <= 0.15  # the tail of logistic scores shrinks by their scale for each natural logarithm


def test_without_a_suspected_real_a_group_holds_a_fake_as_often_as_one_face():
    assert fit_crowd_weight(videos(np.zeros(9), np.zeros(9, bool)), Calibration(), edge=2.0) == 1.0
