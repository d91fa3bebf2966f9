"""Store face clips in tar shards with a `manifest.tsv` beside them.

A folder holds tar files of JPEG crops and one table, a row a frame. Pictures stay in their shard until they are
read, so a set may be larger than memory, and a clip is cheap to send to another process.
"""

import csv
import io
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import overload

from unmask.files import atomic_write

MANIFEST = "manifest.tsv"
FAILED = "failed.tsv"
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
    "group_label",  # "" where none is given
)

FAILED_COLUMNS = ("shard", "video_id", "file", "reason")

Row = Mapping[str, str]


@dataclass(frozen=True)
class StoredClip:
    """Successive crops of one face, still compressed; a photograph is a clip of one frame."""

    video_id: str
    fake: bool
    method: str  # how the fake was made; "real" otherwise
    original_id: str  # id of the real video that a fake was made from; its own id when real
    group: str  # the (target) person: bootstrap and splits keep a group together
    split: str  # "train", "val" or "test"
    track_id: int  # of the face in its video
    seconds: tuple[float, ...]  # presentation times
    jpegs: Sequence[bytes]  # as many
    group_label: str = ""  # skin tone, language, camera: what errors are counted by

    @property
    def identities(self) -> tuple[str, ...]:
        """Return the person and the source video, neither of which may be in two splits."""
        return self.group, self.original_id

    def __post_init__(self) -> None:
        if not self.jpegs or len(self.jpegs) != len(self.seconds):
            raise ValueError(f"{self.video_id}: {len(self.jpegs)} pictures, but {len(self.seconds)} presentation times")


@dataclass(frozen=True)
class FileSlices(Sequence[bytes]):
    """Parts of one file, each read when it is indexed."""

    path: Path
    spans: tuple[tuple[int, int], ...]  # (offset, size) in bytes

    def __len__(self) -> int:
        return len(self.spans)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> "FileSlices": ...
    def __getitem__(self, index: int | slice) -> "bytes | FileSlices":
        if isinstance(index, slice):
            return FileSlices(self.path, self.spans[index])
        offset, size_bytes = self.spans[index]
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(size_bytes)


@dataclass(frozen=True)
class FailedVideo:
    """A video of which nothing could be stored."""

    video_id: str
    path: str
    reason: str  # in words


def read_clips(folder: Path) -> list[StoredClip]:
    """List every clip of a folder of tar shards, in the order of its `manifest.tsv`.

    A row is a frame. Columns: shard, file, label, video_id; the other ones of COLUMNS are optional. Without a column
    `clip` every row is a clip of its own; without `split` everything is "test".

    Raises:
        KeyError: the manifest names a file that its shard does not hold.
    """
    by_shard: dict[str, list[Row]] = {}
    for row in read_table(folder / MANIFEST):
        by_shard.setdefault(row["shard"], []).append(row)
    return [clip for shard, rows in by_shard.items() for clip in _clips(folder / shard, rows)]


def write_clips(folder: Path, clips: Iterable[StoredClip]) -> None:
    """Write clips as a folder that `read_clips` reads, a shard a split."""
    folder.mkdir(parents=True, exist_ok=True)
    by_split: dict[str, list[StoredClip]] = {}
    for clip in clips:
        by_split.setdefault(clip.split, []).append(clip)
    shards = [(folder / f"{split}-00000.tar", some) for split, some in sorted(by_split.items())]
    for path, some in shards:
        write_shard(path, some)
    write_manifest(folder, [path for path, _ in shards])


def write_shard(path: Path, clips: Iterable[StoredClip], failed: Iterable[FailedVideo] = ()) -> None:
    """Write clips into one tar, in their order, with tables of what is in it and what failed.

    Equal clips give equal bytes. The write is atomic.
    """
    named = list(_named(clips))
    rows = [_to_row(path.name, *frame) for frame in named]
    lost = [{"shard": path.name, "video_id": f.video_id, "file": f.path, "reason": f.reason} for f in failed]
    with atomic_write(path) as draft, tarfile.open(draft, "w") as archive:
        _add(archive, MANIFEST, format_table(COLUMNS, rows))
        _add(archive, FAILED, format_table(FAILED_COLUMNS, lost))
        for name, clip, _, index in named:
            _add(archive, name, clip.jpegs[index])


def read_shard(path: Path) -> tuple[list[StoredClip], list[FailedVideo]]:
    """Read the clips and the failed videos of a shard."""
    rows, lost = _tables(path)
    failed = [FailedVideo(row["video_id"], row["file"], row["reason"]) for row in lost]
    return list(_clips(path, rows)), failed


def write_manifest(folder: Path, shards: Iterable[Path]) -> None:
    """Write `manifest.tsv` and `failed.tsv` of a folder from the tables in its shards."""
    tables = [_tables(path) for path in shards]
    for index, (name, columns) in enumerate(((MANIFEST, COLUMNS), (FAILED, FAILED_COLUMNS))):
        rows = (row for pair in tables for row in pair[index])
        with atomic_write(folder / name) as draft:
            draft.write_bytes(format_table(columns, rows))


def index_tar(path: Path) -> dict[str, tuple[int, int]]:
    """Return name -> (offset, size) in bytes of every file in a tar, in the archive's order."""
    with tarfile.open(path) as archive:
        return {member.name: (member.offset_data, member.size) for member in archive if member.isfile()}


def read_table(path: Path) -> list[dict[str, str]]:
    """Read the rows of a tab-separated table with a header."""
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def format_table(columns: Sequence[str], rows: Iterable[Row]) -> bytes:
    """Format rows as a tab-separated table with a header."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue().encode()


def _tables(shard: Path) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Return the rows of the manifest and of the failed videos in a shard."""
    with tarfile.open(shard) as archive:  # both stand in front, so this is quick
        texts = [archive.extractfile(name) for name in (MANIFEST, FAILED)]
        lines = [stream.read().decode().splitlines() for stream in texts if stream is not None]
    clips, failed = (list(csv.DictReader(some, delimiter="\t")) for some in lines)
    return clips, failed


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def _named(clips: Iterable[StoredClip]) -> Iterator[tuple[str, StoredClip, int, int]]:
    """Yield for every frame its name, its clip, the clip's number among those of its face, its index in the clip."""
    counts: Counter[tuple[str, int]] = Counter()
    for clip in clips:
        face = (clip.video_id, clip.track_id)
        number = counts[face]
        counts[face] += 1
        kind = "fake" if clip.fake else "real"
        for index in range(len(clip.seconds)):
            yield f"{kind}/{clip.video_id}/{clip.track_id}-{number}-{index}.jpg", clip, number, index


def _to_row(shard: str, name: str, clip: StoredClip, number: int, index: int) -> Row:
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
        "seconds": repr(float(clip.seconds[index])),
        "group_label": clip.group_label,
    }


def _clips(shard: Path, rows: Iterable[Row]) -> Iterator[StoredClip]:
    """Make clips of the rows of one shard. Raises KeyError when the shard does not hold a file."""
    spans = index_tar(shard)
    for _, frames in groupby(enumerate(rows), _clip_of):
        some = [row for _, row in frames]
        absent = [row["file"] for row in some if row["file"] not in spans]
        if absent:
            raise KeyError(f"{shard.name} holds no file {absent[0]}")
        yield _to_clip(some, FileSlices(shard, tuple(spans[row["file"]] for row in some)))


def _clip_of(numbered: tuple[int, Row]) -> tuple[str, ...]:
    """Return what the rows of one clip have in common."""
    index, row = numbered
    return (row["video_id"], row.get("track_id", ""), row.get("clip", f"row {index}"))


def _to_clip(rows: Sequence[Row], jpegs: FileSlices) -> StoredClip:
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
        jpegs=jpegs,
        group_label=first.get("group_label") or "",
    )
