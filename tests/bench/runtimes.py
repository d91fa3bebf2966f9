"""A clip, judged in turns: by torch as a check does it, by torch's own threads, by ONNX Runtime.

    python -m tests.bench.runtimes [MODEL] [--threads 2] [--rounds 50]

On a CPU. Medians, with the least and the most; each from the clip's pixels to its logit.
"""

import argparse
import functools
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from tests.bench.speed import clips
from training.release.export_onnx import export
from unmask.faces.clips import FaceClip, to_input
from unmask.models import checkpoint
from unmask.models.checkpoint import LoadedModel

Judge = Callable[[], np.ndarray]  # -> logits (1,)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="default")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=50)
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    model = checkpoint.load(options.model, torch.device("cpu"))
    some = clips(model, model.spec.frames_per_clip)
    ways: dict[str, Judge] = {
        "torch, parts of the clip shared": functools.partial(checkpoint.score, model, some),
        "torch, its own threads": functools.partial(whole, model, some),
        "ONNX Runtime, float32": onnx_judge(model, options.model, some[0], options.threads),
    }
    logits = [float(judge()[0]) for judge in ways.values()]
    times = alternate(list(ways.values()), options.rounds)
    print(f"{'ms':>8}{'least':>8}{'most':>8}{'logit':>9}")
    for name, logit, some_seconds in zip(ways, logits, times, strict=True):
        ms = [1000 * seconds for seconds in some_seconds]
        print(f"{statistics.median(ms):8.1f}{min(ms):8.1f}{max(ms):8.1f}{logit:9.4f}  {name}")


@torch.inference_mode()
def whole(model: LoadedModel, some: Sequence[FaceClip]) -> np.ndarray:
    batch = to_input(some, model.spec)
    with checkpoint.autocast(model.device):
        return np.asarray(model.module(batch.data, batch.mask).float())


def onnx_judge(model: LoadedModel, name: str, clip: FaceClip, threads: int) -> Judge:
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")  # it would slow the next one
    with tempfile.TemporaryDirectory() as folder:
        export(checkpoint.locate(name)[0], Path(folder))
        session = onnxruntime.InferenceSession(str(Path(folder) / "model.onnx"), settings)

    def judge() -> np.ndarray:
        (logits,) = session.run(["logit"], {"data": to_input([clip], model.spec).data[0].numpy()})
        return np.asarray(logits)

    return judge


def alternate(judges: Sequence[Judge], rounds: int) -> list[list[float]]:
    """Seconds of each, round after round, after a round that warms up."""
    times: list[list[float]] = [[] for _ in judges]
    for turn in range(rounds + 1):
        for judge, seconds in zip(judges, times, strict=True):
            began = time.perf_counter()
            judge()
            if turn:
                seconds.append(time.perf_counter() - began)
    return times


if __name__ == "__main__":
    main()
