"""The backend is chosen by capability, batches are computed by several threads, and checks share these."""

import os
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress

import numpy as np
import pytest
import torch

from tests.media import EXAMPLES
from tests.untrained import untrained_model
from unmask import compute
from unmask.compute import Backend, ComputeOptions, ComputeSlots, choose_backend, choose_precision, thread_share
from unmask.errors import BadInput
from unmask.faces.clips import FaceClip
from unmask.models import inference, torch_model
from unmask.torch_compute import map_batches


@pytest.mark.parametrize(
    ("asked", "gpu", "expected"),
    [
        (ComputeOptions(), False, ("onnxruntime", "cpu", "float32")),
        (ComputeOptions(), True, ("torch", "cuda", "bfloat16")),
        (ComputeOptions(device="cpu"), True, ("onnxruntime", "cpu", "float32")),
        (ComputeOptions("onnxruntime"), True, ("onnxruntime", "cpu", "float32")),
        (ComputeOptions("torch"), False, ("torch", "cpu", "bfloat16")),
        (ComputeOptions("torch", "float32"), False, ("torch", "cpu", "float32")),
        (ComputeOptions(precision="bfloat16"), False, ("torch", "cpu", "bfloat16")),
        (ComputeOptions(precision="float32"), False, ("onnxruntime", "cpu", "float32")),
    ],
)
def test_a_gpu_has_torch_and_a_cpu_onnx_runtime_unless_another_is_asked_for(asked, gpu, expected, monkeypatch):
    monkeypatch.setattr(compute, "_has_cuda", lambda: gpu)
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": True})
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: True)
    found = choose_backend(asked)
    assert (found.name, found.device, found.precision) == expected


@pytest.mark.parametrize(
    ("asked", "installed"),
    [
        (ComputeOptions("onnxruntime", "bfloat16"), True),
        (ComputeOptions("onnxruntime", device="cuda"), True),
        (ComputeOptions("torch"), False),
        (ComputeOptions(precision="bfloat16"), False),
    ],
)
def test_what_is_asked_for_and_cannot_be_is_refused(asked, installed, monkeypatch):
    monkeypatch.setattr(compute, "has_torch", lambda: installed)
    with pytest.raises(BadInput):
        choose_backend(asked)


@pytest.mark.parametrize(
    ("device", "able", "asked", "precision"),
    [
        ("cpu", {"avx512_bf16": True}, "auto", "bfloat16"),
        ("cpu", {"avx512_bf16": False, "amx_bf16": True}, "auto", "bfloat16"),
        ("cpu", {"avx512_f": True}, "auto", "float32"),
        ("cpu", {"avx512_bf16": True}, "float32", "float32"),
        ("cpu", {}, "bfloat16", "bfloat16"),
        ("cuda", False, "auto", "float32"),
        ("mps", {"avx512_bf16": True}, "auto", "float32"),
    ],
)
def test_the_precision_of_torch_is_what_the_device_can_do(device, able, asked, precision, monkeypatch):
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: able)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: able)
    assert choose_precision(device, asked) == precision


def test_a_check_on_a_cpu_imports_neither_torch_nor_libav_and_nothing_is_noted_about_its_use(tmp_path):
    program = (
        "import sys; from unmask import Checker; from unmask.compute import ComputeOptions\n"
        f"report = Checker(ComputeOptions(device='cpu')).check({str(EXAMPLES / 'photograph.mp4')!r})\n"
        "sys.exit(not report['faces'] or not {'torch', 'av'}.isdisjoint(sys.modules))"
    )
    environment = os.environ | {"HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    assert subprocess.run([sys.executable, "-c", program], check=False, env=environment, timeout=100).returncode == 0
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.fixture
def share():
    """Set how many threads `map_batches` uses."""
    token = thread_share.set(0)
    yield thread_share.set
    thread_share.reset(token)


def test_batches_are_computed_at_the_same_time_and_come_back_in_order(share):
    both = threading.Barrier(2, timeout=20)  # broken unless two wait at a time
    share(2)
    assert map_batches(lambda batch: both.wait() * 0 + batch, [3, 1, 4, 2]) == [3, 1, 4, 2]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_no_more_threads_than_allowed_each_with_one_of_torch(threads, share):
    before = torch.get_num_threads()
    share(threads)
    seen = map_batches(lambda _: (threading.get_ident(), torch.get_num_threads()), range(7))
    assert {count for _, count in seen} == {1} and len(set(seen)) <= threads
    assert torch.get_num_threads() == before
    assert map_batches(abs, []) == []


def test_what_goes_wrong_in_a_batch_is_raised(share):
    share(2)
    with pytest.raises(ZeroDivisionError):
        map_batches(lambda batch: 1 / batch, [1, 0])


def clip_of(frames, side_px):
    data = np.random.default_rng(0).integers(0, 255, (frames, side_px, side_px, 3), np.uint8)
    return FaceClip(data, np.arange(frames) * 0.1, 0, np.zeros((frames, 4), np.float32))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("frames", [1, 5, 8])
def test_logits_of_torch_are_equal_to_the_last_digit_however_many_threads_are_free(tmp_path, frames, precision, share):
    model = torch_model.load(str(untrained_model(tmp_path)), "cpu", precision)
    clip, logits = clip_of(frames, model.spec.side_px), []
    for threads in (1, 2, 3):
        share(threads)
        logits.append(model.logits([clip, clip]))
    assert np.isfinite(logits).all() and all(np.array_equal(other, logits[0]) for other in logits)


def test_logits_of_onnx_runtime_are_equal_to_the_last_digit_however_many_threads_there_are():
    models = [inference.load("default", Backend(threads=threads)) for threads in (1, 2, 3)]
    clip = clip_of(2, models[0].spec.side_px)
    one, *others = (model.logits([clip]) for model in models)
    assert all(np.array_equal(one, other) for other in others)


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
        assert alone == 4 and thread_share.get() == 4


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
