"""Precision is chosen by capability, batches are computed by several threads, and checks share these."""

import threading
from contextlib import ExitStack, suppress

import numpy as np
import pytest
import torch

from tests.untrained import untrained_model
from unmask import compute
from unmask.compute import ComputeSlots, choose_dtype, map_batches, use_threads
from unmask.faces.clips import FaceClip
from unmask.models import inference

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("device", "able", "precision", "dtype"),
    [
        (CPU, {"avx512_bf16": True}, "auto", torch.bfloat16),
        (CPU, {"avx512_bf16": False, "amx_bf16": True}, "auto", torch.bfloat16),
        (CPU, {"avx512_f": True}, "auto", torch.float32),
        (CPU, {"avx512_bf16": True}, "float32", torch.float32),
        (CPU, {}, "bfloat16", torch.bfloat16),
        (CUDA, True, "auto", torch.bfloat16),
        (CUDA, False, "auto", torch.float32),
        (torch.device("mps"), {"avx512_bf16": True}, "auto", torch.float32),
    ],
)
def test_the_precision_is_what_the_device_can_do_or_what_is_asked_for(device, able, precision, dtype, monkeypatch):
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: able)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: able)
    assert choose_dtype(device, precision) == dtype


def test_batches_are_computed_at_the_same_time_and_come_back_in_order():
    both = threading.Barrier(2, timeout=20)  # broken unless two wait at a time
    with use_threads(2):
        assert map_batches(lambda batch: both.wait() * 0 + batch, [3, 1, 4, 2]) == [3, 1, 4, 2]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_no_more_threads_than_allowed_each_with_one_of_torch(threads):
    before = torch.get_num_threads()
    with use_threads(threads):
        seen = map_batches(lambda _: (threading.get_ident(), torch.get_num_threads()), range(7))
    assert {count for _, count in seen} == {1} and len(set(seen)) <= threads
    assert torch.get_num_threads() == before
    assert map_batches(abs, []) == []


def test_what_goes_wrong_in_a_batch_is_raised():
    with use_threads(2), pytest.raises(ZeroDivisionError):
        map_batches(lambda batch: 1 / batch, [1, 0])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("frames", [1, 5, 8])
def test_logits_are_equal_to_the_last_digit_however_many_threads_are_free(tmp_path, frames, precision):
    folder = str(untrained_model(tmp_path))
    model = inference.load(folder, CPU, precision)
    side_px, rng = model.spec.side_px, np.random.default_rng(0)
    data = rng.integers(0, 255, (frames, side_px, side_px, 3), np.uint8)
    clip = FaceClip(data, np.arange(frames) * 0.1, 0, np.zeros((frames, 4), np.float32))
    logits = []
    for threads in (1, 2, 3):
        with use_threads(threads):
            logits.append(inference.score(model, [clip, clip]))
    logits.append(inference.score(inference.load(folder, CPU, precision), [clip, clip]))
    assert np.isfinite(logits).all() and all(np.array_equal(other, logits[0]) for other in logits)


class Cancelled(Exception):
    pass


def cancel():
    raise Cancelled


def never():
    raise AssertionError("there was a free slot")


def test_one_check_has_all_threads_and_two_have_half_each():
    slots = ComputeSlots(4)
    with slots.acquire(never) as first:
        assert first == 4
        for _ in range(2):
            with slots.acquire(never) as second:
                assert second == 2
    with slots.acquire(never) as alone:
        assert alone == 4 and compute._threads.get() == 4


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_no_check_is_left_without_a_thread_and_the_next_one_waits(threads):
    slots = ComputeSlots(threads)
    with ExitStack() as stack:
        shares = [stack.enter_context(slots.acquire(never)) for _ in range(threads)]
        assert min(shares) >= 1
        with pytest.raises(Cancelled), slots.acquire(cancel):
            raise AssertionError("there was a slot too many")
        assert slots.used == threads
    assert slots.used == 0


def test_a_waiting_check_goes_on_when_a_slot_is_free_also_after_an_error():
    slots, got = ComputeSlots(1), []

    def wait():
        with slots.acquire(lambda: None) as share:
            got.append(share)

    waiting = threading.Thread(target=wait)
    with suppress(Cancelled), slots.acquire(never):
        waiting.start()
        waiting.join(0.3)
        assert not got
        cancel()
    waiting.join(5)
    assert got == [1]
