"""Start resnext-lstm from a trained mobilenet-gru, where its ImageNet weights are not at hand.

    python -m training.tools.transfer_backbone --data FACES --out RUN
    python -m training.train resnext-lstm frames --start RUN --teacher mobilenet-gru --data FACES --out RUN2

Writes the blocks of the teacher into ResNeXt50, see `training.fit.weight_transfer`, then trains its first stage to give
the teacher's maps, all four to give its maps and, by its head, its answers and the labels, and the temporal head to
answer as the teacher's. Stopped, it resumes. Uses one process.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import ConcatDataset

from training.fit.predict import precision
from training.fit.recipes import RESNEXT_LSTM, StageConfig
from training.fit.run_folder import RunFolder
from training.fit.torch_dataset import ClipPairs, Pair, collate, make_pairs
from training.fit.training_clips import read_training_clips
from training.fit.weight_transfer import MapTrainer, match_head, measure_norms, transfer
from training.train import folder_and_repeats
from unmask.faces.clips import ClipSpec
from unmask.models import checkpoint, torch_model
from unmask.models.architectures import ARCHITECTURES, MobileNetGru, channels_last
from unmask.models.checkpoint import ModelConfigFile
from unmask.models.torch_model import TorchModel
from unmask.verdict import Calibration, Policy

FIRST_STAGE = StageConfig(epochs=1, pairs_per_batch=16, learning_rate=2e-3, warmup_steps=100, part_px=112)
# from 1e-4 on, what was transferred is lost faster than it is learned
ALL_STAGES = StageConfig(epochs=2, pairs_per_batch=16, learning_rate=5e-5, warmup_steps=100, part_px=160)
HEAD_FACES, HEAD_STEPS = 8000, 1000  # vectors that the temporal head is trained on, and batches of them


def main() -> None:
    """Write the run folder that the command line asks for."""
    arguments = parse()
    cv2.setNumThreads(1)
    torch.manual_seed(RESNEXT_LSTM.seed)
    spec, mixture = replace(RESNEXT_LSTM.clip, frames_per_clip=1), RESNEXT_LSTM.frames.mixture
    clips = read_training_clips([folder_and_repeats(text) for text in arguments.data], arguments.limit, 0)
    parts = [make_pairs(part, spec, mixture, 0, arguments.out.parent / "meshes") for part in clips.training]
    device = Accelerator(mixed_precision=arguments.precision).device
    model: Any = ARCHITECTURES[RESNEXT_LSTM.architecture](RESNEXT_LSTM.model).to(device)
    channels_last(model)
    images = first_faces(parts, spec).to(device)
    offsets = transfer(saved_backbone(arguments.teacher, device), model.backbone, images)
    for stage, stages in ((FIRST_STAGE, 1), (ALL_STAGES, 4)):
        if stages > 1:
            measure_norms(model.backbone, images)
        trainer = MapTrainer(
            Accelerator(mixed_precision=arguments.precision),  # one each: it saves all models that it was given
            model,
            parts,
            spec,
            replace(stage, pairs_per_batch=arguments.pairs_per_batch),
            arguments.out / f"stages-{stages}",
            workers=arguments.workers,
            teacher=torch_model.load(arguments.teacher, device),
        )
        trainer.offsets, trainer.stages = offsets, stages
        while not trainer.done:
            print(f"{stages} of 4 stages: the loss is {trainer.train_epoch():.3f}")
            trainer.save()
        model = trainer.average.requires_grad_(True)
    torch.manual_seed(RESNEXT_LSTM.seed)  # the same whether the run was stopped or not
    teacher = torch_model.load(arguments.teacher, device)
    match_head(teacher.module, model, teacher_vectors(teacher, parts, spec, HEAD_FACES), HEAD_STEPS)
    name, headline = RESNEXT_LSTM.architecture, f"taught by {arguments.teacher}"
    config = ModelConfigFile(name, name, RESNEXT_LSTM.model, RESNEXT_LSTM.clip, Calibration(), Policy(), headline)
    checkpoint.save(RunFolder(arguments.out).model, model, config)


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="mobilenet-gru", help="model of that architecture (%(default)s)")
    parser.add_argument("--data", action="append", required=True, metavar="DIR[=N]", help="folder of stored clips")
    parser.add_argument("--out", type=Path, required=True, help="run folder to write")
    parser.add_argument("--limit", type=int, help="only so many real videos of each folder, for a short try")
    parser.add_argument("--pairs-per-batch", type=int, default=FIRST_STAGE.pairs_per_batch)
    parser.add_argument("--workers", type=int, default=2, help="processes that make batches")
    parser.add_argument("--precision", choices=["bf16", "fp16", "no"], default=precision())
    return parser.parse_args()


def saved_backbone(teacher: str, device: torch.device) -> nn.Sequential:
    """Load the backbone of a MobileNetGru as it was saved: for inference its norms are merged with its layers."""
    module = checkpoint.restore(checkpoint.locate(teacher)[0]).to(device).eval()
    assert isinstance(module, MobileNetGru)
    return module.backbone


@torch.inference_mode()
def teacher_vectors(teacher: TorchModel, parts: list[ClipPairs], spec: ClipSpec, count: int) -> Tensor:
    """Compute the vectors (N, D) that a model gives about `count` augmented faces, spread over all folders."""
    pairs: ConcatDataset[Pair] = ConcatDataset(parts)
    for part in parts:
        part.epoch = 0
    vectors = []
    for first in range(0, len(pairs), max(1, 2 * len(pairs) // count)):
        batch = collate([pairs[first]], spec).clips
        vectors.append(teacher.module.clip_vectors(batch.data.to(teacher.device), batch.mask.to(teacher.device)))
    return torch.cat(vectors).flatten(0, 1).float()


def first_faces(parts: list[ClipPairs], spec: ClipSpec) -> Tensor:
    """Make normalised faces (N, 3, S, S) of every folder, on which the values of the teacher's maps are measured."""
    return torch.cat([collate([part[0], part[len(part) // 2]], spec).clips.data[:, 0] for part in parts])


if __name__ == "__main__":
    main()
