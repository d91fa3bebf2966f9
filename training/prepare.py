"""Extract face clips from data sets, with the code that serving uses.

    python -m training.prepare --data auto=DIR --out OUT

--data is NAME=DIR, any number of times. NAME is the layout of the set on disk: `ffpp` (also `ffpp-c0`, `ffpp-c23`,
`ffpp-c40`: one compression alone), `celeb-df`, `dfdc`, `manifest` (a table names the files), `videos` (folders `real`
and `fake`), `photos` (pictures of real people, loose or in tar files), `crops` (folders `real` and `fake` of face
crops), or `auto`. The person seen most in a video is kept, in clips of successive frames from windows spread over the
whole of it.

OUT gets tar shards of JPEG crops with `manifest.tsv`; `failed.tsv` lists videos that could not be read or show no face,
`left-out.tsv` files that were missing or fit no split. A run that was stopped resumes when the same command is given
again. To try failed videos again, remove the shards that `failed.tsv` names first.
"""

import argparse
import functools
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import joblib
from tqdm import tqdm

from training.data import workers
from training.data.catalog import SPLIT_METHODS, Catalog
from training.data.dataset_layouts import layout, read
from training.data.extract_faces import CACHE_SIDE_PX, ExtractionSpec, ExtractionTask, extract_clips, reason
from training.data.resumable_writer import ResumableWriter
from training.data.shards import FailedVideo, StoredClip, format_table, read_clips
from training.fit.recipes import RECIPES
from unmask.batch import ray_map
from unmask.errors import UnmaskError
from unmask.faces.clips import ClipSpec
from unmask.files import atomic_write
from unmask.models import checkpoint
from unmask.video.sampling import WINDOWS

RETRIES = 3  # of a video whose worker died, on a cluster
MAX_LISTED = 5  # videos that failed or were left out, that are named

TaskMapper = Callable[
    [Callable[[ExtractionTask], list[StoredClip]], Iterable[ExtractionTask]], Iterable[tuple[ExtractionTask, Any]]
]


def main() -> None:
    """Prepare the data sets that the command line names."""
    arguments = _parse()
    try:
        cut = _cut_for(arguments.model)
        stride, side_px = ClipSpec.frame_stride_seconds, max(CACHE_SIDE_PX, cut.side_px)
        clip = replace(cut, frames_per_clip=arguments.frames, frame_stride_seconds=stride, side_px=side_px)
        spec = ExtractionSpec(clip, arguments.windows)
        catalog, tasks = list_tasks(arguments.data, arguments.split)
        map_tasks: TaskMapper = functools.partial(workers.map_in_processes, workers=arguments.workers)
        if arguments.ray:
            map_tasks = functools.partial(ray_map.map_on_ray, address=arguments.ray, retries=RETRIES)
        failed = prepare(tasks, arguments.out, spec, map_tasks)
        with atomic_write(arguments.out / "left-out.tsv") as draft:
            rows = ({"file": str(item.path), "reason": item.reason} for item in catalog.excluded)
            draft.write_bytes(format_table(("file", "reason"), rows))
    except (OSError, ValueError, UnmaskError) as error:
        sys.exit(f"prepare: {error}")
    except KeyboardInterrupt:
        sys.exit("prepare: stopped; the same command goes on from here")
    print(summary(arguments.out, catalog, failed))


def _cut_for(model: str | None) -> ClipSpec:
    """Return how faces are cut for a recipe or a model. Raises ModelUnavailable."""
    if model is None or model in RECIPES:
        return RECIPES[model].clip if model else ClipSpec()
    return checkpoint.read_config(checkpoint.locate(model)[0]).clip


def list_tasks(data: Iterable[str], how: str) -> tuple[Catalog, list[ExtractionTask]]:
    """Read the data sets that texts `NAME=DIR` name -> catalog and tasks. Raises ValueError, LeakError."""
    found = Catalog(())
    face_crop_ids: set[str] = set()
    for text in data:
        name, equals, folder = text.partition("=")
        if not equals:
            raise ValueError(f"--data wants NAME=DIR, for instance auto={text}")
        catalog = read(name, Path(folder), how)
        if layout(name, Path(folder)).holds_face_crops:
            face_crop_ids.update(video.video_id for video in catalog.videos)
        found += catalog
    tasks = [ExtractionTask(index, video, video.video_id in face_crop_ids) for index, video in enumerate(found.videos)]
    return found, tasks


def prepare(
    tasks: Sequence[ExtractionTask], out: Path, spec: ExtractionSpec, map_tasks: TaskMapper
) -> list[FailedVideo]:
    """Extract the clips of every video that is not yet done, write them to `out`, return the videos that failed.

    `map_tasks` gives tasks to workers and yields them with their results, in any order.

    Raises:
        SettingsChangedError: `out` was begun with other videos or another spec.
    """
    writer = ResumableWriter(out, [task.video.split for task in tasks], settings(tasks, spec))
    pending = [tasks[index] for index in writer.pending()]
    with tqdm(total=len(tasks), initial=len(tasks) - len(pending), unit="video", smoothing=0.05) as bar:
        for task, outcome in map_tasks(functools.partial(extract_clips, spec=spec), pending):
            if isinstance(outcome, Exception):
                lost = FailedVideo(task.video.video_id, str(task.video.path), reason(outcome))
                writer.add(task.index, [], [lost])
            else:
                writer.add(task.index, outcome)
            bar.update()
    return writer.close()


def settings(tasks: Iterable[ExtractionTask], spec: ExtractionSpec) -> dict[str, Any]:
    """Return what two runs must have in common for one to resume the other; folders and workers may differ."""
    videos = [asdict(replace(task.video, path=Path(task.video.path.name))) for task in tasks]
    digest = hashlib.sha256(json.dumps(videos, default=str).encode()).hexdigest()
    return {"videos": digest, **asdict(spec)}


def summary(out: Path, catalog: Catalog, failed: Sequence[FailedVideo]) -> str:
    """Summarise what is in a folder now, and what is not, in a few lines."""
    clips = read_clips(out)
    lines = []
    for split in sorted({clip.split for clip in clips}):
        some = [clip for clip in clips if clip.split == split]
        kinds = Counter("fake" if fake else "real" for _, fake in {(clip.video_id, clip.fake) for clip in some})
        frames = sum(len(clip.jpegs) for clip in some)
        lines.append(f"{split}: {kinds['real']} real and {kinds['fake']} fake, {len(some)} clips, {frames} frames")
    size_bytes = sum(path.stat().st_size for path in out.glob("*.tar"))
    lines.append(f"{size_bytes / 1e6:.1f} MB in {out}")
    lines += _some("failed", [f"{item.path}: {item.reason}" for item in failed])
    lines += _some("left out", [f"{item.path}: {item.reason}" for item in catalog.excluded])
    return "\n".join(lines)


def _some(what: str, lines: Sequence[str]) -> list[str]:
    more = [f"  and {len(lines) - MAX_LISTED} more"] if len(lines) > MAX_LISTED else []
    return [f"{len(lines)} {what}", *(f"  {line}" for line in lines[:MAX_LISTED]), *more] if lines else []


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", required=True, metavar="NAME=DIR")
    parser.add_argument("--out", type=Path, required=True, help="folder to fill")
    parser.add_argument("--windows", type=int, default=WINDOWS, help="looked at, a video (%(default)s)")
    parser.add_argument("--frames", type=int, default=ClipSpec.frames_per_clip, help="a clip (%(default)s)")
    parser.add_argument("--model", help="whose cut of faces is taken: a recipe, or as `unmask check` takes it")
    parser.add_argument(
        "--split",
        choices=SPLIT_METHODS,
        default="official",
        help="as the data set's authors did; by hash of the people; every second file by name for "
        "validation; or all into one (%(default)s)",
    )
    parser.add_argument(
        "--workers", type=int, default=joblib.cpu_count(), help="processes on this machine (%(default)s)"
    )
    parser.add_argument("--ray", metavar="ADDRESS", help="use the Ray cluster whose head is at HOST:PORT")
    return parser.parse_args()


if __name__ == "__main__":
    main()
