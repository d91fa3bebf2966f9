"""Models and face finder on a device: how fast, and what part of the device's own limit, as a table.

    python -m tests.bench.device [MODEL …] [--device cuda] [--seconds 3]

The limit is what a product of two large matrices reaches on it, in the precision that the models run in.
"""

import argparse
import functools
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.bench.speed import clips, gliding
from training.fit.estimate import wait_for
from unmask.faces.detector import FaceFinder
from unmask.models import checkpoint
from unmask.models.checkpoint import LoadedModel
from unmask.video.decode import Frames

SIDES = {"cuda": 8192, "cpu": 2048}  # of the matrices
AT_ONCE = {"cuda": (1, 8, 32), "cpu": (1,)}  # clips; a processor takes one after the other
HEIGHTS_PX = (720, 1080)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["default"], metavar="MODEL")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    options = parser.parse_args()
    device = torch.device(options.device)
    limit = matrix_speed(device, options.seconds)
    print(f"{device_name(device)}: {limit / 1e12:.2f} TFLOP/s\n")
    print(f"{'clips/s':>10}{'ms each':>10}{'of limit':>10}{'at once':>10}")
    for name in options.models:
        model = checkpoint.load(name, device)
        work = operations(model)
        for count in AT_ONCE.get(device.type, (1,)):
            some = clips(model, count * model.spec.frames_per_clip)
            each = seconds_each(functools.partial(checkpoint.score, model, some), device, options.seconds)
            share = f"{100 * work * count / each / limit:.1f}%"
            print(f"{count / each:>10.1f}{1000 * each / count:>10.2f}{share:>10}{count:>10}  {model.name}")
    finder = FaceFinder(device)
    print(f"\nms to find the faces of a frame, of a window of {model.spec.frames_per_clip}")
    for height in HEIGHTS_PX:
        window = Frames(
            np.stack(list(gliding(model.spec.frames_per_clip, height))),
            np.arange(model.spec.frames_per_clip) * model.spec.frame_stride_seconds,
        )
        each = seconds_each(functools.partial(finder.detect, window), device, options.seconds)
        print(f"{1000 * each / model.spec.frames_per_clip:>10.2f}  {height} px")


def matrix_speed(device: torch.device, seconds: float) -> float:
    """Operations a second of a bfloat16 product on a GPU, of a float32 one on a CPU."""
    side = SIDES.get(device.type, 2048)
    precision = torch.bfloat16 if device.type == "cuda" else torch.float32
    matrix = torch.randn(side, side, device=device, dtype=precision)
    return 2 * side**3 / seconds_each(functools.partial(torch.matmul, matrix, matrix), device, seconds)


def operations(model: LoadedModel) -> float:
    """Of one clip."""
    spec = model.spec
    data = torch.zeros(1, spec.frames_per_clip, 3, spec.side_px, spec.side_px, device=model.device)
    mask = torch.ones(1, spec.frames_per_clip, dtype=torch.bool, device=model.device)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.module(data, mask)
    return float(counter.get_total_flops())


def seconds_each(work: Callable[[], object], device: torch.device, seconds: float) -> float:
    """Mean over as many repetitions as fit, after two that warm up."""
    work(), work()
    wait_for(device)
    began, times = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        work()
        wait_for(device)
        times += 1
    return (time.perf_counter() - began) / times


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"


if __name__ == "__main__":
    main()
