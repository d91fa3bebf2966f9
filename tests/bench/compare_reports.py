"""Compare the reports of some videos with those that an earlier revision made.

    python -m tests.bench.compare_reports VIDEOS… --out before.json
    python -m tests.bench.compare_reports VIDEOS… --against before.json

VIDEOS are folders. Every difference is a line on stdout, and the exit status is 1 if there is one. Numbers
may differ by 1e-6, all else must be equal; fields that the earlier reports lack are not looked at.
"""

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from unmask import Checker, FileSource, Options, UnmaskError
from unmask.compute import BACKENDS, PRECISIONS, ComputeOptions

COMPARED = ("status", "error", "models", "faces", "timeline", "coverage")
COMPARED_OF_VERDICT = ("label", "probability_fake", "face_id", "reasons")
TOLERANCE = 1e-6
THREADS = 2  # work is cut into parts for that many threads, and the last digits depend on the parts


def main(argv: Sequence[str] | None = None) -> int:
    """Make the reports, write or compare them -> exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="VIDEOS")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the reports here")
    parser.add_argument("--against", type=Path, metavar="FILE", help="compare with the reports in this file")
    parser.add_argument("--model", default="default")
    parser.add_argument("--backend", choices=BACKENDS, default="auto")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    args = parser.parse_args(argv)
    os.environ["OMP_NUM_THREADS"] = str(THREADS)
    videos = sorted(path for folder in args.folders for path in folder.glob("*.mp4"))
    reports = make_reports(videos, args.model, ComputeOptions(args.backend, args.precision))
    if args.out:
        args.out.write_text(json.dumps(reports, indent=1) + "\n", encoding="utf-8")
    if not args.against:
        return 0
    before = json.loads(args.against.read_text(encoding="utf-8"))
    lines = [f"{path}: {was!r} -> {now!r}" for path, was, now in differences(before, reports)]
    print(*lines, f"{len(reports)} videos, {len(lines)} differences", sep="\n")
    return 1 if lines or not reports else 0


def make_reports(videos: Sequence[Path], model: str, compute: ComputeOptions) -> dict[str, Any]:
    """Check each video -> by folder/name, the compared part of its report, pictures as their SHA-256."""
    checker, reports = Checker(compute), {}
    for video in videos:
        report: Any
        try:
            report = checker.check(FileSource(video, video.name), Options(models=(model,)))
        except UnmaskError as error:
            report = {"status": "failed", "error": {"code": error.code}}
        kept = {key: report[key] for key in COMPARED if key in report}
        if "verdict" in report:
            kept["verdict"] = {key: report["verdict"][key] for key in COMPARED_OF_VERDICT}
        reports[f"{video.parent.name}/{video.name}"] = _with_hashed_pictures(kept)
        print(video.name, kept.get("verdict") or kept["error"], file=sys.stderr, flush=True)
    return reports


def differences(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield place, earlier value and later value of everything that differs."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            yield from differences(value, after.get(key), f"{path}.{key}" if path else key)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, pair in enumerate(zip(before, after, strict=True)):
            yield from differences(*pair, f"{path}[{number}]")
    elif not _equal(before, after):
        yield path, before, after


def _equal(before: Any, after: Any) -> bool:
    if isinstance(before, float) and isinstance(after, float):
        return abs(before - after) <= TOLERANCE
    return bool(before == after)


def _with_hashed_pictures(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_hashed_pictures(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_with_hashed_pictures(part) for part in value]
    if isinstance(value, str) and value.startswith("data:"):
        return hashlib.sha256(value.encode()).hexdigest()
    return value


if __name__ == "__main__":
    sys.exit(main())
