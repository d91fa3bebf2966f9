"""Fill a folder with prepared clips, video by video in any order, so that the work can be interrupted and resumed.

Each finished video is stored as `parts/INDEX.tar`; when all videos of a shard are there, they are merged into one tar
file. What exists is what is done, so a run that was killed resumes, and ends with the same bytes.
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


class SettingsChangedError(ValueError):
    """Raised when the folder was begun with other videos or settings."""


class ResumableWriter:
    """Writes the clips of a list of videos; `splits` holds the split of every video, in order."""

    def __init__(
        self, folder: Path, splits: Sequence[str], settings: Mapping[str, Any], videos_per_shard: int = VIDEOS_PER_SHARD
    ) -> None:
        """Begin a folder or resume one. Raises SettingsChangedError."""
        self._folder, self._parts = folder, folder / "parts"
        self._members = plan_shards(splits, videos_per_shard)
        self._shard_of = {index: name for name, some in self._members.items() for index in some}
        self._parts.mkdir(parents=True, exist_ok=True)
        self._check_settings({**settings, "videos_per_shard": videos_per_shard})
        for name in self._members:
            self._merge_parts(name)

    def pending(self) -> list[int]:
        """List the indices of the videos that are not done."""
        return [
            index
            for name, some in self._members.items()
            if not (self._folder / name).exists()
            for index in some
            if not self._part(index).exists()
        ]

    def add(self, index: int, clips: Sequence[StoredClip], failed: Iterable[FailedVideo] = ()) -> None:
        """Store the clips of a video; complete its shard if it was the last one of it."""
        write_shard(self._part(index), clips, failed)
        self._merge_parts(self._shard_of[index])

    def close(self) -> list[FailedVideo]:
        """Write the tables, once no video is pending, and return the failed videos."""
        shards = [self._folder / name for name in self._members]
        write_manifest(self._folder, shards)
        shutil.rmtree(self._parts)
        return [lost for shard in shards for lost in read_shard(shard)[1]]

    def _check_settings(self, settings: Mapping[str, Any]) -> None:
        path = self._folder / SETTINGS
        if not path.exists():
            with atomic_write(path) as draft:
                draft.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
        settings, known = json.loads(json.dumps(settings)), json.loads(path.read_text())
        other = sorted(key for key in settings.keys() | known.keys() if settings.get(key) != known.get(key))
        if other:
            raise SettingsChangedError(
                f"{self._folder} was begun with other {', '.join(other)}: take another folder, or remove it"
            )

    def _merge_parts(self, name: str) -> None:
        """Make a shard of its parts, if they are all there; delete parts that are in their shard."""
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
    """Return file name of every shard -> indices of its videos; a shard holds one split, in the videos' order."""
    shards = {}
    for split in sorted(set(splits)):
        chosen = [index for index, name in enumerate(splits) if name == split]
        for number, start in enumerate(range(0, len(chosen), size)):
            shards[f"{split}-{number:05}.tar"] = chosen[start : start + size]
    return shards
