"""Face crops -> training clips in pairs: a real one, and a fake made of the same person.

Item i is the i-th real face and one fake of it, a true one of DFDC or a blended one. What is drawn depends
on (seed, epoch, index) alone, so any number of loader processes gives the same data.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from training import blend
from training.augment import AugmentSpec, Clip, augment, resize
from training.catalog import FaceImage
from unmask.clips import ClipBatch, ClipSpec, FaceClip, to_input


@dataclass(frozen=True)
class PairSpec:
    """What a training pair is made of."""

    clip: ClipSpec
    augment: AugmentSpec = AugmentSpec()
    blended_share: float = 0.5  # of the fakes; the rest are true DFDC fakes of the same original
    cross_share: float = 0.2  # of the blended ones
    candidates: int = 100  # faces looked through for one of like pose, for cross-blending
    seed: int = 0


@dataclass(frozen=True)
class Batch:
    clips: ClipBatch
    fake: Tensor  # float32 (B,), 1 where fake


class FacePairs(Dataset[list[tuple[Clip, bool]]]):
    """`reals` with their meshes (n, 468, 2) and the fakes by the original they were made from."""

    def __init__(
        self,
        reals: Sequence[FaceImage],
        meshes: NDArray[np.float32],
        fakes: Sequence[FaceImage],
        spec: PairSpec,
    ) -> None:
        self.reals, self.meshes, self.spec, self.epoch = reals, meshes, spec, 0
        self.fakes: dict[str, list[FaceImage]] = {}
        for fake in fakes:
            self.fakes.setdefault(fake.original_id, []).append(fake)

    def __len__(self) -> int:
        return len(self.reals)

    def __getitem__(self, index: int) -> list[tuple[Clip, bool]]:
        rng = np.random.default_rng((self.spec.seed, self.epoch, index))
        real = decode(self.reals[index])
        true_fakes = self.fakes.get(self.reals[index].original_id, [])
        if true_fakes and rng.random() >= self.spec.blended_share:
            fake = decode(true_fakes[rng.integers(len(true_fakes))])
        else:
            fake = self._blend(index, real, rng)
        return [(self._clip(real, rng), False), (self._clip(fake, rng), True)]

    def _blend(self, index: int, real: blend.Image, rng: Generator) -> blend.Image:
        points = self.meshes[index]
        if rng.random() >= self.spec.cross_share:
            return blend.self_blend(real, points, rng)
        others = rng.choice(len(self.reals), min(self.spec.candidates, len(self.reals)), replace=False)
        shape = points - points.mean(0)
        shapes = self.meshes[others] - self.meshes[others].mean(1, keepdims=True)
        distance = np.abs(shapes - shape).mean((1, 2))
        distance[others == index] = np.inf
        other = int(others[distance.argmin()])
        return blend.cross_blend(real, points, decode(self.reals[other]), self.meshes[other], rng)

    def _clip(self, image: blend.Image, rng: Generator) -> Clip:
        frames = np.repeat(image[None], self.spec.clip.frames_per_clip, 0)
        return augment(frames, self.spec.clip.side_px, self.spec.augment, rng)


@dataclass(frozen=True)
class VideoClip:
    """Successive crops of one face in a real or faked video, (T, S, S, 3), with a mesh a frame."""

    data: Clip
    meshes: NDArray[np.float32]  # (T, 468, 2)


class VideoPairs(Dataset[list[tuple[Clip, bool]]]):
    """Real clips cut from video, each with a fake: a true one, or itself blended alike in every frame.

    The mesh moves with the face, so the blended border does too, with the jitter that a face swap has.
    """

    def __init__(
        self, reals: Sequence[VideoClip], fakes: Sequence[VideoClip], repeats: int, spec: PairSpec
    ) -> None:
        self.reals, self.fakes, self.repeats, self.spec, self.epoch = reals, fakes, repeats, spec, 0

    def __len__(self) -> int:
        return len(self.reals) * self.repeats

    def __getitem__(self, index: int) -> list[tuple[Clip, bool]]:
        rng = np.random.default_rng((self.spec.seed, self.epoch, index, 1))
        real = self.reals[index % len(self.reals)]
        if self.fakes and rng.random() >= self.spec.blended_share:
            fake = self.fakes[int(rng.integers(len(self.fakes)))].data
        else:
            draw = int(rng.integers(2**32))
            frames = zip(real.data, real.meshes, strict=True)
            fake = np.stack(
                [blend.self_blend(image, points, np.random.default_rng(draw)) for image, points in frames]
            )
        side_px, spec = self.spec.clip.side_px, self.spec.augment
        return [(augment(real.data, side_px, spec, rng), False), (augment(fake, side_px, spec, rng), True)]


class PlainFaces(Dataset[list[tuple[Clip, bool]]]):
    """Faces as they are, for validation: one clip of a face that stands still."""

    def __init__(self, faces: Sequence[FaceImage], spec: ClipSpec) -> None:
        self.faces, self.spec = faces, spec

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: int) -> list[tuple[Clip, bool]]:
        image = resize(decode(self.faces[index])[None], self.spec.side_px)
        return [(np.repeat(image, self.spec.frames_per_clip, 0), self.faces[index].fake)]


class BlendedFaces(Dataset[list[tuple[Clip, bool]]]):
    """Validation for "elsewhere": every real face and one self-blended fake of it, both re-compressed.

    Draws are fixed by `seed`, so every model is judged on the same fakes.
    """

    def __init__(
        self, reals: Sequence[FaceImage], meshes: NDArray[np.float32], clip: ClipSpec, seed: int
    ) -> None:
        spec = PairSpec(clip, blended_share=1.0, seed=seed)
        gentle = replace(spec.augment, geometry=0.0, colour=0.0, noise=0.0, blur=0.0)
        self.pairs = FacePairs(reals, meshes, [], replace(spec, augment=gentle))

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> list[tuple[Clip, bool]]:
        return self.pairs[index]


def decode(face: FaceImage) -> blend.Image:
    """JPEG -> (S, S, 3) RGB."""
    image = cv2.imdecode(np.frombuffer(face.jpeg, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"{face.name} is not a picture")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def collate(items: Sequence[list[tuple[Clip, bool]]], spec: ClipSpec) -> Batch:
    """Pairs -> one normalised batch, through the one normalisation that serving uses."""
    examples = [example for item in items for example in item]
    return Batch(
        to_input([as_face_clip(clip, spec) for clip, _ in examples], spec),
        torch.tensor([float(fake) for _, fake in examples]),
    )


def as_face_clip(clip: Clip, spec: ClipSpec) -> FaceClip:
    count, side_px = clip.shape[:2]
    squares = np.tile(np.array([0, 0, side_px, side_px], np.float32), (count, 1))
    return FaceClip(clip, np.arange(count, dtype=np.float64) * spec.frame_stride_seconds, 0, squares)
