"""Captured frames: what is taken, and how it falls into windows."""

import time

import cv2
import numpy as np
import pytest

from tests.media import jpeg
from unmask.errors import BadInput, TooLarge
from unmask.limits import Limits
from unmask.video import captured_frames
from unmask.video.sampling import DecodePlan

PLAN = DecodePlan()


@pytest.mark.parametrize(
    ("seconds", "windows"),
    [
        ([0.0], [1]),
        ([i * 0.12 for i in range(8)], [8]),
        ([i * 0.12 for i in range(20)], [8, 8, 4]),  # no window is longer than a clip
        ([10 * w + i * 0.12 for w in range(3) for i in range(8)], [8, 8, 8]),  # moments far apart
        ([10 * w + i * 0.12 for w in range(20) for i in range(8)], [8] * 8),  # not more than the plan's
        ([i * 0.04 for i in range(48)], [8, 8]),  # every frame of the player: thinned to a stride
        ([float(i) for i in range(8)], [8]),  # one a second throughout
        ([float(i) for i in range(4)] + [60.0, 61.0], [4, 2]),
    ],
)
def test_frames_are_grouped_into_windows(seconds: list[float], windows: list[int]) -> None:
    image = jpeg(np.zeros((48, 64, 3), np.uint8))
    taken = captured_frames.collect([image] * len(seconds), seconds, Limits())
    decoded = list(captured_frames.decode(taken, PLAN))
    assert [len(frames) for frames in decoded] == windows
    times = [second for frames in decoded for second in frames.seconds]
    assert times == sorted(set(times))
    assert set(times) <= set(seconds)


def test_frames_may_come_in_any_order_and_change_their_size() -> None:
    small, large = (jpeg(np.full((side, side, 3), side, np.uint8)) for side in (64, 96))
    taken = captured_frames.collect([large, small, large, small], [0.36, 0.0, 0.24, 0.12], Limits())
    first, second = captured_frames.decode(taken, PLAN)
    assert first.data.shape == (2, 64, 64, 3)
    assert second.data.shape == (2, 96, 96, 3)
    assert second.seconds.tolist() == [0.24, 0.36]


def test_large_frames_are_scaled_down_and_know_it() -> None:
    taken = captured_frames.collect([jpeg(np.zeros((1500, 2500, 3), np.uint8))], [0.0], Limits())
    (frames,) = captured_frames.decode(taken, PLAN)
    assert frames.data.shape == (1, 1152, 1920, 3)
    assert frames.scale == pytest.approx(2500 / 1920)


GOOD = jpeg(np.zeros((48, 64, 3), np.uint8))


@pytest.mark.parametrize(
    ("images", "seconds", "error"),
    [
        ([], [], BadInput),
        ([GOOD], [0.0, 1.0], BadInput),
        ([GOOD], [float("nan")], BadInput),
        ([GOOD], [-1.0], BadInput),
        ([b"no picture"], [0.0], BadInput),
        ([b""], [0.0], BadInput),
        ([b"\x89PNG\r\n\x1a\n" + bytes(64)], [0.0], BadInput),  # JPEG only
        ([GOOD] * 257, [float(i) for i in range(257)], TooLarge),
        ([GOOD[:2] + b"\xff\xe1\x00\x02" * 10_000_000 + GOOD[2:]], [0.0], BadInput),  # a head without end
        ([GOOD[:2] + b"\xff" * 10_000_000 + GOOD[2:]], [0.0], BadInput),
        ([GOOD[:2] + b"\xff\xd9"], [0.0], BadInput),  # no head
        ([jpeg(np.zeros((2001, 2000, 3), np.uint8))], [0.0], TooLarge),
    ],
)
def test_bad_frames_are_refused(images: list[bytes], seconds: list[float], error: type[Exception]) -> None:
    began = time.process_time()
    with pytest.raises(error):
        captured_frames.collect(images, seconds, Limits())
    assert time.process_time() - began < 2  # whatever it is made of


@pytest.mark.parametrize("flags", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 1)])
def test_the_size_is_read_from_the_head_of_every_kind_of_jpeg(flags) -> None:
    data = cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8), flags)[1].tobytes()
    comment = b"\xff\xff\xff\xfe\x00\x07hello"  # filling is allowed before each part
    taken = captured_frames.collect([data, data[:2] + comment + data[2:]], [0.0, 0.1], Limits())
    assert taken.sizes == ((64, 48), (64, 48))
