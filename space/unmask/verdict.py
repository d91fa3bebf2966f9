"""Calibrate logits, and judge the faces of a video by them. Pure; `verdict_text` has the words.

A person is fake if their clips, taken together, say so; a video is fake if any person in it is. A label always follows
from the probability that is shown: where the evidence does not suffice, the probability is moved into the abstain band.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from unmask.evidence import Evidence, EvidenceScale, grade

MAX_LOG_ODDS = 6.9  # 0.1 % .. 99.9 %: no evaluation here is large enough to claim more

Label = Literal["fake", "real", "uncertain", "no_face"]
Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """The map from a model's logit to log-odds of being fake, fitted on validation videos (Platt scaling)."""

    temperature: float = 1.0  # above 1: the model is surer of itself than it should be
    bias: float = 0.0  # moves the point where fake and real are equally likely

    def __post_init__(self) -> None:
        if not (0 < self.temperature < math.inf and math.isfinite(self.bias)):
            raise ValueError(f"not a calibration: {self}")

    def log_odds(self, logit: float) -> float:
        """Return the log-odds, at most MAX_LOG_ODDS either way.

        Raises:
            ValueError: The logit is not finite.
        """
        if not math.isfinite(logit):
            raise ValueError(f"a model gave {logit}")
        return float(np.clip(logit / self.temperature + self.bias, -MAX_LOG_ODDS, MAX_LOG_ODDS))


@dataclass(frozen=True)
class Policy:
    """The thresholds of an answer, and when to abstain. Field names are those of config.json."""

    real_below: float = 0.35  # a lower probability is shown as `real`
    fake_above: float = 0.75  # a higher one as `fake`; the band between, ends included, as `uncertain`
    max_disagreement: float = 0.4  # between the probabilities of two models for one face
    min_frames: int = 4  # of one face
    min_clips: int = 1  # of one face
    min_sharpness: float = 0.0  # of one face's crops, median over its clips; see `faces.exclusion.crop_sharpness`
    max_contrary: float = 0.25  # share of a face's frames in clips that look fake, for the label `real`
    max_drift: float = 2.0  # log-odds towards the other label by which mild re-compression may shift an answer
    trim: float = 0.1  # share of a face's frames ignored at either end, as outliers
    crowd_weight: float = 1.0  # of `multi_face_correction`: 0: faces are judged as if alone
    evidence: EvidenceScale = EvidenceScale()

    def __post_init__(self) -> None:
        if not 0 <= self.real_below <= self.fake_above <= 1:
            raise ValueError(f"not an abstain band: {self.real_below} to {self.fake_above}")
        if not (0 <= self.trim < 0.5 and 0 <= self.crowd_weight <= 1):
            raise ValueError(f"trim or crowd_weight out of range: {self}")
        if not 0 <= self.min_sharpness < math.inf:  # not a number would switch the check off
            raise ValueError(f"min_sharpness out of range: {self.min_sharpness}")

    def label(self, probability: float) -> Label:
        """Return the label of a probability."""
        if probability > self.fake_above:
            return "fake"
        return "real" if probability < self.real_below else "uncertain"


LOWER_IS_CAUTIOUS = ("real_below", "max_disagreement", "max_contrary", "max_drift")  # of the fields of Policy
HIGHER_IS_CAUTIOUS = ("fake_above", "min_frames", "min_clips", "min_sharpness", "trim", "crowd_weight")


def ensemble_policy(policies: Sequence[Policy]) -> Policy:
    """Combine the policies of models that answer together, in any order: of each field the most cautious value.

    Evidence is graded by the widest edges of all, and without frequencies: how often such an average was of a fake was
    measured on no videos.
    """
    if len(policies) == 1:
        return policies[0]
    scales = [policy.evidence for policy in policies]
    return Policy(
        **{name: min(getattr(policy, name) for policy in policies) for name in LOWER_IS_CAUTIOUS},
        **{name: max(getattr(policy, name) for policy in policies) for name in HIGHER_IS_CAUTIOUS},
        evidence=EvidenceScale(
            moderate=_widest([scale.moderate for scale in scales]), weak=_widest([scale.weak for scale in scales])
        ),
    )


def _widest(bands: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return min(low for low, _ in bands), max(high for _, high in bands)


@dataclass(frozen=True)
class ClipScore:
    """The score that one model gives one clip of one face."""

    model: str
    track_id: int
    start_seconds: float  # in the original video
    end_seconds: float
    frames: int
    sharpness: float  # of the crops that the model was shown
    logit: float
    log_odds: float  # the logit, calibrated

    @property
    def probability_fake(self) -> float:
        """The calibrated probability of this clip alone."""
        return to_probability(self.log_odds)


@dataclass(frozen=True)
class FaceVerdict:
    """The answer for one face."""

    id: int
    probability_fake: float
    label: Label
    frames: int  # that were looked at
    start_seconds: float  # of the first of them
    end_seconds: float
    reasons: tuple[str, ...]  # codes, see `verdict_text.REASONS`
    evidence: Evidence  # from the probability before reasons to abstain keep it between the thresholds


@dataclass(frozen=True)
class SpanVerdict:
    """What one clip of one face looks like, all models together."""

    face_id: int
    start_seconds: float
    end_seconds: float
    probability_fake: float
    label: Label


@dataclass(frozen=True)
class Verdict:
    """The answer for a video."""

    label: Label
    probability_fake: float | None  # None when, and only when, no face was judged
    face_id: int | None  # the face that decided
    reasons: tuple[str, ...]  # codes, see `verdict_text.REASONS`
    band: tuple[float, float]  # probabilities within, ends included, are `uncertain`
    evidence: Evidence | None = None  # of the face that decided
    faces: tuple[FaceVerdict, ...] = ()  # most suspicious first
    timeline: tuple[SpanVerdict, ...] = ()  # in time order
    models: tuple[tuple[str, float | None], ...] = ()  # name and the model's own probability for the video


def to_probability(log_odds: float) -> float:
    """Apply the logistic function."""
    return 1 / (1 + math.exp(-log_odds))


# Scores -> verdict.

Rescore = Callable[[frozenset[int]], Sequence[ClipScore]]  # ids of faces -> scores of their re-compressed clips


def judge(scores: Sequence[ClipScore], policy: Policy, rescore: Rescore, excluded: Sequence[str] = ()) -> Verdict:
    """Judge all clips of all faces in two passes: an answer must survive a mild re-compression of its clips.

    `rescore` is called with the ids of the faces on which the answer of the first pass rests, if there is one.
    `excluded`: the reason codes of faces that were left out. The order of the scores does not matter.
    """
    first = judge_one_pass(scores, policy, excluded)
    deciding = deciding_faces(first)
    return judge_one_pass(scores, policy, excluded, rescore(deciding)) if deciding else first


def judge_one_pass(
    scores: Sequence[ClipScore], policy: Policy, excluded: Sequence[str] = (), recompressed: Sequence[ClipScore] = ()
) -> Verdict:
    """Decide in one pass, with the scores of re-compressed clips of some faces where they are known.

    Raising a logit of `scores` never lowers a probability, unless `recompressed` is given.
    """
    left_out = tuple(sorted(set(excluded)))
    band = (policy.real_below, policy.fake_above)
    by_face = _group(scores, "track_id")
    if not by_face:
        return Verdict("no_face", None, None, left_out or ("no_face",), band)
    correction = multi_face_correction(len(by_face), policy)
    second = _group(recompressed, "track_id")
    faces = [_judge_face(id, by_face[id], second.get(id, []), correction, policy) for id in sorted(by_face)]
    faces.sort(key=lambda face: -face.probability_fake)
    highest = faces[0]
    several = ("several_people",) if correction > 0 else ()
    return Verdict(
        label=highest.label,
        probability_fake=highest.probability_fake,
        face_id=highest.id,
        reasons=highest.reasons + several + left_out,
        band=band,
        evidence=highest.evidence,
        faces=tuple(faces),
        timeline=_timeline(by_face, correction, policy),
        models=_by_single_model(scores, correction, policy),
    )


def deciding_faces(verdict: Verdict) -> frozenset[int]:
    """Return the ids of the faces that an answer rests on: all fake ones, or the highest; none without an answer."""
    if verdict.face_id is None or verdict.label == "uncertain":
        return frozenset()
    fakes = frozenset(face.id for face in verdict.faces if face.label == "fake")
    return fakes or frozenset({verdict.face_id})


def pool(scores: Sequence[ClipScore], trim: float) -> float:
    """Pool one model's clips of one face: the mean of their log-odds weighted by frames, trimmed at both ends."""
    ordered = sorted((item.log_odds, item.frames) for item in scores)
    values = np.array([value for value, _ in ordered])
    ends = np.cumsum([max(frames, 1) for _, frames in ordered], dtype=np.float64)
    edges = np.clip(np.concatenate([[0.0], ends / ends[-1]]), trim, 1 - trim)
    return float(values @ np.diff(edges) / (edges[-1] - edges[0]))


def multi_face_correction(faces: int, policy: Policy) -> float:
    """Return what each of n faces loses, in log-odds: that one of n is the fake one has a prior of 1/n.

    Without it, as with any multiple comparison, the highest of many scores would make most groups of people fake.
    """
    return policy.crowd_weight * math.log(max(faces, 1))


def _judge_face(
    face_id: int, scores: Sequence[ClipScore], recompressed: Sequence[ClipScore], correction: float, policy: Policy
) -> FaceVerdict:
    by_model = _pool_by_model(scores, correction, policy)
    log_odds = _mean(by_model)
    probability = to_probability(log_odds)
    label = policy.label(probability)
    moments = _average_models(scores)
    abstain_reasons = _abstain_reasons(moments, by_model, correction, label, policy)
    if recompressed:
        shift = _mean(_pool_by_model(recompressed, correction, policy)) - log_odds
        if {"fake": -shift, "real": shift}.get(label, 0.0) > policy.max_drift:
            abstain_reasons += ("unstable",)
    if abstain_reasons and (label == "real" or abstain_reasons != ("mixed_over_time",)):
        probability = float(np.clip(probability, policy.real_below, policy.fake_above))
    final_label = policy.label(probability)
    score_reasons = {"fake": ("score_high",), "real": ("score_low",), "uncertain": ("score_between",)}[label]
    reasons = (score_reasons if final_label == label else ()) + abstain_reasons
    evidence = grade(log_odds, final_label, bool(abstain_reasons), policy.evidence)
    return FaceVerdict(
        id=face_id,
        probability_fake=probability,
        label=final_label,
        frames=sum(moment.frames for moment in moments),
        start_seconds=min(moment.start_seconds for moment in moments),
        end_seconds=max(moment.end_seconds for moment in moments),
        reasons=reasons,
        evidence=evidence,
    )


def _abstain_reasons(
    moments: Sequence[ClipScore], by_model: Sequence[float], correction: float, label: Label, policy: Policy
) -> tuple[str, ...]:
    """Return why a face may not get a label although its probability would allow it."""
    frames = sum(moment.frames for moment in moments)
    probabilities = [to_probability(value) for value in by_model]
    found = []
    if frames < policy.min_frames or len(moments) < policy.min_clips:
        found.append("too_few_frames")
    if median(moment.sharpness for moment in moments) < policy.min_sharpness:
        found.append("too_blurred")
    if max(probabilities) - min(probabilities) > policy.max_disagreement:
        found.append("models_disagree")
    labels = [policy.label(to_probability(moment.log_odds - correction)) for moment in moments]
    contrary = sum(
        moment.frames for moment, own in zip(moments, labels, strict=True) if {own, label} == {"fake", "real"}
    )
    if contrary and contrary >= policy.max_contrary * frames:
        found.append("mixed_over_time")
    return tuple(found)


def _pool_by_model(scores: Sequence[ClipScore], correction: float, policy: Policy) -> list[float]:
    """Return the log-odds that each model gives a face."""
    return [pool(some, policy.trim) - correction for some in _group(scores, "model").values()]


def _by_single_model(
    scores: Sequence[ClipScore], correction: float, policy: Policy
) -> tuple[tuple[str, float | None], ...]:
    """Return what each model alone would say of the video: its own highest face."""
    highest = {
        model: max(pool(face, policy.trim) for face in _group(some, "track_id").values())
        for model, some in _group(scores, "model").items()
    }
    return tuple((model, to_probability(log_odds - correction)) for model, log_odds in sorted(highest.items()))


def _timeline(by_face: dict[int, list[ClipScore]], correction: float, policy: Policy) -> tuple[SpanVerdict, ...]:
    spans = []
    for face_id, scores in by_face.items():
        for moment in _average_models(scores):
            probability = to_probability(moment.log_odds - correction)
            label = policy.label(probability)
            spans.append(SpanVerdict(face_id, moment.start_seconds, moment.end_seconds, probability, label))
    return tuple(sorted(spans, key=lambda span: (span.start_seconds, span.face_id)))


def _average_models(scores: Sequence[ClipScore]) -> list[ClipScore]:
    """Average what several models say of the same clip of a face -> one score a clip, in time order."""
    by_start = _group(scores, "start_seconds")
    return [
        replace(
            same[0],
            end_seconds=max(item.end_seconds for item in same),
            frames=max(item.frames for item in same),
            sharpness=_mean([item.sharpness for item in same]),
            log_odds=_mean([item.log_odds for item in same]),
        )
        for _, same in sorted(by_start.items())
    ]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _group(scores: Iterable[ClipScore], field: str) -> dict[Any, list[ClipScore]]:
    groups: dict[Any, list[ClipScore]] = defaultdict(list)
    for item in scores:
        groups[getattr(item, field)].append(item)
    return groups
