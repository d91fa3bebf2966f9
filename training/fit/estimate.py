"""Estimate what a training run takes, memory and time, before it begins: one pair is trained on, and counted."""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from training.fit.recipes import StageConfig
from training.fit.trainer import set_trainable
from unmask.compute import free_memory_bytes
from unmask.faces.clips import ClipSpec
from unmask.models.architectures import VideoModel

OPTIMIZER_COPIES = 3  # of what is trained: the gradient and AdamW's two moments
GIB = 2**30


@dataclass(frozen=True)
class Estimate:
    """What one process of a run takes."""

    weights_bytes: int  # of the model and of the average of its weights
    optimizer_bytes: int
    activation_bytes: int  # kept from the forward to the backward pass of a batch
    free_bytes: int | None  # on the device before
    hours: float  # of all epochs, without validation; a batch is rather faster than so many single pairs

    @property
    def total_bytes(self) -> int:
        """Return how much memory is needed at once."""
        return self.weights_bytes + self.optimizer_bytes + self.activation_bytes

    @property
    def fits(self) -> bool:
        """Return whether that is free, as far as that is known."""
        return self.free_bytes is None or self.total_bytes <= self.free_bytes

    def __str__(self) -> str:
        free = "" if self.free_bytes is None else f", of {self.free_bytes / GIB:.1f} that are free"
        return (
            f"at least {self.total_bytes / GIB:.1f} GiB of memory a process{free} (weights and their average "
            f"{self.weights_bytes / GIB:.1f}, optimizer {self.optimizer_bytes / GIB:.1f}, a batch "
            f"{self.activation_bytes / GIB:.1f}), and at most {self.hours:.1f} h"
        )


def estimate(
    model: VideoModel,
    spec: ClipSpec,
    config: StageConfig,
    batches: int,
    device: torch.device,
    autocast: Callable[[], Any],
) -> Estimate:
    """Train a copy of the model on one pair of noise, twice, and scale that to `batches` batches an epoch."""
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory_bytes()
    with torch.random.fork_rng():
        twin = copy.deepcopy(model).to(device).train()
        set_trainable(twin, config, max(config.frozen_epochs, 0))
        data = torch.randn(2, spec.frames_per_clip, 3, spec.side_px, spec.side_px, device=device)
        kept_bytes = _train_once(twin, data, autocast)
        started = time.perf_counter()
        _train_once(twin, data, autocast)
        seconds = time.perf_counter() - started
    trained = sum(value.nbytes for value in twin.parameters() if value.requires_grad)
    return Estimate(
        weights_bytes=2 * _size(twin),
        optimizer_bytes=OPTIMIZER_COPIES * trained,
        activation_bytes=kept_bytes * config.pairs_per_batch,
        free_bytes=free,
        hours=seconds * config.pairs_per_batch * batches * config.epochs / 3600,
    )


def _train_once(model: VideoModel, data: Tensor, autocast: Callable[[], Any]) -> int:
    """Do a forward and a backward pass -> bytes that were kept between them, beside the weights."""
    own = {value.untyped_storage().data_ptr() for value in model.state_dict().values()}
    kept: dict[int, int] = {}

    def keep(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return value

    mask = torch.ones(data.shape[:2], dtype=torch.bool, device=data.device)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        with autocast():
            loss = model(data, mask).float().square().sum()
        size = sum(kept.values())
    loss.backward()
    if data.device.type == "cuda":
        torch.cuda.synchronize(data.device)
    return size


def _size(model: nn.Module) -> int:
    return sum(value.nbytes for value in model.state_dict().values())
