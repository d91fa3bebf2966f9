"""Logits -> calibrated scores -> verdict. Pure: numbers and words, no pictures, no torch.

A person is fake if their clips, taken together, say so; a video is fake if any person in it is. The label
always follows from the number that is shown: what the evidence cannot carry is held inside the abstain band.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

MAX_LOG_ODDS = 6.9  # 0.1 % .. 99.9 %: no evaluation here is large enough to claim more

Label = Literal["fake", "real", "uncertain", "no_face"]
Float64Array = npt.NDArray[np.float64]

SHOWN_LABEL: dict[str, str] = {
    "fake": "Likely deepfake",
    "real": "No sign of a deepfake",
    "uncertain": "Not sure",
    "no_face": "No face found",
}

# stable code -> what a person reads; each holds for one face and for several
REASONS: dict[str, str] = {
    "score_high": "What the detector sees in this face is more common in deepfakes than in filmed faces.",
    "score_low": "The detector found none of the traces it has learned to look for.",
    "score_between": "The score lies in the range where the detector is often wrong, so it gives no answer.",
    "too_few_frames": "The face could be looked at in too few frames for an answer.",
    "too_blurred": "The face is too blurred to be judged: the detector takes such blur for manipulation.",
    "models_disagree": "The models that looked at it contradict each other.",
    "mixed_over_time": "Some moments look manipulated and others do not: look at the marked ones yourself.",
    "unstable": "After a mild re-compression the detector says something else, so no answer is given.",
    "several_people": ("Several faces were compared. Among many, one looks odd by chance, so each score was lowered."),
    "no_face": "No face was found in the moments that were looked at.",
    "face_too_small": "A face was left out because it is too small in the picture.",
    "face_too_blurred": "A face was left out because it is too blurred.",
    "face_too_brief": "A face was left out because it is seen too briefly.",
}


@dataclass(frozen=True)
class Calibration:
    """A model's logit -> log-odds that can be read as a probability; fitted on validation videos."""

    temperature: float = 1.0  # above 1: the model is surer of itself than it should be
    bias: float = 0.0  # moves the point where fake and real are equally likely

    def __post_init__(self) -> None:
        if not (0 < self.temperature < math.inf and math.isfinite(self.bias)):
            raise ValueError(f"not a calibration: {self}")

    def log_odds(self, logit: float) -> float:
        """Raises ValueError when the logit is not finite."""
        if not math.isfinite(logit):
            raise ValueError(f"a model gave {logit}")
        return float(np.clip(logit / self.temperature + self.bias, -MAX_LOG_ODDS, MAX_LOG_ODDS))


@dataclass(frozen=True)
class Policy:
    """When to give an answer, and when to abstain."""

    real_below: float = 0.35  # a lower probability is shown as `real`
    fake_above: float = 0.75  # a higher one as `fake`; the band between, ends included, as `uncertain`
    max_disagreement: float = 0.4  # between the probabilities of two models for one face
    min_frames: int = 4  # of one face
    min_clips: int = 1  # of one face
    min_sharpness: float = 0.0  # of one face's crops, median over its clips; see `tracks.crop_sharpness`
    max_contrary: float = 0.25  # share of a face's frames in clips that look fake, for the label `real`
    max_drift: float = 2.0  # log-odds towards the other label that mild re-compression may cost an answer
    trim: float = 0.1  # share of a face's frames ignored at either end, as outliers
    crowd_weight: float = 1.0  # 1: each of n faces has a prior of 1/n; 0: faces are judged as if alone

    def __post_init__(self) -> None:
        if not 0 <= self.real_below <= self.fake_above <= 1:
            raise ValueError(f"not an abstain band: {self.real_below} to {self.fake_above}")
        if not (0 <= self.trim < 0.5 and 0 <= self.crowd_weight <= 1):
            raise ValueError(f"trim or crowd_weight out of range: {self}")
        if not 0 <= self.min_sharpness < math.inf:  # no number would ask for nothing
            raise ValueError(f"min_sharpness out of range: {self.min_sharpness}")

    def label(self, probability: float) -> Label:
        if probability > self.fake_above:
            return "fake"
        return "real" if probability < self.real_below else "uncertain"


@dataclass(frozen=True)
class ClipScore:
    """What one model says of one clip of one face."""

    model: str
    track_id: int
    start_seconds: float  # in the original video
    end_seconds: float
    frames: int
    sharpness: float  # of the crops that the model was shown
    logit: float
    log_odds: float  # calibrated

    @property
    def probability_fake(self) -> float:
        return to_probability(self.log_odds)


@dataclass(frozen=True)
class FaceVerdict:
    id: int
    probability_fake: float
    label: Label
    reasons: tuple[str, ...]  # codes, see REASONS


@dataclass(frozen=True)
class Verdict:
    """The answer for a video."""

    label: Label
    probability_fake: float | None  # None when, and only when, no face was judged
    face_id: int | None  # the face that decided
    reasons: tuple[str, ...]  # codes, see REASONS
    text: str  # one honest sentence
    faces: tuple[FaceVerdict, ...]  # most suspicious first
    models: tuple[tuple[str, float | None], ...]  # name and what it alone would say of the video


def to_probability(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))


def sentence(code: str) -> str:
    """A reason in words; an unknown code stands for itself, so that old pages can show new reports."""
    return REASONS.get(code, code)


# --- scores -> verdict


def score(
    model: str,
    calibration: Calibration,
    logit: float,
    *,
    track_id: int,
    start_seconds: float,
    end_seconds: float,
    frames: int,
    sharpness: float,
) -> ClipScore:
    """Calibrate one logit. Raises ValueError when it is not finite."""
    log_odds = calibration.log_odds(logit)
    return ClipScore(model, track_id, start_seconds, end_seconds, frames, sharpness, float(logit), log_odds)


def decide(
    scores: Sequence[ClipScore],
    policy: Policy,
    excluded: Sequence[str] = (),
    again: Sequence[ClipScore] = (),
) -> Verdict:
    """All clips of all faces -> one verdict.

    `excluded`: why faces were left out, as codes. `again`: of the faces that were looked at a second time,
    scores of the same clips, mildly re-compressed. The order of the scores does not matter. Raising a logit
    of `scores` never lowers a probability without `again`.
    """
    left_out = tuple(sorted(set(excluded)))
    judged = by_face(scores)
    if not judged:
        reasons = left_out or ("no_face",)
        return Verdict("no_face", None, None, reasons, _no_face_text(left_out), (), ())
    crowd = crowd_shift(len(judged), policy)
    second = by_face(again)
    faces = [_judge(face_id, judged[face_id], second.get(face_id, []), crowd, policy) for face_id in sorted(judged)]
    faces.sort(key=lambda face: -face.probability_fake)
    highest = faces[0]
    several = ("several_people",) if crowd > 0 else ()
    return Verdict(
        label=highest.label,
        probability_fake=highest.probability_fake,
        face_id=highest.id,
        reasons=highest.reasons + several + left_out,
        text=_text(highest, faces, judged[highest.id]),
        faces=tuple(faces),
        models=_alone(scores, crowd, policy),
    )


def deciding_faces(verdict: Verdict) -> frozenset[int]:
    """Ids of the faces that an answer stands on, which deserve a second look; none without an answer."""
    if verdict.face_id is None or verdict.label == "uncertain":
        return frozenset()
    fakes = frozenset(face.id for face in verdict.faces if face.label == "fake")
    return fakes or frozenset({verdict.face_id})


def pool(scores: Sequence[ClipScore], trim: float) -> float:
    """One model's clips of one face -> log-odds: mean weighted by frames, outlying ends ignored."""
    ordered = sorted((item.log_odds, item.frames) for item in scores)
    values = np.array([value for value, _ in ordered])
    ends = np.cumsum([max(frames, 1) for _, frames in ordered], dtype=np.float64)
    edges = np.clip(np.concatenate([[0.0], ends / ends[-1]]), trim, 1 - trim)
    return float(values @ np.diff(edges) / (edges[-1] - edges[0]))


def by_face(scores: Iterable[ClipScore]) -> dict[int, list[ClipScore]]:
    """The scores of each face."""
    return _group(scores, "track_id")


def crowd_shift(faces: int, policy: Policy) -> float:
    """What each of n faces loses, in log-odds: one of n is the fake one with a prior of 1/n.

    Without it the highest of many scores, all of them chance, would make most crowds fake.
    """
    return policy.crowd_weight * math.log(max(faces, 1))


def _judge(
    face_id: int, scores: Sequence[ClipScore], again: Sequence[ClipScore], crowd: float, policy: Policy
) -> FaceVerdict:
    by_model = _by_model(scores, crowd, policy)
    log_odds = _mean(by_model)
    probability = to_probability(log_odds)
    label = policy.label(probability)
    doubts = _doubts(scores, by_model, crowd, label, policy)
    if again and _is_unstable(log_odds, _mean(_by_model(again, crowd, policy)), label, policy):
        doubts += ("unstable",)
    if doubts and (label == "real" or doubts != ("mixed_over_time",)):
        probability = float(np.clip(probability, policy.real_below, policy.fake_above))
    said = {"fake": ("score_high",), "real": ("score_low",), "uncertain": ("score_between",)}[label]
    held = policy.label(probability)
    return FaceVerdict(face_id, probability, held, (said if held == label else ()) + doubts)


def _doubts(
    scores: Sequence[ClipScore], by_model: Sequence[float], crowd: float, label: Label, policy: Policy
) -> tuple[str, ...]:
    """Why a face's label may not be given although its number would allow it."""
    shown = moments(scores)
    frames = sum(moment.frames for moment in shown)
    alone = [to_probability(value) for value in by_model]
    found = []
    if frames < policy.min_frames or len(shown) < policy.min_clips:
        found.append("too_few_frames")
    if median(moment.sharpness for moment in shown) < policy.min_sharpness:
        found.append("too_blurred")
    if max(alone) - min(alone) > policy.max_disagreement:
        found.append("models_disagree")
    against = sum(moment.frames for moment in shown if _is_contrary(moment, crowd, label, policy))
    if against and against >= policy.max_contrary * frames:
        found.append("mixed_over_time")
    return tuple(found)


def _by_model(scores: Sequence[ClipScore], crowd: float, policy: Policy) -> list[float]:
    """What each model says of a face, as log-odds."""
    return [pool(some, policy.trim) - crowd for some in _group(scores, "model").values()]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _is_unstable(log_odds: float, again: float, label: Label, policy: Policy) -> bool:
    """Whether re-compression moved an answer further towards the other label than it moves right ones."""
    return {"fake": log_odds - again, "real": again - log_odds}.get(label, 0.0) > policy.max_drift


def _is_contrary(moment: ClipScore, crowd: float, label: Label, policy: Policy) -> bool:
    said = policy.label(to_probability(moment.log_odds - crowd))
    return {said, label} == {"fake", "real"}


def moments(scores: Sequence[ClipScore]) -> list[ClipScore]:
    """The clips of one face in time order, with what the models say of the same clip averaged."""
    by_start = _group(scores, "start_seconds")
    return [_average(by_start[start]) for start in sorted(by_start)]


def _average(same: Sequence[ClipScore]) -> ClipScore:
    return ClipScore(
        model="+".join(sorted(item.model for item in same)),
        track_id=same[0].track_id,
        start_seconds=same[0].start_seconds,
        end_seconds=max(item.end_seconds for item in same),
        frames=max(item.frames for item in same),
        sharpness=math.fsum(item.sharpness for item in same) / len(same),
        logit=math.fsum(item.logit for item in same) / len(same),
        log_odds=math.fsum(item.log_odds for item in same) / len(same),
    )


def _alone(scores: Sequence[ClipScore], crowd: float, policy: Policy) -> tuple[tuple[str, float | None], ...]:
    """Each model's own highest face."""
    by_model = sorted(_group(scores, "model").items())
    return tuple((model, to_probability(_highest(some, policy) - crowd)) for model, some in by_model)


def _highest(scores: Sequence[ClipScore], policy: Policy) -> float:
    return max(pool(face, policy.trim) for face in by_face(scores).values())


def _group(scores: Iterable[ClipScore], field: str) -> dict[Any, list[ClipScore]]:
    groups: dict[Any, list[ClipScore]] = defaultdict(list)
    for item in scores:
        groups[getattr(item, field)].append(item)
    return groups


# --- words


def _text(highest: FaceVerdict, faces: Sequence[FaceVerdict], scores: Sequence[ClipScore]) -> str:
    seen = _seen(moments(scores))
    if highest.label == "fake":
        chance = percent(highest.probability_fake)
        return f"{_who_is_fake(faces)} signs of a deepfake: the detector says {chance}, from {seen}."
    if highest.label == "real":
        others = "" if len(faces) == 1 else f" and in the other {_faces(len(faces) - 1)}"
        found = f"No sign of a deepfake was found in {seen}{others}"
        return f"{found}; this is no proof that there is none."
    return f"From {seen} the detector cannot tell whether this is a deepfake ({_why(highest)})."


def _who_is_fake(faces: Sequence[FaceVerdict]) -> str:
    count = sum(face.label == "fake" for face in faces)
    if len(faces) == 1:
        return "The face shows"
    return f"{count} of {len(faces)} faces {'shows' if count == 1 else 'show'}"


def _faces(count: int) -> str:
    return "face" if count == 1 else f"{count} faces"


def _seen(shown: Sequence[ClipScore]) -> str:
    frames = sum(moment.frames for moment in shown)
    start = clock(min(moment.start_seconds for moment in shown))
    end = clock(max(moment.end_seconds for moment in shown))
    when = f"at {start}" if start == end else f"between {start} and {end}"
    return f"{frames} {'frame' if frames == 1 else 'frames'} of one face {when}"


def _why(face: FaceVerdict) -> str:
    words = {
        "too_few_frames": "too few frames",
        "too_blurred": "the face is too blurred",
        "models_disagree": "the models disagree",
        "mixed_over_time": "some moments look manipulated, others do not",
        "unstable": "a mild re-compression changes the answer",
    }
    found = [words[code] for code in face.reasons if code in words]
    return ", ".join(found) or f"{percent(face.probability_fake)}, where it is often wrong"


def _no_face_text(left_out: Sequence[str]) -> str:
    if left_out:
        return "No face was large, sharp and long enough in view to be judged, so nothing can be said."
    return "No face was found in the moments that were looked at, so nothing can be said."


def percent(probability: float) -> str:
    """Never "0%" or "100%": no detector is that sure."""
    if probability < 0.01:
        return "under 1%"
    return "over 99%" if probability > 0.99 else f"{probability:.0%}"


def clock(seconds: float) -> str:
    """Seconds as a player shows them: 0:07, 12:34, 1:02:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
