"""Extract the face clips of one video or photograph, with the code that serving uses."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from training.data.catalog import PICTURE_SUFFIXES, LabelledVideo
from training.data.shards import FileSlices, StoredClip, index_tar
from unmask.compute import Backend
from unmask.errors import NotAVideo, UnmaskError
from unmask.faces.clips import ClipSpec, FaceClip, UInt8Array, crop_square
from unmask.faces.detector import FaceFinder
from unmask.faces.subjects import SubjectTracker, find_subjects
from unmask.video.decode import decode
from unmask.video.frames import Frames
from unmask.video.sampling import DecodePlan

CACHE_SIDE_PX = 224  # larger than any input side, so that augmentation still has something to cut
JPEG_QUALITY = 95

Panel = tuple[int, int, int, int]  # x, y, width, height in px


class NoFaceError(Exception):
    """Raised when no face in the video can be judged; says why."""


@dataclass(frozen=True)
class ExtractionSpec:
    """How clips are extracted. Raises BadInput for values that make no sense."""

    clip: ClipSpec
    windows: int  # decoded a video: as many clips, if the person is seen in all
    jpeg_quality: int = JPEG_QUALITY

    def __post_init__(self) -> None:
        self.plan()

    def plan(self) -> DecodePlan:
        """Return which frames of a video are decoded."""
        return DecodePlan(self.windows, self.clip.frames_per_clip, self.clip.frame_stride_seconds)


@dataclass(frozen=True)
class ExtractionTask:
    """One video to extract faces from."""

    index: int  # in the list of all
    video: LabelledVideo
    is_face_crop: bool = False


def extract_clips(task: ExtractionTask, spec: ExtractionSpec) -> list[StoredClip]:
    """Extract the clips of the person seen most in a video, or a clip of one frame of every picture.

    Pictures that show no face are skipped. Equal files give equal bytes on every machine.

    Raises:
        NoFaceError: no face can be judged.
        UnmaskError: the video cannot be decoded.
    """
    video = task.video
    if task.is_face_crop:
        return [_to_stored_clip(video, 0, (0.0,), [to_stored_jpeg(read_picture(video.path), spec)])]
    if video.path.suffix.lower() in PICTURE_SUFFIXES:
        found = [picture_people(path, video.panel_xywh, _finder(), spec.clip) for path in video.files]
        clips = [replace(clip, track_id=0) for one in found for clip in main_person_clips(one, spec.clip)]
    else:
        found = [video_people(video.path, spec.windows, _finder(), spec.clip, video.panel_xywh)]
        clips = main_person_clips(found[0], spec.clip)
    if not clips:
        excluded = sorted({reason for one in found for reason in one.excluded})
        raise NoFaceError(", ".join(excluded) or "no face was found")
    return [
        _to_stored_clip(video, clip.track_id, clip.seconds.tolist(), [encode_jpeg(face, spec) for face in clip.data])
        for clip in clips
    ]


@functools.cache
def _finder() -> FaceFinder:
    """Make the face finder of this process, on one thread: workers share the cores, and results never differ."""
    cv2.setNumThreads(1)
    return FaceFinder(Backend(threads=1))


def _to_stored_clip(
    video: LabelledVideo, track_id: int, seconds: Sequence[float], jpegs: Sequence[bytes]
) -> StoredClip:
    return StoredClip(
        video_id=video.video_id,
        fake=video.fake,
        method=video.method,
        original_id=video.original_id,
        group=video.group,
        split=video.split,
        track_id=track_id,
        seconds=tuple(seconds),
        jpegs=tuple(jpegs),
        group_label=video.group_label,
    )


def reason(error: Exception) -> str:
    """Say why a video failed, in one line."""
    kind = error.code if isinstance(error, UnmaskError) else type(error).__name__
    text = str(error).strip().partition("\n")[0] or type(error).__name__
    return f"no_face: {text}" if isinstance(error, NoFaceError) else f"{kind}: {text}"


# --- pictures ---


def read_picture(path: Path) -> bytes:
    """Read the bytes of a file, which may lie in a tar: `faces.tar/real/1.jpg`."""
    tar = next((parent for parent in path.parents if parent.suffix == ".tar" and parent.is_file()), None)
    if tar is None:
        return path.read_bytes()
    return FileSlices(tar, (_index(tar)[path.relative_to(tar).as_posix()],))[0]


_index = functools.cache(index_tar)


def decode_picture(compressed: bytes) -> UInt8Array:
    """Decode a picture to (H, W, 3) RGB, upright. Raises NotAVideo when it cannot be read."""
    image = cv2.imdecode(np.frombuffer(compressed, np.uint8), cv2.IMREAD_COLOR_RGB) if compressed else None
    if image is None:
        raise NotAVideo("The file is not a picture that can be read.")
    return np.asarray(image, np.uint8)


def encode_jpeg(face: UInt8Array, spec: ExtractionSpec) -> bytes:
    """Encode (S, S, 3) RGB as JPEG."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, spec.jpeg_quality]
    return cv2.imencode(".jpg", face[..., ::-1], quality)[1].tobytes()


def to_stored_jpeg(crop: bytes, spec: ExtractionSpec) -> bytes:
    """Encode the middle square of a face crop as JPEG of the stored size; return it unchanged if it is that already."""
    image = decode_picture(crop)
    side_px = spec.clip.side_px
    if image.shape[:2] == (side_px, side_px) and crop.startswith(b"\xff\xd8"):
        return crop
    height, width = image.shape[:2]
    half = min(height, width) / 2
    middle = (width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half)
    return encode_jpeg(crop_square(image, middle, side_px), spec)


# --- videos ---


def video_people(
    path: Path, windows: int, finder: FaceFinder, spec: ClipSpec, panel: Panel | None = None
) -> SubjectTracker:
    """Find everybody in a video file, or in a panel of it, looked at in `windows` windows."""
    plan = DecodePlan(windows, spec.frames_per_clip, spec.frame_stride_seconds)
    return find_subjects((cut_panel(frames, panel) for frames in decode(path, plan)), finder, [spec])


def picture_people(path: Path, panel: Panel | None, finder: FaceFinder, spec: ClipSpec) -> SubjectTracker:
    """Find everybody in a picture, or in a panel of it."""
    image = decode_picture(read_picture(path))
    return find_subjects([cut_panel(Frames(image[None], np.zeros(1)), panel)], finder, [spec])


def cut_panel(frames: Frames, panel: Panel | None) -> Frames:
    """Cut a part out of every frame; the panel is in px of the shown video."""
    if panel is None:
        return frames
    x, y, width, height = (round(side / frames.scale) for side in panel)
    return replace(frames, data=frames.data[:, y : y + height, x : x + width])


def main_person_clips(found: SubjectTracker, spec: ClipSpec) -> list[FaceClip]:
    """Return the clips of the person who was seen most; none when no one was."""
    everybody = sorted(found.subjects, key=lambda subject: len(subject.seconds), reverse=True)
    return everybody[0].clips[spec] if everybody else []
