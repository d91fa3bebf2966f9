"""Labelled faces and videos on disk -> rows that training and evaluation read."""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from training.shards import MANIFEST, Row, StoredClip, read_table, stored_clips

__all__ = [
    "FaceImage",
    "LabelledVideo",
    "StoredClip",
    "face_shards",
    "labelled_videos",
    "pictures",
    "stored_clips",
]


@dataclass(frozen=True)
class FaceImage:
    """One face crop, still compressed."""

    name: str
    fake: bool
    original_id: str  # the real video that a fake was made from, or the real video itself
    split: str  # "train" or "val"
    jpeg: bytes


@dataclass(frozen=True)
class LabelledVideo:
    """One video file, or a photograph, which counts as a video of one frame."""

    path: Path
    video_id: str
    fake: bool
    method: str  # how the fake was made; "real" otherwise
    identities: tuple[
        str, ...
    ]  # people, or source videos, in it, the target first; splits keep them together
    split: str  # "train", "val" or "test"
    made_from: str = ""  # video_id of the real video that a fake was made from, where it is known

    @property
    def group(self) -> str:
        """The (target) person: bootstrap keeps a group together."""
        return self.identities[0]

    @property
    def original_id(self) -> str:
        """The real video that a fake was made from; its own id when real, or when that is not known."""
        return self.made_from or self.video_id


def face_shards(folder: Path) -> list[FaceImage]:
    """Tar shards with `manifest.tsv` (columns shard, file, label, original_id, split) -> faces in memory.

    Raises KeyError when the manifest names a file that its shard does not hold.
    """
    rows: dict[str, list[dict[str, str]]] = {}
    for row in read_table(folder / MANIFEST):
        rows.setdefault(row["shard"], []).append(row)
    return [face for shard in sorted(rows) for face in _shard(folder / shard, rows[shard])]


def _shard(path: Path, rows: list[dict[str, str]]) -> Iterator[FaceImage]:
    with tarfile.open(path) as archive:
        for row in rows:
            member = archive.extractfile(row["file"])
            if member is None:
                raise KeyError(f"{path.name} holds no file {row['file']}")
            yield FaceImage(
                row["file"], row["label"] == "fake", row["original_id"], row["split"], member.read()
            )


def pictures(archive_path: Path) -> dict[str, bytes]:
    """A tar of pictures -> name: compressed bytes, in the archive's order."""
    with tarfile.open(archive_path) as archive:
        members = [member for member in archive if member.isfile()]
        return {
            member.name: stream.read()
            for member in members
            if (stream := archive.extractfile(member)) is not None
        }


def labelled_videos(folder: Path) -> list[LabelledVideo]:
    """A folder with `manifest.tsv`: columns file or folder, label; maybe method, target_id, source_id,
    original_id, video_id, split. Without `split` everything is "test", so that nothing is fitted on it.
    """
    return [_to_video(folder, row) for row in read_table(folder / MANIFEST)]


def _to_video(folder: Path, row: Row) -> LabelledVideo:
    name = row.get("file") or row["folder"]
    fake = row["label"].startswith("fake")
    video_id = row.get("video_id") or Path(name).with_suffix("").as_posix()
    target = row.get("target_id") or row.get("original_id") or video_id
    source = row.get("source_id") or target
    return LabelledVideo(
        path=folder / name,
        video_id=video_id,
        fake=fake,
        method=row.get("method") or ("fake" if fake else "real"),
        identities=tuple(dict.fromkeys((target, source))),
        split=row.get("split") or "test",
        made_from=(row.get("original_id") or "") if fake else "",
    )
