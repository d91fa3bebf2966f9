"""Read data sets in the layouts that they have on disk: folder -> Catalog.

A new data set is one function and one row of LAYOUTS.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from training.data import splits
from training.data.catalog import (
    PICTURE_SUFFIXES,
    Catalog,
    ExcludedFile,
    LabelledVideo,
    describe_files,
    missing_files,
    read_manifest,
    split,
)
from training.data.shards import MANIFEST, Row, index_tar
from training.data.splits import SPLITS, UNASSIGNED
from unmask.video.file_format import VIDEO_SUFFIXES

FF_METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter", "DeepFakeDetection")
FF_SPLITS_AT = "https://github.com/ondyari/FaceForensics/tree/master/dataset/splits"
# DeepFakeDetection has 28 actors and no official split: the first actor numbers of each of SPLITS
DFD_FIRST_ACTORS = (1, 21, 25)
# DFDC has 50 parts, all called "train" in its tables: the first part of each of SPLITS
DFDC_FIRST_PARTS = (0, 40, 45)
CELEB_VAL_SHARE = 0.1  # of the identities that are not in the official list of test videos


@dataclass(frozen=True)
class Layout:
    """How a data set is laid out on disk."""

    read: Callable[[Path], Catalog]  # with its official split; UNASSIGNED where there is none
    patterns: tuple[str, ...] = ()  # of file names, one of which identifies this layout; none: it must be named
    holds_face_crops: bool = False


def read(name: str, folder: Path, how: str = "official") -> Catalog:
    """Read a data set in the layout of that name, or the one that it looks like (`auto`), and split it.

    Args:
        name: a key of LAYOUTS, or `auto`.
        folder: where the data set lies.
        how: `official`; `hash`, by people; `alternate`, every second file by name for validation; or the split
            that everything goes to.

    Raises:
        ValueError: there is no such folder, layout or split.
        LeakError: a person is in two splits.
    """
    if not folder.exists():
        raise ValueError(f"there is no {folder}")
    return split(layout(name, folder).read(folder), how)


def layout(name: str, folder: Path) -> Layout:
    """Return the layout of that name, or for `auto` the one that the folder has. Raises ValueError."""
    name = detect_layout(folder) if name == "auto" else name
    if name not in LAYOUTS:
        raise ValueError(f"there is no layout {name}; there are auto, {', '.join(LAYOUTS)}")
    return LAYOUTS[name]


def detect_layout(folder: Path) -> str:
    """Return the name of the layout that a folder has.

    Raises:
        ValueError: it has none of them.
    """
    for name, known in LAYOUTS.items():
        if any(next(folder.glob(pattern), None) for pattern in known.patterns):
            return name
    raise ValueError(f"{folder} looks like no data set; say which it is: {', '.join(LAYOUTS)}")


def faceforensics(folder: Path, compression: str = "*") -> Catalog:
    """Read FaceForensics++ (Rössler et al., ICCV 2019): `original_sequences`, `manipulated_sequences`, `splits`.

    A fake `000_003` shows the face of 003 in video 000; the official lists of such pairs are looked for in
    `splits/` and `dataset/splits/`. DeepFakeDetection has none: its actors are split by DFD_FIRST_ACTORS, and
    fakes of two actors from different splits are excluded. Videos of the lists that are not in the folder are
    listed as missing.
    """
    pairs = _pair_lists(folder)
    split_of = _split_of(pairs)
    lists = folder / "splits"
    found = Catalog((), () if pairs else (ExcludedFile(lists, f"the official lists are missing: {FF_SPLITS_AT}"),))
    for method in ("youtube", "actors", *FF_METHODS):
        kind = "original" if method in ("youtube", "actors") else "manipulated"
        for videos in sorted((folder / f"{kind}_sequences" / method).glob(f"{compression}/videos")):
            known = describe_files(_videos_in(videos), partial(_faceforensics_video, split_of, method))
            found += known + missing_files(videos, _expected(method, pairs))
    return found


def _pair_lists(folder: Path) -> dict[str, list[tuple[str, str]]]:
    """Read split -> pairs of video ids; no entry where there is no list."""
    places = {name: [folder / at / f"{name}.json" for at in ("splits", "dataset/splits")] for name in SPLITS}
    lists = {name: next((path for path in paths if path.exists()), None) for name, paths in places.items()}
    return {name: json.loads(path.read_text()) for name, path in lists.items() if path}


def _split_of(pairs: Mapping[str, Iterable[tuple[str, str]]]) -> dict[str, str]:
    """Return video id -> split. Raises LeakError when an id is in two lists."""
    places: dict[str, dict[str, list[str]]] = {}
    for name, some in pairs.items():
        for a, b in some:
            places.setdefault(a, {})[name] = places.setdefault(b, {})[name] = [f"{a}_{b}"]
    offenders = {identity: lists for identity, lists in places.items() if len(lists) > 1}
    if offenders:
        raise splits.LeakError(offenders)
    return {identity: next(iter(lists)) for identity, lists in places.items()}


def _faceforensics_video(split_of: Mapping[str, str], method: str, path: Path) -> LabelledVideo | None:
    people, _, scene = path.stem.partition("__")
    match = re.fullmatch(r"(\d+)(?:_(\d+))?", people)
    fake = method in FF_METHODS
    if match is None or bool(match[2]) != fake:
        return None
    ids = [number for number in match.groups() if number]
    original, scene = ids[0], scene.partition("__")[0]
    if scene:  # an actor's
        ids = [f"dfd{number}" for number in ids]
        split_of = {identity: _by_range(int(identity[3:]), DFD_FIRST_ACTORS) for identity in ids}
        original = f"{original}__{scene}"
    compression = path.parent.parent.name
    return LabelledVideo(
        path=path,
        video_id=f"{method}/{compression}/{path.stem}",
        fake=fake,
        method=method if fake else "real",
        identities=tuple(ids),
        split=splits.assign_split([tuple(ids)], lambda identity: split_of.get(identity, UNASSIGNED))[0],
        made_from=f"{'actors' if scene else 'youtube'}/{compression}/{original}" if fake else "",
    )


def _expected(method: str, pairs: Mapping[str, Iterable[tuple[str, str]]]) -> set[str]:
    """Return the names of the files in the official lists."""
    both = {pair for some in pairs.values() for a, b in some for pair in ((a, b), (b, a))}
    if method == "youtube":
        return {f"{target}.mp4" for target, _ in both}
    return set() if method in ("actors", "DeepFakeDetection") else {f"{a}_{b}.mp4" for a, b in both}


def celeb_df(folder: Path) -> Catalog:
    """Read Celeb-DF v2 (Li et al., CVPR 2020): `Celeb-real`, `YouTube-real`, `Celeb-synthesis`.

    `Celeb-synthesis/id0_id1_0002` shows the face of id1 in `Celeb-real/id0_0002`; the people of YouTube-real are
    not known, so every video there counts as a person. Test is `List_of_testing_videos.txt` as it is. It names 56
    of the 59 celebrities, and a video of theirs that it does not name is excluded: officially this set is for
    testing. Split it by `hash` to train on it.
    """
    listed = _celeb_test(folder / "List_of_testing_videos.txt")
    kinds = ("Celeb-real", "YouTube-real", "Celeb-synthesis")
    found = sum((describe_files(_videos_in(folder / kind), _celeb_video) for kind in kinds), Catalog(()))
    tests = (_celeb_video(folder / f"{video_id}.mp4") for video_id in listed)
    tested = {who for video in tests if video for who in video.identities}
    shares = (1 - CELEB_VAL_SHARE, CELEB_VAL_SHARE)

    def split_of(identity: str) -> str:
        return UNASSIGNED if identity in tested or not listed else splits.split_by_name(identity, shares)

    chosen = splits.assign_split([video.identities for video in found.videos], split_of)
    videos = [
        replace(video, split="test" if video.video_id in listed else name)
        for video, name in zip(found.videos, chosen, strict=True)
    ]
    return Catalog(tuple(videos), found.excluded) + missing_files(folder, {f"{name}.mp4" for name in listed})


def _celeb_test(path: Path) -> set[str]:
    """Read the ids of the official test videos: lines such as `1 Celeb-real/id1_0007.mp4` (1 means real)."""
    lines = path.read_text().split("\n") if path.exists() else []
    return {Path(line.split()[1]).with_suffix("").as_posix() for line in lines if line.strip()}


def _celeb_video(path: Path) -> LabelledVideo | None:
    kind = path.parent.name
    fake = kind == "Celeb-synthesis"
    people = re.fullmatch(r"id(\d+)_id(\d+)_\d+" if fake else r"(?:id)?(\d+)(?:_\d+)?", path.stem)
    if people is None:
        return None
    prefix = "celeb-youtube-" if kind == "YouTube-real" else "celeb-id"
    target, _, number = path.stem.split("_") if fake else ("", "", "")
    return LabelledVideo(
        path=path,
        video_id=f"{kind}/{path.stem}",
        fake=fake,
        method="Celeb-DF" if fake else "real",
        identities=tuple(f"{prefix}{who}" for who in people.groups()),
        split=UNASSIGNED,
        made_from=f"Celeb-real/{target}_{number}" if fake else "",
    )


def dfdc(folder: Path) -> Catalog:
    """Read DFDC (Dolhansky et al., 2020): folders `dfdc_train_part_N` with `metadata.json`, up to two levels down.

    The official split here is by whole parts (DFDC_FIRST_PARTS); `hash` goes by original videos. Actors are not
    named, and DFDC re-uses some, so identities are original videos, and validation is optimistic.
    """
    tables = sorted({path for depth in ("", "*/", "*/*/") for path in folder.glob(f"{depth}metadata.json")})
    return sum((_dfdc_part(table) for table in tables), Catalog(()))


def _dfdc_part(table: Path) -> Catalog:
    try:
        entries = dict(json.loads(table.read_text()))
    except (TypeError, ValueError) as error:
        return Catalog((), (ExcludedFile(table, f"not a table of videos: {error}"),))
    number = re.search(r"part_(\d+)$", table.parent.name)
    part_split = _by_range(int(number[1]), DFDC_FIRST_PARTS) if number else UNASSIGNED
    paths = [path for name in sorted(entries) if (path := table.parent / name).exists()]
    found = describe_files(paths, lambda path: _dfdc_video(path, entries[path.name], part_split))
    return found + missing_files(table.parent, set(entries))


def _dfdc_video(path: Path, entry: Row, part_split: str) -> LabelledVideo | None:
    if entry.get("label") not in ("REAL", "FAKE"):
        return None
    fake = entry["label"] == "FAKE"
    original = Path(entry.get("original") or path.name).stem if fake else path.stem
    return LabelledVideo(
        path=path,
        video_id=path.stem,
        fake=fake,
        method="DFDC" if fake else "real",
        identities=(original,),
        split=part_split,
        made_from=original if fake else "",
    )


def plain(folder: Path, suffixes: tuple[str, ...]) -> Catalog:
    """Read files in `real/` and `fake/`.

    A folder in there is a person; a file outside such a folder counts as a person of its own. What a fake was made
    from is not known; a manifest can say it.
    """
    paths = [path for kind in ("real", "fake") for path in _under(folder / kind, suffixes)]
    return describe_files(paths, partial(_plain_video, folder))


def _plain_video(folder: Path, path: Path) -> LabelledVideo:
    kind, *folders, _ = path.relative_to(folder).parts
    video_id = _id_under(folder, path)
    person = f"{folder.resolve().name}/{folders[0]}" if folders else video_id
    return LabelledVideo(path, video_id, kind == "fake", kind, (person,), UNASSIGNED)


def photographs(folder: Path) -> Catalog:
    """Read photographs of real people, a person each: pictures in a folder, in tar files in it, or in one tar."""
    tars = [folder] if folder.is_file() else sorted(folder.glob("*.tar"))
    root = folder.parent if folder.is_file() else folder
    packed = [tar / name for tar in tars for name in sorted(index_tar(tar)) if name.lower().endswith(PICTURE_SUFFIXES)]
    found = describe_files(_under(folder, PICTURE_SUFFIXES), partial(_photograph, root))
    return found + Catalog(tuple(_photograph(root, path) for path in packed))


def _photograph(root: Path, path: Path) -> LabelledVideo:
    video_id = _id_under(root, path)
    return LabelledVideo(path, video_id, False, "real", (video_id,), UNASSIGNED)


def _id_under(root: Path, path: Path) -> str:
    """Return the folder's name and the path from there, so that two sets with equal file names stay apart."""
    return f"{root.resolve().name}/{path.relative_to(root).with_suffix('').as_posix()}"


def manifest(folder: Path) -> Catalog:
    """Read a folder with `manifest.tsv`; files that do not exist are listed as missing."""
    videos = read_manifest(folder)
    there = {video.path: video for video in videos if all(path.exists() for path in video.files)}
    return describe_files(there, there.__getitem__) + missing_files(
        folder, {path.relative_to(folder).as_posix() for video in videos for path in video.files}
    )


def _videos_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in VIDEO_SUFFIXES)


def _under(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file())


def _by_range(number: int, firsts: tuple[int, ...]) -> str:
    """Return the split in whose range a number lies; `firsts` holds the first number of each."""
    return SPLITS[max(index for index, first in enumerate(firsts) if number >= first or index == 0)]


LAYOUTS: dict[str, Layout] = {
    "ffpp": Layout(faceforensics, ("original_sequences", "manipulated_sequences")),
    "ffpp-c0": Layout(partial(faceforensics, compression="c0")),
    "ffpp-c23": Layout(partial(faceforensics, compression="c23")),
    "ffpp-c40": Layout(partial(faceforensics, compression="c40")),
    "celeb-df": Layout(celeb_df, ("Celeb-real", "Celeb-synthesis", "YouTube-real")),
    "dfdc": Layout(dfdc, ("metadata.json", "*/metadata.json", "*/*/metadata.json")),
    "manifest": Layout(manifest, (MANIFEST,)),
    "videos": Layout(partial(plain, suffixes=VIDEO_SUFFIXES), ("real/**/*.mp4", "fake/**/*.mp4")),
    "photos": Layout(photographs),
    "crops": Layout(partial(plain, suffixes=PICTURE_SUFFIXES), holds_face_crops=True),
}
