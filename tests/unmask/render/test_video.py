"""The drawn video against its report."""

import time
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from tests import reports
from tests.media import glide, write_video
from unmask.errors import Cancelled
from unmask.render.drawing import HEADER_SIZE, INK, PANEL, TONES, Scene, box_at
from unmask.render.evidence import mark_percent
from unmask.render.video import moving_parts, overlay
from unmask.report import CheckReport
from unmask.video.decode import decode, play, probe
from unmask.video.sampling import DecodePlan, Span


def small_report(duration: float = 4.0, **coverage: float) -> Any:
    scores = [*reports.clips([3.0, -3.0, 0.2], duration=duration), *reports.clips([-3.0] * 3, 1, duration=duration)]
    found: Any = reports.build(scores, duration_seconds=duration, width=320, height=240)
    for face in found["faces"]:
        for box in face["boxes"]:
            box["xyxy"] = [100.0 + 40 * face["id"], 60.0, 160.0 + 40 * face["id"], 130.0]
    found["coverage"].update(coverage)
    return found


def ignore(stage: str, fraction: float, text: str) -> None:
    pass


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of an odd-sized picture, drawn."""
    folder = tmp_path_factory.mktemp("drawn")
    write_video(folder / "in.mp4", glide(100, 320, 240), sound=True)
    overlay(folder / "in.mp4", small_report(), folder / "out.mp4", ignore)
    return folder / "out.mp4"


def test_the_drawn_video_plays_everywhere(drawn):
    stream = probe(drawn)
    assert stream.codec == "h264"
    assert stream.width % 2 == stream.height % 2 == 0
    assert (stream.width, stream.duration_seconds) == (640, pytest.approx(4.0, abs=0.1))
    with av.open(str(drawn)) as container:
        assert container.streams.video[0].pix_fmt == "yuv420p"


def test_times_stay_true_and_the_header_comes_first_so_that_a_browser_can_start_early(drawn):
    times = [seconds for seconds, _ in play(drawn, Span())]
    assert times == pytest.approx([i / 25 for i in range(100)], abs=1e-3)
    data = drawn.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_the_picture_is_still_there_the_box_is_drawn_and_the_strip_shows_each_label_in_its_tone(drawn):
    _, image = next(play(drawn, Span(0.4)))
    original = cv2.resize(list(glide(11, 320, 240))[10], (640, 480))
    calm = slice(300, 470), slice(10, 100)  # away from boxes and numbers
    assert np.abs(image[calm].astype(int) - original[calm]).mean() < 12
    assert near_tone(image[:480], TONES["fake"]) > 200
    assert near_tone(image[:480], TONES["real"]) > 200
    strip = image[480:]
    assert all(near_tone(strip, TONES[label]) > 20 for label in ("fake", "real", "uncertain"))
    assert near_tone(strip, PANEL) > strip[..., 0].size / 3


def near_tone(image: np.ndarray, tone: tuple[int, int, int]) -> int:
    """How many pixels are about of this colour."""
    return int((np.abs(image.astype(int) - tone).max(-1) < 40).sum())


@pytest.mark.parametrize("size", [(97, 161), (1920, 816), (2600, 400), (32, 32)])
def test_any_size_becomes_even_readable_and_bounded(tmp_path, size):
    width, height = size
    frames = (np.full((height + height % 2, width + width % 2, 3), 90, np.uint8) for _ in range(3))
    write_video(tmp_path / "in.mp4", frames)
    overlay(tmp_path / "in.mp4", small_report(1.0), tmp_path / "out.mp4", ignore)
    stream = probe(tmp_path / "out.mp4")
    assert stream.width % 2 == stream.height % 2 == 0
    assert max(stream.width, stream.height) >= 640
    assert stream.width <= 1280


def test_of_a_long_video_only_the_analysed_moments_move(tmp_path):
    """Two minutes at 5 frames a second; what is not looked at is one dimmed picture, with true times."""
    write_video(tmp_path / "in.mp4", (np.full((64, 96, 3), 200, np.uint8) for _ in range(600)), rate=5)
    started = time.perf_counter()
    overlay(tmp_path / "in.mp4", small_report(120.0), tmp_path / "out.mp4", ignore)
    assert time.perf_counter() - started < 30
    shown = list(play(tmp_path / "out.mp4", Span()))
    times = np.array([seconds for seconds, _ in shown])
    assert len(times) < 120
    assert probe(tmp_path / "out.mp4").duration_seconds == pytest.approx(120, abs=6)
    assert np.diff(times).min() > 0
    assert np.diff(times).max() <= 5.3
    light = {round(float(seconds), 1): image[5:40, 5:40].mean() for seconds, image in shown}
    assert light[0.4] == pytest.approx(200, abs=15)
    assert min(light.values()) < 90


def test_a_turned_video_is_drawn_upright_and_without_faces_there_is_the_label_alone(media, tmp_path):
    stream = probe(media("rotated.mp4"))
    overlay(media("rotated.mp4"), reports.example("no_face"), tmp_path / "out.mp4", ignore)
    drawn = probe(tmp_path / "out.mp4")
    assert (drawn.width < drawn.height) == (stream.width < stream.height)
    assert len(next(decode(tmp_path / "out.mp4", DecodePlan(windows=1)))) > 0


def test_a_cancelled_drawing_leaves_nothing(tmp_path):
    def cancel(stage: str, fraction: float, text: str) -> None:
        raise Cancelled("enough")

    write_video(tmp_path / "in.mp4", glide(20))
    with pytest.raises(Cancelled):
        overlay(tmp_path / "in.mp4", small_report(1.0), tmp_path / "out.mp4", cancel)
    assert not (tmp_path / "out.mp4").exists()


def scene_of(found: CheckReport, end_seconds: float) -> Scene:
    return Scene(found, (320, 240), (640, 480), end_seconds)


@pytest.mark.parametrize("logit", [6.0, 1.2, 0.0, -6.0])
def test_the_marker_lies_on_the_scale_of_evidence_and_a_report_without_evidence_has_no_scale(logit):
    found: Any = reports.build(reports.clips([logit] * 3), duration_seconds=4.0, width=320, height=240)
    panel = scene_of(found, 4.0).draw(np.zeros((480, 640, 3), np.uint8), 0.0)[480:]
    unit = scene_of(found, 4.0).text_px
    row = panel[round(unit * (HEADER_SIZE - 0.05))]  # above the zones
    at = np.flatnonzero(np.abs(row.astype(int) - INK).max(-1) < 40).mean()
    assert 100 * (at - unit) / (640 - 2 * unit) == pytest.approx(mark_percent(found["verdict"]["evidence"]), abs=1)
    del found["verdict"]["evidence"]
    assert len(scene_of(found, 4.0).draw(np.zeros((480, 640, 3), np.uint8), 0.0)) < 480 + len(panel)


def test_a_fetched_range_is_drawn_at_its_place_in_the_file():
    """The file's second 0 is second 100 of the video that the report speaks of."""
    found = small_report(4.0, offset_seconds=100.0)
    for part in (found["timeline"], *(face["boxes"] for face in found["faces"])):
        for item in part:
            for name in ("seconds", "start_seconds", "end_seconds"):
                if name in item:
                    item[name] += 100.0
    scene = scene_of(found, 4.0)
    assert scene.moments()[0] == pytest.approx((0.0, 0.84))
    blank = np.zeros((480, 640, 3), np.uint8)
    assert near_tone(scene.draw(blank, 0.4)[:480], TONES["fake"]) > 200


def test_moving_parts_are_apart_in_order_and_inside():
    scene = scene_of(small_report(600.0), 600.0)
    parts = [(part.start_seconds, part.end_seconds) for part in moving_parts(scene)]
    assert parts == [(0.0, pytest.approx(1.84)), (298.5, pytest.approx(301.34)), (598.0, 600.0)]


def test_a_box_is_drawn_only_near_analysed_frames():
    boxes = [{"seconds": s, "xyxy": [s, 0.0, s + 10, 10.0]} for s in (1.0, 1.4, 5.0)]
    assert box_at(boxes, 1.1) == pytest.approx((1.1, 0, 11.1, 10))
    assert box_at(boxes, 0.9) == (1.0, 0.0, 11.0, 10.0)
    assert box_at(boxes, 1.5) == (1.4, 0.0, 11.4, 10.0)
    assert box_at(boxes, 3.0) is None
    assert box_at(boxes, 0.0) is None
    assert box_at([], 0.0) is None
