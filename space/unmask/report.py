"""Verdict -> report: the JSON object that every user of Unmask reads. Pure."""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from unmask.errors import UnmaskError
from unmask.verdict import (
    ClipScore,
    FaceVerdict,
    Policy,
    Verdict,
    by_face,
    crowd_shift,
    moments,
    to_probability,
)

SCHEMA = "unmask.report/1"

Report = dict[str, Any]  # the JSON object of the contract; made here and nowhere else


@dataclass(frozen=True)
class Source:
    """Where the video came from."""

    kind: Literal["url", "file", "frames"]
    name: str  # the URL, or the file's name
    url: str | None = None
    title: str | None = None
    extractor: str | None = None  # which site's reader found the video
    duration_seconds: float | None = None
    width: int | None = None
    height: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class FaceBox:
    seconds: float
    xyxy: tuple[float, float, float, float]  # px of the original frame


@dataclass(frozen=True)
class FaceDetail:
    """What a report shows of one face."""

    boxes: tuple[FaceBox, ...]
    thumbnail: bytes  # JPEG of the face where it looks worst
    heatmap: bytes  # JPEG of the same, with what the model looked at
    picture_seconds: float | None = None  # when that was


@dataclass(frozen=True)
class Coverage:
    """How much of the video was looked at."""

    frames: int
    frames_with_face: int
    analysed_seconds: float
    start_seconds: float = 0.0  # of the range that was asked for
    end_seconds: float | None = None  # None: to the end
    offset_seconds: float = 0.0  # time in the whole video of the fetched file's second 0


@dataclass(frozen=True)
class Timing:
    """Wall time of the steps, in seconds."""

    fetch: float
    decode: float
    faces: float
    model: float
    explain: float
    total: float


def to_report(
    source: Source,
    verdict: Verdict,
    scores: Sequence[ClipScore],
    *,
    revisions: Mapping[str, str],  # model name -> revision, of every model that was asked
    faces: Mapping[int, FaceDetail],  # by track id; every judged face
    coverage: Coverage,
    timing: Timing,
    policy: Policy,
    warnings: Sequence[str] = (),  # in words
) -> Report:
    """The report of the contract, in plain JSON types. Raises KeyError when a judged face has no detail."""
    said = dict(verdict.models)
    return {
        "schema": SCHEMA,
        "status": "ok",
        "source": _source(source),
        "verdict": {
            "label": verdict.label,
            "probability_fake": _probability(verdict.probability_fake),
            "face_id": verdict.face_id,
            "reasons": list(verdict.reasons),
            "text": verdict.text,
            "band": [_probability(policy.real_below), _probability(policy.fake_above)],
        },
        "models": [
            {"name": name, "revision": revision, "probability_fake": _probability(said.get(name))}
            for name, revision in revisions.items()
        ],
        "faces": [_face(face, faces[face.id]) for face in verdict.faces],
        "timeline": _timeline(scores, policy),
        "coverage": {
            "frames": int(coverage.frames),
            "frames_with_face": int(coverage.frames_with_face),
            "analysed_seconds": _seconds(coverage.analysed_seconds),
            "start_seconds": _seconds(coverage.start_seconds),
            "end_seconds": _seconds(coverage.end_seconds),
            "offset_seconds": _seconds(coverage.offset_seconds),
        },
        "timing_seconds": {name: _seconds(value) for name, value in vars(timing).items()},
        "warnings": list(warnings),
    }


def to_failed_report(source: Source | Mapping[str, Any], error: UnmaskError) -> Report:
    """The report of a check that gave no verdict. A mapping may lack fields of Source: they are null."""
    given = vars(source) if isinstance(source, Source) else source
    known = {key: given[key] for key in Source.__annotations__ if key in given}
    return {
        "schema": SCHEMA,
        "status": "failed",
        "source": _source(Source(**{"kind": "file", "name": "", **known})),
        "error": {"code": error.code, "message": error.message},
    }


def _source(source: Source) -> dict[str, Any]:
    return {
        **vars(source),
        "duration_seconds": _seconds(source.duration_seconds),
        "width": None if source.width is None else int(source.width),
        "height": None if source.height is None else int(source.height),
    }


def _face(face: FaceVerdict, detail: FaceDetail) -> dict[str, Any]:
    times = [box.seconds for box in detail.boxes]
    return {
        "id": face.id,
        "probability_fake": _probability(face.probability_fake),
        "label": face.label,
        "reasons": list(face.reasons),
        "first_seconds": _seconds(min(times)),
        "last_seconds": _seconds(max(times)),
        "boxes": [
            {"seconds": _seconds(box.seconds), "xyxy": [round(float(side), 1) for side in box.xyxy]}
            for box in sorted(detail.boxes, key=lambda box: box.seconds)
        ],
        "thumbnail": _jpeg_url(detail.thumbnail),
        "heatmap": _jpeg_url(detail.heatmap),
        "picture_seconds": _seconds(detail.picture_seconds),
    }


def _timeline(scores: Sequence[ClipScore], policy: Policy) -> list[dict[str, Any]]:
    """A row a face and moment, models averaged; in time order."""
    faces = by_face(scores)
    crowd = crowd_shift(len(faces), policy)
    shown = [(moment, to_probability(moment.log_odds - crowd)) for some in faces.values() for moment in moments(some)]
    shown.sort(key=lambda pair: (pair[0].start_seconds, pair[0].track_id))
    return [
        {
            "start_seconds": _seconds(moment.start_seconds),
            "end_seconds": _seconds(moment.end_seconds),
            "face_id": moment.track_id,
            "probability_fake": _probability(probability),
            "label": policy.label(probability),
        }
        for moment, probability in shown
    ]


def _probability(value: float | None) -> float | None:
    return None if value is None else round(float(value), 4)


def _seconds(value: float | None) -> float | None:
    """Milliseconds are enough; a container's endless or unknown duration is null."""
    return None if value is None or not math.isfinite(value) else round(float(value), 3)


def _jpeg_url(image: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(image).decode("ascii")
