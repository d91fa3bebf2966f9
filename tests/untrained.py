"""A small model with random weights, for tests of everything around a model: quick to load and to run."""

from pathlib import Path

import torch

from unmask.clips import ClipSpec
from unmask.models import MesoTransformer, MesoTransformerConfig
from unmask.verdict import Calibration, Policy
from unmask.weights import ModelConfigFile, save

SPEC = ClipSpec(side_px=64)
SMALL = MesoTransformerConfig(merged=32, layers=1, heads=2, feedforward=32)


def untrained_model(folder: Path, name: str = "untrained", spec: ClipSpec = SPEC) -> Path:
    """Save one in `folder` -> the folder, which is a name that every `--model` takes."""
    torch.manual_seed(0)
    config = ModelConfigFile(name, "meso-transformer", SMALL, spec, Calibration(), Policy(), "never trained")
    save(folder, MesoTransformer(SMALL), config)
    return folder
