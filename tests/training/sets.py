"""Small evaluation sets on disk, made from the public-domain portrait: videos, loose crops, stored clips."""

import io
import tarfile
from pathlib import Path

from tests.media import glide, jpeg, write_video
from training.data.shards import MANIFEST


def write_table(folder: Path, rows: list[dict[str, str]]) -> Path:
    """`manifest.tsv` of the rows, which all have the columns of the first."""
    lines = ["\t".join(rows[0])] + ["\t".join(row.values()) for row in rows]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def video_set(folder: Path, names: dict[str, str], **columns: str) -> Path:
    """A folder of one-second videos of the portrait; `names` maps a name to its label."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(names):
        size = 160 + 16 * index  # no two alike
        write_video(folder / f"{name}.mp4", glide(25, size, size, reach_px=240))
    rows = [{"file": f"{name}.mp4", "label": label, **columns} for name, label in names.items()]
    return write_table(folder, rows)


def crop_set(folder: Path) -> Path:
    """One real and one fake, each two windows of three successive loose crops in `frames.tar`."""
    rows = [
        {"folder": "real/a", "label": "real", "method": "real", "target_id": "1"},
        {"folder": "fake/b", "label": "fake", "method": "swap", "target_id": "1"},
    ]
    write_table(folder, rows)
    with tarfile.open(folder / "frames.tar", "w") as archive:
        for row in rows:
            for index, image in enumerate(glide(6, 200, 200, reach_px=240)):
                add(archive, f"{row['folder']}/w{index // 3}-{index % 3}.jpg", jpeg(image))
    return folder


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))
