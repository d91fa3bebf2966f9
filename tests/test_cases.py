"""The shared cases by the command line, with the bundled model, and by the API, whose model is untrained."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SHARED_DATA
from tests.servers import Site, content
from unmask.__main__ import main

CASES = SHARED_DATA.parent / "cases"
PLAYLISTS = {".m3u8": "application/vnd.apple.mpegurl", ".mpd": "application/dash+xml"}

pytestmark = [pytest.mark.shared, pytest.mark.timeout(300)]


@dataclass(frozen=True)
class Shown:
    """What a player shows: one person in all pictures."""

    seconds: float
    frames: int = 64
    warnings: tuple[str, ...] = ()  # words of each
    fake: tuple[float, float] | None = None  # from when to when the face is blended
    turned: bool = False  # half of the pictures stand upright, half lie


REAL_THEN_FAKE = Shown(20.0, fake=(8.0, 20.0))
SHOWN = {
    "ts-real4-then-fake4.ts": Shown(8.0, fake=(4.0, 8.0)),
    "ts-fake4-alone.ts": Shown(4.0, frames=32, fake=(0.0, 4.0)),
    "ts-clock-restarts.ts": Shown(12.0),
    "ts-clock-jumps-10min.ts": Shown(12.0),
    "ts-clock-jumps-1h.ts": Shown(12.0),
    "piece-of-live-50min.mkv": Shown(12.0),
    "hls/fake4-then-real8.m3u8": Shown(12.0, fake=(0.0, 4.0)),
    "hls/real-then-fake.m3u8": REAL_THEN_FAKE,
    "dash/real-then-fake.mpd": REAL_THEN_FAKE,
    "photograph-hlg.mp4": Shown(5.0, frames=40, warnings=("HDR",)),
    "photograph-pq.mp4": Shown(5.0, frames=40, warnings=("HDR",)),
    "size-change.ts": Shown(9.88, turned=True),
    "size-change.webm": Shown(10.0, turned=True),
    "upsidedown.mp4": Shown(12.0, warnings=("it was turned",)),
    "animated.webp": Shown(3.0, frames=15, warnings=("Only 15 frames",)),
}
ERRORS = {"moov-missing.mp4": "incomplete", "raw.h264": "MP4 or MKV"}


@contextmanager
def given(name: str) -> Iterator[str]:
    """The path of a case, or its address where it is a playlist."""
    path = CASES / name
    if path.suffix not in PLAYLISTS:
        yield str(path)
        return
    with Site({f"/{one.name}": content(one.read_bytes(), PLAYLISTS.get(one.suffix, "video/mp4"))
               for one in path.parent.iterdir()}) as site:  # fmt: skip
        yield site.url(f"/{path.name}")


def by_command(name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("UNMASK_ALLOW_PRIVATE", "1")
    with given(name) as source:
        main(["check", source, "--json"])
    return dict(json.loads(capsys.readouterr().out))


def by_api(name: str, space: Any) -> dict[str, Any]:
    with given(name) as source:
        if "://" in source:
            return dict(space.ask("check_url", {"url": source}))
        uploaded = space.upload(Path(source)).json()[0]
        file = {"path": uploaded, "orig_name": name, "meta": {"_type": "gradio.FileData"}}
        return dict(space.ask("check_file", {"video": file}))


def check(report: dict[str, Any], wanted: Shown) -> None:
    assert report["status"] == "ok", report
    assert report["source"]["duration_seconds"] == pytest.approx(wanted.seconds, abs=0.1)
    assert report["coverage"]["frames"] == report["coverage"]["frames_with_face"] == wanted.frames
    assert all(words in warning for words, warning in zip(wanted.warnings, report["warnings"], strict=True))
    (face,) = report["faces"]
    assert face["first_seconds"] < 0.1
    assert face["last_seconds"] > wanted.seconds - 0.6
    moments = report["timeline"]
    starts = [moment["start_seconds"] for moment in moments]
    assert max(after - before for before, after in zip(starts, [*starts[1:], wanted.seconds], strict=True)) < 4.0
    if wanted.turned:
        boxes = [box["xyxy"] for box in face["boxes"]]
        assert boxes and all(1 < (y2 - y1) / (x2 - x1) < 1.7 for x1, y1, x2, y2 in boxes)


@pytest.mark.parametrize("name", SHOWN)
def test_a_case_is_judged_as_a_player_shows_it_by_the_command(name, capsys, monkeypatch):
    wanted, report = SHOWN[name], by_command(name, capsys, monkeypatch)
    check(report, wanted)
    begin, end = wanted.fake or (0.0, 0.0)
    inside: dict[bool, list[float]] = {True: [], False: []}  # is it blended? -> probabilities
    for moment in report["timeline"]:
        inside[begin <= moment["start_seconds"] < end].append(moment["probability_fake"])
    if wanted.fake:
        assert min(inside[True]) > max(inside[False], default=0.0)


@pytest.mark.parametrize("name", SHOWN)
def test_a_case_is_judged_as_a_player_shows_it_by_the_api(name, space):
    check(by_api(name, space), SHOWN[name])


@pytest.mark.parametrize("name", ERRORS)
def test_what_cannot_be_read_says_why_by_both(name, space, capsys, monkeypatch):
    for report in (by_command(name, capsys, monkeypatch), by_api(name, space)):
        assert report["error"]["code"] == "not_a_video"
        assert ERRORS[name] in report["error"]["message"]
