"""Labelled faces and videos on disk -> rows that training and evaluation read."""

import csv
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


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
    path: Path
    fake: bool
    method: str  # how the fake was made; "real" otherwise
    group: str  # the people in it: bootstrap and splits keep a group together


def face_shards(folder: Path) -> list[FaceImage]:
    """Tar shards with `manifest.tsv` (columns shard, file, label, original_id, split) -> faces in memory.

    Raises KeyError when the manifest names a file that its shard does not hold.
    """
    rows: dict[str, list[dict[str, str]]] = {}
    for row in _table(folder / "manifest.tsv"):
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
    """A folder with `manifest.tsv`: columns file or folder, label; maybe method, target_id, original_id."""
    return [
        LabelledVideo(
            path=folder / (row.get("file") or row["folder"]),
            fake=row["label"].startswith("fake"),
            method=row.get("method") or ("fake" if row["label"].startswith("fake") else "real"),
            group=row.get("target_id") or row.get("original_id") or row.get("file") or row["folder"],
        )
        for row in _table(folder / "manifest.tsv")
    ]


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))
