"""Describe reports in a few lines of text, and show progress on a terminal."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unmask.errors import VideoChoice
from unmask.render.evidence import ZONES, base_rate_text, frequency_text, grade_text, help_texts, label_text
from unmask.render.provenance import origin_lines, origin_text
from unmask.report import CheckReport, EvidenceReport, FaceReport, SpanReport
from unmask.text import CONTROLS
from unmask.verdict_text import SHOWN_LABEL, clock, percent

MOMENTS_SHOWN = 3  # of the timeline, the most suspicious first
FACES_SHOWN = 6


def describe_report(report: CheckReport) -> str:
    """Describe the verdict, the faces, where to look, and what was looked at."""
    verdict, source = report["verdict"], report["source"]
    label, evidence = label_text(verdict["label"], verdict.get("evidence")), verdict.get("evidence")
    probability = verdict["probability_fake"]
    chance = "" if probability is None else f" · probability of a deepfake {percent(probability)}"
    lines = [f"{label}{chance}", verdict["text"]]
    if evidence is not None:
        lines += _describe_evidence(evidence)
    lines += help_texts(verdict["label"], verdict["reasons"])
    if source["title"]:
        lines.append(f"Video: {on_one_line(source['title'])}")
    lines += [on_one_line(line) for line in (origin_text(report), *origin_lines(report)) if line]
    lines += [_describe_face(face) for face in report["faces"][:FACES_SHOWN]]
    if len(report["faces"]) > FACES_SHOWN:
        lines.append(f"and {len(report['faces']) - FACES_SHOWN} more faces")
    if moments := _moments(report):
        lines.append(f"Where to look: {moments}")
    lines += [f"Note: {warning}" for warning in report["warnings"]]
    return CONTROLS.sub("?", "\n".join([*lines, _describe_effort(report)]))


def describe_scan(counts: dict[str, int], skipped: int, out: Path) -> str:
    """Describe the outcome of a scan: how many reports have which label."""
    named = {**SHOWN_LABEL, "failed": "failed"}
    parts = [f"{named[label]}: {counts[label]}" for label in named if label in counts]
    if skipped:
        parts.append(f"done before: {skipped}")
    return f"{' · '.join(parts) or 'Nothing to do'} → {out}"


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float, str], None]]:
    """Show a bar on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda stage, fraction, text: None
        return
    from tqdm import tqdm

    form = "{desc} {percentage:3.0f} % |{bar}| {elapsed}"
    with tqdm(total=1.0, leave=False, bar_format=form, dynamic_ncols=True) as bar:

        def on_progress(stage: str, fraction: float, text: str) -> None:
            bar.set_description_str(text, refresh=False)
            bar.n = max(bar.n, min(1.0, fraction))
            bar.refresh()

        yield on_progress


def counting_bar(total: int) -> Any:
    """Return a tqdm bar that counts videos."""
    from tqdm import tqdm

    return tqdm(total=total, unit="video", leave=False, dynamic_ncols=True, disable=not sys.stderr.isatty())


def _describe_face(face: FaceReport) -> str:
    seen = f"{clock(face['first_seconds'])} to {clock(face['last_seconds'])}"
    label = label_text(face["label"], face.get("evidence"))
    return f"Face {face['id'] + 1}: {label}, {percent(face['probability_fake'])}, seen {seen}"


def _describe_evidence(evidence: EvidenceReport) -> list[str]:
    """Return the scale with the zone of the grade in brackets, and the frequencies."""
    here = evidence["direction"], evidence["strength"]
    zones = [f"[{zone.strength.upper()}]" if zone[:2] == here else zone.strength for zone in ZONES]
    lines = [grade_text(evidence), f"real  {' · '.join(zones)}  deepfake", frequency_text(evidence)]
    rare = base_rate_text(evidence)
    lines += [f"If one in a hundred such videos were a deepfake: {rare}"] if rare else []
    return [line for line in lines if line]


def _moments(report: CheckReport) -> str:
    """Name the most suspicious spans, unless nothing is suspicious."""
    if report["verdict"]["label"] not in ("fake", "uncertain"):
        return ""
    worst = sorted(report["timeline"], key=lambda span: -span["probability_fake"])
    return ", ".join(_moment(span, len(report["faces"]) > 1) for span in worst[:MOMENTS_SHOWN])


def _moment(span: SpanReport, several_faces: bool) -> str:
    who = f"face {span['face_id'] + 1}, " if several_faces else ""
    return f"{clock(span['start_seconds'])} ({who}{percent(span['probability_fake'])})"


def _describe_effort(report: CheckReport) -> str:
    coverage = report["coverage"]
    names = ", ".join(f"{model['name']} {model['revision']}" for model in report["models"])
    looked = f"{coverage['frames']} frames looked at, a face in {coverage['frames_with_face']}"
    return f"{looked} · {report['timing_seconds']['total']:.1f} s · {names}"


def describe_choices(choices: Iterable[VideoChoice]) -> str:
    """List the videos that a link leads to, a line each."""
    lines = []
    for number, choice in enumerate(choices, 1):
        length = f" ({clock(choice.duration_seconds)})" if choice.duration_seconds else ""
        lines.append(f"  {number}. {on_one_line(choice.title or 'Video')}{length}: {on_one_line(choice.url)}")
    return "\n".join(lines)


def on_one_line(text: str) -> str:
    """Replace line ends and what would steer a terminal in text from outside."""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
