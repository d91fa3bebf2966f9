"""A folder that fills with prepared clips, video by video in any order, and can be left at any moment.

Each finished video waits as `parts/INDEX.tar`; when all of a shard are there, they become one tar file. What
exists is what is done, so a run that was killed goes on where it was, and ends with the same bytes.
"""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from training.data.shards import FailedVideo, StoredClip, read_shard, write_manifest, write_shard
from unmask.files import atomic_write

VIDEOS_PER_SHARD = 256  # 8 windows of 8 frames: about 300 MB
SETTINGS = "prepare.json"


class OtherSettingsError(ValueError):
    """The folder was begun with other videos or settings."""


class Collection:
    """Where the clips of a list of videos go; `splits` holds the split of every video, in order."""

    def __init__(
        self,
        folder: Path,
        splits: Sequence[str],
        settings: Mapping[str, Any],
        videos_per_shard: int = VIDEOS_PER_SHARD,
    ) -> None:
        """Begin a folder or go on with one. Raises OtherSettingsError."""
        self._folder, self._parts = folder, folder / "parts"
        self._members = plan_shards(splits, videos_per_shard)
        self._shard_of = {index: name for name, some in self._members.items() for index in some}
        self._parts.mkdir(parents=True, exist_ok=True)
        self._claim({**settings, "videos_per_shard": videos_per_shard})
        for name in self._members:
            self._join(name)

    def waiting(self) -> list[int]:
        """The videos that are not done."""
        return [
            index
            for name, some in self._members.items()
            if not (self._folder / name).exists()
            for index in some
            if not self._part(index).exists()
        ]

    def add(self, index: int, clips: Sequence[StoredClip], failed: Iterable[FailedVideo] = ()) -> None:
        """Keep what became of a video; complete its shard if it was the last one of it."""
        write_shard(self._part(index), clips, failed)
        self._join(self._shard_of[index])

    def close(self) -> list[FailedVideo]:
        """Write the tables, once nothing is waiting; returns what failed."""
        shards = [self._folder / name for name in self._members]
        write_manifest(self._folder, shards)
        shutil.rmtree(self._parts)
        return [lost for shard in shards for lost in read_shard(shard)[1]]

    def _claim(self, settings: Mapping[str, Any]) -> None:
        path = self._folder / SETTINGS
        if not path.exists():
            with atomic_write(path) as draft:
                draft.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
        settings, known = json.loads(json.dumps(settings)), json.loads(path.read_text())
        other = sorted(key for key in settings.keys() | known.keys() if settings.get(key) != known.get(key))
        if other:
            raise OtherSettingsError(
                f"{self._folder} was begun with other {', '.join(other)}: take another folder, or remove it"
            )

    def _join(self, name: str) -> None:
        """Make a shard of its parts, if they are all there; drop parts that are in their shard."""
        shard, parts = self._folder / name, [self._part(index) for index in self._members[name]]
        if not shard.exists():
            if not all(part.exists() for part in parts):
                return
            read = [read_shard(part) for part in parts]
            clips = (clip for some, _ in read for clip in some)
            write_shard(shard, clips, (lost for _, some in read for lost in some))
        for part in parts:
            part.unlink(missing_ok=True)

    def _part(self, index: int) -> Path:
        return self._parts / f"{index:07}.tar"


def plan_shards(splits: Sequence[str], size: int) -> dict[str, list[int]]:
    """File name of every shard -> the videos in it; a shard holds one split, the videos keep their order."""
    shards = {}
    for split in sorted(set(splits)):
        chosen = [index for index, name in enumerate(splits) if name == split]
        for number, start in enumerate(range(0, len(chosen), size)):
            shards[f"{split}-{number:05}.tar"] = chosen[start : start + size]
    return shards
