"""Train the bundled model in two steps.

    python -m training.train frames --faces DIR [--portraits TAR] --out RUN
    python -m training.train clips --faces DIR --talking DIR --dfdc DIR --start RUN --out RUN2

`frames`: MobileNetV2 from ImageNet learns single faces. Half of the fakes are true ones of DFDC, half are
blended from real faces. `clips`: the backbone stands still, the temporal head learns clips made of single
faces and clips cut from video, every second talking video being held back. After each epoch the averaged
weights are measured on the validation split, and the best so far (mean of the two validation AUCs) is kept.
"""

import argparse
import copy
import functools
import json
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import ConcatDataset, DataLoader, Dataset
from tqdm import tqdm

from training import mesh
from training.augment import Clip
from training.catalog import FaceImage, LabelledVideo, face_shards, labelled_videos, pictures
from training.dataset import (
    Batch,
    BlendedFaces,
    FacePairs,
    PairSpec,
    PlainFaces,
    VideoClip,
    VideoPairs,
    collate,
    decode,
)
from training.metrics import auc
from training.prepare import CACHE_SIDE_PX, main_person_clips, portraits, video_people
from unmask.clips import ClipSpec
from unmask.faces import FaceFinder
from unmask.models import MobileNetGru, MobileNetGruConfig, VideoModel, channels_last, torchvision

Pairs = Dataset[list[tuple[Clip, bool]]]

VIDEO_WINDOWS = 12  # clips cut from each training video


@dataclass(frozen=True)
class TrainConfig:
    """One run."""

    epochs: int = 5
    pairs_per_batch: int = 24
    learning_rate: float = 5e-4
    weight_decay: float = 0.02
    warmup_steps: int = 150
    label_smoothing: float = 0.05
    average_decay: float = 0.995  # of the exponential moving average of the weights
    blended_share: float = 0.5
    workers: int = 2
    seed: int = 0


@dataclass(frozen=True)
class Validation:
    dfdc: float  # frame AUC on DFDC's validation faces
    blended: float  # frame AUC on blended fakes of held-back faces

    @property
    def mean(self) -> float:
        return (self.dfdc + self.blended) / 2


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=["frames", "clips"])
    parser.add_argument("--faces", type=Path, required=True, help="folder of tar shards with manifest.tsv")
    parser.add_argument("--portraits", type=Path, help="tar of photographs of real people, for more faces")
    parser.add_argument("--talking", type=Path, help="folder of real videos with manifest.tsv")
    parser.add_argument("--dfdc", type=Path, help="folder of DFDC videos with manifest.tsv")
    parser.add_argument("--start", type=Path, help="run folder of the step `frames`")
    parser.add_argument("--out", type=Path, required=True, help="run folder")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--side", type=int, default=ClipSpec.side_px, help="pixels of the square input")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)  # its thread pool does not survive the fork of the loader's processes
    faces, spec = face_shards(arguments.faces), ClipSpec(side_px=arguments.side)
    if arguments.step == "frames":
        if arguments.portraits:
            faces += portraits(pictures(arguments.portraits), FaceFinder(), spec)
        train_frames(faces, spec, TrainConfig(epochs=arguments.epochs), arguments.out)
    else:
        videos = talking_for_training(arguments.talking) + labelled_videos(arguments.dfdc)
        config = TrainConfig(epochs=arguments.epochs, pairs_per_batch=4, learning_rate=2e-4, warmup_steps=50)
        train_clips(faces, videos, spec, config, arguments.start, arguments.out)


def train_frames(faces: list[FaceImage], spec: ClipSpec, config: TrainConfig, out: Path) -> None:
    """Single faces -> out/model.safetensors, the best by validation; out/log.jsonl, a line an epoch."""
    torch.manual_seed(config.seed)
    frame = replace(spec, frames_per_clip=1)
    training, validation = by_split(faces)
    pairs = face_pairs(training, PairSpec(frame, blended_share=config.blended_share, seed=config.seed), out)
    run(from_imagenet(), [pairs], validation, frame, config, out)


def train_clips(
    faces: list[FaceImage],
    videos: list[LabelledVideo],
    spec: ClipSpec,
    config: TrainConfig,
    start: Path,
    out: Path,
    faces_per_epoch: int = 1600,
    repeats: int = 4,
) -> None:
    """Clips -> out/model.safetensors with a trained temporal head; the backbone is the one of `start`."""
    torch.manual_seed(config.seed)
    training, validation = by_split(faces)
    model = from_imagenet()
    model.load_state_dict(load_file(start / "model.safetensors"))
    model.backbone.requires_grad_(False)
    pair_spec = PairSpec(spec, blended_share=config.blended_share, seed=config.seed + 1)
    chosen = np.random.default_rng(config.seed).permutation(len(training))[: 2 * faces_per_epoch]
    single = face_pairs([training[index] for index in chosen], pair_spec, out)
    seen = {face.original_id for face in validation}
    moving = video_pairs([video for video in videos if video.group not in seen], repeats, pair_spec)
    run(model, [single, moving], validation, spec, config, out)


def by_split(faces: list[FaceImage]) -> tuple[list[FaceImage], list[FaceImage]]:
    """(training, validation)."""
    return [face for face in faces if face.split == "train"], [face for face in faces if face.split == "val"]


def face_pairs(faces: list[FaceImage], spec: PairSpec, out: Path) -> FacePairs:
    reals, fakes = ([face for face in faces if face.fake == fake] for fake in (False, True))
    return FacePairs(reals, meshes(reals, out / "meshes-train.npy"), fakes, spec)


def talking_for_training(folder: Path) -> list[LabelledVideo]:
    """Every second talking video by name; the others are never trained on."""
    return sorted(labelled_videos(folder), key=lambda video: video.path.name)[::2]


def video_pairs(videos: list[LabelledVideo], repeats: int, spec: PairSpec) -> VideoPairs:
    """Videos -> the clips of the person seen most in each, cut larger than the model's input."""
    finder, cached = FaceFinder(), replace(spec.clip, side_px=CACHE_SIDE_PX)
    clips: dict[bool, list[VideoClip]] = {False: [], True: []}
    for video in tqdm(videos, desc="videos"):
        found = video_people(video.path, VIDEO_WINDOWS, finder, cached)
        for clip in main_person_clips(found, cached):
            points = np.stack([mesh.find(image) for image in clip.data])
            clips[video.fake].append(VideoClip(clip.data, points))
    return VideoPairs(clips[False], clips[True], repeats, spec)


def run(
    model: VideoModel,
    parts: list[FacePairs | VideoPairs],
    validation: list[FaceImage],
    spec: ClipSpec,
    config: TrainConfig,
    out: Path,
) -> None:
    """The loop: epochs over all parts together, validation after each, the best kept."""
    data: ConcatDataset[list[tuple[Clip, bool]]] = ConcatDataset(parts)
    trainer = Trainer(model, config, len(data) // config.pairs_per_batch * config.epochs)
    best = 0.0
    for epoch in range(config.epochs):
        for part in parts:
            part.epoch = epoch
        started = time.monotonic()
        loss = trainer.epoch(loader(data, spec, config.pairs_per_batch, config.workers, shuffle_seed=epoch))
        result = validate(trainer.average, validation, spec, out)
        line = {"epoch": epoch, "loss": loss, "dfdc_auc": result.dfdc, "blended_auc": result.blended}
        print(json.dumps(line | {"seconds": round(time.monotonic() - started)}), flush=True)
        with (out / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
        if result.mean > best:
            best = result.mean
            values = {key: value.contiguous() for key, value in trainer.average.state_dict().items()}
            save_file(values, out / "model.safetensors")


class Trainer:
    """A model, its average, its optimiser and its schedule."""

    def __init__(self, model: VideoModel, config: TrainConfig, steps: int) -> None:
        self.model, self.config, self.steps, self.step = model, config, steps, 0
        self.average = copy.deepcopy(model).eval().requires_grad_(False)
        self.optimiser = torch.optim.AdamW(
            [parameter for parameter in model.parameters() if parameter.requires_grad],
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
        )

    def epoch(self, batches: Iterable[Batch]) -> float:
        """One pass; returns the mean loss."""
        self.model.train()
        for part in self.model.children():
            if not any(parameter.requires_grad for parameter in part.parameters()):
                part.eval()  # a backbone that stands still keeps its batch statistics, too
        losses = [self.update(batch) for batch in tqdm(batches, mininterval=20, unit="batch")]
        return float(np.mean(losses))

    def update(self, batch: Batch) -> float:
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * self.rate()
        smooth = self.config.label_smoothing
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = self.model(batch.clips.data, batch.clips.mask)
        loss = nn.functional.binary_cross_entropy_with_logits(
            logits.float(), batch.fake * (1 - smooth) + smooth / 2
        )
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimiser.step()
        self.step += 1
        self._average()
        return loss.item()

    def rate(self) -> float:
        """Linear warm-up, then a half cosine down to 1 %."""
        warm = min(1.0, (self.step + 1) / self.config.warmup_steps)
        return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, self.step / self.steps))))

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.config.average_decay, (1 + self.step) / (10 + self.step))
        for mean, value in zip(self._values(self.average), self._values(self.model), strict=True):
            if value.is_floating_point():
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)

    @staticmethod
    def _values(model: nn.Module) -> Iterator[Tensor]:
        return iter(model.state_dict().values())


def validate(model: VideoModel, faces: list[FaceImage], spec: ClipSpec, out: Path) -> Validation:
    reals = [face for face in faces if not face.fake]
    blended = BlendedFaces(reals, meshes(reals, out / "meshes-val.npy"), spec, seed=1)
    return Validation(
        auc(*predict(model, PlainFaces(faces, spec), spec)), auc(*predict(model, blended, spec))
    )


@torch.inference_mode()
def predict(model: VideoModel, data: Pairs, spec: ClipSpec) -> tuple[np.ndarray, np.ndarray]:
    """Logits (n,) and labels (n,) of a dataset, in its order."""
    model.eval()
    logits, labels = [], []
    for batch in loader(data, spec, 64, workers=2):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits.append(model(batch.clips.data, batch.clips.mask).float())
        labels.append(batch.fake)
    return torch.cat(logits).double().numpy(), torch.cat(labels).numpy() > 0.5


def loader(
    data: Pairs,
    spec: ClipSpec,
    batch_size: int,
    workers: int,
    shuffle_seed: int | None = None,
) -> Iterable[Batch]:
    generator = None if shuffle_seed is None else torch.Generator().manual_seed(shuffle_seed)
    batches = DataLoader(
        data,
        batch_size,
        shuffle=shuffle_seed is not None,
        drop_last=shuffle_seed is not None,
        generator=generator,
        num_workers=workers,
        collate_fn=functools.partial(collate, spec=spec),
        worker_init_fn=_single_thread,
    )
    return cast(Iterable[Batch], batches)  # the types know nothing of `collate_fn`


def _single_thread(_: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def meshes(faces: list[FaceImage], cache: Path) -> np.ndarray:
    """Mesh points (n, 468, 2) of the faces, found once and kept in `cache`."""
    if not cache.exists():
        points = [mesh.find(decode(face)) for face in tqdm(faces, desc="meshes", mininterval=20)]
        np.save(cache, np.stack(points))
    found: np.ndarray = np.load(cache)
    if len(found) != len(faces):
        raise ValueError(f"{cache} holds {len(found)} meshes for {len(faces)} faces; delete it")
    return found


def from_imagenet() -> MobileNetGru:
    """MobileNetV2 with torchvision's ImageNet weights (from $TORCH_HOME or the network), a new head."""
    model = MobileNetGru(MobileNetGruConfig())
    weights = torchvision.models.MobileNet_V2_Weights.IMAGENET1K_V1
    model.backbone.load_state_dict(torchvision.models.mobilenet_v2(weights=weights).features.state_dict())
    channels_last(model)
    return model


if __name__ == "__main__":
    main()
