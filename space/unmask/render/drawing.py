"""Draw a report onto frames of its video: boxes and scores on the picture, and a timeline strip below it.

Pure: pictures in, pictures out. Shapes or words say what a colour says, too.
"""

import itertools
import math
from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from unmask.evidence import Strength
from unmask.render.evidence import ZONES, label_text, mark_percent
from unmask.render.provenance import origin_text
from unmask.report import BoxReport, CheckReport, EvidenceReport, FaceReport, SpanReport, VerdictReport
from unmask.verdict_text import clock, percent

UInt8Array = npt.NDArray[np.uint8]
Color = tuple[int, int, int]  # RGB
Box = tuple[int, int, int, int]  # left, top, right, bottom in px of the drawn picture

INK: Color = (240, 243, 247)
FAINT: Color = (154, 164, 177)
PANEL: Color = (19, 23, 30)
TRACK: Color = (44, 52, 64)
TONES: dict[str, Color] = {  # orange, blue, grey: told apart with every kind of colour vision
    "fake": (245, 124, 48),
    "real": (78, 166, 230),
    "uncertain": (200, 200, 200),
    "no_face": (200, 200, 200),
}

TEXT_PX = (10, 24)  # smallest and largest letters
ORIGIN_SIZE = 0.85  # of the letters that say where it is from
HEADER_SIZE = 2.4  # height of the line of the label, of that of letters
SCALE_SIZE = 1.6  # and of the scale of evidence below it
ZONE_HEIGHTS: dict[Strength, float] = {"strong": 1.0, "moderate": 0.75, "weak": 0.5, "none": 0.25}
MAX_ROWS = 3  # faces in the strip, most suspicious first
BOX_GAP_SECONDS = 0.5  # a face's box is interpolated over gaps up to this
BOX_REACH_SECONDS = 0.2  # and kept this long around what was looked at
STILL_BRIGHTNESS = 0.35  # of a picture that stands for what was not looked at


class Scene:
    """What is drawn, and where. Seconds are those of the file unless the name contains `shown`."""

    def __init__(
        self,
        report: CheckReport,
        source_px: tuple[int, int],  # width, height that the report's boxes refer to
        picture_px: tuple[int, int],  # width, height of the drawn picture
        end_seconds: float,  # of the checked part
    ) -> None:
        verdict, coverage = report["verdict"], report["coverage"]
        self.offset_seconds: float = coverage["offset_seconds"]
        start = max(0.0, coverage["start_seconds"] - self.offset_seconds)
        self.start_seconds = start if start < end_seconds else 0.0
        self.end_seconds = end_seconds
        self.picture_px = picture_px
        self.text_px = int(np.clip(picture_px[0] / 30, *TEXT_PX))
        self._scale = (picture_px[0] / source_px[0], picture_px[1] / source_px[1])
        self._faces = report["faces"]
        self._timeline = report["timeline"]
        self._font = cv2.FontFace("sans")
        self._panel = self._draw_panel(verdict, origin_text(report))

    @property
    def canvas_px(self) -> tuple[int, int]:
        """Width and height of what `draw` returns; even if the picture's are."""
        return self.picture_px[0], self.picture_px[1] + len(self._panel)

    def moments(self) -> list[tuple[float, float]]:
        """Start and end of what was looked at, in order."""
        shift = self.offset_seconds
        spans = ((span["start_seconds"] - shift, span["end_seconds"] - shift) for span in self._timeline)
        return sorted((start, end) for start, end in spans if end >= self.start_seconds and start < self.end_seconds)

    def draw(self, image: UInt8Array, seconds: float) -> UInt8Array:
        """Draw the findings onto a frame (H, W, 3) RGB of any size -> (canvas height, width, 3)."""
        picture = self._fit(image)
        for face in reversed(self._faces):  # the most suspicious lies on top
            box = self._box_at(face, seconds)
            if box is not None:
                self._draw_face(picture, face, box, seconds)
        return np.vstack([picture, self._panel_at(seconds)])

    def draw_still(self, image: UInt8Array, seconds: float, until_seconds: float) -> UInt8Array:
        """Draw a dimmed picture that stands for what was not looked at, up to a moment."""
        picture = (self._fit(image) * STILL_BRIGHTNESS).astype(np.uint8)
        until = clock(until_seconds + self.offset_seconds)
        text = f"Not looked at until {until}" if until_seconds < self.end_seconds else "Not looked at"
        width = self._text_width(text, self.text_px)
        left = max(0, (self.picture_px[0] - width) // 2)
        self._write(picture, text, (left, self.picture_px[1] // 2), INK)
        return np.vstack([picture, self._panel_at(seconds)])

    def _fit(self, image: UInt8Array) -> UInt8Array:
        if image.shape[1::-1] == self.picture_px:
            return image.copy()
        return cv2.resize(image, self.picture_px, interpolation=cv2.INTER_AREA)

    # The picture.

    def _box_at(self, face: FaceReport, seconds: float) -> Box | None:
        """Find the face; None far from every moment that was looked at."""
        xyxy = box_at(face["boxes"], seconds + self.offset_seconds)
        if xyxy is None:
            return None
        x, y = self._scale
        left, top, right, bottom = (round(side * by) for side, by in zip(xyxy, (x, y, x, y), strict=True))
        return left, top, right, bottom

    def _draw_face(self, picture: UInt8Array, face: FaceReport, box: Box, seconds: float) -> None:
        judged = self._judged_at(face, seconds)
        label = judged["label"]
        outline(picture, box, label, max(2, self.text_px // 6))
        text = f"Face {face['id'] + 1}: {percent(judged['probability_fake'])}"
        width = self._text_width(text, self.text_px)
        left = int(np.clip(box[0], 0, max(0, self.picture_px[0] - width - self.text_px)))
        bottom = max(box[1] - self.text_px // 3, round(self.text_px * 1.6))
        top = bottom - round(self.text_px * 1.6)
        cv2.rectangle(picture, (left, top), (left + width + self.text_px, bottom), PANEL, cv2.FILLED)
        cv2.rectangle(picture, (left, top), (left + self.text_px // 3, bottom), TONES[label], cv2.FILLED)
        self._write(picture, text, (left + round(self.text_px * 0.7), bottom - round(self.text_px * 0.45)), INK)

    def _judged_at(self, face: FaceReport, seconds: float) -> SpanReport | FaceReport:
        """Find the nearest span of this face, or the face itself where it has none."""
        shown = seconds + self.offset_seconds
        spans = [span for span in self._timeline if span["face_id"] == face["id"]]
        if not spans:
            return face
        return min(spans, key=lambda span: max(span["start_seconds"] - shown, shown - span["end_seconds"]))

    # The strip.

    def _panel_at(self, seconds: float) -> UInt8Array:
        panel = self._panel.copy()
        now, end = (clock(value + self.offset_seconds) for value in (seconds, self.end_seconds))
        self._write_right(panel, f"{now} / {end}", round(self.text_px * 1.5), FAINT)
        x = self._x_at(seconds)
        top = round(self.text_px * (self._rows_at - 0.3))
        bottom = len(panel) - self._origin_px - self.text_px // 2
        cv2.line(panel, (x, top), (x, bottom), INK, max(1, self.text_px // 10), cv2.LINE_AA)
        return panel

    def _draw_panel(self, verdict: VerdictReport, origin: str) -> UInt8Array:
        """Draw all of the strip that stays the same; last what is said of the origin."""
        label, probability = verdict["label"], verdict["probability_fake"]
        unit, faces = self.text_px, self._faces[:MAX_ROWS]
        lines = self._wrap(origin, self.picture_px[0] - 2 * unit)
        self._origin_px = round(unit * 1.2 * len(lines))
        evidence = verdict.get("evidence")
        self._rows_at = HEADER_SIZE + (SCALE_SIZE if evidence else 0.0)
        height = 2 * math.ceil((unit * (self._rows_at + 1.5 * len(faces)) + self._origin_px) / 2)
        panel = np.full((height, self.picture_px[0], 3), PANEL, np.uint8)
        cv2.rectangle(panel, (0, 0), (unit // 3, round(unit * 2.1)), TONES[label], cv2.FILLED)
        chance = "" if probability is None else f": {percent(probability)}"
        text = label_text(label, evidence)
        self._write(panel, f"{text}{chance}", (unit, round(unit * 1.5)), INK, weight=700)
        if evidence:
            self._draw_scale(panel, evidence)
        for row, face in enumerate(faces):
            self._draw_row(panel, face, round(unit * (self._rows_at + 1.5 * row)))
        for row, line in enumerate(lines):
            baseline = round(unit * (self._rows_at + 0.6 + 1.5 * len(faces) + 1.2 * row))
            self._write(panel, line, (unit, baseline), FAINT, size=ORIGIN_SIZE)
        return panel

    def _draw_scale(self, panel: UInt8Array, evidence: EvidenceReport) -> None:
        """Draw the zones from real, hollow, to fake, full, the higher the stronger, and the marker."""
        unit = self.text_px
        width, bottom = self.picture_px[0] - 2 * unit, round(unit * (HEADER_SIZE + 1.1))
        at, total = 0.0, sum(zone.width for zone in ZONES)
        for zone in ZONES:
            left, right = (unit + round(width * share / total) for share in (at, at + zone.width))
            top = bottom - round(unit * ZONE_HEIGHTS[zone.strength])
            tone = TONES["uncertain" if zone.direction == "none" else zone.direction]
            cv2.rectangle(panel, (left, top), (right - 3, bottom), tone, cv2.FILLED if zone.direction == "fake" else 1)
            at += zone.width
        x = unit + round(width * mark_percent(evidence) / 100)
        for color, thickness in ((PANEL, unit // 3), (INK, unit // 6)):
            cv2.line(panel, (x, bottom - round(unit * 1.2)), (x, bottom), color, max(1, thickness))

    def _wrap(self, text: str, width_px: int) -> list[str]:
        """Break text into lines of words that fit."""
        lines: list[str] = []
        for word in text.split():
            longer = f"{lines[-1]} {word}" if lines else word
            fits = self._text_width(longer, round(self.text_px * ORIGIN_SIZE)) <= width_px
            lines[-1:] = [longer] if fits or not lines else [lines[-1], word]
        return lines

    def _draw_row(self, panel: UInt8Array, face: FaceReport, top: int) -> None:
        unit = self.text_px
        self._write(panel, f"Face {face['id'] + 1}", (unit, top + round(unit * 0.85)), FAINT, size=0.85)
        cv2.rectangle(panel, (self._x_at(0.0), top), (self._x_at(self.end_seconds), top + unit), TRACK, cv2.FILLED)
        for span in self._timeline:
            if span["face_id"] != face["id"]:
                continue
            left = self._x_at(span["start_seconds"] - self.offset_seconds)
            right = max(left + 3, self._x_at(span["end_seconds"] - self.offset_seconds))
            fill(panel[top : top + unit + 1, left : right + 1], span["label"])

    def _x_at(self, seconds: float) -> int:
        """Return the column of a moment in the strip."""
        left, right = round(self.text_px * 5.2), self.picture_px[0] - self.text_px
        return round(left + (right - left) * min(max(seconds / self.end_seconds, 0.0), 1.0))

    # Letters.

    def _write(
        self, image: UInt8Array, text: str, at: tuple[int, int], color: Color, size: float = 1.0, weight: int = 500
    ) -> None:
        """Write text, `at` the left end of its baseline."""
        cv2.putText(image, text, at, color, self._font, round(self.text_px * size), weight)

    def _write_right(self, image: UInt8Array, text: str, y: int, color: Color) -> None:
        width = self._text_width(text, self.text_px)
        self._write(image, text, (image.shape[1] - width - self.text_px, y), color)

    def _text_width(self, text: str, size_px: int) -> int:
        _, _, width, _ = cv2.getTextSize((10_000, 1000), text, (0, 500), self._font, size_px, 500)
        return int(width)


def box_at(boxes: list[BoxReport], seconds: float) -> tuple[float, ...] | None:
    """Interpolate the box of a face between two known ones; None far from any of them."""
    before = max((box for box in boxes if box["seconds"] <= seconds), key=_seconds_of, default=None)
    after = min((box for box in boxes if box["seconds"] > seconds), key=_seconds_of, default=None)
    if before and after and after["seconds"] - before["seconds"] <= BOX_GAP_SECONDS:
        share = (seconds - before["seconds"]) / (after["seconds"] - before["seconds"])
        pairs = zip(before["xyxy"], after["xyxy"], strict=True)
        return tuple(first + share * (second - first) for first, second in pairs)
    near = [box for box in (before, after) if box and abs(box["seconds"] - seconds) <= BOX_REACH_SECONDS]
    return tuple(near[0]["xyxy"]) if near else None


def _seconds_of(box: BoxReport) -> float:
    return float(box["seconds"])


def outline(picture: UInt8Array, box: Box, label: str, thickness: int) -> None:
    """Draw a box around a face, with dark edges so that it shows on any background; broken when uncertain."""
    for color, width in ((PANEL, thickness + 2), (TONES[label], thickness)):
        for start, end in dashes(box, whole=label != "uncertain"):
            cv2.line(picture, start, end, color, width, cv2.LINE_AA)
    if label == "fake":
        left, top, right, bottom = box
        inset = 2 * thickness
        inner = (left + inset, top + inset), (right - inset, bottom - inset)
        cv2.rectangle(picture, *inner, TONES[label], 1, cv2.LINE_AA)


def dashes(box: Box, whole: bool) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield the sides of a box as lines; broken ones lack every second fifth."""
    left, top, right, bottom = box
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    for (x1, y1), (x2, y2) in itertools.pairwise(corners):
        for part in range(0, 5, 5 if whole else 2):
            end = 5 if whole else part + 1
            yield (
                (x1 + (x2 - x1) * part // 5, y1 + (y2 - y1) * part // 5),
                (x1 + (x2 - x1) * end // 5, y1 + (y2 - y1) * end // 5),
            )


def fill(area: UInt8Array, label: str) -> None:
    """Fill the area of a moment: full when fake, striped when uncertain, the lower half when real."""
    rows, columns = np.indices(area.shape[:2])
    if label == "fake":
        area[:] = TONES[label]
    elif label == "real":
        area[len(area) // 2 :] = TONES[label]
    else:
        area[(rows + columns) // 3 % 2 == 0] = TONES[label]
