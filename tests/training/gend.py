"""Tiny checkpoints of the GenD layout with random weights, and what they answer by other libraries' own code."""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from unmask import torch_compute

torch_compute.import_torchvision()  # before transformers and timm do

import timm  # noqa: E402
from transformers import CLIPVisionConfig, CLIPVisionModel, DINOv3ViTConfig, DINOv3ViTModel  # noqa: E402

SIZES = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}


def clip_tower():
    """CLIP of transformers: 9 patches of 8 px."""
    config = CLIPVisionConfig(**SIZES, image_size=24, patch_size=8)
    return CLIPVisionModel(config), lambda tower, images: tower(images).pooler_output, config


def dino_tower():
    """DINOv3 of transformers, of one size for all pictures."""
    config = DINOv3ViTConfig(**SIZES, patch_size=56, num_register_tokens=4, layerscale_value=0.5)
    return DINOv3ViTModel(config), lambda tower, images: tower(images).last_hidden_state[:, 0], config


def perception_tower():
    """The Perception Encoder of timm, positions of 384 px for pictures of 224 px."""
    tower = timm.create_model(PERCEPTION, dynamic_img_size=True, num_classes=0)
    return tower, lambda tower, images: tower(images), None


PERCEPTION = "vit_pe_core_tiny_patch16_384"
TOWERS = {  # by the prefix of the tower's tensors
    "tiny/clip": (clip_tower, "feature_extractor.vision_model."),
    "tiny/dinov3": (dino_tower, "feature_extractor.backbone."),
    PERCEPTION: (perception_tower, "feature_extractor.backbone."),
}


class Reference:
    """A checkpoint in memory."""

    def __init__(self, backbone: str, head: str = "LinearNorm") -> None:
        torch.manual_seed(0)
        make, prefix = TOWERS[backbone]
        self.tower, self.features, self.tower_config = make()
        for value in self.tower.parameters():  # so that no norm, bias or scale is without effect
            value.data += 0.1 * torch.randn_like(value)
        self.tower.eval()
        state = {f"{prefix}{name}": value for name, value in self.tower.state_dict().items()}
        width = self.features(
            self.tower, torch.zeros(1, 3, 224, 224) if "clip" not in backbone else torch.zeros(1, 3, 24, 24)
        ).shape[1]
        self.linear = torch.nn.Linear(width, 2)
        state |= {f"model.linear.{name}": value for name, value in self.linear.state_dict().items()}
        if "clip" in backbone:
            state["feature_extractor.visual_projection.weight"] = torch.randn(8, width)
        self.tensors, self.config = state, {"backbone": backbone, "head": head, "model_type": "GenD"}

    def save(self, folder: Path, shards: int = 1) -> Path:
        """Write what the Hub would hold -> the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(self.config))
        (folder / "README.md").write_text("---\nlicense: mit\n---\n# A tiny one\n")
        for number in range(shards):
            file = "model" if shards == 1 else f"model-{number + 1:05}-of-{shards:05}"
            part = {name: self.tensors[name].contiguous() for name in sorted(self.tensors)[number::shards]}
            save_file(part, folder / f"{file}.safetensors")
        return folder

    @torch.no_grad()
    def probability_fake(self, images: torch.Tensor) -> torch.Tensor:
        """Answer for normalised pictures (N, 3, S, S), as the authors describe it -> (N,)."""
        features = self.features(self.tower, images)
        if self.config["head"] == "LinearNorm":
            features = F.normalize(features, p=2, dim=1)
        return self.linear(features).softmax(-1)[:, 1]
