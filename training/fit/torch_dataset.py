"""Make training pairs of stored clips: a real clip, and a fake of the same person.

Item i is the i-th real clip and one fake: a true one, or itself blended. What is drawn depends on (seed, epoch, index)
alone, so any number of loader processes and machines gives the same data. A photograph is a clip of one frame, repeated
to the length of the model's clips; a blended video is blended alike in every frame, on a mesh that moves with the face,
and half of them flicker as a face swap does.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from training.data.augment import NO_AUGMENTATION, Clip, augment, resize
from training.data.shards import StoredClip
from training.fit.recipes import Mixture
from training.synthesis import landmarks, self_blend
from unmask.faces.clips import ClipSpec, FaceClip
from unmask.files import atomic_write
from unmask.models.torch_model import ClipBatch, to_input

Mesh = NDArray[np.float32]  # (T, 468, 2), px of the stored crop
FLICKER_SHARE = 0.5  # of the blended clips

Pair = list[tuple[Clip, bool]]  # clips (T, S, S, 3) with True where fake


@dataclass(frozen=True)
class Batch:
    """Normalised clips with their labels."""

    clips: ClipBatch
    fake: Tensor  # float32 (B,), 1 where fake


class ClipPairs(Dataset[Pair]):
    """Pairs of each real clip, which has a mesh, with a fake.

    A real clip whose video has no fake takes a fake of the same person, or any fake, whose own real video is not among
    `reals`. Without any such fake, it is blended. Where the spec asks for single frames, any frame of a clip is taken.
    """

    def __init__(
        self,
        reals: Sequence[StoredClip],
        meshes: Sequence[Mesh],
        fakes: Sequence[StoredClip],
        spec: ClipSpec,
        mixture: Mixture,
        seed: int,
    ) -> None:
        self.reals, self.meshes, self.spec, self.mixture, self.seed = reals, meshes, spec, mixture, seed
        self.epoch = 0
        here = {real.original_id for real in reals}
        self.by_source: dict[str, list[StoredClip]] = {}
        self.by_person: dict[str, list[StoredClip]] = {}
        self.by_method: dict[str, list[StoredClip]] = {}
        for fake in fakes:
            if mixture.same_source and fake.original_id in here:
                self.by_source.setdefault(fake.original_id, []).append(fake)
            else:
                self.by_person.setdefault(fake.group, []).append(fake)
                self.by_method.setdefault(fake.method, []).append(fake)

    def __len__(self) -> int:
        return len(self.reals)

    def __getitem__(self, index: int) -> Pair:
        rng = np.random.default_rng((self.seed, self.epoch, index))
        part = self._part(self.reals[index], rng)
        real = decode(self.reals[index], part)
        source = None if rng.random() < self.mixture.blended_share else self._true_fake(index, rng)
        if source is None:
            fake = self._blend(index, real, self.meshes[index][part], rng)
        else:
            fake = decode(source, self._part(source, rng))
        return [(self._augmented(real, rng), False), (self._augmented(fake, rng), True)]

    def _true_fake(self, index: int, rng: Generator) -> StoredClip | None:
        """Draw a fake of the same source, else of the same person or of any method, each as often as the others."""
        choice = self.by_source.get(self.reals[index].original_id)
        if choice is None and rng.random() < self.mixture.same_person_share:
            choice = self.by_person.get(self.reals[index].group)
        if choice is None and self.by_method:
            choice = self.by_method[list(self.by_method)[rng.integers(len(self.by_method))]]
        return choice[rng.integers(len(choice))] if choice else None

    def _part(self, clip: StoredClip, rng: Generator) -> slice:
        """Choose any frame of a clip where the spec asks for one, else the first frames."""
        if self.spec.frames_per_clip > 1:
            return slice(self.spec.frames_per_clip)
        frame = int(rng.integers(len(clip.jpegs)))
        return slice(frame, frame + 1)

    def _blend(self, index: int, real: Clip, meshes: Mesh, rng: Generator) -> Clip:
        other = self._most_similar_face(index, rng) if rng.random() < self.mixture.cross_share else None
        draw, frames = int(rng.integers(2**32)), []
        for image, points in zip(real, meshes, strict=True):
            same = np.random.default_rng(draw)  # so that every frame is blended alike
            if other is None:
                frames.append(self_blend.self_blend(image, points, same))
            else:
                face = decode(self.reals[other], slice(1))[0]
                frames.append(self_blend.cross_blend(image, points, face, self.meshes[other][0], same))
        if self.spec.frames_per_clip == 1 or rng.random() >= FLICKER_SHARE:
            return np.stack(frames)
        real, fake = (_match_length(clip, self.spec.frames_per_clip) for clip in (real, np.stack(frames)))
        return self_blend.flicker(real, fake, rng)

    def _most_similar_face(self, index: int, rng: Generator) -> int | None:
        """Find, among some faces of other people, the one whose pose and expression are most similar."""
        drawn = rng.choice(len(self.reals), min(self.mixture.candidates, len(self.reals)), replace=False)
        others = [int(other) for other in drawn if self.reals[other].group != self.reals[index].group]
        if not others:
            return None
        shapes = np.stack([self.meshes[other][0] for other in [index, *others]])
        shapes -= shapes.mean(1, keepdims=True)
        return others[int(np.abs(shapes[1:] - shapes[0]).mean((1, 2)).argmin())]

    def _augmented(self, clip: Clip, rng: Generator) -> Clip:
        return augment(_match_length(clip, self.spec.frames_per_clip), self.spec.side_px, self.mixture.augment, rng)


class PlainClips(Dataset[Pair]):
    """Clips as they are stored, one an item."""

    def __init__(self, clips: Sequence[StoredClip], spec: ClipSpec) -> None:
        self.clips, self.spec = clips, spec

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Pair:
        clip = _match_length(decode(self.clips[index]), self.spec.frames_per_clip)
        return [(resize(clip, self.spec.side_px), self.clips[index].fake)]


def make_pairs(clips: Sequence[StoredClip], spec: ClipSpec, mixture: Mixture, seed: int, cache: Path) -> ClipPairs:
    """Pair the real clips with fakes, true ones of `clips` or blended; meshes are kept in `cache`."""
    reals, fakes = ([clip for clip in clips if clip.fake == fake] for fake in (False, True))
    return ClipPairs(reals, cached_meshes(reals, cache), fakes, spec, mixture, seed)


def validation_blends(reals: Sequence[StoredClip], meshes: Sequence[Mesh], spec: ClipSpec) -> ClipPairs:
    """Pair each real clip with one blended fake of it, both re-compressed: stands for fakes of unknown methods.

    The draws are fixed: every model is measured on the same fakes.
    """
    mild = replace(NO_AUGMENTATION, resize=0.3, compression=0.5)
    mixture = Mixture(blended_share=1.0, augment=mild)
    return ClipPairs(reals, meshes, [], spec, mixture, seed=1)


def decode(clip: StoredClip, part: slice = slice(None)) -> Clip:
    """Decode the JPEGs of a clip, or a part of them, to (T, S, S, 3) RGB.

    Raises:
        ValueError: one of them is not a picture; names the clip.
    """
    images = [cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB) for jpeg in clip.jpegs[part]]
    if any(image is None for image in images):
        raise ValueError(f"{clip.video_id}: a frame is not a picture")
    return np.stack(images).astype(np.uint8)


def collate(items: Sequence[Pair], spec: ClipSpec) -> Batch:
    """Make one batch of pairs, normalised by the function that serving uses."""
    examples = [example for item in items for example in item]
    return Batch(
        to_input([as_face_clip(clip, spec) for clip, _ in examples], spec),
        torch.tensor([float(fake) for _, fake in examples]),
    )


def as_face_clip(clip: Clip, spec: ClipSpec) -> FaceClip:
    """Make a `FaceClip` of frames (T, S, S, 3), whose box is the whole frame."""
    count, side_px = clip.shape[:2]
    squares = np.tile(np.array([0, 0, side_px, side_px], np.float32), (count, 1))
    return FaceClip(clip, np.arange(count, dtype=np.float64) * spec.frame_stride_seconds, 0, squares)


def cached_meshes(clips: Sequence[StoredClip], cache: Path) -> list[Mesh]:
    """Return the mesh of every frame of every clip; found once and kept in the folder `cache`."""
    path = cache / f"{fingerprint(clips)}.npy"
    if not path.exists():
        images = (image for clip in clips for image in decode(clip))
        found = [landmarks.find(image) for image in tqdm(images, desc="meshes", mininterval=5)]
        cache.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as draft, draft.open("wb") as stream:
            np.save(stream, np.stack(found))
    return np.split(np.load(path), np.cumsum([len(clip.jpegs) for clip in clips])[:-1])


def fingerprint(clips: Sequence[StoredClip]) -> str:
    """Return a name for exactly these clips in this order, for caches."""
    total = 0
    for clip in clips:
        total = zlib.crc32(b"".join(clip.jpegs), total)
    return f"{len(clips)}-{total:08x}"


def _match_length(clip: Clip, frames: int) -> Clip:
    """Cut a clip to so many frames; repeat a single frame."""
    return np.repeat(clip, frames, 0) if len(clip) == 1 else clip[:frames]
