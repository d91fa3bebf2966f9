"""Recipes of the models, each with a stage of single frames and a stage of clips.

A recipe is data. The command line may change the fields that depend on the machine and on the time there is.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from training.data.augment import AugmentSpec
from unmask.faces.clips import ClipSpec
from unmask.models.configs import (
    MesoTransformerConfig,
    MobileNetGruConfig,
    ModelConfig,
    ResNextLstmConfig,
    VitLinearConfig,
)

StageName = Literal["frames", "clips"]


@dataclass(frozen=True)
class Mixture:
    """How the fake of a training pair is made, and how both are augmented."""

    blended_share: float = 0.4  # of the fakes; the rest are true ones
    same_person_share: float = 0.5  # of the true fakes whose source is unknown: of the real's person, if there is one
    cross_share: float = 0.2  # of the blended ones: another person's face instead of the same
    same_source: bool = True  # a true fake stands beside the real video that it was made from
    candidates: int = 100  # faces looked through for one of like pose, for cross-blending
    augment: AugmentSpec = AugmentSpec()


@dataclass(frozen=True)
class StageConfig:
    """One stage of training."""

    epochs: int
    pairs_per_batch: int  # a process; a pair is two clips
    learning_rate: float
    accumulate: int = 1  # batches added up before a step
    backbone_rate: float = 1.0  # the backbone's learning rate, relative
    frozen_epochs: int = 0  # the backbone is frozen for so many; -1: throughout
    weight_decay: float = 0.02
    warmup_steps: int = 200
    label_smoothing: float = 0.05
    average_decay: float = 0.999  # of the exponential moving average of the weights
    clip_norm: float = 5.0  # longest gradient
    patience: int = 4  # epochs without a better validation, then it stops
    part_px: int = 0  # above 0: a random square of so many pixels of each face is seen, which costs less
    teacher_share: float = 0.5  # of the target probability, where there is a teacher
    norms_only: bool = False  # of the backbone, only the layer norms are trained
    alignment: float = 0.0  # weight of the loss that draws features of one label together
    uniformity: float = 0.0  # weight of the loss that spreads features over the sphere
    vector_share: float = 1.0  # initial weight of the loss between projected vectors and the teacher's
    mixture: Mixture = Mixture()


@dataclass(frozen=True)
class TrainConfig:
    """The recipe of one model."""

    architecture: str  # a name of `unmask.models.architectures.ARCHITECTURES`
    model: ModelConfig
    frames: StageConfig
    clips: StageConfig
    clip: ClipSpec = field(default_factory=ClipSpec)
    seed: int = 0

    def stage(self, name: StageName) -> StageConfig:
        """Return the config of a stage."""
        return self.frames if name == "frames" else self.clips


HEAD_ALONE = StageConfig(
    epochs=1, pairs_per_batch=8, learning_rate=2e-4, warmup_steps=50, average_decay=0.995, frozen_epochs=-1
)

# At 224 px the border of a blend is visible, at 160 px it is smoothed away; the first epochs may be at 160 px.
MOBILENET_GRU = TrainConfig(
    "mobilenet-gru",
    MobileNetGruConfig(),
    frames=StageConfig(epochs=12, pairs_per_batch=32, learning_rate=4e-4),
    clips=HEAD_ALONE,
    clip=ClipSpec(side_px=224),
)

# Starts from random weights, so it trains longer; a teacher helps.
MESO_TRANSFORMER = TrainConfig(
    "meso-transformer",
    MesoTransformerConfig(width=4),
    frames=StageConfig(epochs=12, pairs_per_batch=32, learning_rate=1.5e-3, warmup_steps=300),
    clips=HEAD_ALONE,
)

# A teacher helps where ImageNet weights are not at hand.
RESNEXT_LSTM = TrainConfig(
    "resnext-lstm",
    ResNextLstmConfig(hidden=256),
    frames=StageConfig(
        epochs=12,
        pairs_per_batch=32,
        learning_rate=5e-4,
        warmup_steps=500,
        weight_decay=0.05,
        vector_share=0.0,  # `training.tools.transfer_backbone` has matched all maps before
    ),
    clips=replace(HEAD_ALONE, epochs=2, pairs_per_batch=4, learning_rate=1e-4),
    clip=ClipSpec(side_px=224),
)

CLIP_CROPS = ClipSpec(
    side_px=224,
    crop_scale=1.3,
    crop_shift=(0.0, 0.0),
    aligned=True,
    resampling="bicubic",
    mean=(0.48145466, 0.4578275, 0.40821073),
    std=(0.26862954, 0.26130258, 0.27577711),
)
# GenD's (Yermakov et al., WACV 2026): layer norms of CLIP alone, features of length 1, losses on the sphere, and a fake
# beside the real of its source. The stage of clips has no head to train, and is not needed.
VIT_LINEAR = TrainConfig(
    "vit-linear",
    VitLinearConfig(),
    frames=StageConfig(
        epochs=10,
        pairs_per_batch=32,
        learning_rate=3e-4,
        weight_decay=0.0,
        label_smoothing=0.0,
        norms_only=True,
        alignment=0.1,
        uniformity=0.5,
    ),
    clips=StageConfig(epochs=1, pairs_per_batch=8, learning_rate=1e-4, warmup_steps=50, frozen_epochs=-1),
    clip=CLIP_CROPS,
)

RECIPES = {recipe.architecture: recipe for recipe in (MOBILENET_GRU, MESO_TRANSFORMER, RESNEXT_LSTM, VIT_LINEAR)}
