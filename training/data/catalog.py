"""List labelled videos and the people in them, in splits that share no person."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from training.data import splits
from training.data.shards import MANIFEST, Row, read_table
from training.data.splits import SPLITS, UNASSIGNED, check_disjoint

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
SPLIT_METHODS = ("official", "hash", "alternate", *SPLITS)


@dataclass(frozen=True)
class LabelledVideo:
    """One labelled video file, or a photograph, which counts as a video of one frame."""

    path: Path
    video_id: str
    fake: bool
    method: str  # how the fake was made; "real" otherwise
    identities: splits.Identities  # people in it, or source videos; the target first. Splits keep them together
    split: str  # "train", "val" or "test"; UNASSIGNED until it is known
    made_from: str = ""  # video_id of the real video that a fake was made from, where it is known
    pictures: tuple[Path, ...] = ()  # single frames that together stand for the video; none: `path` is it
    panel_xywh: tuple[int, int, int, int] | None = None  # px of the part to look at, as of a side-by-side
    group_label: str = ""  # skin tone, language, camera: what errors are counted by

    @property
    def files(self) -> tuple[Path, ...]:
        """List all files of the video."""
        return self.pictures or (self.path,)

    @property
    def group(self) -> str:
        """Return the (target) person: the bootstrap keeps a group together."""
        return self.identities[0]

    @property
    def original_id(self) -> str:
        """Return the id of the real video that a fake was made from; its own when real, or when unknown."""
        return self.made_from or self.video_id


@dataclass(frozen=True)
class ExcludedFile:
    """A file that is not used, and why."""

    path: Path
    reason: str  # in words


@dataclass(frozen=True)
class Catalog:
    """The videos of a data set.

    Raises:
        LeakError: a person is in two splits.
        ValueError: two videos have one id.
    """

    videos: tuple[LabelledVideo, ...]
    excluded: tuple[ExcludedFile, ...] = ()  # missing, broken, or without a split

    def __post_init__(self) -> None:
        check_disjoint(self.videos)
        paths: dict[str, Path] = {}
        for video in self.videos:
            if video.video_id in paths:
                raise ValueError(f"{paths[video.video_id]} and {video.path} are both called {video.video_id}")
            paths[video.video_id] = video.path

    def __add__(self, other: "Catalog") -> "Catalog":
        return Catalog(self.videos + other.videos, self.excluded + other.excluded)


def split(catalog: Catalog, how: str) -> Catalog:
    """Split the same videos in another way; those that fit no split are excluded.

    Raises:
        ValueError: there is no such way, or the data set has no official split.
    """
    videos = sorted(catalog.videos, key=lambda video: video.path.name)
    if how == "official":
        if videos and all(video.split == UNASSIGNED for video in videos):
            missing = "".join(f" ({item.path.name}: {item.reason})" for item in catalog.excluded[:1])
            raise ValueError(
                f"no official split is known here{missing}; split it by people with --split hash, or give all"
                " of it to one split, with --split test"
            )
        return _assigned(catalog, [video.split for video in catalog.videos])
    if how == "alternate":
        videos = [replace(video, split=SPLITS[index % 2]) for index, video in enumerate(videos)]
        return replace(catalog, videos=tuple(videos))
    if how == "hash":
        return _assigned(catalog, splits.assign_by_hash([video.identities for video in catalog.videos]))
    if how not in SPLITS:
        raise ValueError(f"there is no split {how}; there are {', '.join(SPLIT_METHODS)}")
    return _assigned(catalog, [how] * len(videos))


def _assigned(catalog: Catalog, chosen: Iterable[str]) -> Catalog:
    videos = [replace(video, split=name) for video, name in zip(catalog.videos, chosen, strict=True)]
    kept = [video for video in videos if video.split != UNASSIGNED]
    known = {identity: video.split for video in kept for identity in video.identities}
    unassigned = [video for video in videos if video.split == UNASSIGNED]
    excluded = [ExcludedFile(video.path, splits.why_unassigned(video.identities, known)) for video in unassigned]
    return Catalog(tuple(kept), catalog.excluded + tuple(excluded))


def read_manifest(folder: Path) -> list[LabelledVideo]:
    """Read the `manifest.tsv` of a folder.

    Columns: file or folder, label; optional: method, target_id, source_id, original_id, video_id, split, crop_xywh,
    group_label.
    Without `split` everything is "test", so that nothing is fitted on it. Pictures of one label, method and target_id
    are frames of one video, unless they have video_ids; crop_xywh ("x,y,w,h", px) is the panel of a side-by-side video
    that shows the face.

    Raises:
        ValueError: crop_xywh has another form.
    """
    rows_of: dict[tuple[str, ...], list[Row]] = {}
    for number, row in enumerate(read_table(folder / MANIFEST)):
        rows_of.setdefault(_frames_of(row) or (str(number),), []).append(row)
    return [_to_video(folder, rows) for rows in rows_of.values()]


def _frames_of(row: Row) -> tuple[str, ...]:
    """Name what the rows of pictures that stand for one video share; nothing for a video of its own."""
    name = row.get("file") or row["folder"]
    if Path(name).suffix.lower() not in PICTURE_SUFFIXES or row.get("video_id") or not row.get("target_id"):
        return ()
    return tuple(row.get(column) or "" for column in ("label", "method", "target_id", "source_id", "split"))


def _to_video(folder: Path, rows: Sequence[Row]) -> LabelledVideo:
    row, names = rows[0], [row.get("file") or row["folder"] for row in rows]
    fake = row["label"].startswith("fake")
    video_id = row.get("video_id") or Path(names[0]).with_suffix("").as_posix()
    target = row.get("target_id") or row.get("original_id") or video_id
    source = row.get("source_id") or target
    return LabelledVideo(
        path=folder / names[0],
        video_id=video_id,
        fake=fake,
        method=row.get("method") or ("fake" if fake else "real"),
        identities=tuple(dict.fromkeys((target, source))),
        split=row.get("split") or "test",
        made_from=(row.get("original_id") or "") if fake else "",
        pictures=tuple(folder / name for name in names) if len(names) > 1 else (),
        panel_xywh=_panel(row.get("crop_xywh") or ""),
        group_label=row.get("group_label") or "",
    )


def _panel(text: str) -> tuple[int, int, int, int] | None:
    if not text:
        return None
    x, y, width, height = map(int, text.split(","))
    return x, y, width, height


def describe_files(paths: Iterable[Path], describe: Callable[[Path], LabelledVideo | None]) -> Catalog:
    """List files by what `describe` returns for each: None for a name that it cannot read."""
    videos, excluded = [], []
    for path in paths:
        video = describe(path)
        if video is None:
            excluded.append(ExcludedFile(path, "its name or entry says nothing that is understood"))
        elif path.stat().st_size == 0:
            excluded.append(ExcludedFile(path, "the file is empty"))
        else:
            videos.append(video)
    return Catalog(tuple(videos), tuple(excluded))


def missing_files(folder: Path, names: Iterable[str]) -> Catalog:
    """List those of the named files that do not exist, as excluded."""
    paths = (folder / name for name in sorted(names))
    return Catalog((), tuple(ExcludedFile(path, "the file is missing") for path in paths if not path.exists()))
