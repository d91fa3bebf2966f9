"""How each model is trained: three recipes, each with a stage of single faces and a stage of clips.

A recipe is data. The command line may change the fields that depend on the machine and on the patience of
who waits; everything else is what the published weights were made with.
"""

from dataclasses import dataclass, field
from typing import Literal

from training.data.augment import AugmentSpec
from unmask.faces.clips import ClipSpec
from unmask.models.architectures import MesoTransformerConfig, MobileNetGruConfig, ModelConfig, ResNextLstmConfig

StageName = Literal["frames", "clips"]


@dataclass(frozen=True)
class Mixture:
    """What a pair of a real and a fake is made of."""

    blended_share: float = 0.6  # of the fakes; the rest are true ones
    redrawn_share: float = 0.35  # of the blended ones, where there are painters: redrawn by one of them
    cross_share: float = 0.2  # of the other blended ones: another person's face instead of the same
    same_source: bool = True  # a true fake stands beside the real video that it was made from
    candidates: int = 100  # faces looked through for one of like pose, for cross-blending
    augment: AugmentSpec = AugmentSpec()


@dataclass(frozen=True)
class StageConfig:
    """One run of the loop."""

    epochs: int
    pairs_per_batch: int  # a process; a pair is two clips
    learning_rate: float
    accumulate: int = 1  # batches added up before a step
    backbone_rate: float = 1.0  # the backbone's learning rate, relative
    frozen_epochs: int = 0  # the backbone stands still so long; -1: throughout
    weight_decay: float = 0.02
    warmup_steps: int = 200
    label_smoothing: float = 0.05
    average_decay: float = 0.999  # of the exponential moving average of the weights
    clip_norm: float = 5.0  # longest gradient
    patience: int = 4  # epochs without a better validation, then it stops
    teacher_share: float = 0.5  # of the wanted probability, where a teacher is given
    vector_share: float = 1.0  # beside that: guess the teacher's vector of each frame
    mixture: Mixture = Mixture()


@dataclass(frozen=True)
class TrainConfig:
    """One model's recipe."""

    architecture: str  # a name of `unmask.models.architectures.ARCHITECTURES`
    model: ModelConfig
    frames: StageConfig
    clips: StageConfig
    clip: ClipSpec = field(default_factory=ClipSpec)
    seed: int = 0

    def stage(self, name: StageName) -> StageConfig:
        return self.frames if name == "frames" else self.clips


# 224 px keep the seam that 160 px smooth away; the first epochs may be at 160 px, which are cheaper.
MOBILENET_GRU = TrainConfig(
    "mobilenet-gru",
    MobileNetGruConfig(),
    frames=StageConfig(epochs=12, pairs_per_batch=32, learning_rate=4e-4),
    clips=StageConfig(
        epochs=1,
        pairs_per_batch=8,
        learning_rate=2e-4,
        warmup_steps=50,
        average_decay=0.995,
        frozen_epochs=-1,
    ),
    clip=ClipSpec(side_px=224),
)

# Nothing to start from, so it learns longer, from a trained model beside the labels where one is given.
MESO_TRANSFORMER = TrainConfig(
    "meso-transformer",
    MesoTransformerConfig(width=4),
    frames=StageConfig(epochs=12, pairs_per_batch=32, learning_rate=1.5e-3, warmup_steps=300),
    clips=StageConfig(
        epochs=1,
        pairs_per_batch=8,
        learning_rate=2e-4,
        warmup_steps=50,
        average_decay=0.995,
        frozen_epochs=-1,
    ),
)

# Small enough to be carried with 8 bits a weight; a teacher helps where ImageNet weights are not at hand.
RESNEXT_LSTM = TrainConfig(
    "resnext-lstm",
    ResNextLstmConfig(hidden=256),
    frames=StageConfig(
        epochs=12,
        pairs_per_batch=32,
        learning_rate=5e-4,
        warmup_steps=500,
        weight_decay=0.05,
    ),
    clips=StageConfig(
        epochs=2,
        pairs_per_batch=4,
        learning_rate=1e-4,
        warmup_steps=50,
        average_decay=0.995,
        frozen_epochs=-1,
    ),
    clip=ClipSpec(side_px=224),
)

RECIPES = {recipe.architecture: recipe for recipe in (MOBILENET_GRU, MESO_TRANSFORMER, RESNEXT_LSTM)}
