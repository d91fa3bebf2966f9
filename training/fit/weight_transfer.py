"""Start ResNeXt50 from the blocks of a trained MobileNetV2, for machines that have no ImageNet weights of it.

An inverted residual (1x1, depthwise 3x3, 1x1, sum) is a bottleneck of ResNeXt whose grouped convolution is zero but for
one channel a group, so the channels inside of all blocks have a place: as in Net2Net (Chen et al., ICLR 2016), the
wider network computes at first what the narrow one does, and its other channels, random, add nothing until they are
trained. There are fewer bottlenecks than blocks, so some blocks share one and are computed side by side, the weakest
channels are left out, ReLU6 becomes ReLU, and the first two bottlenecks are random: what that costs is learned again,
from the maps and the answers of the MobileNetV2 (FitNets, Romero et al., ICLR 2015).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from training.fit.trainer import Trainer, classification_loss, distillation_target, random_part
from unmask.models.architectures import ResNextLstm, VideoModel

OFFSET_QUANTILE = 1e-3  # share of the values of a channel that the ReLU after a sum may cut
FIRST_STAGE = 4  # index in ResNeXt50, after convolution, norm, ReLU and max pooling


@dataclass(frozen=True)
class Block:
    """A place for channels of an inverted residual: a bottleneck, and what it reads and writes of its stage."""

    stage: int  # 0 to 3
    bottleneck: int
    layer: int  # of the MobileNetV2
    reads: slice
    writes: slice
    inside: slice  # channels inside of the block that have their place here, counted from the strongest


@dataclass(frozen=True)
class MapPair:
    """Maps of the two networks that should be equal but for a constant a channel."""

    stage: int  # of ResNeXt50, 0 to 3
    channels: slice  # of the stage's output
    layer: int  # of the MobileNetV2


BLOCKS = (
    Block(0, 2, 3, slice(24), slice(24), slice(128)),
    Block(1, 0, 4, slice(24), slice(32), slice(144)),
    Block(1, 1, 5, slice(32), slice(32), slice(192)),
    Block(1, 2, 6, slice(32), slice(32), slice(192)),
    Block(2, 0, 7, slice(32), slice(64), slice(192)),
    Block(2, 1, 8, slice(64), slice(64), slice(384)),
    Block(2, 1, 9, slice(64), slice(64), slice(128)),
    Block(2, 2, 9, slice(64), slice(64), slice(128, 384)),
    Block(2, 2, 10, slice(64), slice(64), slice(256)),
    Block(2, 3, 10, slice(64), slice(64), slice(256, 384)),
    Block(2, 3, 11, slice(64), slice(64, 160), slice(384)),
    Block(2, 4, 12, slice(64, 160), slice(64, 160), slice(512)),
    Block(2, 5, 13, slice(64, 160), slice(64, 160), slice(512)),
    Block(3, 0, 14, slice(64, 160), slice(160), slice(576)),
    Block(3, 1, 15, slice(160), slice(160), slice(512)),
    Block(3, 1, 16, slice(160), slice(160), slice(512)),
    Block(3, 2, 17, slice(160), slice(160, 1440), slice(960)),  # its projection is merged with the last convolution
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
VECTOR_WIDTH = 2048  # of ResNeXt50
HEAD_BATCH, HEAD_RATE = 128, 1e-3


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
    shared: dict[int, Tensor] = {}
    for added in SUMS:
        shared |= dict.fromkeys(added, _offset([maps[layer] for layer in added]))
    _copy_stem(source[0], target)
    for stage in range(4):
        places = target[FIRST_STAGE + stage]
        for channels in (block.writes for block in BLOCKS if block.stage == stage):
            for norm in (places[0].downsample[1], *(place.bn3 for place in places)):
                norm.weight[channels], norm.bias[channels] = 0, 0
    used: dict[tuple[int, int], int] = {}  # channels inside of each bottleneck
    for block in BLOCKS:
        place = (block.stage, block.bottleneck)
        bottleneck = target[FIRST_STAGE + block.stage][block.bottleneck]
        layers = _inverted_residual(source, block.layer)
        used[place] = _embed(bottleneck, layers, block, used.get(place, 0), shared[block.layer - 1])
        if block.layer in shared and not source[block.layer].has_shortcut:
            bottleneck.bn3.bias[block.writes] += shared[block.layer]
    return [shared.get(pair.layer, images.new_zeros(LAST_WIDTH)) for pair in MAP_PAIRS]


@torch.no_grad()
def measure_norms(network: nn.Module, images: Tensor) -> None:
    """Set the statistics of every norm to those of the images, without changing what embedded channels say.

    Needed before all stages are trained, by when the first one is: in training, norms take the statistics of a batch.
    """

    def measure(norm: Any, inputs: tuple[Tensor]) -> None:
        mean, variance = inputs[0].mean((0, 2, 3)), inputs[0].var((0, 2, 3))
        embedded = norm.running_var != 1  # a norm begins with 1
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        bias = norm.bias + scale * (mean - norm.running_mean)
        norm.weight.copy_(torch.where(embedded, scale * (variance + norm.eps).sqrt(), norm.weight))
        norm.bias.copy_(torch.where(embedded, bias, norm.bias))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)

    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(measure) for norm in norms]
    is_training = network.training
    network.eval()(images)
    network.train(is_training)
    for hook in hooks:
        hook.remove()


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


def match_head(teacher: VideoModel, student: ResNextLstm, vectors: Tensor, steps: int) -> None:
    """Train the temporal head of a ResNextLstm to answer as that of the teacher does, given the teacher's vectors.

    Args:
        teacher: in evaluation mode.
        student: with the backbone of `transfer`; its other channels are not read at first.
        vectors: of single frames, float32 (N, 1280). A sequence repeats one of them with noise, or mixes several.
        steps: batches of sequences of 1 to 12 frames.
    """
    embedded, spread = MAP_PAIRS[-1].channels, vectors.std(0)
    for name, weights in student.lstm.named_parameters():
        if name.startswith("weight_ih_l0"):
            weights.data[:, : embedded.start], weights.data[:, embedded.stop :] = 0, 0
    learned = [*student.lstm.parameters(), *student.head.parameters()]
    optimizer = torch.optim.AdamW(learned, lr=HEAD_RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, HEAD_RATE, total_steps=steps, pct_start=0.05)
    student.train()
    for step in range(steps):
        frames = int(torch.randint(1, 13, ())) if step % 2 else 1
        rows = torch.randint(len(vectors), (HEAD_BATCH, frames), device=vectors.device)
        rows[HEAD_BATCH // 4 :] = rows[HEAD_BATCH // 4 :, :1]
        sequences = vectors[rows]
        noise = torch.rand(HEAD_BATCH, 1, 1, device=vectors.device) / 2
        sequences = (sequences + noise * spread * torch.randn_like(sequences)).clamp(min=0)
        padded = sequences.new_zeros(HEAD_BATCH, frames, VECTOR_WIDTH)
        padded[..., embedded] = sequences
        with torch.no_grad():
            wanted = teacher.sequence_logits(sequences, None)
        loss = nn.functional.smooth_l1_loss(student.sequence_logits(padded, None), wanted)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learned, 5.0)
        optimizer.step()
        schedule.step()


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
    """The three convolutions of an inverted residual with their norms; that of the last is merged with it."""

    expand: nn.Conv2d
    expand_norm: nn.BatchNorm2d
    depthwise: nn.Conv2d
    depthwise_norm: nn.BatchNorm2d
    project: Tensor  # (out, inside)
    shift: Tensor  # (out,)


def _inverted_residual(source: Any, layer: int) -> _Layers:
    (expand, expand_norm, _), (depthwise, depthwise_norm, _), project, norm = source[layer].conv
    weight, shift = _merge(project, norm)
    if layer == LAST_LAYER - 1:
        outer, outer_shift = _merge(*source[LAST_LAYER][:2])
        weight, shift = outer @ weight, outer @ shift + outer_shift
    return _Layers(expand, expand_norm, depthwise, depthwise_norm, weight, shift)


def _merge(conv: nn.Conv2d, norm: Any) -> tuple[Tensor, Tensor]:
    """Merge a 1x1 convolution and its norm -> weights (out, in) and what is added (out,)."""
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return scale[:, None] * conv.weight.flatten(1), norm.bias - scale * norm.running_mean


def _embed(place: Any, layers: _Layers, block: Block, first: int, offset: Tensor) -> int:
    """Write channels of an inverted residual into a bottleneck, from the channel `first` on; return the next one."""
    strength = layers.project.norm(dim=0) * layers.depthwise_norm.weight.abs()
    kept = strength.argsort(descending=True)[block.inside]
    rows = torch.arange(first, first + len(kept))
    expand = layers.expand.weight[kept]
    place.conv1.weight[rows] = 0
    place.conv1.weight[rows, block.reads] = expand
    _copy_norm(place.bn1, rows, layers.expand_norm, kept)
    place.bn1.running_mean[rows] += expand.flatten(1) @ offset
    place.conv2.weight[rows] = 0
    place.conv2.weight[rows, rows % place.conv2.weight.shape[1]] = layers.depthwise.weight[kept, 0]
    _copy_norm(place.bn2, rows, layers.depthwise_norm, kept)
    if not place.bn3.weight[block.writes].any():  # the first block here that writes these channels
        place.conv3.weight[block.writes] = 0
        place.bn3.weight[block.writes] = 1
        place.bn3.running_var[block.writes] = 1 - place.bn3.eps
    place.conv3.weight[block.writes, rows[0] : rows[-1] + 1] = layers.project[:, kept, None, None]
    if block.inside.start is None:
        place.bn3.bias[block.writes] += layers.shift
    return first + len(kept)


def _copy_norm(norm: Any, channels: Tensor | slice, other: Any, kept: Tensor | slice) -> None:
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(norm, name)[channels] = getattr(other, name)[kept]


def _copy_stem(first: Any, target: Any) -> None:
    """Place the 3x3 convolution in the middle of the 7x7 one, which has the same stride."""
    count = first[0].out_channels
    target[0].weight[:count] = 0
    target[0].weight[:count, :, 2:5, 2:5] = first[0].weight
    _copy_norm(target[1], slice(count), first[1], slice(None))


def _offset(maps: Sequence[Tensor]) -> Tensor:
    """Return how far below zero the channels of maps (N, C, h, w) reach, (C,)."""
    values = torch.cat([part.transpose(0, 1).flatten(1) for part in maps], 1)
    return values.kthvalue(1 + int(OFFSET_QUANTILE * values.shape[1]), 1).values.neg().clamp(min=0)
