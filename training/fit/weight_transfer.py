"""Start ResNeXt50 from the blocks of a trained MobileNetV2, for machines that have no ImageNet weights of it.

An inverted residual (1x1, depthwise 3x3, 1x1, sum) is a bottleneck of ResNeXt whose grouped convolution is zero but for
one channel a group, so nearly every block has a place: as in Net2Net (Chen et al., ICLR 2016), the wider network
computes at first what the narrow one does, and its other channels, random, add nothing until they are trained. Two
blocks have no place and are left out, the widest lose a few channels, ReLU6 becomes ReLU, and the first two bottlenecks
are random: what that costs is learned again, from the maps of the MobileNetV2 (FitNets, Romero et al., ICLR 2015).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from training.fit.trainer import Trainer, classification_loss, distillation_target, random_part

OFFSET_QUANTILE = 1e-3  # share of the values of a channel that the ReLU after a sum may cut
FIRST_STAGE = 4  # index in ResNeXt50, after convolution, norm, ReLU and max pooling


@dataclass(frozen=True)
class Block:
    """A place for an inverted residual: a bottleneck, and the channels of its stage that it reads and writes."""

    stage: int  # 0 to 3
    bottleneck: int
    layer: int  # of the MobileNetV2
    reads: slice
    writes: slice


@dataclass(frozen=True)
class MapPair:
    """Maps of the two networks that should be equal but for a constant a channel."""

    stage: int  # of ResNeXt50, 0 to 3
    channels: slice  # of the stage's output
    layer: int  # of the MobileNetV2


BLOCKS = (
    Block(0, 2, 3, slice(24), slice(24)),
    Block(1, 0, 4, slice(24), slice(32)),
    Block(1, 1, 5, slice(32), slice(32)),
    Block(1, 2, 6, slice(32), slice(32)),
    Block(2, 0, 7, slice(32), slice(64)),
    Block(2, 1, 8, slice(64), slice(64)),
    Block(2, 2, 10, slice(64), slice(64)),
    Block(2, 3, 11, slice(64), slice(64, 160)),
    Block(2, 4, 12, slice(64, 160), slice(64, 160)),
    Block(2, 5, 13, slice(64, 160), slice(64, 160)),
    Block(3, 0, 14, slice(64, 160), slice(160)),
    Block(3, 1, 15, slice(160), slice(160)),
    Block(3, 2, 17, slice(160), slice(160, 1440)),  # its projection is merged with the last convolution
)
MAP_PAIRS = (
    MapPair(0, slice(24), 3),
    MapPair(1, slice(32), 6),
    MapPair(2, slice(64, 160), 13),
    MapPair(3, slice(160, 1440), 18),
)
SUMS = ((2, 3), (4, 5, 6), (7, 8, 9, 10), (11, 12, 13), (14, 15, 16))  # layers whose outputs are added up
MAP_SHARE = 0.15  # weight of the map losses beside that of the logits
LAST_LAYER, LAST_WIDTH = 18, 1280


@torch.no_grad()
def transfer(source: Any, target: Any, images: Tensor) -> list[Tensor]:
    """Write the weights of a MobileNetV2 into a ResNeXt50 with random weights.

    Args:
        source: a network of `backbones.mobilenet_v2`, in evaluation mode.
        target: one of `backbones.resnext50`.
        images: float32 (N, 3, S, S), normalised; what values the channels take is measured on them.

    Returns:
        For each of MAP_PAIRS the constants that are added to the channels in the ResNeXt50, (C,): the ReLU after a sum
        would cut what is negative.
    """
    maps = layer_maps(source, images)
    shared = {layer: _offset([maps[other] for other in layers]) for layers in SUMS for layer in layers}
    _copy_stem(source[0], target)
    for stage in range(4):
        _silence_shortcut(target[FIRST_STAGE + stage][0], _written(stage))
    for block in BLOCKS:
        place = target[FIRST_STAGE + block.stage][block.bottleneck]
        for channels in _written(block.stage):
            place.bn3.weight[channels] = 0
            place.bn3.bias[channels] = 0
        _embed(place, _inverted_residual(source, block.layer), block, shared[block.layer - 1])
        if block.layer in shared and not source[block.layer].has_shortcut:
            place.bn3.bias[block.writes] += shared[block.layer]
    return [shared.get(pair.layer, images.new_zeros(LAST_WIDTH)) for pair in MAP_PAIRS]


def layer_maps(network: nn.Sequential, images: Tensor) -> list[Tensor]:
    """Compute the output of every layer of a network."""
    maps = []
    for layer in network:
        images = layer(images)
        maps.append(images)
    return maps


def map_losses(ours: Sequence[Tensor], theirs: Sequence[Tensor], offsets: Sequence[Tensor]) -> list[Tensor]:
    """Compare as many of MAP_PAIRS as there are maps for.

    Each loss is the mean over channels of log(1 + square error / variance): 0 where maps are equal, about 0.7 for
    predicting their mean.

    Args:
        ours: outputs of the first layers of the ResNeXt50, see `layer_maps`.
        theirs: those of the MobileNetV2.
        offsets: of `transfer`.
    """
    losses = []
    for pair, offset in zip(MAP_PAIRS, offsets, strict=True):
        if FIRST_STAGE + pair.stage < len(ours):
            wanted = theirs[pair.layer].float() + offset[:, None, None]
            found = ours[FIRST_STAGE + pair.stage][:, pair.channels].float()
            error = (found - wanted).square().mean((0, 2, 3))
            losses.append((error / wanted.var((0, 2, 3)).clamp(min=1e-4)).log1p().mean())
    return losses


class MapTrainer(Trainer):
    """Trains the first stages of a ResNeXt50 to give the maps of its teacher. On one process only.

    With all four stages, the teacher's head makes a logit of the vectors as well, which is trained as others are: maps
    alone come close in what most of their variance is, and what tells fakes is little of it.
    """

    offsets: Sequence[Tensor]
    stages: int = len(MAP_PAIRS)  # that are trained

    def loss(self, data: Tensor, mask: Tensor, fake: Tensor) -> Tensor:
        """Compute the map losses of clips of one frame, and that of the logits, see Trainer."""
        assert self.teacher is not None
        theirs: Any = self.teacher.module.backbone
        ours = self.accelerator.unwrap_model(self.student).model.backbone
        images = random_part(data, self.config.part_px)[mask].contiguous(memory_format=torch.channels_last)
        last = MAP_PAIRS[self.stages - 1].layer
        with self.accelerator.autocast():
            with torch.no_grad():
                wanted = layer_maps(theirs[: last + 1], images)
            found = layer_maps(ours[: FIRST_STAGE + self.stages], images)
        losses = torch.stack(map_losses(found, wanted, self.offsets)).sum()
        if self.stages < len(MAP_PAIRS):
            return losses
        vectors = found[-1][:, MAP_PAIRS[-1].channels].float().mean((2, 3))
        logits = self.teacher.module.sequence_logits(vectors[:, None], mask)
        target = distillation_target(self.teacher, data, mask)
        return MAP_SHARE * losses + classification_loss(logits, fake, target, self.config)


@dataclass(frozen=True)
class _Layers:
    """The three convolutions of an inverted residual with their norms; the last may be two merged into one."""

    expand: nn.Conv2d
    expand_norm: nn.BatchNorm2d
    depthwise: nn.Conv2d
    depthwise_norm: nn.BatchNorm2d
    project: Tensor  # (out, inside)
    norm: dict[str, Tensor]  # of the projection: weight, bias, running_mean, running_var


def _inverted_residual(source: Any, layer: int) -> _Layers:
    (expand, expand_norm, _), (depthwise, depthwise_norm, _), project, norm = source[layer].conv
    weight, values = project.weight.flatten(1), _norm(norm)
    if layer == LAST_LAYER - 1:
        last, last_norm, _ = source[LAST_LAYER]
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        shift = norm.bias - scale * norm.running_mean
        outer = last.weight.flatten(1)
        weight, values = outer @ (scale[:, None] * weight), _norm(last_norm)
        values["running_mean"] = values["running_mean"] - outer @ shift
    return _Layers(expand, expand_norm, depthwise, depthwise_norm, weight, values)


def _norm(norm: nn.BatchNorm2d) -> dict[str, Tensor]:
    return {name: getattr(norm, name) for name in ("weight", "bias", "running_mean", "running_var")}


def _written(stage: int) -> list[slice]:
    return [block.writes for block in BLOCKS if block.stage == stage]


def _embed(place: Any, layers: _Layers, block: Block, offset: Tensor) -> None:
    inside = place.conv1.out_channels
    strength = layers.project.norm(dim=0) * layers.depthwise_norm.weight.abs()
    kept = strength.topk(min(inside, len(strength))).indices.sort().values
    count = len(kept)
    place.conv1.weight[:count] = 0
    expand = layers.expand.weight[kept]
    place.conv1.weight[:count, block.reads] = expand
    _copy_norm(place.bn1, slice(count), _norm(layers.expand_norm), kept)
    place.bn1.running_mean[:count] += expand.flatten(1) @ offset
    group = place.conv2.weight.shape[1]
    rows = torch.arange(count)
    place.conv2.weight[:count] = 0
    place.conv2.weight[rows, rows % group] = layers.depthwise.weight[kept, 0]
    _copy_norm(place.bn2, slice(count), _norm(layers.depthwise_norm), kept)
    place.conv3.weight[block.writes] = 0
    place.conv3.weight[block.writes, :count] = layers.project[:, kept, None, None]
    _copy_norm(place.bn3, block.writes, layers.norm, slice(None))


def _copy_norm(norm: nn.BatchNorm2d, channels: slice, values: dict[str, Tensor], kept: Tensor | slice) -> None:
    for name, value in values.items():
        getattr(norm, name)[channels] = value[kept]


def _copy_stem(first: Any, target: Any) -> None:
    """Place the 3x3 convolution in the middle of the 7x7 one, which has the same stride."""
    conv, norm = target[0], target[1]
    count = first[0].out_channels
    conv.weight[:count] = 0
    conv.weight[:count, :, 2:5, 2:5] = first[0].weight
    _copy_norm(norm, slice(count), _norm(first[1]), slice(None))


def _silence_shortcut(bottleneck: Any, reserved: list[slice]) -> None:
    for channels in reserved:
        bottleneck.downsample[1].weight[channels] = 0
        bottleneck.downsample[1].bias[channels] = 0


def _offset(maps: Sequence[Tensor]) -> Tensor:
    """Return how far below zero the channels of maps (N, C, h, w) reach, (C,)."""
    values = torch.cat([part.transpose(0, 1).flatten(1) for part in maps], 1)
    return values.kthvalue(1 + int(OFFSET_QUANTILE * values.shape[1]), 1).values.neg().clamp(min=0)
