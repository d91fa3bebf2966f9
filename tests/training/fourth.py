"""A fourth model, thrown away after the tests: what a newcomer writes to add one. And a tower that is small.

Run as a script it is `training.train` with these recipes.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from tests.untrained import SMALL_VIT
from training.fit.recipes import RECIPES, VIT_LINEAR, StageConfig, TrainConfig
from training.train import main
from unmask.faces.clips import ClipSpec
from unmask.models.architectures import ARCHITECTURES, VideoModel
from unmask.models.configs import CONFIGS


@dataclass(frozen=True)
class PatchMeanConfig:
    width: int = 16


class PatchMean(VideoModel):
    """Patches of 8 px -> their mean -> the mean over the clip -> logit."""

    frame_parts = ("patches",)

    def __init__(self, config: PatchMeanConfig) -> None:
        super().__init__()
        self.patches = nn.Sequential(nn.Conv2d(3, config.width, 8, stride=8), nn.GELU())
        self.head = nn.Linear(config.width, 1)

    def frame_features(self, images: Tensor) -> Tensor:
        return self.patches(images)

    def sequence_logits(self, vectors: Tensor, mask: Tensor | None) -> Tensor:
        weights = mask.to(vectors.dtype)[..., None]
        return self.head((vectors * weights).sum(1) / weights.sum(1)).squeeze(-1)


CONFIGS["patch-mean"], ARCHITECTURES["patch-mean"] = PatchMeanConfig, PatchMean
STAGE = StageConfig(epochs=3, pairs_per_batch=4, learning_rate=1e-2, warmup_steps=2, average_decay=0.8)
RECIPES["patch-mean"] = TrainConfig(
    "patch-mean", PatchMeanConfig(), STAGE, STAGE, ClipSpec(side_px=32, frames_per_clip=3)
)

RECIPES["small-vit"] = replace(VIT_LINEAR, model=SMALL_VIT, clip=replace(VIT_LINEAR.clip, side_px=64))

if __name__ == "__main__":
    torch.set_num_threads(1)  # so that sums are always made in the same order
    main()
