"""What a person sees in a terminal: a verdict in a few lines, and a bar while it comes about."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unmask.report import Report
from unmask.verdict import SHOWN_LABEL, percent

MOMENTS_SHOWN = 3  # of the timeline, the most suspicious first
FACES_SHOWN = 6


def describe_report(report: Report) -> str:
    """A few lines for a person."""
    verdict, source = report["verdict"], report["source"]
    label = SHOWN_LABEL[verdict["label"]]
    probability = verdict["probability_fake"]
    chance = "" if probability is None else f" · probability of a deepfake {percent(probability)}"
    lines = [f"{label}{chance}", verdict["text"]]
    if source.get("title"):
        lines.append(f"Video: {on_one_line(source['title'])}")
    lines += [_describe_face(face) for face in _by_probability(report["faces"])[:FACES_SHOWN]]
    if len(report["faces"]) > FACES_SHOWN:
        lines.append(f"and {len(report['faces']) - FACES_SHOWN} more faces")
    if moments := _moments(report):
        lines.append(f"Where to look: {moments}")
    lines += [f"Note: {warning}" for warning in report["warnings"]]
    return "\n".join([*lines, _describe_effort(report)])


def describe_scan(counts: dict[str, int], skipped: int, out: Path) -> str:
    named = {**SHOWN_LABEL, "failed": "failed"}
    parts = [f"{named[label]}: {counts[label]}" for label in named if label in counts]
    if skipped:
        parts.append(f"done before: {skipped}")
    return f"{' · '.join(parts) or 'Nothing to do'} → {out}"


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float, str], None]]:
    """A bar on a terminal, nothing elsewhere."""
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
    from tqdm import tqdm

    return tqdm(total=total, unit="video", leave=False, dynamic_ncols=True, disable=not sys.stderr.isatty())


def _describe_face(face: dict[str, Any]) -> str:
    seen = f"{_clock(face['first_seconds'])} to {_clock(face['last_seconds'])}"
    probability = face["probability_fake"]
    chance = "not judged" if probability is None else percent(probability)
    return f"Face {face['id'] + 1}: {chance}, seen {seen}"


def _by_probability(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(items, key=lambda item: item["probability_fake"] or 0.0, reverse=True)


def _moments(report: Report) -> str:
    """The most suspicious stretches, unless nothing is suspicious."""
    if report["verdict"]["label"] not in ("fake", "uncertain"):
        return ""
    worst = [item for item in _by_probability(report["timeline"]) if item["probability_fake"] is not None]
    return ", ".join(_moment(item, len(report["faces"]) > 1) for item in worst[:MOMENTS_SHOWN])


def _moment(item: dict[str, Any], several_faces: bool) -> str:
    who = f"face {item['face_id'] + 1}, " if several_faces else ""
    return f"{_clock(item['start_seconds'])} ({who}{percent(item['probability_fake'])})"


def _describe_effort(report: Report) -> str:
    coverage = report["coverage"]
    names = ", ".join(f"{model['name']} {model['revision']}" for model in report["models"])
    looked = f"{coverage['frames']} frames looked at, a face in {coverage['frames_with_face']}"
    return f"{looked} · {report['timing_seconds']['total']:.1f} s · {names}"


def on_one_line(text: str) -> str:
    """Strangers' words without line ends, and without what would steer a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}:{rest:04.1f}"
