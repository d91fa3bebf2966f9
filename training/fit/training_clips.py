"""Read the clips of a training run from folders of shards."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.data.shards import StoredClip, read_clips
from training.data.splits import videos_sharing_people
from training.data.subsets import spread_evenly


@dataclass(frozen=True)
class TrainingClips:
    """The clips of one run."""

    training: list[list[StoredClip]]  # folder by folder, photographs and videos apart
    validation: dict[str, list[StoredClip]]  # by folder


def read_training_clips(
    data: Sequence[tuple[Path, int]], limit: int | None, seed: int, validation_limit: int | None = None
) -> TrainingClips:
    """Read folders of shards; a clip of a folder that is repeated n times is listed n times.

    A fake is paired with a real clip of its own folder, which the same cameras and codecs made. The splits of a folder
    share no person; where one folder trains on people whom another validates on, their training clips are left out,
    and printed.

    Args:
        data: folders, each with its number of repeats.
        limit: of real videos a folder and split.
        seed: of the draw that `limit` makes.
        validation_limit: of real and of fake clips a folder, for validation.

    Raises:
        ValueError: the training clips of a folder are all fake.
    """
    clips_of = {
        folder: read_clips(folder) if limit is None else subset_of_reals(read_clips(folder), limit, seed)
        for folder, _ in data
    }
    validation = {folder.name: [clip for clip in clips if clip.split == "val"] for folder, clips in clips_of.items()}
    held_out = [clip for clips in validation.values() for clip in clips]
    training: list[list[StoredClip]] = []
    leaks: set[str] = set()
    for folder, repeats in data:
        clips = [clip for clip in clips_of[folder] if clip.split == "train"]
        shared = videos_sharing_people(clips, held_out)
        kept = [clip for clip in clips if clip.video_id not in shared]
        if kept and all(clip.fake for clip in kept):
            raise ValueError(f"{folder.name} holds no real clip to pair its fakes with")
        for is_video in (False, True):
            some = [clip for clip in kept if (len(clip.jpegs) > 1) == is_video]
            if not all(clip.fake for clip in some):
                training.append(some * repeats)
        leaks |= shared
    if leaks:
        print(f"Left out, because validation holds the same people: {', '.join(sorted(leaks))}", file=sys.stderr)
    if validation_limit is not None:
        validation = {name: limit_each_label(clips, validation_limit) for name, clips in validation.items()}
    return TrainingClips(training, {name: clips for name, clips in validation.items() if clips})


def limit_each_label(clips: list[StoredClip], limit: int) -> list[StoredClip]:
    """Choose at most `limit` real and `limit` fake clips, from all over the list."""
    reals, fakes = ([clip for clip in clips if clip.fake == fake] for fake in (False, True))
    return [*spread_evenly(reals, limit), *spread_evenly(fakes, limit)]


def subset_of_reals(clips: list[StoredClip], limit: int, seed: int) -> list[StoredClip]:
    """Draw at most `limit` real videos a split, and the fakes made of them."""
    rng, kept = np.random.default_rng(seed), set()
    for split in ("train", "val"):
        reals = sorted({clip.original_id for clip in clips if clip.split == split and not clip.fake})
        kept.update(rng.permutation(reals)[:limit].tolist())
    return [clip for clip in clips if clip.original_id in kept]
