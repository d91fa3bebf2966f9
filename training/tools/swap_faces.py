"""Train a face swapper on people with many frames, swap their faces, and store them with the reals as pairs.

    python -m training.tools.swap_faces --data FACES --out PAIRS [--people 40] [--seconds 1200] [--limit 1000]

Of real clips of the split `train` alone. A swap shows a frame of its own real clip with the face of one of the people
who look most alike there, in colours and in how the head is turned; `training.train` pairs the two, since the swap's
`original_id` is the real's `video_id`.
"""

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch.optim import Optimizer

from training.data.shards import StoredClip, read_clips, write_clips
from training.data.subsets import spread_evenly
from training.fit.torch_dataset import decode
from training.fit.train_autoencoder import reconstruction_loss
from training.synthesis import face_swap, landmarks
from training.synthesis.autoencoder import as_input
from training.synthesis.face_swap import FaceSwapper
from training.synthesis.self_blend import deform_elastically
from training.tools.reconstruct_faces import SIDE_PX, encode_jpeg
from unmask.compute import choose_precision
from unmask.torch_compute import autocast

METHOD = "autoencoder-swap"
BATCH = 16
LEARNING_RATE = 1e-3
WARP = 0.035  # of the side: so far the faces that the encoder sees are deformed
NEAREST = 8  # people with frames of nearest colour and pose, of whom one is drawn


@dataclass(frozen=True)
class SwapFaces:
    """The frames of the people who swap faces, one a clip."""

    clips: list[StoredClip]
    crops: NDArray[np.uint8]  # (N, S, S, 3)
    meshes: NDArray[np.float32]  # (N, 468, 2)
    aligned: NDArray[np.uint8]  # (N, 96, 96, 3)
    person: NDArray[np.int64]  # (N,)


def main() -> None:
    """Swap the faces that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of stored clips, several a person")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--people", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=1200, help="of training")
    parser.add_argument("--limit", type=int, default=1000, help="swaps")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    reals = [clip for clip in read_clips(arguments.data) if clip.split == "train" and not clip.fake]
    faces = load_faces(reals, arguments.people)
    torch.manual_seed(arguments.seed)
    swapper = FaceSwapper(arguments.people)
    error = train(swapper, faces, arguments.seconds, np.random.default_rng(arguments.seed))
    print(f"redraws its people with a mean error of {error:.1f} grey levels")
    write_clips(arguments.out, swapped_pairs(swapper.eval(), faces, arguments.limit, arguments.seed))


def load_faces(reals: Sequence[StoredClip], people: int) -> SwapFaces:
    """Take the first frames of the clips of so many people, those with most clips.

    Raises:
        ValueError: there are fewer people.
    """
    names = [name for name, _ in Counter(clip.group for clip in reals).most_common(people)]
    if len(names) < people:
        raise ValueError(f"{len(names)} people are fewer than {people}")
    clips = [clip for clip in reals if clip.group in names]
    size = (SIDE_PX, SIDE_PX)
    crops = np.stack([cv2.resize(decode(clip, slice(1))[0], size, interpolation=cv2.INTER_CUBIC) for clip in clips])
    meshes = np.stack([landmarks.find(crop) for crop in crops])
    aligned = np.stack([face_swap.align(crop, mesh) for crop, mesh in zip(crops, meshes, strict=True)])
    return SwapFaces(clips, crops, meshes, aligned, np.array([names.index(clip.group) for clip in clips]))


def train(swapper: FaceSwapper, faces: SwapFaces, seconds: float, rng: Generator) -> float:
    """Train the swapper to redraw each person from deformed faces -> its mean error of late, in grey levels."""
    optimizer = torch.optim.Adam(swapper.parameters(), LEARNING_RATE, betas=(0.5, 0.99))
    started, error, saying = time.monotonic(), 0.0, 0
    while (progress := (time.monotonic() - started) / seconds) < 1:
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * min(1.0, 2 * (1 - progress) + 0.02)
        step_error = train_step(swapper, optimizer, faces, rng)
        error = 0.98 * error + 0.02 * step_error if error else step_error
        if progress * 10 >= saying:
            print(f"{progress:.0%}, mean error {error:.1f}", flush=True)
            saying += 1
    return error


def train_step(swapper: FaceSwapper, optimizer: Optimizer, faces: SwapFaces, rng: Generator) -> float:
    """Train on one batch -> its mean error in grey levels."""
    rows = rng.integers(len(faces.aligned), size=BATCH)
    wanted = faces.aligned[rows][:, :, :: int(rng.choice((-1, 1)))]
    seen = np.stack([deform_elastically(face, WARP, rng) for face in wanted])
    with autocast("cpu", choose_precision("cpu")):
        drawn = swapper(as_input(seen), torch.from_numpy(faces.person[rows])).float()
    target = as_input(np.ascontiguousarray(wanted))
    optimizer.zero_grad()
    reconstruction_loss(drawn, target).backward()
    optimizer.step()
    return float((drawn.detach() - target).abs().mean()) * 127.5


def swapped_pairs(swapper: FaceSwapper, faces: SwapFaces, limit: int, seed: int) -> Iterator[StoredClip]:
    """Yield frames of people, and each with the face of one of NEAREST others."""
    rng = np.random.default_rng(seed)
    colours = faces.aligned.mean((1, 2), dtype=np.float32) / 255
    looks = np.hstack([colours, [face_swap.pose(mesh) for mesh in faces.meshes]])
    for row in spread_evenly(range(len(faces.clips)), limit):
        clip, own = faces.clips[row], faces.person[row]
        nearest = np.argsort(np.abs(looks - looks[row]).sum(1), kind="stable")
        others = dict.fromkeys(person for person in faces.person[nearest] if person != own)
        other = int(rng.choice(list(others)[:NEAREST]))
        swapped = face_swap.swap(swapper, faces.crops[row], faces.meshes[row], other, rng)
        video_id = f"{clip.video_id}-{row}"
        jpegs = [encode_jpeg(faces.crops[row])]
        real = replace(clip, video_id=video_id, original_id=video_id, seconds=clip.seconds[:1], jpegs=jpegs)
        yield real
        yield replace(real, video_id=f"{video_id}-swapped", fake=True, method=METHOD, jpegs=[encode_jpeg(swapped)])


if __name__ == "__main__":
    main()
