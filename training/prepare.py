"""Photographs and videos -> face crops and clips, cut by `unmask` as serving cuts them."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np

from training.catalog import FaceImage
from unmask.clips import ClipSpec, FaceClip, crop_square, square_boxes
from unmask.faces import FaceFinder
from unmask.people import People
from unmask.video import DecodePlan, Frames, decode

CACHE_SIDE_PX = 224  # larger than any input side, so that augmentation still has something to cut
JPEG_QUALITY = 95


def portraits(pictures: Mapping[str, bytes], finder: FaceFinder, spec: ClipSpec) -> list[FaceImage]:
    """Photographs of people -> the best face of each, as a real training face; none where none is found."""
    faces = []
    for name, compressed in pictures.items():
        image = cv2.imdecode(np.frombuffer(compressed, np.uint8), cv2.IMREAD_COLOR_RGB)
        found = finder.detect(Frames(np.asarray(image[None], np.uint8), np.zeros(1)))[0]
        if not len(found):
            continue
        crop = crop_square(image, square_boxes(found.xyxy[:1], spec)[0], CACHE_SIDE_PX)
        encoded = cv2.imencode(".jpg", crop[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
        faces.append(FaceImage(name, False, name, "train", encoded.tobytes()))
    return faces


def people(windows: Iterable[Frames], finder: FaceFinder, spec: ClipSpec) -> People:
    """Windows of frames -> everybody in them with their clips, as a check does it."""
    found = People([spec])
    for frames in windows:
        found.add(frames, finder.detect(frames))
    return found


def video_people(path: Path, windows: int, finder: FaceFinder, spec: ClipSpec) -> People:
    """A video file -> everybody in it, looked at in `windows` windows."""
    plan = DecodePlan(windows, spec.frames_per_clip, spec.frame_stride_seconds)
    return people(decode(path, plan), finder, spec)


def main_person_clips(found: People, spec: ClipSpec) -> list[FaceClip]:
    """The clips of the person who was seen most; none when nobody was."""
    everybody = sorted(found.all, key=lambda person: len(person.seconds), reverse=True)
    return everybody[0].clips[spec] if everybody else []
