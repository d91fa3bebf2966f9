"""Write the results of Python for small made-up cases, for the tests of the detector in JavaScript.

python -m tests.vectors        # writes tests/assets/detector.json anew
"""

import base64
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from unmask.evidence import EvidenceScale
from unmask.faces import appearance, detector
from unmask.faces.clips import ClipSpec, crop_square, square_boxes
from unmask.faces.detector import FaceBoxes
from unmask.faces.exclusion import crop_sharpness, sharpness
from unmask.faces.subjects import SubjectTracker
from unmask.faces.tracking import FaceTrack, link
from unmask.models import saliency
from unmask.report import to_evidence_report
from unmask.verdict import Calibration, ClipScore, Policy, deciding_faces, judge, judge_one_pass
from unmask.verdict_text import describe_verdict
from unmask.video import captured_frames
from unmask.video.frames import Frames
from unmask.video.sampling import DecodePlan, window_starts

FILE = Path(__file__).parent / "assets" / "detector.json"
SCALE = EvidenceScale(
    edges=(-2.0, -0.5, 1.0, 3.0),
    per_100=(2.5, 20.0, 51.5, 88.0, 100.0),
    low=(0.5, 12.0, 40.0, 70.0, 95.0),
    high=(6.0, 30.0, 60.0, 95.0, 100.0),
    videos=(120, 60, 41, 50, 90),
    moderate=(-0.9, 0.9),
)
POLICY = Policy(real_below=0.1, fake_above=0.95, min_sharpness=0.04, evidence=SCALE)
SPEC = ClipSpec()
Vectors = dict[str, Any]


def vectors() -> Vectors:
    rng = np.random.default_rng(8)
    image = cv2.GaussianBlur(rng.integers(0, 256, (40, 56, 3), np.uint8), (0, 0), 1.5)
    return {
        "image": _picture(image),
        "policy": asdict(POLICY),
        "spec": asdict(SPEC),
        "calibration": asdict(Calibration(0.77, -0.1)),
        "levels": [_level(image, side) for side in ((20, 28), (14, 20), (13, 17), (12, 16))],
        "patches": [_patch(image, box, side) for side in (24, 48) for box in _boxes_around(rng, 144 // side - 1)],
        "crops": [_crop(image, box, 16) for box in _boxes_around(rng, 8)],
        "blurs": [{"sigma": sigma, **_picture(cv2.GaussianBlur(image, (0, 0), sigma))} for sigma in (1.25, 4)],
        "windows": [_windows(seconds) for seconds in _times()],
        "tracks": [_tracks(rng) for _ in range(12)],
        "details": [_detail(image, box) for box in _boxes_around(rng, 6)],
        "verdicts": [_verdict(rng) for _ in range(48)],
        "heats": [_heat(rng, cells) for cells in ((5, 5), (4, 4), (1, 1))],
        "foretold": [_foretold(rng) for _ in range(8)],
        "sharpness": [_sharpness(image, rng, side) for side in (160, 112)],
        "planned": [_planned(seconds) for seconds in (0.3, 1.0, 2.0, 5.0, 7.6, 7.7, 10.0, 60.0, 7200.0)],
        "embeddings": [_embedding(image, rng) for _ in range(4)],
        "cast": _cast(image, rng),
    }


def _planned(duration_seconds: float) -> Vectors:
    """Plan the moments of a video of this length, before windows move to its key frames."""
    plan = DecodePlan()
    starts = window_starts(0.0, duration_seconds, plan.window_seconds, plan.windows)
    moments = [start + i * plan.frame_stride_seconds for start in starts for i in range(plan.frames_per_window)]
    return {"duration": duration_seconds, "seconds": [at for at in moments if at < duration_seconds]}


def _picture(image: np.ndarray) -> Vectors:
    height, width = image.shape[:2]
    return {"width": width, "height": height, "data": base64.b64encode(image.tobytes()).decode()}


def _boxes_around(rng: np.random.Generator, count: int) -> list[list[float]]:
    """Draw squares, some of which reach beyond the picture."""
    corners, sides = rng.uniform(-12, 36, (count, 2)), rng.uniform(6, 70, count)
    return [[x, y, x + side, y + side] for (x, y), side in zip(corners.round(2), sides.round(2), strict=True)]


def _level(image: np.ndarray, side: tuple[int, int]) -> Vectors:
    return _picture(detector.resize(image[None], side)[0])


def _patch(image: np.ndarray, box: list[float], side_px: int) -> Vectors:
    return {"box": box, **_picture(detector.cut_patch(image, np.array(box), side_px))}


def _crop(image: np.ndarray, box: list[float], side_px: int) -> Vectors:
    square = square_boxes(np.array([box], np.float32), SPEC)[0].tolist()
    return {"box": box, "square": square, **_picture(crop_square(image, square, side_px))}


def _heat(rng: np.random.Generator, cells: tuple[int, int]) -> Vectors:
    """Make the heat of a network's cells, and as it is laid over a face."""
    raw = rng.uniform(0, 0.04, cells).astype(np.float32)
    large = saliency._enlarge(raw / raw.max(), 24)
    return {"cells": raw.tolist(), "side": len(large), "heat": large.round(4).tolist()}


def _times() -> list[list[float]]:
    def windows(starts: list[float], step: float, count: int) -> list[float]:
        return [round(start + step * place, 3) for start in starts for place in range(count)]

    return [
        windows([0.5, 8.0, 20.0], 0.12, 8),
        windows([float(start) for start in range(0, 60, 4)], 0.12, 8),  # more than are looked at
        windows([0.0], 0.04, 40),  # every frame of a second and a half
        windows([0.0], 1.5, 20),  # all far apart
        windows([1.0, 1.9], 0.12, 8),  # close to each other
        [3.0],
    ]


def _windows(seconds: list[float]) -> Vectors:
    taken = captured_frames.Capture((b"",) * len(seconds), tuple(seconds), ((640, 360),) * len(seconds), "")
    plan = DecodePlan(frames_per_window=SPEC.frames_per_clip, frame_stride_seconds=SPEC.frame_stride_seconds)
    found = captured_frames.select_windows(captured_frames.group_into_windows(taken, plan), plan.windows)
    return {"seconds": seconds, "windows": found}


def _tracks(rng: np.random.Generator) -> Vectors:
    """Track two people who move a little, seen in two windows, not in all frames."""
    people = [np.array([40.0, 30, 120, 130]), np.array([200.0, 40, 260, 110])]
    known: tuple[FaceTrack, ...] = ()
    windows = []
    for _ in range(2):
        seconds = np.arange(6) * 0.12
        found = []
        for _ in seconds:
            people = [box + rng.normal(0, 4, 4) for box in people]
            seen = [box for box in people if rng.random() < 0.8]
            found.append(np.array(seen, np.float32).reshape(-1, 4).round(2))
        scores = [FaceBoxes(boxes, np.zeros((len(boxes), 5, 2)), np.ones(len(boxes))) for boxes in found]
        tracks = link(scores, seconds, known)
        known = tuple({track.id: track for track in (*known, *tracks)}.values())
        said = [
            {"id": track.id, "frames": track.frame_index.tolist(), "first": _rounded(track.xyxy[0])} for track in tracks
        ]
        windows.append({"boxes": [_rounded(boxes) for boxes in found], "tracks": said})
    return {"seconds": (np.arange(6) * 0.12).tolist(), "windows": windows}


def _foretold(rng: np.random.Generator) -> Vectors:
    """Extrapolate the boxes of two people between two frames."""
    places = np.array([[20, 20, 60, 70], [120, 40, 180, 110]], np.float32)
    ends = []
    for _ in range(2):
        places = (places + rng.normal(0, 6, (2, 4))).round(2).astype(np.float32)
        around = np.concatenate([places, places, places[:1] + 70])
        refined = (around + rng.normal(0, 3, around.shape)).round(2).astype(np.float32)
        none = np.zeros((2, 5, 2), np.float32)
        ends.append(detector.SearchedFrame(refined, FaceBoxes(places, none, np.ones(2, np.float32))))
    given = [{"refined": _rounded(end.refined), "places": _rounded(end.faces.xyxy)} for end in ends]
    return {"ends": given, "boxes": [_rounded(boxes) for boxes in detector.extrapolate_boxes(ends[0], ends[1], 6)]}


def _rounded(values: np.ndarray) -> Any:
    return np.asarray(values, np.float64).round(2).tolist()


def _detail(image: np.ndarray, box: list[float]) -> Vectors:
    xyxy = np.array([box], np.float32)
    track = FaceTrack(0, np.zeros(1, np.int64), np.zeros(1), xyxy, np.zeros((1, 5, 2)), np.ones(1))
    return {"box": box, "sharpness": sharpness(Frames(image[None], np.zeros(1)), track)}


def _sharpness(image: np.ndarray, rng: np.random.Generator, side_px: int) -> Vectors:
    """Measure the sharpness of three crops together."""
    squares = _boxes_around(rng, 3)
    crops = np.stack([crop_square(image, square, side_px) for square in squares])
    return {"squares": squares, "side": side_px, "sharpness": crop_sharpness(crops)}


def _embedding(image: np.ndarray, rng: np.random.Generator) -> Vectors:
    """Describe a face that is turned a little, and may reach beyond the picture."""
    landmarks = _landmarks(np.array(_boxes_around(rng, 1)))[0] + rng.normal(0, 1, (5, 2))
    landmarks = landmarks.round(2).astype(np.float32)
    return {
        "landmarks": _rounded(landmarks),
        "embedding": np.float64(appearance.embed(image, landmarks)).round(4).tolist(),
    }


def _landmarks(boxes: np.ndarray) -> np.ndarray:
    """Place five landmarks in each box -> (n, 5, 2)."""
    points = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], np.float32)
    found: np.ndarray = boxes[:, None, :2] + points * (boxes[:, None, 2:] - boxes[:, None, :2])
    return found.astype(np.float32)


# how the setting differs from the picture, of each frame of each window; KEPT, with the face on the left, stays
CAST = [
    ["none"] * 8,
    ["none"] * 3 + ["inverted"] * 3 + ["none"] * 2,
    ["upside down"] * 8,
    ["inverted"] * 4 + ["upside down"] * 4,
]
KEPT = (slice(0, 110), slice(0, 110))


def _cast(image: np.ndarray, rng: np.random.Generator) -> Vectors:
    """Find the subjects of windows with cuts: who is on the left looks the same in all settings."""
    large = image.repeat(4, 0).repeat(4, 1)
    scenes = {"none": large, "inverted": 255 - large, "upside down": large[::-1, ::-1].copy()}
    for scene in scenes.values():
        scene[KEPT] = large[KEPT]
    tracker, windows = SubjectTracker([SPEC]), []
    for index, settings in enumerate(CAST):
        places = np.array([[20, 20, 90, 90], [125, 40, 205, 120]])
        boxes = [(places + rng.normal(0, 1, (2, 4))).round(2).astype(np.float32) for _ in settings]
        seconds = (5.0 * index + 0.12 * np.arange(len(settings), dtype=np.float64)).round(3)
        faces = [FaceBoxes(some, _landmarks(some), np.ones(2, np.float32)) for some in boxes]
        seen = tracker.add(Frames(np.stack([scenes[setting] for setting in settings]), seconds), faces)
        windows.append(
            {
                "settings": settings,
                "seconds": seconds.tolist(),
                "boxes": [_rounded(some) for some in boxes],
                "landmarks": [_rounded(some.landmarks) for some in faces],
                "clips": [[subject.id, subject.seconds[0], len(subject.seconds)] for subject in seen],
            }
        )
    return {"kept": KEPT[0].stop, "windows": windows}


def _verdict(rng: np.random.Generator) -> Vectors:
    calibration = Calibration(0.77, -0.1)
    people, middle = int(rng.integers(0, 4)), rng.normal(0, 2.5)
    given = [
        (face, 4.0 * clip, int(rng.integers(1, 9)), round(float(rng.normal(middle, 1.5)), 3), blur)
        for face in range(people)
        for clip in range(int(rng.integers(1, 7)))
        for blur in [round(float(rng.uniform(0.01, 0.1)), 3)]
    ]
    excluded = rng.choice(["face_too_small", "face_too_brief"], int(rng.integers(0, 3))).tolist()
    scores = [_score(calibration, *one) for one in given]
    again = [
        (face, start, frames, round(logit + float(rng.normal(0, 1.5)), 3), sharpness)
        for face, start, frames, logit, sharpness in given
    ]
    recompressed = [_score(calibration, *one) for one in again]
    verdict = judge(scores, POLICY, lambda faces: [one for one in recompressed if one.track_id in faces], excluded)
    return {
        "scores": given,
        "again": again,
        "excluded": excluded,
        "deciding": sorted(deciding_faces(judge_one_pass(scores, POLICY, excluded))),
        "label": verdict.label,
        "probability": verdict.probability_fake,
        "face": verdict.face_id,
        "reasons": verdict.reasons,
        "text": describe_verdict(verdict),
        "evidence": [to_evidence_report(face.evidence) for face in sorted(verdict.faces, key=lambda face: face.id)],
        "faces": sorted([face.id, face.probability_fake, face.label, face.reasons] for face in verdict.faces),
        "alone": verdict.models[0][1] if verdict.models else None,
    }


def _score(calibration: Calibration, face: int, start: float, frames: int, logit: float, sharpness: float) -> ClipScore:
    end = start + 0.12 * (frames - 1)
    return ClipScore("m", face, start, end, frames, sharpness, logit, calibration.log_odds(logit))


if __name__ == "__main__":
    FILE.write_text(json.dumps(vectors(), separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{FILE}  {FILE.stat().st_size / 1024:.0f} KB")
