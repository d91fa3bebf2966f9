"""What a run will cost, measured on its first batches before it starts; the run itself is left untouched."""

import copy
import resource
import sys
import time
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch.utils.data import ConcatDataset

from training.fit.recipes import StageConfig
from training.fit.torch_dataset import Batch, Pair
from training.fit.trainer import Learner, ShuffledBatches, loader, loss_of, made_for, taught
from unmask.faces.clips import ClipSpec
from unmask.models.architectures import VideoModel
from unmask.models.inference import LoadedModel

BATCHES = 4  # measured, after one that warms up
GIB = 2**30


@dataclass(frozen=True)
class Estimate:
    """Rates of one process; a clip is one real or one fake."""

    model_clips_per_second: float  # training alone, on batches that are ready
    loader_clips_per_second: float  # making batches alone, with all workers
    clips: int  # in the whole run, over all processes
    processes: int
    memory_bytes: int  # the most that one process needed; of the accelerator where there is one

    @property
    def seconds(self) -> float:
        """Of the run without its validation: on a CPU loader and model share the cores, so both are paid."""
        model, made = (1 / rate for rate in (self.model_clips_per_second, self.loader_clips_per_second))
        each = max(model, made) if torch.cuda.is_available() else model + made
        return self.clips / self.processes * each

    def __str__(self) -> str:
        return (
            f"{self.clips} clips in {self.processes} process(es): about {self.seconds / 60:.0f} min, "
            f"{self.memory_bytes / GIB:.1f} GiB "
            f"(model {self.model_clips_per_second:.0f}, loader {self.loader_clips_per_second:.0f} clips/s)"
        )


def estimate(
    accelerator: Accelerator,
    model: VideoModel,
    data: "ConcatDataset[Pair]",
    spec: ClipSpec,
    config: StageConfig,
    workers: int,
    teacher: LoadedModel | None = None,
) -> Estimate:
    """Train a copy of the model on a few batches."""
    batches = ShuffledBatches(len(data), config.pairs_per_batch, accelerator, seed=0)
    ready = iter(loader(data, made_for(spec, teacher), batches, workers))
    made = [next(ready)]
    started = time.perf_counter()
    for _ in range(min(BATCHES, len(batches) - 1)):
        made.append(next(ready))
    loading = time.perf_counter() - started
    del ready
    training, memory = _train_copy(accelerator, model, made, spec, config, teacher)
    clips = 2 * config.pairs_per_batch
    return Estimate(
        model_clips_per_second=clips * max(1, len(made) - 1) / training,
        loader_clips_per_second=clips * max(1, len(made) - 1) / loading,
        clips=clips * len(batches) * accelerator.num_processes * config.epochs,
        processes=accelerator.num_processes,
        memory_bytes=memory,
    )


def _train_copy(
    accelerator: Accelerator,
    model: VideoModel,
    batches: list[Batch],
    spec: ClipSpec,
    config: StageConfig,
    teacher: LoadedModel | None,
) -> tuple[float, int]:
    """Seconds for all batches but the first, and the peak of memory."""
    device = accelerator.device
    started = time.perf_counter()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        learner = Learner(copy.deepcopy(model), teacher, spec).to(device).train()
        optimiser = torch.optim.AdamW(learner.parameters(), lr=1e-6)
        for index, batch in enumerate(batches):
            data, mask = batch.clips.data.to(device), batch.clips.mask.to(device)
            with accelerator.autocast():
                logits, _ = learner(data, mask)
                lesson = None if teacher is None else taught(teacher, data, mask)
            loss_of(logits.float(), batch.fake.to(device), lesson, config).backward()
            optimiser.step()
            optimiser.zero_grad()
            if index == 0 and len(batches) > 1:
                wait_for(device)
                started = time.perf_counter()
        wait_for(device)
    return time.perf_counter() - started, _peak_bytes(device)


def wait_for(device: torch.device) -> None:
    """Until what was asked of it is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
