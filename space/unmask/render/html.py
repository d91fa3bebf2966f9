"""Render a report as HTML: one page that holds all it needs, and its parts, which the Space's page shows.

The parts need `CSS` on the page. Titles and addresses are untrusted: the templates escape everything, and of pictures
only JPEG data URLs pass.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import jinja2
from markupsafe import Markup

from unmask.render import evidence
from unmask.render.provenance import origin_lines, origin_text
from unmask.report import CheckReport, CoverageReport, FailedReport, ModelReport, Report, SourceReport
from unmask.text import CONTROLS
from unmask.verdict_text import SHOWN_LABEL, clock, percent, sentence

TEMPLATES = Path(__file__).parent / "templates"
CSS = (TEMPLATES / "document.css").read_text(encoding="utf-8")

ROW_PX = 58  # height of a face's row in the timeline
FLOOR_PX = 5  # height of a bar at probability 0, so that every moment that was looked at can be seen
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
        "“No sign of a deepfake” is not proof that there is none.",
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
    """Render a report, also a failed one, as one page without scripts or outside resources."""
    return _TEMPLATES.get_template("document.html").render(css=Markup(CSS), report=report)


def summary(report: CheckReport) -> str:
    """Render the label in words, how strong the evidence is, reasons and warnings."""
    return _render("summary", report)


def timeline_svg(report: CheckReport) -> str:
    """Render a row a face and a bar a moment. Each bar is a button with `data-seconds` for the page's script."""
    return _render("timeline", report, True)


def face_cards(report: CheckReport) -> str:
    """Render pictures, heatmap, probability and reasons of each face; times are buttons as in the timeline."""
    return _render("face_cards", report, True)


def details(report: CheckReport) -> str:
    """Render how the check was done: source, models, coverage, time taken."""
    return _render("details", report)


def failure(report: FailedReport) -> str:
    """Render why there is no verdict."""
    return _render("failure", report)


def limits() -> str:
    """Render what a check cannot tell."""
    return _render("limits")


def _render(part: str, *arguments: object) -> str:
    return str(getattr(_TEMPLATES.get_template("parts.html").module, part)(*arguments))


# Facts of a report in words.


def _facts(report: CheckReport) -> list[tuple[str, list[str]]]:
    """Return the terms and lines of what is known of a check."""
    source = report["source"]
    facts: list[tuple[str, Sequence[str | None]]] = [
        ("Source", [source["url"] or source["name"]]),
        ("Title", [source["title"]]),
        ("Video", [_describe_video(source), source["extractor"] and f"found by {source['extractor']}"]),
        ("Looked at", _describe_coverage(report["coverage"])),
        ("What it says of itself", origin_lines(report)),
        ("Models", _describe_models(report["models"])),
        ("Time taken", [_describe_timing(report["timing_seconds"])]),
        ("SHA-256 of the video", [source["sha256"]]),
        ("Format", [report["schema"]]),
    ]
    known = [(term, [line for line in lines if line]) for term, lines in facts]
    return [(term, lines) for term, lines in known if lines]


def _describe_video(source: SourceReport) -> str:
    size = f"{source['width']} × {source['height']} pixels" if source["width"] and source["height"] else ""
    length = "" if source["duration_seconds"] is None else f"{clock(source['duration_seconds'])} long"
    return ", ".join(part for part in (length, size) if part)


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
    lines = []
    for model in models:
        alone = model["probability_fake"]
        own = f": {percent(alone)} by itself" if len(models) > 1 and alone is not None else ""
        lines.append(f"{model['name']}, revision {model['revision'] or 'unknown'}{own}")
    return lines


def _describe_timing(timing: dict[str, float]) -> str:
    parts = [f"{name} {seconds:.1f}\N{NO-BREAK SPACE}s" for name, seconds in timing.items() if name != "total"]
    return f"{timing['total']:.1f} s ({', '.join(parts)})"


def _is_web_address(text: str) -> bool:
    try:
        return urlsplit(text).scheme in ("http", "https")
    except ValueError:
        return False


def _is_jpeg(url: object) -> bool:
    return isinstance(url, str) and JPEG_URL.fullmatch(url) is not None


# Places in the timeline.


@dataclass(frozen=True)
class TimeAxis:
    """The horizontal axis of the timeline."""

    start_seconds: float
    end_seconds: float

    @classmethod
    def of(cls, report: CheckReport) -> "TimeAxis":
        """Cover the part that was asked for, where it is known, and all of the timeline."""
        coverage, duration = report["coverage"], report["source"]["duration_seconds"]
        last = max((span["end_seconds"] for span in report["timeline"]), default=0.0)
        start = min([coverage["start_seconds"], *(span["start_seconds"] for span in report["timeline"])])
        ends = [end for end in (coverage["end_seconds"], duration) if end is not None]
        end = max(last, min(ends, default=last))
        return cls(start, end if end > start else start + 1.0)

    def x(self, seconds: float) -> float:
        """Return the place of a moment in percent of the width."""
        share = (seconds - self.start_seconds) / (self.end_seconds - self.start_seconds)
        return round(100 * min(max(share, 0.0), 1.0), 2)

    def ticks(self) -> list[float]:
        """Return round times, few enough for a phone."""
        length = self.end_seconds - self.start_seconds
        step = next((step for step in TICK_SECONDS if length / step <= MAX_TICKS), TICK_SECONDS[-1])
        first = -(-self.start_seconds // step)
        return [step * (first + i) for i in range(int((self.end_seconds // step) - first) + 1)]


def _bar_top(probability: float) -> float:
    return round((1 - probability) * (ROW_PX - FLOOR_PX), 1)


def _make_environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: CONTROLS.sub("", value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        ROW_PX=ROW_PX,
        SHOWN_LABEL=SHOWN_LABEL,
        SIDE=evidence.SIDE,
        ZONES=evidence.ZONES,
        KINDS=KINDS,
        FAILURES=FAILURES,
        LIMITS=LIMITS,
        percent=percent,
        axis_of=TimeAxis.of,
        bar_top=_bar_top,
        facts_of=_facts,
        label_text=evidence.label_text,
        grade_text=evidence.grade_text,
        frequency_text=evidence.frequency_text,
        base_rate_text=evidence.base_rate_text,
        help_texts=evidence.help_texts,
        origin_text=origin_text,
        mark_percent=evidence.mark_percent,
    )
    environment.filters.update(clock=clock, sentence=sentence)
    environment.tests.update(jpeg=_is_jpeg, web_address=_is_web_address)
    return environment


_TEMPLATES = _make_environment()
