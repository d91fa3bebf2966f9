"""Reports as the product makes them, from made-up scores: every field filled, pictures of the astronaut.

report = example("fake")        # fake, real, uncertain, no_face, many, ensemble, hostile or failed
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from tests.media import FACE_XY, astronaut
from tests.vectors import SCALE
from unmask.errors import LoginRequired
from unmask.models.saliency import jpeg, paint
from unmask.provenance.content_credentials import to_report as to_credentials
from unmask.provenance.messages import Credentials, Manifest
from unmask.provenance.metadata import read_metadata
from unmask.report import (
    CheckReport,
    CoverageReport,
    CredentialsReport,
    FaceDetail,
    Provenance,
    Source,
    to_failed_report,
    to_report,
)
from unmask.verdict import Calibration, ClipScore, Policy, judge_one_pass

SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;\u202e"
REVISIONS = {"mobilenet-gru": "5d41402abc4b", "meso-transformer": "7d793037a076"}


def clips(
    logits: Sequence[float],
    face: int = 0,
    *,
    model: str = "mobilenet-gru",
    duration: float = 61.4,
    frames: int = 8,
    sharpness: float = 0.1,
) -> list[ClipScore]:
    """One clip a logit, spread evenly over the video."""
    starts = np.linspace(0.0, duration - 1, len(logits)).round(3).tolist()
    return [
        ClipScore(model, face, start, start + 0.84, frames, sharpness, logit, Calibration().log_odds(logit))
        for start, logit in zip(starts, logits, strict=True)
    ]


def detail(scores: Sequence[ClipScore], face: int) -> FaceDetail:
    """Pictures and boxes of one face, eight frames a clip."""
    mine = [item for item in scores if item.track_id == face]
    boxes = tuple(
        (second, (412.04 + 90 * face, 96.5, 610.2 + 90 * face, 330.1))
        for item in mine
        for second in np.linspace(item.start_seconds, item.end_seconds, 8).tolist()
    )
    picture = portrait(face)
    y, x = np.indices(picture.shape[:2])
    heat = np.exp(-((x - 80 - 12 * face) ** 2 + (y - 108) ** 2) / 900).astype(np.float32)
    worst = max(mine, key=lambda item: item.log_odds)
    return FaceDetail(boxes, jpeg(picture), jpeg(paint(picture, heat)), worst.start_seconds)


def portrait(face: int = 0, side_px: int = 160) -> np.ndarray:
    """The astronaut's face, mirrored and toned so that several can be told apart."""
    x, y = FACE_XY
    cut = astronaut()[y - 70 : y + 80, x - 75 : x + 75]
    toned = np.clip(cut[:, :: -1 if face % 2 else 1] * (1.0 - 0.13 * (face % 4)), 0, 255).astype(np.uint8)
    return cv2.resize(toned, (side_px, side_px), interpolation=cv2.INTER_AREA)


def source(**fields: object) -> Source:
    """A video from a link."""
    known: dict[str, object] = {
        "kind": "url",
        "name": "https://videos.example/watch?v=moonwalk",
        "url": "https://videos.example/watch?v=moonwalk",
        "title": "An interview before the flight",
        "extractor": "generic",
        "duration_seconds": 61.4,
        "width": 1280,
        "height": 720,
        "sha256": SHA256,
    }
    return Source(**(known | fields))  # type: ignore[arg-type]


def credentials(
    state: str = "none",
    source_type: str | None = None,
    problem: str | None = None,
    signer: str = "Example News",
    where: str = "only parts of the file are here",
) -> CredentialsReport:
    """Content Credentials with a manifest and one of a part, or none."""
    types = (source_type,) if source_type else ()
    own = Manifest("clip", "active", "whole", state, problem, "Test Generator 1.0", signer, None, types)
    part = Manifest("face", "componentOf", "part", "invalid", "changed", "Editor 2.0", "Somebody", None, types)
    return to_credentials(Credentials(state, problem, (), () if state == "none" else (own, part)), where)


SIGNED = Provenance(
    credentials("trusted", "trainedAlgorithmicMedia"),
    read_metadata({"encoder": "Lavf62.12.102"}),
    {"name": "YouTube", "label": "Altered or synthetic content"},
)


def build(
    scores: Sequence[ClipScore],
    excluded: Sequence[str] = (),
    warnings: Sequence[str] = (),
    *,
    end_seconds: float | None = None,  # asked for
    provenance: Provenance | None = None,
    **fields: object,  # of the source
) -> CheckReport:
    verdict = judge_one_pass(scores, Policy(evidence=SCALE), excluded)
    models = sorted({item.model for item in scores}) or ["mobilenet-gru"]
    frames = max(64, sum(item.frames for item in scores) + 6)
    return to_report(
        source(**fields),
        verdict,
        revisions={name: REVISIONS[name] for name in models},
        faces={face.id: detail(scores, face.id) for face in verdict.faces},
        provenance=provenance or Provenance(credentials(), read_metadata({"encoder": "Lavf62.12.102"})),
        compute={"backend": "torch", "device": "cpu", "precision": "float32"},
        coverage=CoverageReport(
            frames=frames,
            frames_with_face=frames - 6 if scores else 0,
            analysed_seconds=7.68,
            start_seconds=0.0,
            end_seconds=end_seconds,
            offset_seconds=0.0,
        ),
        timing_seconds={"fetch": 2.1, "decode": 0.81, "faces": 1.432, "model": 0.907, "explain": 0.4, "total": 5.71},
        warnings=warnings,
    )


FAKE_AND_REAL = [*clips([2.1, 3.4, 1.9, 2.8, 4.0, 2.2, 1.2, 3.1]), *clips([-2.0, -1.1, -3.0, -0.4, -2.5], 1)]


def example(name: str) -> Any:
    """A report of a kind, which a test may change."""
    if name == "failed":
        address = {"kind": "url", "name": "https://videos.example/private", "url": "https://videos.example/private"}
        return to_failed_report(address, LoginRequired("The site shows this video only to people who are signed in."))
    return {
        "fake": lambda: build(
            FAKE_AND_REAL,
            ["face_too_small"],
            ["The video is strongly compressed; fine traces may be lost."],
            provenance=SIGNED,
        ),
        "real": lambda: build(clips([-2.0, -3.1, -1.8, -2.6, -2.2, -0.2, -2.4, -2.9])),
        "uncertain": lambda: build(clips([-2.0, -3.1, 2.8, 2.6, -2.2, 2.2, -2.4, -2.9])),
        "no_face": lambda: build([], ["face_too_blurred", "face_too_small"]),
        "many": lambda: build(
            [item for face in range(7) for item in clips([0.5 * face - 2.5] * 4, face, duration=1800.0)],
            duration_seconds=1800.0,
        ),
        "ensemble": lambda: build([*clips([3.0] * 8), *clips([-2.5] * 8, model="meso-transformer")]),
        "hostile": lambda: build(
            FAKE_AND_REAL,
            warnings=[HOSTILE],
            provenance=Provenance(
                credentials("trusted", HOSTILE, signer=HOSTILE),
                read_metadata({"xmp:creatortool": HOSTILE, "make": HOSTILE}),
                {"name": HOSTILE, "label": HOSTILE},
            ),
            title=HOSTILE,
            name=HOSTILE,
            url="javascript:alert(1)",
            extractor=HOSTILE,
        ),
    }[name]()
