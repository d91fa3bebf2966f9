"""Models with random weights, for tests of everything around a model."""

from dataclasses import replace
from pathlib import Path

import torch

from training.fit.recipes import TrainConfig
from unmask.faces.clips import ClipSpec
from unmask.models.architectures import ARCHITECTURES, MesoTransformer
from unmask.models.checkpoint import ModelConfigFile, save
from unmask.models.configs import CONFIGS, MesoTransformerConfig, ModelConfig, VitLinearConfig
from unmask.verdict import Calibration, Policy

SPEC = ClipSpec(side_px=64)
SMALL = MesoTransformerConfig(merged=32, layers=1, heads=2, feedforward=32)
SMALL_VIT = VitLinearConfig(side_px=64, patch_px=16, width=32, layers=2, heads=2)


def config_of(architecture: str) -> ModelConfig:
    """Its own sizes, or those of a tower that a test can compute."""
    return SMALL_VIT if architecture == "vit-linear" else CONFIGS[architecture]()


def untrained_model(folder: Path, name: str = "untrained", spec: ClipSpec = SPEC) -> Path:
    """Save one that is quick to load and to run in `folder` -> the folder, which every `--model` takes."""
    torch.manual_seed(0)
    config = ModelConfigFile(name, "meso-transformer", SMALL, spec, Calibration(), Policy(), "never trained")
    save(folder, MesoTransformer(SMALL), config)
    return folder


def untrained_recipe(folder: Path, recipe: TrainConfig) -> Path:
    """The same of a recipe, which is shown what the trained one would be."""
    torch.manual_seed(0)
    name, config = recipe.architecture, recipe.model
    if isinstance(config, VitLinearConfig):  # a tower takes half a minute
        config = replace(SMALL_VIT, side_px=recipe.clip.side_px)
    save(
        folder,
        ARCHITECTURES[name](config),
        ModelConfigFile(name, name, config, recipe.clip, Calibration(), Policy(), ""),
    )
    return folder
