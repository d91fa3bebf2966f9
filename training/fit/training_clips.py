"""Read the clips of a training run from folders of shards."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.data.shards import StoredClip, read_clips


@dataclass(frozen=True)
class TrainingClips:
    """The clips of one run."""

    training: tuple[list[StoredClip], ...]  # photographs and videos apart: a fake stands beside a real of its kind
    validation: list[StoredClip]


def read_training_clips(data: Sequence[tuple[Path, int]], limit: int | None, seed: int) -> TrainingClips:
    """Read folders of shards; a clip of a folder that is repeated n times is listed n times.

    The splits of a folder share no person; where one folder trains on people whom another validates on, their
    training clips are left out, and printed.

    Args:
        data: folders, each with its number of repeats.
        limit: of real videos a folder and split.
        seed: of the draw that `limit` makes.
    """
    clips = [
        (clip, repeats)
        for folder, repeats in data
        for clip in (read_clips(folder) if limit is None else subset_of_reals(read_clips(folder), limit, seed))
    ]
    validation = [clip for clip, _ in clips if clip.split == "val"]
    held_out = {name for clip in validation for name in (clip.group, clip.original_id)}
    training = [(clip, repeats) for clip, repeats in clips if clip.split == "train"]
    leaks = sorted({clip.video_id for clip, _ in training if {clip.group, clip.original_id} & held_out})
    if leaks:
        print(f"Left out, because validation holds the same people: {', '.join(leaks)}", file=sys.stderr)
    kept = [(clip, repeats) for clip, repeats in training if clip.video_id not in leaks]
    photographs, videos = (
        [clip for clip, repeats in kept if (len(clip.jpegs) > 1) == is_video for _ in range(repeats)]
        for is_video in (False, True)
    )
    return TrainingClips((photographs, videos), validation)


def subset_of_reals(clips: list[StoredClip], limit: int, seed: int) -> list[StoredClip]:
    """Draw at most `limit` real videos a split, and the fakes made of them."""
    rng, kept = np.random.default_rng(seed), set()
    for split in ("train", "val"):
        reals = sorted({clip.original_id for clip in clips if clip.split == split and not clip.fake})
        kept.update(rng.permutation(reals)[:limit].tolist())
    return [clip for clip in clips if clip.original_id in kept]
