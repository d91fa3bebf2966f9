"""Train a model with an exponential moving average of its weights, resumable at any batch.

Hugging Face Accelerate does devices, precision, accumulation and several processes. A checkpoint holds the weights,
their average, the optimizer, the random states and the position in the epoch; since a batch is drawn from
(seed, epoch, index) alone, the next batch after a restart is the one that would have come.
"""

import copy
import functools
import json
import math
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import ConcatDataset, DataLoader, Sampler
from tqdm import tqdm

from training.fit.recipes import StageConfig
from training.fit.torch_dataset import Batch, ClipPairs, Pair, collate
from unmask.faces.clips import ClipSpec
from unmask.models.architectures import VideoModel
from unmask.models.torch_model import TorchModel

STATE = "state"
VECTOR_LOSS_UNTIL = 0.8  # of the steps: until then the loss has a term for the teacher's vectors


@dataclass(frozen=True)
class Progress:
    """The position of a run; stored in `progress.json` of a checkpoint."""

    epoch: int = 0
    batch: int = 0  # of this epoch, already done
    step: int = 0  # of the optimizer, in all
    loss_sum: float = 0.0  # over this epoch's batches
    best: float = -1.0  # of the validation
    stale_epochs: int = 0  # since the best


class ShuffledBatches(Sampler[list[int]]):
    """Samples the batches of one process: n processes of b rows see what one process of n·b rows sees."""

    def __init__(self, length: int, per_process: int, accelerator: Accelerator, seed: int) -> None:
        self.length, self.per_process, self.seed = length, per_process, seed
        self.processes, self.rank = accelerator.num_processes, accelerator.process_index
        self.epoch, self.start = 0, 0
        if not self.in_epoch:
            raise ValueError(
                f"{length} pairs do not fill one batch of {per_process} in each of {self.processes} "
                "processes; lower --pairs-per-batch"
            )

    @property
    def in_epoch(self) -> int:
        """Return the number of batches in a whole epoch."""
        return self.length // (self.per_process * self.processes)

    def __len__(self) -> int:
        return self.in_epoch - self.start

    def __iter__(self) -> Iterator[list[int]]:
        order = torch.randperm(self.length, generator=torch.Generator().manual_seed(self.seed * 1000 + self.epoch))
        for batch in range(self.start, self.in_epoch):
            first = (batch * self.processes + self.rank) * self.per_process
            yield order[first : first + self.per_process].tolist()


class StudentModel(nn.Module):
    """A model and, beside a teacher, a layer that projects its frame vectors to the teacher's (FitNets).

    A vector for every frame tells a small network more than one probability (Romero et al., ICLR 2015). The layer is
    not kept.
    """

    def __init__(self, model: VideoModel, teacher: TorchModel | None, spec: ClipSpec, part_px: int = 0) -> None:
        super().__init__()
        self.model, self.side_px, self.part_px = model, spec.side_px, part_px
        self.projection = (
            None
            if teacher is None
            else nn.Linear(vector_width(model, spec), vector_width(teacher.module, teacher.spec))
        )

    def forward(self, data: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """Return logits (B,) of clips (B, T, 3, S, S), and vectors of the frames that are true in the mask.

        These are projected ones, beside a teacher, and the model's own, each (N, D).
        """
        seen = random_part(resize_batch(data, self.side_px), self.part_px)
        vectors = self.model.clip_vectors(seen, mask)
        projected = None if self.projection is None else self.projection(vectors[mask])
        with torch.autocast(data.device.type, enabled=False):  # recurrent networks in bfloat16 were slow on a GPU
            return self.model.sequence_logits(vectors.float(), mask), projected, vectors[mask]


@dataclass(frozen=True)
class DistillationTarget:
    """The teacher's output for a batch."""

    teacher_probability: Tensor  # (B,)
    vectors: Tensor  # (frames that are true in the mask, D)


class Trainer:
    """Trains one stage of one model. The newest checkpoint in `folder` is resumed."""

    def __init__(
        self,
        accelerator: Accelerator,
        model: VideoModel,
        parts: list[ClipPairs],
        spec: ClipSpec,
        config: StageConfig,
        folder: Path,
        *,
        seed: int = 0,
        workers: int = 2,
        teacher: TorchModel | None = None,
        save_seconds: float = 300.0,
    ) -> None:
        self.accelerator, self.parts, self.config = accelerator, parts, config
        self.folder, self.teacher, self.progress = folder / STATE, teacher, Progress()
        self.save_seconds = save_seconds  # between two checkpoints
        data: ConcatDataset[Pair] = ConcatDataset(parts)
        self.batches = ShuffledBatches(len(data), config.pairs_per_batch, accelerator, seed)
        self.loader = loader(data, teacher_clip_spec(spec, teacher), self.batches, workers)
        self.average = copy.deepcopy(model).eval().requires_grad_(False).to(accelerator.device)
        student = StudentModel(model, teacher, spec, config.part_px)
        set_trainable(model, config, max(config.frozen_epochs, 0))  # what is never trained is not exchanged either
        optimizer = torch.optim.AdamW(parameter_groups(student, config), lr=0.0, weight_decay=config.weight_decay)
        self.student, self.optimizer = accelerator.prepare(student, optimizer)
        self.steps = config.epochs * math.ceil(self.batches.in_epoch / config.accumulate)
        accelerator.register_for_checkpointing(self.average)
        torch.manual_seed(seed)
        self._resume()

    @property
    def done(self) -> bool:
        """Return whether all epochs are done, or validation has not improved for `patience` epochs."""
        return self.progress.epoch >= self.config.epochs or self.progress.stale_epochs >= self.config.patience

    def train_epoch(self) -> float:
        """Train to the end of the present epoch and return its mean loss."""
        epoch = self.progress.epoch
        self._set_train_mode(epoch)
        for part in self.parts:
            part.epoch = epoch
        self.batches.epoch, self.batches.start = epoch, self.progress.batch
        bar = tqdm(
            self.loader,
            desc=f"epoch {epoch + 1}/{self.config.epochs}",
            unit="batch",
            mininterval=5,
            total=self.batches.in_epoch,
            initial=self.progress.batch,
            disable=not self.accelerator.is_main_process,
        )
        saved = time.monotonic()
        for batch in bar:
            self._record_batch(self._update(batch))
            if time.monotonic() - saved > self.save_seconds:
                self.save()
                saved = time.monotonic()
        loss = self.progress.loss_sum / max(1, self.progress.batch)
        self.progress = replace(self.progress, epoch=epoch + 1, batch=0, loss_sum=0.0)
        return loss

    def record_validation(self, score: float) -> bool:
        """Record an epoch's validation score and return whether it is the best so far."""
        better = score > self.progress.best
        stale = 0 if better else self.progress.stale_epochs + 1
        self.progress = replace(self.progress, best=max(score, self.progress.best), stale_epochs=stale)
        return better

    @property
    def _model(self) -> VideoModel:
        student: StudentModel = self.accelerator.unwrap_model(self.student)
        return student.model

    def save(self) -> None:
        """Write a checkpoint beside the old one, then swap them, so that a kill leaves one of the two."""
        fresh = self.folder.with_name(f"{STATE}.new")
        self.accelerator.save_state(str(fresh), safe_serialization=True)
        if self.accelerator.is_main_process:
            (fresh / "progress.json").write_text(json.dumps(asdict(self.progress)))
            old = self.folder.with_name(f"{STATE}.old")
            if self.folder.exists():
                shutil.rmtree(old, ignore_errors=True)  # what a kill left of it
                self.folder.rename(old)
            fresh.rename(self.folder)
            shutil.rmtree(old, ignore_errors=True)
        self.accelerator.wait_for_everyone()

    def _resume(self) -> None:
        found = [folder for folder in (self.folder, self.folder.with_name(f"{STATE}.old")) if folder.exists()]
        if found:
            self.accelerator.load_state(str(found[0]))
            self.progress = Progress(**json.loads((found[0] / "progress.json").read_text()))

    def _set_train_mode(self, epoch: int) -> None:
        """Set training mode; a frozen backbone keeps its batch statistics, too."""
        self.student.train()
        set_trainable(self._model, self.config, epoch)

    def _update(self, batch: Batch) -> Tensor:
        """Train on one batch; return its mean loss over all processes, detached."""
        config, device = self.config, self.accelerator.device
        data, mask, fake = (
            part.to(device, non_blocking=True) for part in (batch.clips.data, batch.clips.mask, batch.fake)
        )
        for group, rate in zip(self.optimizer.param_groups, self._learning_rates(), strict=True):
            group["lr"] = rate
        with self.accelerator.accumulate(self.student):
            loss = self.loss(data, mask, fake)
            self.accelerator.backward(loss)
            if self.accelerator.sync_gradients:
                self.accelerator.clip_grad_norm_(self.student.parameters(), config.clip_norm)
            self.optimizer.step()
            self.optimizer.zero_grad()
        return self.accelerator.reduce(loss.detach(), "mean")

    def loss(self, data: Tensor, mask: Tensor, fake: Tensor) -> Tensor:
        """Compute the loss of clips (B, T, 3, S, S) with masks (B, T) and labels (B,)."""
        with self.accelerator.autocast():
            logits, projected, vectors = self.student(data, mask)
            target = None if self.teacher is None else distillation_target(self.teacher, data, mask)
        loss = classification_loss(logits.float(), fake, target, self.config)
        if target is not None:
            weight = vector_loss_weight(self.config, self.progress.step / self.steps)
            loss = loss + weight * vector_loss(projected.float(), target.vectors)
        if self.config.alignment or self.config.uniformity:
            alignment, uniformity = sphere_losses(vectors.float(), fake[:, None].expand_as(mask)[mask])
            loss = loss + self.config.alignment * alignment + self.config.uniformity * uniformity
        return loss

    def _record_batch(self, loss: Tensor) -> None:
        value = float(loss)
        done = replace(self.progress, batch=self.progress.batch + 1, loss_sum=self.progress.loss_sum + value)
        if self.accelerator.sync_gradients:
            done = replace(done, step=done.step + 1)
            self._update_average(done.step)
            if done.step % 10 == 0:
                self.accelerator.log({"loss": value, "learning_rate": self._learning_rates()[0]}, step=done.step)
        self.progress = done

    def _learning_rates(self) -> list[float]:
        """Return the learning rate of each parameter group: linear warm-up, then a half cosine down to 1 %.

        Computed from the step alone rather than kept by a scheduler, so that a checkpoint needs no state of it.
        """
        step, config = self.progress.step, self.config
        warm = min(1.0, (step + 1) / config.warmup_steps)
        cosine = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.steps)))
        return [group["share"] * config.learning_rate * warm * cosine for group in self.optimizer.param_groups]

    @torch.no_grad()
    def _update_average(self, step: int) -> None:
        """Update the moving average of weights and batch statistics; its decay rises over the first steps."""
        decay = min(self.config.average_decay, (1 + step) / (10 + step))
        pairs = list(zip(self.average.state_dict().values(), self._model.state_dict().values(), strict=True))
        for mean, value in pairs:
            if not value.is_floating_point():  # counters of batch norm
                mean.copy_(value)
        means, values = zip(*(pair for pair in pairs if pair[1].is_floating_point()), strict=True)
        get_ema_multi_avg_fn(decay)(means, values, step)


def parameter_groups(student: StudentModel, config: StageConfig) -> list[dict[str, object]]:
    """Make parameter groups, backbone and all else, each with its share of the learning rate."""
    backbone = {id(value) for module in frame_modules(student.model) for value in module.parameters()}
    parts = [[], []]  # type: list[list[nn.Parameter]]
    for value in student.parameters():
        parts[id(value) in backbone].append(value)
    return [{"params": parts[0], "share": 1.0}, {"params": parts[1], "share": config.backbone_rate}]


def set_trainable(model: VideoModel, config: StageConfig, epoch: int) -> None:
    """Let the backbone learn in this epoch what the config says: nothing, its layer norms, or all of it."""
    is_trained = 0 <= config.frozen_epochs <= epoch
    for module in frame_modules(model):
        module.train(is_trained)
        for part in module.modules():
            learns = is_trained and (not config.norms_only or isinstance(part, nn.LayerNorm))
            for value in part.parameters(recurse=False):
                value.requires_grad_(learns)


def sphere_losses(vectors: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Compute alignment and uniformity (Wang & Isola, ICML 2020) of vectors (N, D), brought to length 1.

    Alignment is the mean squared distance of two with the same label; uniformity the logarithm of the mean Gaussian
    potential of any two. Both are 0 where there are none.
    """
    features = nn.functional.normalize(vectors, dim=1)
    first, second = torch.triu_indices(len(features), len(features), 1, device=features.device)
    squares = (2 - 2 * features @ features.T)[first, second]
    same = squares[labels[first] == labels[second]]
    zero = features.sum() * 0
    return same.mean() if len(same) else zero, squares.mul(-2).exp().mean().log() if len(squares) else zero


def frame_modules(model: VideoModel) -> list[nn.Module]:
    """List the modules that see single frames, as opposed to the temporal head."""
    return [getattr(model, name) for name in model.frame_parts]


@torch.no_grad()
def vector_width(model: VideoModel, spec: ClipSpec) -> int:
    """Return the length of the vector that a model makes of a frame."""
    twin = copy.deepcopy(model).eval()
    picture = next(twin.parameters()).new_zeros(1, 3, spec.side_px, spec.side_px)
    return twin.frame_vectors(twin.frame_features(picture)).shape[-1]


def classification_loss(logits: Tensor, fake: Tensor, target: DistillationTarget | None, config: StageConfig) -> Tensor:
    """Compute cross-entropy with smoothed labels, mixed with the teacher's probability (Hinton et al., 2015)."""
    smooth = config.label_smoothing
    wanted = fake * (1 - smooth) + smooth / 2
    if target is not None:
        wanted = config.teacher_share * target.teacher_probability + (1 - config.teacher_share) * wanted
    return nn.functional.binary_cross_entropy_with_logits(logits, wanted)


def vector_loss_weight(config: StageConfig, done: float) -> float:
    """Return the weight of the vector loss after a share of the steps: it falls to 0, so labels decide at the end."""
    return config.vector_share * max(0.0, 1 - done / VECTOR_LOSS_UNTIL)


def vector_loss(projected: Tensor, vectors: Tensor) -> Tensor:
    """Compute the mean square error as a share of the vectors' variance: 1 for predicting their mean."""
    return nn.functional.mse_loss(projected, vectors) / vectors.var().clamp(min=1e-4)


@torch.no_grad()
def distillation_target(teacher: TorchModel, data: Tensor, mask: Tensor) -> DistillationTarget:
    """Run the teacher on the same clips, at the side that it was trained at."""
    vectors = teacher.module.clip_vectors(resize_batch(data, teacher.spec.side_px), mask)
    logits = teacher.module.sequence_logits(vectors, mask)
    return DistillationTarget(logits.float().sigmoid(), vectors[mask].float())


def teacher_clip_spec(spec: ClipSpec, teacher: TorchModel | None) -> ClipSpec:
    """Return the clip spec for a model and its teacher, at the larger of their two sides.

    A teacher of 224 px that is given clips enlarged from 160 px is much less accurate.
    """
    return spec if teacher is None else replace(spec, side_px=max(spec.side_px, teacher.spec.side_px))


def resize_batch(data: Tensor, side_px: int) -> Tensor:
    """Resize (B, T, 3, S, S) to (B, T, 3, side_px, side_px). Only beside a teacher: serving crops to the side."""
    if data.shape[-1] == side_px:
        return data
    images = nn.functional.interpolate(data.flatten(0, 1), (side_px, side_px), mode="bilinear", antialias=True)
    return images.unflatten(0, data.shape[:2])


def random_part(data: Tensor, part_px: int) -> Tensor:
    """Cut the same random square of part_px out of all faces of a batch (B, T, 3, S, S); all of them, if it is 0.

    A part at the size of the face keeps the scale of what the layers see; a smaller face would not.
    """
    room = (data.shape[-1] - part_px) // 8 + 1
    if not part_px or room < 1:
        return data
    top, left = (8 * torch.randint(room, (2,))).tolist()
    return data[..., top : top + part_px, left : left + part_px]


def loader(data: ConcatDataset[Pair], spec: ClipSpec, batches: ShuffledBatches, workers: int) -> "DataLoader[Pair]":
    """Load batches in the sampler's order, made by `workers` processes."""
    return DataLoader(
        data,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=functools.partial(collate, spec=spec),
        worker_init_fn=use_one_thread,
        pin_memory=torch.cuda.is_available(),
    )


def use_one_thread(_: int) -> None:
    """Keep a loader process to one thread, as the processes share the cores."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
