"""The report of a check: the JSON object of the contract, typed, and made nowhere else. Pure."""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NotRequired, TypedDict, TypeVar, cast

from unmask.errors import UnmaskError
from unmask.evidence import Direction, Evidence, Strength
from unmask.provenance_text import Made, Problem, State, origin_sentence
from unmask.verdict import FaceVerdict, Label, SpanVerdict, Verdict
from unmask.verdict_text import describe_verdict

SCHEMA = "unmask.report/1"
# begins the warning of a report whose answer is not that of the model that was asked for
STANDBY_ANSWERED = "The bundled model answered in place of the chosen one."

# The parts of a report, as JSON. Probabilities have four decimals, seconds three; seconds are the player's.


class SourceReport(TypedDict):
    """Where the video came from."""

    kind: Literal["url", "file", "frames"]
    name: str  # the URL, or the file's name
    url: str | None
    title: str | None
    extractor: str | None  # which reader of yt-dlp found the video
    duration_seconds: float | None
    width: int | None
    height: int | None
    sha256: str | None


class FrequencyReport(TypedDict):
    """So many of 100 validation videos with such a score were fake, where half of all are."""

    fakes: float
    low: float  # 95 % interval
    high: float
    videos: int  # that this rests on


class EvidenceReport(TypedDict):
    """How strongly a score speaks, and for what."""

    direction: Direction
    strength: Strength
    likelihood_ratio: float
    per_100: FrequencyReport | None  # null for a model without a validation, and for several models together


class VerdictReport(TypedDict):
    """The answer for the video."""

    label: Label
    probability_fake: float | None  # null for `no_face`
    face_id: int | None  # the face that decided
    reasons: list[str]  # codes, see verdict_text.REASONS
    text: str  # one sentence
    band: list[float]  # [low, high]: probabilities within are `uncertain`
    evidence: EvidenceReport | None  # null for `no_face`


class ModelReport(TypedDict):
    """A model that scored the video."""

    name: str
    revision: str
    probability_fake: float | None  # what it alone says of the video


class BoxReport(TypedDict):
    """Where a face is at one moment."""

    seconds: float
    xyxy: list[float]  # px of the original frame


class FaceReport(TypedDict):
    """The answer for one face, and its pictures."""

    id: int
    probability_fake: float
    label: Label
    reasons: list[str]
    evidence: EvidenceReport
    first_seconds: float
    last_seconds: float
    boxes: list[BoxReport]
    thumbnail: str  # JPEG as a data URL
    heatmap: str  # the same with what moved the score
    picture_seconds: float | None  # when that was


class SpanReport(TypedDict):
    """The answer for one clip of one face."""

    start_seconds: float
    end_seconds: float
    face_id: int
    probability_fake: float
    label: Label


class ManifestReport(TypedDict):
    """A manifest of Content Credentials: that of the file, or of something that it was made from."""

    title: str | None
    relation: str  # `active`: of the file; else as C2PA names it: `parentOf`, `componentOf`, `inputTo`
    state: State  # what it is worth, no more than that of what was made from it
    problem: Problem | None  # why it is `invalid`
    generator: str | None  # the program or device that wrote it
    signer: str | None
    signed_at: str | None  # by a time-stamping service
    source_types: list[str]
    made: Made | None  # what these mean


class CredentialsReport(TypedDict):
    """The file's Content Credentials (C2PA)."""

    state: State
    signer: str | None
    generator: str | None
    signed_at: str | None
    source_types: list[str]  # of the file, and of earlier versions with a state as good: IPTC's digital source types
    made: Made | None  # what these mean, with those of parts
    problem: Problem | None  # why they are `invalid`
    codes: list[str]  # what failed, as C2PA names it
    chain: list[ManifestReport]  # the file's own first
    remote_url: str | None  # where they are said to lie; fetched from the video's own server only
    text: str


class MetadataReport(TypedDict):
    """The file's tags, which anybody can change."""

    software: str | None
    camera: str | None
    created_at: str | None
    source_types: list[str]
    made: Made | None
    notes: list[str]  # sentences


class SiteReport(TypedDict):
    """How the site labels the video."""

    name: str
    label: str


class ProvenanceReport(TypedDict):
    """What is said of the video's origin. It does not change the verdict on the faces."""

    credentials: CredentialsReport
    metadata: MetadataReport
    site: SiteReport | None
    text: str


class ComputeReport(TypedDict):
    """What computed the models."""

    backend: Literal["torch", "onnxruntime"]
    device: str  # as torch names it: `cpu` or `cuda`
    precision: str  # `float32` or `bfloat16`


class CoverageReport(TypedDict):
    """How much of the video was looked at."""

    frames: int
    frames_with_face: int
    analysed_seconds: float
    start_seconds: float  # of the range that was asked for
    end_seconds: float | None  # null: to the end
    offset_seconds: float  # time in the whole video of the fetched file's second 0


class ChoiceReport(TypedDict):
    """One of several videos behind a link."""

    url: str
    title: str | None
    duration_seconds: float | None


class ErrorReport(TypedDict):
    """Why there is no verdict."""

    code: str
    message: str
    choices: NotRequired[list[ChoiceReport]]  # of a link that leads to several videos


class CheckReport(TypedDict):
    """The report of a check that has a verdict."""

    schema: str
    status: Literal["ok"]
    input: NotRequired[str]  # of a scan: the line or path that named the video
    source: SourceReport
    verdict: VerdictReport
    models: list[ModelReport]
    faces: list[FaceReport]  # most suspicious first
    timeline: list[SpanReport]  # in time order
    provenance: ProvenanceReport
    compute: ComputeReport
    coverage: CoverageReport
    timing_seconds: dict[str, float]  # by stage, and in total
    warnings: list[str]  # sentences
    signature: NotRequired[str]  # a JWS over all else, see signing.py


class FailedReport(TypedDict):
    """The report of a check that has none."""

    schema: str
    status: Literal["failed"]
    input: NotRequired[str]
    source: SourceReport
    error: ErrorReport
    signature: NotRequired[str]


Report = CheckReport | FailedReport
AnyReport = TypeVar("AnyReport", bound=Report)


# What a report is made from.


@dataclass(frozen=True)
class Source:
    """Where the video came from, as far as it is known."""

    kind: Literal["url", "file", "frames"]
    name: str  # the URL, or the file's name
    url: str | None = None
    title: str | None = None
    extractor: str | None = None
    duration_seconds: float | None = None
    width: int | None = None
    height: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class FaceDetail:
    """What a report shows of one face."""

    boxes: Sequence[tuple[float, Sequence[float]]]  # seconds and xyxy, in px of the original frame
    thumbnail: bytes  # JPEG of the face where it looks worst
    heatmap: bytes  # JPEG of the same, with what moved the score
    picture_seconds: float | None = None  # when that was


@dataclass(frozen=True)
class Provenance:
    """What is said of the video's origin."""

    credentials: CredentialsReport
    metadata: MetadataReport
    site: SiteReport | None = None


def to_report(
    source: Source,
    verdict: Verdict,
    *,
    revisions: Mapping[str, str],  # model name -> revision, of every model that was asked
    faces: Mapping[int, FaceDetail],  # by id; every judged face
    provenance: Provenance,
    compute: ComputeReport,
    coverage: CoverageReport,  # its seconds are rounded here
    timing_seconds: Mapping[str, float],  # by stage, and `total`
    warnings: Sequence[str] = (),  # sentences
    input: str | None = None,  # of a scan
) -> CheckReport:
    """Make the report of a check. Raises KeyError when a judged face has no detail."""
    by_model = dict(verdict.models)
    report = CheckReport(
        schema=SCHEMA,
        status="ok",
        source=_source(source),
        verdict=_verdict(verdict),
        models=[_model(name, revision, by_model.get(name)) for name, revision in revisions.items()],
        faces=[_face(face, faces[face.id]) for face in verdict.faces],
        timeline=[_span(span) for span in verdict.timeline],
        provenance=_provenance(provenance, verdict.label),
        compute=compute,
        coverage={
            **coverage,
            "analysed_seconds": _seconds(coverage["analysed_seconds"]),
            "start_seconds": _seconds(coverage["start_seconds"]),
            "end_seconds": _seconds_or_none(coverage["end_seconds"]),
            "offset_seconds": _seconds(coverage["offset_seconds"]),
        },
        timing_seconds={stage: _seconds(value) for stage, value in timing_seconds.items()},
        warnings=list(warnings),
    )
    return report if input is None else {**report, "input": input}


def to_failed_report(
    source: Source | Mapping[str, Any], error: UnmaskError, *, input: str | None = None
) -> FailedReport:
    """Make the report of a check that gave no verdict. Fields that a mapping lacks are null."""
    if not isinstance(source, Source):
        known = {name: source[name] for name in Source.__annotations__ if name in source}
        source = Source(**{"kind": "file", "name": "", **known})
    report = FailedReport(
        schema=SCHEMA, status="failed", source=_source(source), error={"code": error.code, "message": error.message}
    )
    if error.choices:
        report["error"]["choices"] = [cast(ChoiceReport, asdict(choice)) for choice in error.choices]
    return report if input is None else {**report, "input": input}


def is_by_standby(report: CheckReport) -> bool:
    """Return whether the bundled model answered, as no GPU could be borrowed: the next check may get one."""
    return any(warning.startswith(STANDBY_ANSWERED) for warning in report["warnings"])


def with_source(report: AnyReport, source: Source | Mapping[str, Any]) -> AnyReport:
    """Return the report as the answer to another request for the same video, which names its source otherwise.

    Names and links of others are private, and so is how their site labels it. Fields that a mapping lacks stay as they
    are.
    """
    changed = {**report["source"], **(_source(source) if isinstance(source, Source) else source)}
    answer = cast(AnyReport, {**report, "source": changed})
    if answer["status"] != "ok" or changed["kind"] == report["source"]["kind"]:
        return answer
    said = cast(CheckReport, answer)["provenance"]
    unlabelled = Provenance(said["credentials"], said["metadata"])
    return cast(AnyReport, with_provenance(cast(CheckReport, answer), unlabelled))


def with_provenance(report: CheckReport, provenance: Provenance) -> CheckReport:
    """Return the report with what is said of the video's origin by another source of it."""
    return {**report, "provenance": _provenance(provenance, report["verdict"]["label"])}


def _provenance(said: Provenance, label: Label) -> ProvenanceReport:
    credentials, site = said.credentials, said.site
    text = origin_sentence(
        label,
        credentials["state"],
        credentials["signer"],
        credentials["problem"],
        credentials["made"],
        site and (site["name"], site["label"]),
        said.metadata["made"],
    )
    return {"credentials": credentials, "metadata": said.metadata, "site": site, "text": text}


def _source(source: Source) -> SourceReport:
    return cast(SourceReport, {**asdict(source), "duration_seconds": _seconds_or_none(source.duration_seconds)})


def _verdict(verdict: Verdict) -> VerdictReport:
    probability, evidence = verdict.probability_fake, verdict.evidence
    return {
        "label": verdict.label,
        "probability_fake": None if probability is None else _probability(probability),
        "face_id": verdict.face_id,
        "reasons": list(verdict.reasons),
        "text": describe_verdict(verdict),
        "band": [_probability(edge) for edge in verdict.band],
        "evidence": None if evidence is None else to_evidence_report(evidence),
    }


def _model(name: str, revision: str, probability: float | None) -> ModelReport:
    rounded = None if probability is None else _probability(probability)
    return {"name": name, "revision": revision, "probability_fake": rounded}


def _face(face: FaceVerdict, detail: FaceDetail) -> FaceReport:
    boxes = sorted(detail.boxes, key=lambda box: box[0])
    return {
        "id": face.id,
        "probability_fake": _probability(face.probability_fake),
        "label": face.label,
        "reasons": list(face.reasons),
        "evidence": to_evidence_report(face.evidence),
        "first_seconds": _seconds(boxes[0][0]),
        "last_seconds": _seconds(boxes[-1][0]),
        "boxes": [
            {"seconds": _seconds(seconds), "xyxy": [round(float(side), 1) for side in xyxy]} for seconds, xyxy in boxes
        ],
        "thumbnail": _jpeg_url(detail.thumbnail),
        "heatmap": _jpeg_url(detail.heatmap),
        "picture_seconds": _seconds_or_none(detail.picture_seconds),
    }


def to_evidence_report(evidence: Evidence) -> EvidenceReport:
    """Make the part of the report that grades the evidence; the ratio has three digits."""
    frequency = evidence.per_100
    return {
        "direction": evidence.direction,
        "strength": evidence.strength,
        "likelihood_ratio": float(f"{evidence.likelihood_ratio:.3g}"),
        "per_100": None if frequency is None else cast(FrequencyReport, asdict(frequency)),
    }


def _span(span: SpanVerdict) -> SpanReport:
    return {
        "start_seconds": _seconds(span.start_seconds),
        "end_seconds": _seconds(span.end_seconds),
        "face_id": span.face_id,
        "probability_fake": _probability(span.probability_fake),
        "label": span.label,
    }


def _probability(value: float) -> float:
    return round(float(value), 4)


def _seconds(value: float) -> float:
    return round(float(value), 3)


def _seconds_or_none(value: float | None) -> float | None:
    """Round to milliseconds; a container's endless or unknown duration becomes null."""
    return None if value is None or not math.isfinite(value) else _seconds(value)


def _jpeg_url(image: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(image).decode("ascii")
