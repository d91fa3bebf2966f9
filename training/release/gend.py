"""Convert published GenD checkpoints (Yermakov et al., WACV 2026) to `vit-linear`. Pure functions.

A checkpoint is a vision tower of the library transformers (CLIP, DINOv3) or timm (Perception Encoder), and a linear
layer to two classes, real and fake. Only names and layout are taken from the authors' code, which is MIT.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from training.fit.recipes import CLIP_CROPS
from unmask.faces.clips import IMAGENET_MEAN, IMAGENET_STD, ClipSpec
from unmask.models.configs import VitLinearConfig

HEADS = {"linear": False, "LinearNorm": True}  # whether features are brought to length 1
# backbones whose configuration need not be fetched: width, heads
KNOWN = {
    "openai/clip-vit-base-patch16": (768, 12),
    "openai/clip-vit-base-patch32": (768, 12),
    "openai/clip-vit-large-patch14": (1024, 16),
    "openai/clip-vit-large-patch14-336": (1024, 16),
    "facebook/dinov3-vits16-pretrain-lvd1689m": (384, 6),
    "facebook/dinov3-vitb16-pretrain-lvd1689m": (768, 12),
    "facebook/dinov3-vitl16-pretrain-lvd1689m": (1024, 16),
}
DINO_CROPS = replace(CLIP_CROPS, resampling="bilinear", mean=IMAGENET_MEAN, std=IMAGENET_STD)
PERCEPTION_CROPS = replace(CLIP_CROPS, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))

LAYER = r"blocks.\1."
# the authors' names, and those of timm: a part may stand for a tensor or for all tensors below it
CLIP_NAMES = {
    r"embeddings\.class_embedding": "cls_token",
    r"embeddings\.position_embedding\.weight": "pos_embed",
    r"embeddings\.patch_embedding": "patch_embed.proj",
    r"pre_layrnorm": "norm_pre",
    r"post_layernorm": "norm",
    r"encoder\.layers\.(\d+)\.layer_norm([12])": LAYER + r"norm\2",
    r"encoder\.layers\.(\d+)\.self_attn\.out_proj": LAYER + "attn.proj",
    r"encoder\.layers\.(\d+)\.self_attn\.([qkv])_proj": LAYER + r"attn.\2",
    r"encoder\.layers\.(\d+)\.mlp\.fc([12])": LAYER + r"mlp.fc\2",
}
DINO_NAMES = {
    r"embeddings\.cls_token": "cls_token",
    r"embeddings\.register_tokens": "reg_token",
    r"embeddings\.patch_embeddings": "patch_embed.proj",
    r"norm": "norm",
    r"(?:model\.)?layer\.(\d+)\.norm([12])": LAYER + r"norm\2",
    r"(?:model\.)?layer\.(\d+)\.attention\.o_proj": LAYER + "attn.proj",
    r"(?:model\.)?layer\.(\d+)\.attention\.([qkv])_proj": LAYER + r"attn.\2",
    r"(?:model\.)?layer\.(\d+)\.layer_scale([12])\.lambda1": LAYER + r"gamma_\2",
    r"(?:model\.)?layer\.(\d+)\.mlp\.up_proj": LAYER + "mlp.fc1",
    r"(?:model\.)?layer\.(\d+)\.mlp\.down_proj": LAYER + "mlp.fc2",
}
# stored beside the tower by the authors' code, and without effect on its answer
WITHOUT_EFFECT = {
    "feature_extractor.visual_projection.weight": "the projection to CLIP's joint space",
    "feature_extractor.vision_model.embeddings.position_ids": "the numbers of the positions",
    "feature_extractor.backbone.embeddings.mask_token": "the token of masked patches, for pre-training",
}


class CheckpointError(ValueError):
    """Raised when a checkpoint is not of this layout; says why."""


@dataclass(frozen=True)
class Converted:
    """A checkpoint as `vit-linear` has it."""

    model: VitLinearConfig
    clip: ClipSpec
    tensors: dict[str, Tensor]
    left_out: tuple[str, ...]  # names in the checkpoint of what has no effect


def convert(config: Mapping[str, Any], tensors: Mapping[str, Tensor], tower: Mapping[str, Any] | None) -> Converted:
    """Convert a checkpoint.

    Args:
        config: its config.json.
        tensors: its weights. Each is used, or is one of WITHOUT_EFFECT.
        tower: config.json of its backbone, for one that is not KNOWN.

    Raises:
        CheckpointError: it is of another layout; names the tensors that fit nothing.
    """
    backbone = str(config.get("backbone"))
    head_kind = str(config.get("head"))
    if head_kind not in HEADS:
        raise CheckpointError(f"the head is {head_kind!r}, not one of {', '.join(HEADS)}")
    left_out = tuple(sorted(WITHOUT_EFFECT.keys() & tensors.keys()))
    rest = {name: value for name, value in tensors.items() if name not in left_out}
    head = {f"head.{name}": _difference(rest.pop(f"model.linear.{name}", None)) for name in ("weight", "bias")}
    if "clip" in backbone.lower():
        named = _rename(rest, "feature_extractor.vision_model.", CLIP_NAMES)
        model = _clip(backbone, named, tower)
        clip = replace(CLIP_CROPS, side_px=model.side_px or CLIP_CROPS.side_px)
    elif "vit_pe" in backbone.lower():
        named = _strip(rest, "feature_extractor.backbone.")
        model, clip = VitLinearConfig(backbone), PERCEPTION_CROPS
    elif "dinov3" in backbone.lower():
        named = _rename(rest, "feature_extractor.backbone.", DINO_NAMES)
        model, clip = _dino(backbone, named, tower), DINO_CROPS
    else:
        raise CheckpointError(f"the backbone is {backbone}; known are CLIP, DINOv3 and the Perception Encoder")
    moved = {_place(name): value for name, value in named.items()}
    return Converted(replace(model, normalised=HEADS[head_kind]), clip, {**moved, **head}, left_out)


def needs_config_of(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str | None:
    """Return the name of the backbone whose configuration `convert` needs; None where it is KNOWN, or tells all."""
    backbone = str(config.get("backbone"))
    norms = (value for name, value in tensors.items() if name.endswith(("layer_norm1.weight", "layer.0.norm1.weight")))
    width = next((len(value) for value in norms), None)
    return None if width is None or KNOWN.get(backbone, (None, 0))[0] == width else backbone


def _difference(classes: Tensor | None) -> Tensor:
    """Subtract the layer's row for real from that for fake: a softmax of two is the logistic of their difference."""
    if classes is None or len(classes) != 2:
        raise CheckpointError("there is no linear layer to two classes")
    return classes[1:].float() - classes[:1].float()


def _strip(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    if wrong := sorted(name for name in tensors if not name.startswith(prefix)):
        raise CheckpointError(f"{len(wrong)} tensors fit nothing, {wrong[0]} among them")
    return {name.removeprefix(prefix): value for name, value in tensors.items()}


def _rename(tensors: Mapping[str, Tensor], prefix: str, names: Mapping[str, str]) -> dict[str, Tensor]:
    """Give the tensors timm's names, queries, keys and values in one tensor."""
    found: dict[str, Tensor] = {}
    for name, value in _strip(tensors, prefix).items():
        matches = [
            re.sub(f"^{old}", new, name) for old, new in names.items() if re.match(rf"{old}(\.(weight|bias))?$", name)
        ]
        if len(matches) != 1:
            raise CheckpointError(f"{prefix}{name} fits nothing")
        found[matches[0]] = value
    for name in [name for name in found if name.endswith(".attn.q.weight")]:
        _join(found, name.removesuffix("q.weight"))
    return {name: value[None] if name == "pos_embed" else value for name, value in found.items()}


def _join(found: dict[str, Tensor], attention: str) -> None:
    try:
        found[f"{attention}qkv.weight"] = torch.cat([found.pop(f"{attention}{part}.weight") for part in "qkv"])
        biases = {part: found.pop(f"{attention}{part}.bias") for part in "qkv" if f"{attention}{part}.bias" in found}
        if "k" in biases:
            found[f"{attention}qkv.bias"] = torch.cat([biases[part] for part in "qkv"])
        else:  # DINOv3's keys have none
            found |= {f"{attention}{part}_bias": value for part, value in biases.items()}
    except KeyError as error:
        raise CheckpointError(f"there is no {error.args[0]}") from error


def _place(name: str) -> str:
    return re.sub(r"^patch_embed\.", "patches.", name) if name.startswith("patch_embed.") else f"tower.{name}"


def _sizes(backbone: str, named: dict[str, Tensor], tower: Mapping[str, Any] | None) -> VitLinearConfig:
    """Read the sizes of a tower off its tensors, which tell all but the number of heads."""
    try:
        width, _, patch_px, _ = named["patch_embed.proj.weight"].shape
        hidden = len(named["blocks.0.mlp.fc1.weight"])
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"there is no vision tower: {error}") from error
    heads = KNOWN[backbone][1] if KNOWN.get(backbone, (0, 0))[0] == width else (tower or {}).get("num_attention_heads")
    if not isinstance(heads, int) or heads < 1 or width % heads:
        raise CheckpointError(
            f"how many heads {backbone} has is not known; --backbone names a folder of its config.json"
        )
    layers = 1 + max(int(name.split(".")[1]) for name in named if name.startswith("blocks."))
    return VitLinearConfig("", None, patch_px, width, layers, heads, hidden / width)


def _clip(backbone: str, named: dict[str, Tensor], tower: Mapping[str, Any] | None) -> VitLinearConfig:
    sizes = _sizes(backbone, named, tower)
    assert sizes.patch_px
    if not {"pos_embed", "cls_token"} <= named.keys():
        raise CheckpointError("there are no positions, or no class token")
    named["cls_token"] = named["cls_token"].reshape(1, 1, -1)
    activation = (tower or {}).get("hidden_act", "quick_gelu")
    name = "vit_large_patch14_clip_quickgelu_224" if activation == "quick_gelu" else "vit_large_patch14_clip_224"
    side_px = sizes.patch_px * math.isqrt(named["pos_embed"].shape[1] - 1)
    return replace(sizes, tower=name, side_px=side_px)


def _dino(backbone: str, named: dict[str, Tensor], tower: Mapping[str, Any] | None) -> VitLinearConfig:
    return replace(_sizes(backbone, named, tower), tower="vit_large_patch16_dinov3_qkvb", side_px=DINO_CROPS.side_px)
