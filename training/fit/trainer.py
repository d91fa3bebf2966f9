"""The one loop: batches in, a trained average of the weights out; stopped at any moment, it goes on exactly.

Hugging Face Accelerate does devices, precision, accumulation and several processes. A checkpoint holds the
weights, their average, the optimiser, the random states and the place in the epoch; since a batch is drawn
from (seed, epoch, index) alone, the next batch after a restart is the one that would have come.
"""

import copy
import functools
import json
import math
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import ConcatDataset, DataLoader, Sampler
from tqdm import tqdm

from training.fit.recipes import StageConfig
from training.fit.torch_dataset import Batch, ClipPairs, Pair, collate
from unmask.faces.clips import ClipSpec
from unmask.models.architectures import VideoModel
from unmask.models.inference import LoadedModel

STATE = "state"
VECTORS_UNTIL = 0.8  # of the steps: so long a teacher's vectors count beside the labels
SAVE_SECONDS = float(os.environ.get("UNMASK_TRAIN_SAVE_SECONDS", "300"))


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    epoch: int = 0
    batch: int = 0  # of this epoch, already done
    step: int = 0  # of the optimiser, in all
    loss_sum: float = 0.0  # over this epoch's batches
    best: float = -1.0  # of the validation
    stale_epochs: int = 0  # since the best


class ShuffledBatches(Sampler[list[int]]):
    """Rows of one process: n processes of b rows see what one process of n·b rows sees."""

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
        return self.length // (self.per_process * self.processes)

    def __len__(self) -> int:
        return self.in_epoch - self.start

    def __iter__(self) -> Iterator[list[int]]:
        order = torch.randperm(self.length, generator=torch.Generator().manual_seed(self.seed * 1000 + self.epoch))
        for batch in range(self.start, self.in_epoch):
            first = (batch * self.processes + self.rank) * self.per_process
            yield order[first : first + self.per_process].tolist()


class Learner(nn.Module):
    """What learns: a model and, beside a teacher, a layer that guesses the teacher's vectors from its own.

    What a small network is to see is told better by a vector for every frame than by one probability
    (Romero et al., "FitNets", ICLR 2015). The layer is not kept.
    """

    def __init__(self, model: VideoModel, teacher: LoadedModel | None, spec: ClipSpec) -> None:
        super().__init__()
        self.model, self.side_px = model, spec.side_px
        self.guess = (
            None
            if teacher is None
            else nn.Linear(vector_width(model, spec), vector_width(teacher.module, teacher.spec))
        )

    def forward(self, data: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        """(B, T, 3, S, S), (B, T) bool -> logits (B,) and, beside a teacher, guesses (real frames, D)."""
        vectors = self.model.clip_vectors(at_side(data, self.side_px), mask)
        guesses = None if self.guess is None else self.guess(vectors[mask])
        return self.model.sequence_logits(vectors, mask), guesses


@dataclass(frozen=True)
class Lesson:
    """What a teacher makes of a batch."""

    opinion: Tensor  # (B,) probabilities
    vectors: Tensor  # (real frames, D)


class Loop:
    """One stage of one model. `folder` keeps the checkpoints; the newest is taken up at the start."""

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
        teacher: LoadedModel | None = None,
    ) -> None:
        self.accelerator, self.parts, self.config = accelerator, parts, config
        self.folder, self.teacher, self.progress = folder / STATE, teacher, Progress()
        data: ConcatDataset[Pair] = ConcatDataset(parts)
        self.batches = ShuffledBatches(len(data), config.pairs_per_batch, accelerator, seed)
        self.loader = loader(data, made_for(spec, teacher), self.batches, workers)
        self.average = copy.deepcopy(model).eval().requires_grad_(False).to(accelerator.device)
        learner = Learner(model, teacher, spec)
        optimiser = torch.optim.AdamW(groups(learner, config), lr=0.0, weight_decay=config.weight_decay)
        self.learner, self.optimiser = accelerator.prepare(learner, optimiser)
        self.steps = config.epochs * math.ceil(self.batches.in_epoch / config.accumulate)
        accelerator.register_for_checkpointing(self.average)
        torch.manual_seed(seed)
        self._take_up()

    @property
    def done(self) -> bool:
        return self.progress.epoch >= self.config.epochs or self.progress.stale_epochs >= self.config.patience

    def epoch(self) -> float:
        """Run to the end of the present epoch; returns its mean loss."""
        epoch = self.progress.epoch
        self._train_mode(epoch)
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
            self._advance(self._update(batch))
            if time.monotonic() - saved > SAVE_SECONDS:
                self.save()
                saved = time.monotonic()
        loss = self.progress.loss_sum / max(1, self.progress.batch)
        self.progress = replace(self.progress, epoch=epoch + 1, batch=0, loss_sum=0.0)
        return loss

    def judge(self, score: float) -> bool:
        """Note an epoch's validation; True when it is the best so far."""
        better = score > self.progress.best
        stale = 0 if better else self.progress.stale_epochs + 1
        self.progress = replace(self.progress, best=max(score, self.progress.best), stale_epochs=stale)
        return better

    @property
    def _model(self) -> VideoModel:
        learner: Learner = self.accelerator.unwrap_model(self.learner)
        return learner.model

    def save(self) -> None:
        """Write the whole state beside the old one, then swap, so that a kill leaves one of the two."""
        fresh = self.folder.with_name(f"{STATE}.new")
        self.accelerator.save_state(str(fresh), safe_serialization=True)
        if self.accelerator.is_main_process:
            (fresh / "progress.json").write_text(json.dumps(asdict(self.progress)))
            old = self.folder.with_name(f"{STATE}.old")
            if self.folder.exists():
                self.folder.rename(old)
            fresh.rename(self.folder)
            shutil.rmtree(old, ignore_errors=True)
        self.accelerator.wait_for_everyone()

    def _take_up(self) -> None:
        found = [folder for folder in (self.folder, self.folder.with_name(f"{STATE}.old")) if folder.exists()]
        if found:
            self.accelerator.load_state(str(found[0]))
            self.progress = Progress(**json.loads((found[0] / "progress.json").read_text()))

    def _train_mode(self, epoch: int) -> None:
        """A backbone that stands still keeps its batch statistics, too."""
        frozen = self.config.frozen_epochs
        moves = 0 <= frozen <= epoch
        self.learner.train()
        for part in backbone_parts(self._model):
            part.train(moves)
            part.requires_grad_(moves)

    def _update(self, batch: Batch) -> Tensor:
        """One batch; returns its mean loss over all processes, detached."""
        config, device = self.config, self.accelerator.device
        data, mask, fake = (
            part.to(device, non_blocking=True) for part in (batch.clips.data, batch.clips.mask, batch.fake)
        )
        for group, rate in zip(self.optimiser.param_groups, self._rates(), strict=True):
            group["lr"] = rate
        with self.accelerator.accumulate(self.learner):
            with self.accelerator.autocast():
                logits, guesses = self.learner(data, mask)
                lesson = None if self.teacher is None else taught(self.teacher, data, mask)
            loss = loss_of(logits.float(), fake, lesson, config)
            if lesson is not None:
                share = vector_share(config, self.progress.step / self.steps)
                loss = loss + share * distance(guesses.float(), lesson.vectors)
            self.accelerator.backward(loss)
            if self.accelerator.sync_gradients:
                self.accelerator.clip_grad_norm_(self.learner.parameters(), config.clip_norm)
            self.optimiser.step()
            self.optimiser.zero_grad()
        return self.accelerator.reduce(loss.detach(), "mean")

    def _advance(self, loss: Tensor) -> None:
        value = float(loss)
        done = replace(self.progress, batch=self.progress.batch + 1, loss_sum=self.progress.loss_sum + value)
        if self.accelerator.sync_gradients:
            done = replace(done, step=done.step + 1)
            self._average_weights(done.step)
            if done.step % 10 == 0:
                self.accelerator.log({"loss": value, "learning_rate": self._rates()[0]}, step=done.step)
        self.progress = done

    def _rates(self) -> list[float]:
        """Learning rate of each parameter group: linear warm-up, then a half cosine down to 1 %."""
        step, config = self.progress.step, self.config
        warm = min(1.0, (step + 1) / config.warmup_steps)
        cosine = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.steps)))
        return [group["share"] * config.learning_rate * warm * cosine for group in self.optimiser.param_groups]

    @torch.no_grad()
    def _average_weights(self, step: int) -> None:
        decay = min(self.config.average_decay, (1 + step) / (10 + step))
        model = self._model
        for mean, value in zip(self.average.state_dict().values(), model.state_dict().values(), strict=True):
            if not value.is_floating_point():
                mean.copy_(value)
        torch._foreach_lerp_(floats(self.average), floats(model), 1 - decay)


def floats(model: nn.Module) -> list[Tensor]:
    """Weights and batch statistics, without counters."""
    return [value for value in model.state_dict().values() if value.is_floating_point()]


def groups(learner: Learner, config: StageConfig) -> list[dict[str, object]]:
    """Parameter groups: backbone and all else, each with its share of the learning rate."""
    backbone = {id(value) for part in backbone_parts(learner.model) for value in part.parameters()}
    parts = [[], []]  # type: list[list[nn.Parameter]]
    for value in learner.parameters():
        parts[id(value) in backbone].append(value)
    return [{"params": parts[0], "share": 1.0}, {"params": parts[1], "share": config.backbone_rate}]


def backbone_parts(model: VideoModel) -> list[nn.Module]:
    """What looks at single frames, as opposed to the temporal head."""
    return [getattr(model, name) for name in model.frame_parts]


@torch.no_grad()
def vector_width(model: VideoModel, spec: ClipSpec) -> int:
    """Of the vector that the model makes of a frame."""
    twin = copy.deepcopy(model).eval()
    picture = next(twin.parameters()).new_zeros(1, 3, spec.side_px, spec.side_px)
    return twin.frame_vectors(twin.frame_features(picture)).shape[-1]


def loss_of(logits: Tensor, fake: Tensor, lesson: Lesson | None, config: StageConfig) -> Tensor:
    """Cross-entropy with smoothed labels; with a teacher, half with its opinion (Hinton et al., 2015)."""
    smooth = config.label_smoothing
    wanted = fake * (1 - smooth) + smooth / 2
    if lesson is not None:
        wanted = config.teacher_share * lesson.opinion + (1 - config.teacher_share) * wanted
    return nn.functional.binary_cross_entropy_with_logits(logits, wanted)


def vector_share(config: StageConfig, done: float) -> float:
    """Of the teacher's vectors, once `done` of the steps are; none at last: labels have the last word."""
    return config.vector_share * max(0.0, 1 - done / VECTORS_UNTIL)


def distance(guesses: Tensor, vectors: Tensor) -> Tensor:
    """Mean square error in parts of the vectors' variance: 1 for who guesses their mean."""
    return nn.functional.mse_loss(guesses, vectors) / vectors.var().clamp(min=1e-4)


@torch.no_grad()
def taught(teacher: LoadedModel, data: Tensor, mask: Tensor) -> Lesson:
    """The teacher on the same clips, seen at the side that it knows."""
    vectors = teacher.module.clip_vectors(at_side(data, teacher.spec.side_px), mask)
    logits = teacher.module.sequence_logits(vectors, mask)
    return Lesson(logits.float().sigmoid(), vectors[mask].float())


def made_for(spec: ClipSpec, teacher: LoadedModel | None) -> ClipSpec:
    """How clips are made for a model and its teacher: as large as the larger of the two sees them.

    A teacher of 224 px that is shown enlarged clips of 160 px knows much less.
    """
    return spec if teacher is None else replace(spec, side_px=max(spec.side_px, teacher.spec.side_px))


def at_side(data: Tensor, side_px: int) -> Tensor:
    """(B, T, 3, S, S) -> (B, T, 3, side_px, side_px). Only beside a teacher: serving crops to the side."""
    if data.shape[-1] == side_px:
        return data
    images = nn.functional.interpolate(data.flatten(0, 1), (side_px, side_px), mode="bilinear", antialias=True)
    return images.unflatten(0, data.shape[:2])


def loader(data: ConcatDataset[Pair], spec: ClipSpec, batches: ShuffledBatches, workers: int) -> "DataLoader[Pair]":
    """Batches in the sampler's order, made by `workers` processes."""
    return DataLoader(
        data,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=functools.partial(collate, spec=spec),
        worker_init_fn=single_thread,
        pin_memory=torch.cuda.is_available(),
    )


def single_thread(_: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
