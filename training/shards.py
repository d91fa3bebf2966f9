"""Face clips in tar shards with a `manifest.tsv` beside them: how prepared data lies on disk.

A folder holds tar files of JPEG crops and one table, a row a frame. Pictures stay in their shard until they
are asked for, so a set may be larger than memory, and a clip passes cheaply from process to process.
"""

import csv
import io
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import overload

MANIFEST = "manifest.tsv"
COLUMNS = (
    "shard",
    "file",
    "label",  # "real" or "fake"
    "method",
    "video_id",
    "original_id",
    "group",
    "split",
    "track_id",
    "clip",  # frames with one number and one face make one clip
    "seconds",
)

Row = Mapping[str, str]


@dataclass(frozen=True)
class StoredClip:
    """One face's successive crops, still compressed; a still face is a clip of one frame."""

    video_id: str
    fake: bool
    method: str  # how the fake was made; "real" otherwise
    original_id: str  # id of the real video that a fake was made from; its own id when real
    group: str  # the (target) person: bootstrap and splits keep a group together
    split: str  # "train", "val" or "test"
    track_id: int  # of the face in its video
    seconds: tuple[float, ...]  # presentation times
    jpegs: Sequence[bytes]  # as many

    def __post_init__(self) -> None:
        if not self.jpegs or len(self.jpegs) != len(self.seconds):
            raise ValueError(
                f"{self.video_id}: {len(self.jpegs)} pictures, but {len(self.seconds)} presentation times"
            )


@dataclass(frozen=True)
class Slices(Sequence[bytes]):
    """Parts of one file, read when asked for."""

    path: Path
    spans: tuple[tuple[int, int], ...]  # (offset, size) in bytes

    def __len__(self) -> int:
        return len(self.spans)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> "Slices": ...
    def __getitem__(self, index: int | slice) -> "bytes | Slices":
        if isinstance(index, slice):
            return Slices(self.path, self.spans[index])
        offset, size_bytes = self.spans[index]
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(size_bytes)


def stored_clips(folder: Path) -> list[StoredClip]:
    """Every clip of a folder of tar shards, in the order of its `manifest.tsv`, a row a frame.

    Columns: shard, file, label, video_id; maybe method, original_id, group, split, track_id, clip, seconds.
    Without a column `clip` every row is a clip of its own; without `split` everything is "test".
    Raises KeyError when the manifest names a file that its shard does not hold.
    """
    spans: dict[str, dict[str, tuple[int, int]]] = {}
    clips = []
    for _, frames in groupby(enumerate(read_table(folder / MANIFEST)), _clip_of):
        rows = [row for _, row in frames]
        shard = rows[0]["shard"]
        if shard not in spans:
            spans[shard] = index_tar(folder / shard)
        clips.append(_to_clip(folder / shard, rows, spans[shard]))
    return clips


def store(folder: Path, clips: Iterable[StoredClip]) -> None:
    """Write clips as a folder that `stored_clips` reads, a shard a split."""
    folder.mkdir(parents=True, exist_ok=True)
    by_split: dict[str, list[StoredClip]] = {}
    for clip in clips:
        by_split.setdefault(clip.split, []).append(clip)
    rows: list[Row] = []
    for split, some in sorted(by_split.items()):
        rows += write_shard(folder / f"{split}-00000.tar", some)
    write_table(folder / MANIFEST, COLUMNS, rows)


def write_shard(path: Path, clips: Iterable[StoredClip]) -> list[Row]:
    """Write clips into one tar, in their order -> their rows of the manifest.

    Equal clips give equal bytes. The file appears under its name only when it is whole.
    """
    rows: list[Row] = []
    draft = path.with_name(f".{path.name}.draft")
    with tarfile.open(draft, "w") as archive:
        for (video_id, track_id), number, clip in _numbered(clips):
            for index, (seconds, jpeg) in enumerate(zip(clip.seconds, clip.jpegs, strict=True)):
                name = f"{'fake' if clip.fake else 'real'}/{video_id}/{track_id}-{number}-{index}.jpg"
                member = tarfile.TarInfo(name)
                member.size = len(jpeg)
                archive.addfile(member, io.BytesIO(jpeg))
                rows.append(_to_row(path.name, name, clip, number, seconds))
    draft.rename(path)
    return rows


def index_tar(path: Path) -> dict[str, tuple[int, int]]:
    """Name of every file in a tar -> (offset, size) of its bytes, in the archive's order."""
    with tarfile.open(path) as archive:
        return {member.name: (member.offset_data, member.size) for member in archive if member.isfile()}


def read_table(path: Path) -> list[dict[str, str]]:
    """A tab-separated table with a head -> its rows."""
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """The other way; the file appears under its name only when it is whole."""
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    draft.rename(path)


def _numbered(clips: Iterable[StoredClip]) -> Iterator[tuple[tuple[str, int], int, StoredClip]]:
    """Each clip with its number among those of its face."""
    counts: dict[tuple[str, int], int] = {}
    for clip in clips:
        face = (clip.video_id, clip.track_id)
        counts[face] = counts.get(face, -1) + 1
        yield face, counts[face], clip


def _to_row(shard: str, name: str, clip: StoredClip, number: int, seconds: float) -> Row:
    return {
        "shard": shard,
        "file": name,
        "label": "fake" if clip.fake else "real",
        "method": clip.method,
        "video_id": clip.video_id,
        "original_id": clip.original_id,
        "group": clip.group,
        "split": clip.split,
        "track_id": str(clip.track_id),
        "clip": str(number),
        "seconds": repr(float(seconds)),
    }


def _clip_of(numbered: tuple[int, Row]) -> tuple[str, ...]:
    """What the rows of one clip have in common."""
    index, row = numbered
    return (row["shard"], row["video_id"], row.get("track_id", ""), row.get("clip", f"row {index}"))


def _to_clip(shard: Path, rows: Sequence[Row], spans: Mapping[str, tuple[int, int]]) -> StoredClip:
    absent = [row["file"] for row in rows if row["file"] not in spans]
    if absent:
        raise KeyError(f"{shard.name} holds no file {absent[0]}")
    first = rows[0]
    fake = first["label"].startswith("fake")
    original_id = first.get("original_id") or first["video_id"]
    return StoredClip(
        video_id=first["video_id"],
        fake=fake,
        method=first.get("method") or ("fake" if fake else "real"),
        original_id=original_id,
        group=first.get("group") or original_id,
        split=first.get("split") or "test",
        track_id=int(first.get("track_id") or 0),
        seconds=tuple(float(row.get("seconds") or 0) for row in rows),
        jpegs=Slices(shard, tuple(spans[row["file"]] for row in rows)),
    )
