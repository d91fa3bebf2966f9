"""Read evaluation sets, and find the faces in each of their videos with the code that a check uses.

Three kinds, distinguished by what is in the folder beside `manifest.tsv`:
    video files             decoded
    frames.tar              windows of loose face crops, each taken as a window of a video
    shards of stored clips  faces were found when the set was prepared; only the splits val and test
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Protocol

import numpy as np

import unmask.faces
import unmask.video
from training.data import augment
from training.data.catalog import LabelledVideo, read_manifest
from training.data.extract_faces import cut_panel, decode_picture
from training.data.shards import MANIFEST, FileSlices, StoredClip, index_tar, read_clips, read_table
from training.data.subsets import spread_evenly
from training.evaluation import corruptions
from training.evaluation.corruptions import CLEAN, Condition, corrupt
from unmask.faces.clips import ClipSpec, FaceClip, crop_square
from unmask.faces.detector import FaceFinder
from unmask.faces.subjects import find_subjects
from unmask.files import atomic_write
from unmask.video.decode import decode
from unmask.video.frames import Frames
from unmask.video.sampling import DecodePlan

WINDOW_GAP_SECONDS = 10.0  # from one window of loose crops to the next: enough to be two moments


@dataclass(frozen=True)
class Example:
    """One video of a set, with its labels."""

    id: str
    fake: bool
    method: str
    group: str
    group_label: str
    split: str


@dataclass(frozen=True)
class SamplingSpec:
    """How a video is sampled: its frames, the specs of its clips, and a corruption."""

    plan: DecodePlan
    specs: tuple[ClipSpec, ...]
    condition: Condition = CLEAN


@dataclass(frozen=True)
class FoundClips:
    """The clips of all subjects in a video, for every spec, and why faces were excluded."""

    clips: dict[ClipSpec, tuple[FaceClip, ...]]
    excluded: tuple[str, ...]


class EvaluationSet(Protocol):
    """A set of labelled videos."""

    examples: tuple[Example, ...]
    examples_per_batch: int  # examples whose clips are worth scoring together

    def find(self, example: Example, sampling: SamplingSpec) -> FoundClips:
        """Find the clips of all subjects. Raises UnmaskError when the video cannot be read."""


def open_set(folder: Path, finder: FaceFinder, cache: Path | None) -> EvaluationSet:
    """Open the set in a folder. Found clips are kept in `cache`, where there is one, for the next model."""
    columns = read_table(folder / MANIFEST)[0].keys()
    if "shard" in columns:
        return ClipSet(read_clips(folder))
    found: EvaluationSet = CropSet(folder, finder) if (folder / "frames.tar").exists() else VideoSet(folder, finder)
    return found if cache is None else CachedSet(found, folder, cache)


class VideoSet:
    """A folder of video files."""

    examples_per_batch = 1

    def __init__(self, folder: Path, finder: FaceFinder) -> None:
        self._finder = finder
        self._videos = {item.video_id: item for item in read_manifest(folder) if item.split != "train"}
        self.examples = _examples(self._videos.values())

    def find(self, example: Example, sampling: SamplingSpec) -> FoundClips:
        """Find the clips of all subjects."""
        item = self._videos[example.id]
        windows = (cut_panel(frames, item.panel_xywh) for frames in decode(item.path, sampling.plan))
        return find_clips(windows, self._finder, sampling)


class CropSet:
    """Windows of loose face crops in `frames.tar`, named FOLDER/WINDOW-NUMBER.jpg."""

    examples_per_batch = 1

    def __init__(self, folder: Path, finder: FaceFinder) -> None:
        self._folder, self._finder = folder, finder
        self._videos = {item.video_id: item for item in read_manifest(folder) if item.split != "train"}
        self.examples = _examples(self._videos.values())
        self._archive = folder / "frames.tar"
        self._spans = index_tar(self._archive)

    def find(self, example: Example, sampling: SamplingSpec) -> FoundClips:
        """Find the clips of all subjects."""
        return find_clips(self._windows(self._videos[example.id], sampling.specs), self._finder, sampling)

    def _windows(self, item: LabelledVideo, specs: Sequence[ClipSpec]) -> Iterator[Frames]:
        """Yield successive crops as if they were the longest stride apart, so that every model keeps each."""
        stride_seconds = max(spec.frame_stride_seconds for spec in specs)
        prefix = f"{item.path.relative_to(self._folder).as_posix()}/"
        names = sorted(name for name in self._spans if name.startswith(prefix))
        windows = groupby(names, key=lambda name: name.rsplit("-", 1)[0])
        for index, (_, window) in enumerate(windows):
            jpegs = FileSlices(self._archive, tuple(self._spans[name] for name in window))
            images = np.stack([decode_picture(jpeg) for jpeg in jpegs])
            seconds = WINDOW_GAP_SECONDS * index + stride_seconds * np.arange(len(images), dtype=np.float64)
            yield Frames(images, seconds)


class ClipSet:
    """Stored clips; those of one video are judged together. A photograph is repeated for a whole clip."""

    examples_per_batch = 8

    def __init__(self, stored: Iterable[StoredClip]) -> None:
        self._clips: dict[str, list[StoredClip]] = {}
        for clip in stored:
            if clip.split != "train":
                self._clips.setdefault(clip.video_id, []).append(clip)
        self.examples = _examples(some[0] for some in self._clips.values())

    def find(self, example: Example, sampling: SamplingSpec) -> FoundClips:
        """Find the clips of all subjects."""
        stored = self._clips[example.id]
        return FoundClips(
            {spec: tuple(face_clip(clip, spec, sampling.condition) for clip in stored) for spec in sampling.specs}, ()
        )


def face_clip(stored: StoredClip, spec: ClipSpec, condition: Condition = CLEAN) -> FaceClip:
    """Convert a stored clip to the side and length of a spec."""
    images = np.stack([decode_picture(jpeg) for jpeg in stored.jpegs[: spec.frames_per_clip]])
    seconds = np.array(stored.seconds[: spec.frames_per_clip], np.float64)
    images = corrupt(Frames(images, seconds), condition).data
    side_px = images.shape[1]
    square = np.array([0, 0, side_px, side_px], np.float32)
    data = np.stack([crop_square(image, square, spec.side_px, spec.resampling) for image in images])
    if len(data) == 1:
        data = data.repeat(spec.frames_per_clip, 0)
        seconds = seconds[0] + spec.frame_stride_seconds * np.arange(spec.frames_per_clip, dtype=np.float64)
    return FaceClip(data, seconds, stored.track_id, np.tile(square, (len(data), 1)))


def find_clips(windows: Iterable[Frames], finder: FaceFinder, sampling: SamplingSpec) -> FoundClips:
    """Find all subjects in the windows, as `unmask.pipeline` does."""
    tracker = find_subjects((corrupt(frames, sampling.condition) for frames in windows), finder, sampling.specs)
    found = {
        spec: tuple(clip for subject in tracker.subjects for clip in subject.clips[spec]) for spec in sampling.specs
    }
    return FoundClips(found, tracker.excluded)


def subset(examples: Sequence[Example], count: int) -> tuple[Example, ...]:
    """Choose at most `count` examples, reals and fakes half and half, spread evenly over methods and the list."""
    reals, fakes = ([item for item in examples if item.fake == fake] for fake in (False, True))
    by_method = sorted(fakes, key=lambda item: item.method)
    chosen = {*spread_evenly(reals, count // 2), *spread_evenly(by_method, count // 2)}
    return tuple(item for item in examples if item in chosen)


def _examples(videos: Iterable[LabelledVideo | StoredClip]) -> tuple[Example, ...]:
    return tuple(
        Example(item.video_id, item.fake, item.method, item.group, item.group_label, item.split) for item in videos
    )


# --- what was found, kept on disk


class CachedSet:
    """A set that finds the faces of a video once for a plan, a clip spec and a condition.

    The key holds everything that could change what is found: the file, the plan, the spec, and the code.
    """

    def __init__(self, inner: EvaluationSet, folder: Path, cache: Path) -> None:
        self._inner, self._cache = inner, cache
        self.examples, self.examples_per_batch = inner.examples, inner.examples_per_batch
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        stamps = [(str(path.relative_to(folder)), path.stat().st_size) for path in files]
        self._content = _digest(repr((folder.name, stamps)).encode())

    def find(self, example: Example, sampling: SamplingSpec) -> FoundClips:
        """Find the clips of all subjects."""
        paths = {spec: self._path(example, sampling, spec) for spec in sampling.specs}
        missing = tuple(spec for spec, path in paths.items() if not path.exists())
        if missing:
            found = self._inner.find(example, SamplingSpec(sampling.plan, missing, sampling.condition))
            for spec in missing:
                _save(paths[spec], found.clips[spec], found.excluded)
        kept = {spec: _load(path) for spec, path in paths.items()}
        return FoundClips({spec: some for spec, (some, _) in kept.items()}, next(iter(kept.values()))[1])

    def _path(self, example: Example, sampling: SamplingSpec, spec: ClipSpec) -> Path:
        # the longest stride of all specs shapes windows of loose crops
        stride = max(spec.frame_stride_seconds for spec in sampling.specs)
        code = _code(sampling.condition != CLEAN)
        key = (self._content, example.id, sampling.plan, stride, spec, sampling.condition, code)
        name = _digest(repr(key).encode())
        return self._cache / name[:2] / f"{name}.npz"


def _save(path: Path, found: Sequence[FaceClip], excluded: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {
        "excluded": np.array(excluded, dtype=np.str_),
        "lengths": np.array([len(clip.seconds) for clip in found], np.int64),
        "tracks": np.array([clip.track_id for clip in found], np.int64),
    }
    if found:
        for name in ("data", "seconds", "xyxy"):
            arrays[name] = np.concatenate([getattr(clip, name) for clip in found])
    with atomic_write(path) as draft, draft.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]  # its stubs see a flag in any name


def _load(path: Path) -> tuple[tuple[FaceClip, ...], tuple[str, ...]]:
    with np.load(path, allow_pickle=False) as kept:
        arrays = {name: kept[name] for name in kept.files}
    ends = np.cumsum(arrays["lengths"])
    spans = [slice(end - length, end) for end, length in zip(ends, arrays["lengths"], strict=True)]
    found = tuple(
        FaceClip(arrays["data"][span], arrays["seconds"][span], int(track), arrays["xyxy"][span])
        for span, track in zip(spans, arrays["tracks"], strict=True)
    )
    return found, tuple(arrays["excluded"].tolist())


def _code(is_corrupted: bool) -> str:
    """Digest the code that decides what is found, so that the cache is not used after a change of it."""
    folders = [Path(package.__path__[0]) for package in (unmask.faces, unmask.video)]
    files = [path for folder in folders for path in sorted(folder.iterdir()) if path.is_file()]
    files += [Path(str(module.__file__)) for module in (augment, corruptions)] if is_corrupted else []
    return _digest(b"".join(path.read_bytes() for path in files))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
