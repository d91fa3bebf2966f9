"""Put a verdict into words: labels, reasons, probabilities and times. Pure."""

from collections.abc import Sequence

from unmask.evidence import Evidence
from unmask.verdict import FaceVerdict, Verdict

SHOWN_LABEL: dict[str, str] = {
    "fake": "Likely deepfake",
    "real": "No sign of a deepfake",
    "uncertain": "Not sure",
    "no_face": "No face found",
}

# stable code -> sentence; each holds for one face and for several
REASONS: dict[str, str] = {
    "score_high": "What the detector sees in this face is more common in deepfakes than in filmed faces.",
    "score_low": (
        "The detector found none of the traces it has learned to look for. It often misses heads drawn by a generator."
    ),
    "score_between": "The score lies where neither answer would be right often enough to be given.",
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


def describe_verdict(verdict: Verdict) -> str:
    """Say in one sentence what was found, and in what."""
    faces = verdict.faces
    if not faces:
        return _describe_no_face(verdict.reasons)
    highest = faces[0]
    seen = _describe_frames(highest)
    if highest.label == "fake":
        chance = percent(highest.probability_fake)
        return f"{_who_is_fake(faces)} signs of a deepfake: the detector says {chance}, from {seen}."
    if highest.label == "real":
        others = "" if len(faces) == 1 else f" and in the other {_faces(len(faces) - 1)}"
        found = f"No sign of a deepfake was found in {seen}{others}"
        return f"{found}; this is no proof that there is none, and heads drawn by a generator are often missed."
    doubt = f"From {seen} the detector cannot tell whether this is a deepfake ({_why(highest)})"
    return f"{doubt}{_lean(highest.evidence)}."


def _lean(evidence: Evidence) -> str:
    """Say which way the evidence leans; nothing where it does not lean."""
    if evidence.direction == "none":
        return ""
    lean = "a deepfake" if evidence.direction == "fake" else "a real video"
    return f"; it leans towards {lean} ({evidence.strength} evidence)"


def _who_is_fake(faces: Sequence[FaceVerdict]) -> str:
    count = sum(face.label == "fake" for face in faces)
    if len(faces) == 1:
        return "The face shows"
    return f"{count} of {len(faces)} faces {'shows' if count == 1 else 'show'}"


def _faces(count: int) -> str:
    return "face" if count == 1 else f"{count} faces"


def _describe_frames(face: FaceVerdict) -> str:
    start, end = clock(face.start_seconds), clock(face.end_seconds)
    when = f"at {start}" if start == end else f"between {start} and {end}"
    return f"{face.frames} {'frame' if face.frames == 1 else 'frames'} of one face {when}"


def _why(face: FaceVerdict) -> str:
    words = {
        "too_few_frames": "too few frames",
        "too_blurred": "the face is too blurred",
        "models_disagree": "the models disagree",
        "mixed_over_time": "some moments look manipulated, others do not",
        "unstable": "a mild re-compression changes the answer",
    }
    found = [words[code] for code in face.reasons if code in words]
    return ", ".join(found) or f"{percent(face.probability_fake)}, between its thresholds"


def _describe_no_face(reasons: Sequence[str]) -> str:
    if "no_face" not in reasons:  # some were left out
        return "No face was large, sharp and long enough in view to be judged, so nothing can be said."
    return "No face was found in the moments that were looked at, so nothing can be said."


def sentence(code: str) -> str:
    """Put a reason into words; an unknown code stands for itself, as when an old version shows a new report."""
    return REASONS.get(code, code)


def percent(probability: float) -> str:
    """Format a probability, never as "0%" or "100%": no detector is that sure."""
    if probability < 0.01:
        return "under 1%"
    return "over 99%" if probability > 0.99 else f"{probability:.0%}"


def clock(seconds: float) -> str:
    """Format seconds as a player shows them: 0:07, 12:34, 1:02:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
