"""Score data sets of face clips with a model that is being trained, and validate it."""

import functools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from training.data.shards import StoredClip
from training.evaluation.metrics import auc
from training.fit.run_folder import Validation
from training.fit.torch_dataset import Pair, PlainClips, cached_meshes, collate, validation_blends
from training.fit.trainer import use_one_thread
from unmask.compute import choose_precision
from unmask.faces.clips import ClipSpec
from unmask.models.architectures import VideoModel
from unmask.models.torch_model import FRAMES_PER_BATCH


def precision() -> str:
    """Name the number format to train in, as Accelerate does: like `choose_precision`, or float16 on an older GPU."""
    on_gpu = torch.cuda.is_available()
    if choose_precision("cuda" if on_gpu else "cpu") == "bfloat16":
        return "bf16"
    return "fp16" if on_gpu else "no"


@torch.inference_mode()
def predict(
    model: VideoModel, data: Dataset[Pair], spec: ClipSpec, workers: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return logits (n,) and labels (n,), True where fake, of a dataset, in its order."""
    model.eval()
    device = next(model.parameters()).device
    batches = DataLoader(
        data,
        max(1, FRAMES_PER_BATCH.get(device.type, 8) // spec.frames_per_clip),
        num_workers=workers,
        collate_fn=functools.partial(collate, spec=spec),
        worker_init_fn=use_one_thread,
    )
    logits, labels = [], []
    for batch in batches:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision() == "bf16"):
            logits.append(model(batch.clips.data.to(device), batch.clips.mask.to(device)).float().cpu())
        labels.append(batch.fake)
    return torch.cat(logits).double().numpy(), torch.cat(labels).numpy() > 0.5


def validate(
    model: VideoModel,
    by_folder: dict[str, list[StoredClip]],
    spec: ClipSpec,
    cache: Path,
    workers: int,
) -> Validation:
    """Measure real clips against blended fakes of them, and against true ones if any.

    Raises:
        ValueError: no clip is real.
    """
    clips = [clip for some in by_folder.values() for clip in some]
    reals = [clip for clip in clips if not clip.fake]
    if not reals:
        raise ValueError("no row of split `val` is real, so no epoch can be chosen")
    meshes = cached_meshes(reals, cache)
    found = Validation(blended_auc=auc(*predict(model, validation_blends(reals, meshes, spec), spec, workers)))
    if len(reals) < len(clips):
        logits, fake = predict(model, PlainClips(clips, spec), spec, workers)
        folder = [name for name, some in by_folder.items() for _ in some]
        found = replace(found, **compare_true_fakes(logits, fake, folder))
    return found


def compare_true_fakes(logits: NDArray[np.float64], fake: NDArray[np.bool_], folder: Sequence[str]) -> dict[str, Any]:
    """Measure the reals of each folder against its fakes, or all fakes where it has none: fields of `Validation`."""
    aucs, above = {}, {}
    for name in dict.fromkeys(folder):
        own = np.array(folder) == name
        reals, fakes = own & ~fake, own & fake if (own & fake).any() else fake
        if reals.any():
            aucs[name] = auc(logits[reals | fakes], fake[reals | fakes])
            above[name] = float((logits[reals] > 0).mean())
    return {"true_auc": float(np.mean(list(aucs.values()))), "true_by_folder": aucs, "reals_above_half": above}
