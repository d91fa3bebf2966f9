"""Scores -> verdict: a table of cases, and properties over made-up scores."""

import math
import random
from dataclasses import fields, replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reports import clips
from unmask.evidence import EvidenceScale
from unmask.verdict import Calibration, ClipScore, Policy, ensemble_policy, judge, judge_one_pass
from unmask.verdict_text import REASONS, clock, describe_verdict, percent, sentence

POLICY = Policy()
STEPS = ("real", "uncertain", "fake")  # labels in order of suspicion


def made(logit: float, face: int = 0, start: float = 0.0, frames: int = 8, model: str = "a") -> ClipScore:
    return ClipScore(model, face, start, start + 0.8, frames, 0.1, logit, Calibration().log_odds(logit))


@st.composite
def one_model(draw: st.DrawFn) -> list[ClipScore]:
    """Clips of up to five faces, enough frames of each."""
    logits = st.lists(st.floats(-9, 9), min_size=1, max_size=6)
    faces = draw(st.lists(logits, min_size=1, max_size=5))
    return [made(logit, face, float(i)) for face, some in enumerate(faces) for i, logit in enumerate(some)]


@st.composite
def anything(draw: st.DrawFn) -> list[ClipScore]:
    keys = draw(
        st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 4), st.integers(0, 6)), unique=True, max_size=20)
    )
    values = st.tuples(st.floats(-1e6, 1e6), st.integers(1, 16))
    drawn = ((key, draw(values)) for key in keys)
    return [made(logit, face, float(start), frames, model) for (model, face, start), (logit, frames) in drawn]


CASES: dict[str, tuple[list[ClipScore], str, set[str]]] = {
    # name: (scores, label, reasons that must be there)
    "clearly fake": (clips([3.0] * 8), "fake", {"score_high"}),
    "clearly real": (clips([-3.0] * 8), "real", {"score_low"}),
    "in the band": (clips([0.2] * 8), "uncertain", {"score_between"}),
    "three frames are too few": ([made(5.0, frames=3)], "uncertain", {"too_few_frames"}),
    "and so they are for `real`": ([made(-5.0, frames=3)], "uncertain", {"too_few_frames"}),
    "one outlier of ten is ignored": (clips([-3.0] * 9 + [6.0]), "real", {"score_low"}),
    "a fake part in a real video": (clips([-4.0] * 6 + [4.0] * 2), "uncertain", {"mixed_over_time"}),
    "a real part in a fake video": (clips([4.0] * 6 + [-2.0] * 2), "fake", {"score_high", "mixed_over_time"}),
    "one fake face of two": (clips([4.0] * 8) + clips([-4.0] * 8, 1), "fake", {"several_people"}),
    "two models agree": (clips([3.0] * 4) + clips([4.0] * 4, model="b"), "fake", {"score_high"}),
    "two models contradict": (clips([4.0] * 4) + clips([-3.0] * 4, model="b"), "uncertain", {"models_disagree"}),
    "one model found nothing, one little": (
        clips([-5.0] * 4) + clips([0.0] * 4, model="b"),
        "uncertain",
        {"models_disagree"},
    ),
    "no face": ([], "no_face", {"no_face"}),
}


@pytest.mark.parametrize(("scores", "label", "reasons"), CASES.values(), ids=CASES)
def test_cases(scores, label, reasons):
    verdict = judge_one_pass(scores, POLICY)
    assert verdict.label == label
    assert reasons <= set(verdict.reasons)


# logits, logits after re-compression, label: only a shift towards the other label makes an answer unstable
RECOMPRESSED = {
    "a fake stays one": (3.0, 2.5, "fake"),
    "a fake drifts away": (3.0, 0.5, "uncertain"),
    "a fake looks worse still": (3.0, 6.0, "fake"),
    "a real one stays one": (-3.0, -2.5, "real"),
    "a real one drifts away": (-3.0, -0.5, "uncertain"),
    "a real one looks better still": (-3.0, -6.0, "real"),
    "no answer to be tested": (0.2, -6.0, "uncertain"),
}


@pytest.mark.parametrize(("first", "second", "label"), RECOMPRESSED.values(), ids=RECOMPRESSED)
def test_an_answer_must_survive_a_mild_recompression(first, second, label):
    verdict = judge(clips([first] * 8), POLICY, lambda faces: clips([second] * 8))
    assert verdict.label == label
    assert ("unstable" in verdict.reasons) == (label == "uncertain" and abs(first) > 1)
    if "unstable" in verdict.reasons:
        assert "re-compression" in describe_verdict(verdict)


def test_a_face_is_unstable_by_its_own_scores():
    two_fakes = clips([4.0] * 8) + clips([5.0] * 8, 1)
    verdict = judge_one_pass(two_fakes, POLICY, recompressed=clips([4.0] * 8) + clips([0.0] * 8, 1))
    assert {face.id: face.label for face in verdict.faces} == {0: "fake", 1: "uncertain"}
    assert (verdict.label, verdict.face_id) == ("fake", 0)


# sharpness of the clips of one face, logit, whether it gets an answer: the middle clip decides
BLURS = {
    "clear and fake": ([0.1, 0.1, 0.1], 4.0, True),
    "just sharp enough": ([0.02, 0.02, 0.02], 4.0, True),
    "blurred and fake": ([0.01, 0.01, 0.01], 4.0, False),
    "blurred and real": ([0.01, 0.01, 0.01], -4.0, False),
    "out of focus for a moment": ([0.1, 0.01, 0.1], 4.0, True),
    "in focus for a moment": ([0.01, 0.1, 0.01], 4.0, False),
}


@pytest.mark.parametrize(("sharpness", "logit", "answered"), BLURS.values(), ids=BLURS)
def test_a_face_that_is_mostly_too_blurred_gets_no_answer(sharpness, logit, answered):
    scores = [replace(made(logit, start=float(i)), sharpness=some) for i, some in enumerate(sharpness)]
    verdict = judge_one_pass(scores, replace(POLICY, min_sharpness=0.02))
    assert (verdict.label in ("fake", "real")) == answered
    assert ("too_blurred" in verdict.reasons) == (not answered)
    assert answered or "the face is too blurred" in describe_verdict(verdict)
    assert judge_one_pass(scores, POLICY).label in ("fake", "real")  # a policy that asks for no sharpness


RESCORED = {  # logits of each face -> the faces whose clips are re-compressed
    "all fakes": ([4.0, 5.0, -4.0], {0, 1}),
    "else the highest": ([-4.0, -3.0], {1}),
    "none without an answer": ([0.2], None),
    "none without a face": ([], None),
}


@pytest.mark.parametrize(("logits", "faces"), RESCORED.values(), ids=RESCORED)
def test_only_the_faces_that_an_answer_rests_on_are_rescored(logits, faces):
    scores = [item for face, logit in enumerate(logits) for item in clips([logit] * 8, face)]
    asked: list[frozenset[int]] = []

    def rescore(ids):
        asked.append(ids)
        return []

    assert judge(scores, POLICY, rescore) == judge_one_pass(scores, POLICY)
    assert asked == ([] if faces is None else [faces])


def test_faces_left_out_are_the_reason_when_no_face_was_judged_else_the_most_suspicious_decides():
    verdict = judge_one_pass([], POLICY, ["face_too_small", "face_too_blurred", "face_too_small"])
    assert verdict.label == "no_face"
    assert verdict.reasons == ("face_too_blurred", "face_too_small")
    assert verdict.faces == verdict.models == ()
    verdict = judge_one_pass(clips([-4.0] * 4, 0) + clips([3.0] * 4, 7) + clips([1.0] * 4, 9), POLICY)
    assert verdict.face_id == 7
    assert [face.id for face in verdict.faces] == [7, 9, 0]


def test_an_answer_may_drift_as_far_as_the_policy_says():
    assert judge_one_pass([made(5.0)], Policy(max_drift=2.0, trim=0.0), recompressed=[made(3.0)]).label == "fake"
    assert judge_one_pass([made(5.0)], Policy(max_drift=1.9), recompressed=[made(3.0)]).label == "uncertain"
    assert "unstable" not in judge_one_pass([made(0.2)], Policy(max_drift=0.1), recompressed=[made(-6.0)]).reasons


@pytest.mark.parametrize(
    "fields",
    [
        {"real_below": 0.8},
        {"fake_above": 1.2},
        {"real_below": -0.1},
        {"trim": 0.5},
        {"crowd_weight": 2.0},
        {"min_sharpness": -0.1},
        {"min_sharpness": math.nan},
        {"min_sharpness": math.inf},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(fields):
    with pytest.raises(ValueError, match=r"not an abstain band|out of range"):
        Policy(**fields)


def test_the_most_cautious_of_an_ensemble_decides_what_is_answered() -> None:
    scale = EvidenceScale((0.0,), (10.0, 90.0), (5.0, 80.0), (20.0, 95.0), (50, 60), (-2.0, 1.0), (-1.0, 0.5))
    one = Policy(real_below=0.3, fake_above=0.7, min_sharpness=0.02, crowd_weight=0.5, evidence=scale)
    other = replace(one, real_below=0.4, fake_above=0.8, min_sharpness=0.0, crowd_weight=0.9)
    other = replace(other, evidence=replace(scale, moderate=(-3.0, 0.9), weak=(-0.7, 0.8)))
    for policy in (ensemble_policy([one, other]), ensemble_policy([other, one])):
        assert (policy.real_below, policy.fake_above, policy.min_sharpness) == (0.3, 0.8, 0.02)
        assert (policy.crowd_weight, policy.evidence.moderate, policy.evidence.weak) == (0.9, (-3.0, 1.0), (-1.0, 0.8))
        said = judge_one_pass([made(2.0, start=0.0), made(2.0, start=1.0)], policy).evidence
        assert said and said.per_100 is None  # one member's frequencies are not those of an average
    assert ensemble_policy([one]) == one


CAUTIOUS = {  # field -> its values in three policies, the most cautious of them
    "max_disagreement": ((0.4, 0.2, 0.3), 0.2),
    "min_frames": ((4, 8, 6), 8),
    "min_clips": ((1, 3, 2), 3),
    "min_sharpness": ((0.0, 0.03, 0.02), 0.03),
    "max_contrary": ((0.25, 0.1, 0.2), 0.1),
    "max_drift": ((2.0, 0.5, 1.0), 0.5),
    "trim": ((0.1, 0.3, 0.2), 0.3),
    "crowd_weight": ((0.5, 1.0, 0.7), 1.0),
    "real_below": ((0.35, 0.2, 0.3), 0.2),
    "fake_above": ((0.75, 0.9, 0.8), 0.9),
}


def test_an_ensemble_has_one_policy_in_any_order():
    assert {*CAUTIOUS, "evidence"} == {field.name for field in fields(Policy)}
    members = [Policy(**{name: values[i] for name, (values, _) in CAUTIOUS.items()}) for i in range(3)]
    expected = Policy(**{name: value for name, (_, value) in CAUTIOUS.items()})
    assert {ensemble_policy(order) for order in permutations(members)} == {expected}


def test_a_calibration_that_makes_no_sense_and_a_logit_that_is_no_number_are_refused():
    for temperature in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="not a calibration"):
            Calibration(temperature)
    for logit in (math.nan, math.inf, -math.inf):
        with pytest.raises(ValueError, match="a model gave"):
            made(logit)


@given(anything(), st.randoms(use_true_random=False))
def test_probability_lies_in_0_to_1_is_missing_only_without_a_face_and_gives_the_label(scores, shuffler: random.Random):
    verdict = judge_one_pass(scores, POLICY)
    for probability in (verdict.probability_fake, *(face.probability_fake for face in verdict.faces)):
        assert (probability is None) == (verdict.label == "no_face")
        assert probability is None or 0 < probability < 1
    assert (verdict.label == "no_face") == (not scores)
    assert (verdict.face_id is None) == (not scores)
    for face in verdict.faces:
        assert face.label == POLICY.label(face.probability_fake)
    if scores:
        assert verdict.probability_fake == max(face.probability_fake for face in verdict.faces)
        assert verdict.label == POLICY.label(verdict.probability_fake)
    shuffled = list(scores)
    shuffler.shuffle(shuffled)
    assert judge_one_pass(shuffled, POLICY) == verdict
    text = describe_verdict(verdict)  # is one sentence, and promises nothing
    assert text.endswith(".")
    assert text.count(". ") == 0
    assert not any(word in text.lower() for word in ("verified", "authentic", "genuine", "certain"))


@given(one_model(), st.data(), st.floats(0.01, 9))
def test_raising_a_logit_never_lowers_the_suspicion(scores, data, by):
    index = data.draw(st.integers(0, len(scores) - 1))
    old = scores[index]
    raised = [*scores[:index], made(old.logit + by, old.track_id, old.start_seconds), *scores[index + 1 :]]
    before, after = judge_one_pass(scores, POLICY), judge_one_pass(raised, POLICY)
    assert after.probability_fake is not None
    assert before.probability_fake is not None
    assert after.probability_fake >= before.probability_fake - 1e-12
    assert STEPS.index(after.label) >= STEPS.index(before.label)


@given(st.lists(st.floats(-6, -0.7), min_size=1, max_size=60))
def test_many_real_looking_faces_are_real(logits):
    scores = [made(logit, face) for face, logit in enumerate(logits)]
    assert judge_one_pass(scores, POLICY).label == "real"


def test_chance_alone_does_not_make_many_faces_fake():
    """Forty real faces, each scored as fake one time in twenty: nearly every video has such a one."""
    chance = random.Random(5)
    videos = [[made(chance.gauss(-2.0, 1.9), face) for face in range(40)] for _ in range(60)]
    alone = sum(any(judge_one_pass([item], POLICY).label == "fake" for item in video) for video in videos)
    together = sum(judge_one_pass(video, POLICY).label == "fake" for video in videos)
    assert alone > 45
    assert together <= 2


SENTENCES: dict[str, Any] = {
    "fake": (
        clips([3.0] * 8, duration=75.0),
        [],
        "The face shows signs of a deepfake: the detector says 95%, from 64 frames of one face between 0:00 and 1:14.",
    ),
    "two of three": (
        clips([5.0] * 2) + clips([4.5] * 2, 1) + clips([-4.0] * 2, 2),
        [],
        "2 of 3 faces show signs of a deepfake: the detector "
        "says 98%, from 16 frames of one face between 0:00 and 1:01.",
    ),
    "real": (
        clips([-3.0] * 8),
        [],
        "No sign of a deepfake was found in 64 frames of one face "
        "between 0:00 and 1:01; this is no proof that there is none, and heads drawn by a generator are often missed.",
    ),
    "between": (
        clips([0.2] * 8),
        [],
        "From 64 frames of one face between 0:00 and 1:01 the detector "
        "cannot tell whether this is a deepfake (55%, between its thresholds).",
    ),
    "a frame": (
        [made(3.0, frames=1)],
        [],
        "From 1 frame of one face at 0:00 the detector cannot tell whether this is a deepfake (too few frames); "
        "it leans towards a deepfake (weak evidence).",
    ),
    "no face": ([], [], "No face was found in the moments that were looked at, so nothing can be said."),
}


@pytest.mark.parametrize(("scores", "excluded", "text"), SENTENCES.values(), ids=SENTENCES)
def test_the_sentence_of_each_case(scores, excluded, text):
    assert describe_verdict(judge_one_pass(scores, POLICY, excluded)) == text


def test_every_reason_has_a_sentence():
    possible: set[str] = set()
    for scores, _, _ in CASES.values():
        possible |= set(judge_one_pass(scores, POLICY, ["face_too_small"]).reasons)
    assert possible <= set(REASONS)
    assert all(text.endswith(".") for text in REASONS.values())
    assert sentence("something_new") == "something_new"
    assert sentence("no_face") == REASONS["no_face"]


def test_percent_claims_no_certainty_and_clock_is_that_of_a_player():
    assert [percent(p) for p in (0.0, 0.01, 0.934, 0.99, 0.999)] == ["under 1%", "1%", "93%", "99%", "over 99%"]
    assert [clock(seconds) for seconds in (0.0, 7.9, 754.0, 3723.0)] == ["0:00", "0:07", "12:34", "1:02:03"]
