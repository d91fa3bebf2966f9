"""Check many inputs, on this machine or on a Ray cluster; a failed check gives a report, too."""

import functools
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from unmask.batch.ray_map import map_on_ray
from unmask.compute import ComputeOptions
from unmask.download.sources import FileSource, Options, UrlSource, describe, to_source
from unmask.errors import BadInput, Cancelled, as_user_error
from unmask.pipeline import Checker, shared_checker
from unmask.report import Report, to_failed_report
from unmask.video.file_format import VIDEO_SUFFIXES

TASKS_PER_GPU = 4  # the face finder and a small model leave room for others


@dataclass(frozen=True)
class ScanInput:
    """One thing to check and the name under which its report stands in the file."""

    name: str  # the line of the list, or the path under the folder
    source: UrlSource | FileSource


def list_inputs(inputs: Path) -> list[ScanInput]:
    """List the videos of a folder, at any depth and sorted, or the paths and URLs in the lines of a text file.

    Lines that begin with # are comments.

    Raises:
        BadInput: It is neither, or holds nothing to check.
    """
    if inputs.is_dir():
        found = [ScanInput(name, FileSource(inputs / name, name)) for name in _videos_under(inputs)]
    elif inputs.is_file():
        found = [ScanInput(line, to_source(line)) for line in _lines(inputs)]
    else:
        raise BadInput(f"There is no folder and no list {inputs}.")
    if not found:
        raise BadInput(f"There is nothing to check in {inputs}.")
    return found


def finished_inputs(out: Path) -> set[str]:
    """Read the names of the inputs in a file of reports, and remove a last line that was cut off from it.

    Raises:
        BadInput: The file holds something else than reports.
    """
    if not out.exists():
        return set()
    names, end = set(), 0
    with out.open("rb") as file:
        for line in file:
            name = _name_of(line)
            if name is None and (file.peek(1) or line.endswith(b"\n")):
                raise BadInput(f"{out} is not a file of reports that can be resumed.")
            if name is not None:
                names.add(name)
                end += len(line)
    os.truncate(out, end)
    _end_last_line(out)
    return names


def run_on_ray(
    inputs: Sequence[ScanInput], options: Options, address: str, compute: ComputeOptions
) -> Iterator[Report]:
    """Check an input a task, on every machine of a cluster that sees the same files; yield reports as they finish.

    `address`: see `ray_map.map_on_ray`. Raises BadInput.
    """
    task = functools.partial(_check_in_task, options=options, compute=compute)
    outcomes = map_on_ray(task, inputs, address, tasks_per_gpu=TASKS_PER_GPU)
    # an error: a worker died, of memory perhaps
    return (_failed(item, found) if isinstance(found, Exception) else found for item, found in outcomes)


def check_one(checker: Checker, item: ScanInput, options: Options) -> Report:
    """Check one input; every error becomes a failed report, but for a cancellation, which is raised."""
    try:
        return checker.check(item.source, replace(options, input=item.name))
    except Cancelled:
        raise
    except Exception as error:  # noqa: BLE001 - shown in the report, a defect is logged
        return _failed(item, error)


def _check_in_task(item: ScanInput, options: Options, compute: ComputeOptions) -> Report:
    return check_one(shared_checker(compute), item, options)  # Ray keeps its workers: each loads once


def _failed(item: ScanInput, error: Exception) -> Report:
    return to_failed_report(describe(item.source), as_user_error(error), input=item.name)


def _videos_under(folder: Path) -> list[str]:
    paths = (path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def _lines(inputs: Path) -> list[str]:
    """Read the lines without comments and repetitions."""
    try:
        text = inputs.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{inputs} is not a text file of paths and URLs, one a line.") from error
    lines = (line.strip() for line in text.splitlines())
    return list(dict.fromkeys(line for line in lines if line and not line.startswith("#")))


def _name_of(line: bytes) -> str | None:
    """Read the name of the input that a report is about; None when the line is no report."""
    try:
        report = json.loads(line)
        return str(report.get("input") or report["source"]["name"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _end_last_line(out: Path) -> None:
    """Add the line end that a last line lacks."""
    with out.open("rb+") as file:
        if file.seek(0, os.SEEK_END) and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n":
            file.write(b"\n")
