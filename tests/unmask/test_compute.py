"""Work cut into parts for several threads."""

import threading

import numpy as np
import pytest
import torch

from tests.untrained import untrained_model
from unmask import compute
from unmask.faces.clips import FaceClip
from unmask.models import checkpoint


def test_parts_are_worked_on_at_the_same_time_and_come_back_in_order():
    both = threading.Barrier(2, timeout=20)  # broken unless two wait at a time
    with compute.of(2):
        assert compute.each(lambda part: both.wait() * 0 + part, [3, 1]) == [3, 1]


@pytest.mark.parametrize("threads", [1, 2])
def test_each_part_is_computed_by_one_thread_of_torch(threads):
    before = torch.get_num_threads()
    with compute.of(threads), torch.inference_mode():
        seen = compute.each(lambda _: (torch.get_num_threads(), torch.is_inference_mode_enabled()), range(3))
    assert seen == [(1, True)] * 3
    assert torch.get_num_threads() == before


def test_what_goes_wrong_in_a_part_is_raised():
    def fail(part):
        if part:
            raise ValueError(part)

    with compute.of(2), pytest.raises(ValueError, match="1"):
        compute.each(fail, [0, 1])


@pytest.mark.parametrize("frames", [1, 5, 8])
def test_logits_do_not_depend_on_how_many_work_on_them(tmp_path, frames):
    model = checkpoint.load(str(untrained_model(tmp_path)), torch.device("cpu"))
    side_px, rng = model.spec.side_px, np.random.default_rng(0)
    data = rng.integers(0, 255, (frames, side_px, side_px, 3), np.uint8)
    clip = FaceClip(data, np.arange(frames) * 0.1, 0, np.zeros((frames, 4), np.float32))
    logits = []
    for threads in (1, 2, 3):
        with compute.of(threads):
            logits.append(checkpoint.score(model, [clip, clip]))
    assert logits[1:] == [pytest.approx(logits[0], abs=2e-2)] * 2  # bfloat16 where the machine has it
