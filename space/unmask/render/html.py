"""Report -> HTML: one file that holds all it needs, and the pieces of it that the page shows.

The pieces (`summary`, `timeline_svg`, `face_cards`, `details`, `failure`, `limits`) need `CSS` on the page.
Titles and addresses come from strangers: the templates escape everything, only JPEG pictures pass.
"""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jinja2
from markupsafe import Markup

from unmask.report import (
    CheckReport,
    CoverageReport,
    FaceReport,
    FailedReport,
    ModelReport,
    Report,
    SourceReport,
    SpanReport,
)
from unmask.verdict import SHOWN_LABEL, clock, percent, sentence

TEMPLATES = Path(__file__).parent / "templates"
CSS = (TEMPLATES / "document.css").read_text(encoding="utf-8")

ROW_PX = 58  # height of a face's row in the timeline
FLOOR_PX = 5  # height of a bar at probability 0: every moment that was looked at can be seen
TICK_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
MAX_TICKS = 6  # fit on a phone
JPEG_URL = re.compile(r"data:image/jpeg;base64,[A-Za-z0-9+/]+={0,2}")

KINDS = {"url": "Link", "file": "File", "frames": "Captured in the browser"}
FAILURES = {  # code -> heading
    "bad_url": "That is not a web address",
    "blocked_address": "This address is not allowed",
    "unsupported_site": "No video could be found there",
    "login_required": "The site asks for a login",
    "fetch_failed": "The video could not be fetched",
    "too_large": "The video is too large",
    "too_long": "The video is too long",
    "live_stream": "The video is still live",
    "not_a_video": "This is not a video",
    "no_frames": "There are no pictures to look at",
    "timeout": "That took too long",
    "busy": "Too many people are waiting",
    "rate_limited": "Too many checks from you",
    "bad_input": "Something in the request is not right",
    "model_unavailable": "The model is not available",
    "cancelled": "The check was cancelled",
    "internal": "Something went wrong here",
}
LIMITS = (  # what this cannot tell: the claim, the reason
    (
        "“No sign of a deepfake” is not proof that a video is genuine.",
        "New kinds of fakes, strong compression and small or blurred faces leave little to find.",
    ),
    (
        "“Likely deepfake” is not proof of a fake.",
        "Filters, make-up, restoration and re-encoding can look like manipulation. Take it as a reason to"
        " look closer, never as the only ground for a decision about a person.",
    ),
    (
        "Only faces are looked at.",
        "Not the voice, the words, the place or the date; a real recording shown in a false context passes.",
    ),
    (
        "Only moments are looked at.",
        "They are spread over the whole video; a short fake between two of them can be missed."
        " Choose a start and an end to look closer.",
    ),
    ("It does not know who or why.", "Nobody is recognised, and nothing is said about intent."),
)


def to_html(report: Report) -> str:
    """The whole report, failed ones included, as one page without scripts or outside resources."""
    return _TEMPLATES.get_template("document.html").render(
        css=Markup(CSS),
        title=_title(report["source"]),
        limits=LIMITS,
        **(_pieces(report) if report["status"] == "ok" else {"failed": _failure(report)}),
    )


def summary(report: CheckReport) -> str:
    """Label in words, probability with the abstain band, reasons and warnings."""
    return str(_parts().summary(_answer(report)))


def timeline_svg(report: CheckReport) -> str:
    """A row a face, a bar a moment. Each bar is a button with `data-seconds`; the page makes it work."""
    return str(_parts().timeline(_timeline(report), True))


def face_cards(report: CheckReport) -> str:
    """Pictures, heatmap, probability and reasons of each face; times are buttons as in the timeline."""
    return str(_parts().face_cards(_faces(report), True))


def details(report: CheckReport) -> str:
    """How it was done: source, models, coverage, time taken."""
    return str(_parts().details(_details(report)))


def limits() -> str:
    """What a check cannot tell."""
    return str(_parts().limits(LIMITS))


def failure(report: FailedReport) -> str:
    """Why there is no verdict, from a failed report."""
    return str(_parts().failure(_failure(report)))


# Report -> what the templates print.


def _pieces(report: CheckReport) -> dict[str, Any]:
    return {
        "failed": None,
        "answer": _answer(report),
        "timeline": _timeline(report),
        "faces": _faces(report),
        "details": _details(report),
    }


def _answer(report: CheckReport) -> dict[str, Any]:
    verdict = report["verdict"]
    return {
        "kind": KINDS[report["source"]["kind"]],
        "title": _title(report["source"]),
        "label": verdict["label"],
        "words": SHOWN_LABEL[verdict["label"]],
        "text": verdict["text"],
        "probability": verdict["probability_fake"],
        "band": _band(report),
        "reasons": [sentence(code) for code in verdict["reasons"]],
        "warnings": report["warnings"],
    }


def _timeline(report: CheckReport) -> dict[str, Any]:
    band = _band(report)
    start, end = time_range(report)
    top, bottom = (_bar_top(probability) for probability in reversed(band))
    return {
        "row_px": ROW_PX,
        "band_top": top,
        "band_height": round(bottom - top, 1),
        "ticks": [_tick(at, start, end) for at in ticks(start, end)],
        "rows": [_row(face, report["timeline"], (start, end)) for face in report["faces"]],
    }


def _row(face: FaceReport, spans: list[SpanReport], shown: tuple[float, float]) -> dict[str, Any]:
    name = _face_name(face)
    mine = [span for span in spans if span["face_id"] == face["id"]]
    return {
        "name": name,
        "label": face["label"],
        "words": SHOWN_LABEL[face["label"]],
        "probability": face["probability_fake"],
        "moments": [_moment(span, name, shown) for span in mine],
    }


def _moment(span: SpanReport, name: str, shown: tuple[float, float]) -> dict[str, Any]:
    start, end = shown
    probability = span["probability_fake"]
    label = span["label"]
    top = _bar_top(probability)
    return {
        "seconds": span["start_seconds"],
        "words": f"{name} at {clock(span['start_seconds'])}: {SHOWN_LABEL[label]}, {percent(probability)}",
        "label": label,
        "x": _percent_of(span["start_seconds"], start, end),
        "width": round(
            _percent_of(span["end_seconds"], start, end) - _percent_of(span["start_seconds"], start, end), 2
        ),
        "y": top,
        "height": round(ROW_PX - top, 1),
    }


def _faces(report: CheckReport) -> dict[str, Any]:
    return {"band": _band(report), "faces": [_face(face) for face in report["faces"]]}


def _face(face: FaceReport) -> dict[str, Any]:
    return {
        "name": _face_name(face),
        "label": face["label"],
        "words": SHOWN_LABEL[face["label"]],
        "probability": face["probability_fake"],
        "first_seconds": face["first_seconds"],
        "last_seconds": face["last_seconds"],
        "picture_seconds": face["picture_seconds"],
        "reasons": [sentence(code) for code in face["reasons"]],
        "thumbnail": _jpeg_or_none(face["thumbnail"]),
        "heatmap": _jpeg_or_none(face["heatmap"]),
    }


def _details(report: CheckReport) -> dict[str, Any]:
    source, coverage, timing = report["source"], report["coverage"], report["timing_seconds"]
    facts = [
        ("Source", [_link(source["url"]) or _text(source["name"])]),
        ("Title", [_text(source["title"])]),
        (
            "Video",
            [
                _text(_describe_video(source)),
                _text(source["extractor"] and f"found by {source['extractor']}"),
            ],
        ),
        ("Looked at", [_text(line) for line in _describe_coverage(coverage)]),
        ("Models", [_text(line) for line in _describe_models(report["models"])]),
        ("Time taken", [_text(_describe_timing(timing))]),
        ("SHA-256 of the video", [_text(source["sha256"])]),
        ("Format", [_text(report["schema"])]),
    ]
    known = [(term, [value for value in values if value]) for term, values in facts]
    return {"facts": [(term, values) for term, values in known if values]}


def _failure(report: FailedReport) -> dict[str, Any]:
    error = report["error"]
    return {
        "kind": KINDS[report["source"]["kind"]],
        "title": _title(report["source"]),
        "heading": FAILURES.get(error["code"], FAILURES["internal"]),
        "message": error["message"],
        "code": error["code"],
    }


# Words.


def _describe_video(source: SourceReport) -> str | None:
    size = f"{source['width']} × {source['height']} pixels" if source["width"] and source["height"] else None
    length = None if source["duration_seconds"] is None else f"{clock(source['duration_seconds'])} long"
    return ", ".join(part for part in (length, size) if part) or None


def _describe_coverage(coverage: CoverageReport) -> list[str]:
    lines = [
        f"{coverage['frames']} frames, {coverage['frames_with_face']} of them with a face",
        f"{coverage['analysed_seconds']:.1f} seconds of video in all",
    ]
    start, end = coverage["start_seconds"], coverage["end_seconds"]
    if start or end is not None:
        lines.append(f"asked for: {clock(start)} to {'the end' if end is None else clock(end)}")
    return lines


def _describe_models(models: list[ModelReport]) -> list[str]:
    names = [f"{model['name']}, revision {model['revision'] or 'unknown'}" for model in models]
    if len(models) < 2:
        return names
    said = [model["probability_fake"] for model in models]
    return [
        name if alone is None else f"{name}: {percent(alone)} by itself"
        for name, alone in zip(names, said, strict=True)
    ]


def _describe_timing(timing: dict[str, float]) -> str:
    parts = [f"{name} {seconds:.1f}\N{NO-BREAK SPACE}s" for name, seconds in timing.items() if name != "total"]
    return f"{timing['total']:.1f} s ({', '.join(parts)})"


def _face_name(face: FaceReport) -> str:
    return f"Face {face['id'] + 1}"


def _title(source: SourceReport) -> str:
    return str(source["title"] or source["name"] or "")


def _text(value: object) -> dict[str, str | None] | None:
    return {"text": str(value), "href": None} if value else None


def _link(url: str | None) -> dict[str, str | None] | None:
    """Only web addresses become links."""
    if not url:
        return None
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        scheme = ""
    return {"text": url, "href": url if scheme in ("http", "https") else None}


def _jpeg_or_none(url: object) -> str | None:
    return url if isinstance(url, str) and JPEG_URL.fullmatch(url) else None


# Places.


def time_range(report: CheckReport) -> tuple[float, float]:
    """First and last second of the timeline: the asked part, where it is known."""
    coverage, duration = report["coverage"], report["source"]["duration_seconds"]
    last = max((span["end_seconds"] for span in report["timeline"]), default=0.0)
    start = min([coverage["start_seconds"], *(span["start_seconds"] for span in report["timeline"])])
    ends = [end for end in (coverage["end_seconds"], duration) if end is not None]
    end = max(last, min(ends, default=last))
    return start, end if end > start else start + 1.0


def ticks(start_seconds: float, end_seconds: float) -> list[float]:
    """Round times on the axis, few enough for a phone."""
    length = end_seconds - start_seconds
    step = next((step for step in TICK_SECONDS if length / step <= MAX_TICKS), TICK_SECONDS[-1])
    first = -(-start_seconds // step)
    return [step * (first + i) for i in range(int((end_seconds // step) - first) + 1)]


def _tick(at: float, start: float, end: float) -> dict[str, Any]:
    x = _percent_of(at, start, end)
    anchor = "start" if x < 4 else "end" if x > 96 else "middle"
    return {"x": x, "text": clock(at), "anchor": anchor}


def _percent_of(seconds: float, start: float, end: float) -> float:
    return round(100 * min(max((seconds - start) / (end - start), 0.0), 1.0), 2)


def _bar_top(probability: float) -> float:
    return round((1 - probability) * (ROW_PX - FLOOR_PX), 1)


def _band(report: CheckReport) -> tuple[float, float]:
    low, high = report["verdict"]["band"]
    return low, high


def _parts() -> Any:
    return _TEMPLATES.get_template("parts.html").module


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(percent=percent, shown=SHOWN_LABEL)
    environment.filters.update(
        clock=clock,
        pct=lambda value: f"{value:.0%}",
        coord=lambda value: f"{value:.2f}".rstrip("0").rstrip("."),
    )
    return environment


_TEMPLATES = _environment()
