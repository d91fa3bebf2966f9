"""Put the evidence of a report into words, and place it on a scale from real to deepfake. Pure."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from unmask.evidence import MAX_SHARE, Direction, Strength
from unmask.report import EvidenceReport
from unmask.verdict import Label
from unmask.verdict_text import SHOWN_LABEL, percent

BASE_RATE = 0.01  # of the sentence for rare deepfakes
EDGE = 0.1  # of a zone, that the marker stays away from
MAX_LOG_RATIO = math.log(MAX_SHARE / (1 - MAX_SHARE))


class Zone(NamedTuple):
    """A part of the scale."""

    direction: Direction
    strength: Strength
    width: float  # in parts


ZONES = (
    Zone("real", "strong", 1.0),
    Zone("real", "moderate", 1.3),
    Zone("real", "weak", 1.0),
    Zone("none", "none", 1.0),
    Zone("fake", "weak", 1.0),
    Zone("fake", "moderate", 1.3),
    Zone("fake", "strong", 1.0),
)
LEAN: dict[Direction, str] = {"fake": "leans deepfake", "real": "leans real", "none": "leans neither way"}
SIDE: dict[Direction, str] = {"fake": "for a deepfake", "real": "for a real video"}
HELP = {  # what would help -> reasons that it helps against
    "a longer piece with the face in view": ("too_few_frames", "face_too_brief"),
    "the original file instead of this copy": ("too_blurred", "face_too_small", "face_too_blurred"),
}


def label_text(label: Label, evidence: EvidenceReport | None) -> str:
    """Name a label, and which way an uncertain one leans; reports of older versions have no evidence."""
    name = SHOWN_LABEL[label]
    if label != "uncertain" or evidence is None:
        return name
    strength = "" if evidence["direction"] == "none" else f" ({evidence['strength']})"
    return f"{name} · {LEAN[evidence['direction']]}{strength}"


def grade_text(evidence: EvidenceReport) -> str:
    """Name the zone of the scale."""
    if evidence["direction"] == "none":
        return "The evidence speaks for neither side"
    return f"Evidence: {evidence['strength']}, {SIDE[evidence['direction']]}"


def frequency_text(evidence: EvidenceReport) -> str:
    """Say how many of 100 such videos were fake; nothing for a model without a validation."""
    found = evidence["per_100"]
    if found is None:
        return ""
    fakes, low, high = (math.floor(found[name] + 0.5) for name in ("fakes", "low", "high"))
    some = min(max(fakes, 1), 99)  # never none or all: no validation is large enough
    return (
        f"In our tests, where half of all videos were deepfakes, {some} of 100 that scored like this were deepfakes"
        f" (95% interval {low} to {high}; from {found['videos']} videos)."
    )


def base_rate_text(evidence: EvidenceReport) -> str:
    """Say how many such videos would be fake if one in a hundred were; nothing without a validation."""
    if evidence["per_100"] is None:
        return ""
    odds = evidence["likelihood_ratio"] * BASE_RATE / (1 - BASE_RATE)
    return f"{percent(odds / (1 + odds))} of those that score like this would be deepfakes."


def help_texts(label: Label, reasons: Sequence[str]) -> list[str]:
    """Say what would help to get an answer, where there is none."""
    if label in ("fake", "real"):
        return []
    return [f"What would help: {help}." for help, codes in HELP.items() if not set(codes).isdisjoint(reasons)]


def mark_percent(evidence: EvidenceReport) -> float:
    """Place the marker on the scale, in percent of its width.

    It is in the zone of the grade, and further out the larger the likelihood ratio, in its logarithm.
    """
    direction, strength, ratio = evidence["direction"], evidence["strength"], evidence["likelihood_ratio"]
    place = next(i for i, zone in enumerate(ZONES) if zone[:2] == (direction, strength))
    outwards = math.log(ratio) / MAX_LOG_RATIO
    inside = {"fake": outwards, "real": 1 + outwards, "none": (1 + outwards) / 2}[direction]
    start = sum(zone.width for zone in ZONES[:place])
    end = start + ZONES[place].width * min(max(inside, EDGE), 1 - EDGE)
    return round(100 * end / sum(zone.width for zone in ZONES), 2)
