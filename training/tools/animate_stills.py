"""Animate frames of real clips by the landmarks of other people, and store them with the reals as pairs to train on.

    python -m training.tools.animate_stills --data FACES [--data MORE] --out PAIRS [--limit 2000]

Of the split `train` alone, spread evenly over the folders. An animation shows a frame of its own real clip, with as
many frames, so that camera and coding do not tell them apart; `training.train` pairs the two, since the animation's
`original_id` is the real's `video_id`. Drivers are videos of other people in any of the folders.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from training.data.shards import StoredClip, read_clips, write_clips
from training.data.subsets import spread_evenly
from training.fit.torch_dataset import decode
from training.synthesis import animated_still, landmarks
from training.tools.reconstruct_faces import SIDE_PX, encode_jpeg

METHOD = "animated-still"
DRIVERS = 150  # videos whose motion is used, at most
MAX_FRAMES = 8  # of a driver


def main() -> None:
    """Animate the faces that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True, metavar="DIR", help="folder of clips")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--limit", type=int, default=2000, help="real clips of a folder")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    folders = [[clip for clip in read_clips(folder) if is_usable(clip)] for folder in arguments.data]
    drivers = spread_evenly(driving_videos([clip for reals in folders for clip in reals]), DRIVERS)
    reals = [clip for reals in folders for clip in spread_evenly(reals, arguments.limit)]
    write_clips(arguments.out, animated_pairs(reals, drivers, arguments.seed))


def is_usable(clip: StoredClip) -> bool:
    """Say whether a clip is real, and for training."""
    return clip.split == "train" and not clip.fake


def driving_videos(reals: Sequence[StoredClip]) -> list[list[StoredClip]]:
    """Collect the clips of each video, where they show more than one frame."""
    videos: dict[str, list[StoredClip]] = {}
    for clip in reals:
        videos.setdefault(clip.video_id, []).append(clip)
    return [clips for clips in videos.values() if sum(len(clip.jpegs) for clip in clips) > 1]


def animated_pairs(
    reals: Sequence[StoredClip], drivers: Sequence[Sequence[StoredClip]], seed: int
) -> Iterator[StoredClip]:
    """Yield each real clip and an animation of its first frame by one of the drivers, who is somebody else.

    Raises:
        ValueError: all drivers are of one person.
    """
    rng = np.random.default_rng(seed)
    if len({clips[0].group for clips in drivers}) < 2:
        raise ValueError("videos of two people at least are needed to animate each other's pictures")
    motions = [_meshes(clips) for clips in drivers]
    for number, clip in enumerate(reals):
        row = int(rng.integers(len(drivers)))
        while drivers[row][0].group == clip.group:
            row = int(rng.integers(len(drivers)))
        frames = _at_side(decode(clip)[:MAX_FRAMES])
        moved = _motion(motions[row], len(frames), rng)
        drawn = animated_still.animate(frames[0], landmarks.find(frames[0]), moved, rng)[-len(frames) :]
        seconds, video_id = clip.seconds[: len(frames)], f"{clip.video_id}-{number}"
        real = replace(clip, video_id=video_id, original_id=video_id, seconds=seconds, jpegs=_jpegs(frames))
        yield real
        yield replace(real, video_id=f"{video_id}-animated", fake=True, method=METHOD, jpegs=_jpegs(drawn))


def _meshes(clips: Sequence[StoredClip]) -> np.ndarray:
    frames = [frame for clip in clips for frame in _at_side(decode(clip))][:MAX_FRAMES]
    return np.stack([landmarks.find(frame) for frame in frames])


def _motion(meshes: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return so many meshes (count, 468, 2) of a driver; for a single frame its first and any other, (2, 468, 2)."""
    if count == 1:
        return meshes[[0, int(rng.integers(1, len(meshes)))]]
    return meshes[np.minimum(np.arange(count), len(meshes) - 1)]


def _at_side(frames: np.ndarray) -> np.ndarray:
    return np.stack([cv2.resize(frame, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC) for frame in frames])


def _jpegs(frames: np.ndarray) -> list[bytes]:
    return [encode_jpeg(frame) for frame in frames]


if __name__ == "__main__":
    main()
