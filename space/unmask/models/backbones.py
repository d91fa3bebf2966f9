"""Define two published networks without their last layers: images (N, 3, S, S) -> maps (N, C, S/32, S/32).

They equal torchvision's, names of weights included, so that its ImageNet files fit. Serving has no torchvision: it
takes longer to import than all the rest of a check, and is bound to one build of torch.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

# MobileNetV2: expansion, channels, blocks, stride of the first
MOBILENET_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
# ResNeXt50 32x4d: channels inside, blocks, stride of the first
RESNEXT_STAGES = ((128, 3, 1), (256, 4, 2), (512, 6, 2), (1024, 3, 2))
RESNEXT_GROUPS = 32


def mobilenet_v2() -> nn.Sequential:
    """Build MobileNetV2 (Sandler et al., CVPR 2018); 1280 channels."""
    layers: list[nn.Module] = [_conv_norm_relu(3, 32, 3, stride=2)]
    channels = 32
    for expansion, out, blocks, stride in MOBILENET_STAGES:
        for block in range(blocks):
            layers.append(_InvertedResidual(channels, out, stride if block == 0 else 1, expansion))
            channels = out
    return _init_weights(nn.Sequential(*layers, _conv_norm_relu(channels, 1280, 1)))


def resnext50() -> nn.Sequential:
    """Build ResNeXt50 32x4d (Xie et al., CVPR 2017); 2048 channels."""
    stem = (_conv(3, 64, 7, stride=2), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1))
    stages, channels = [], 64
    for inside, blocks, stride in RESNEXT_STAGES:
        first = _Bottleneck(channels, inside, stride)
        channels = 2 * inside
        rest = (_Bottleneck(channels, inside, 1) for _ in range(blocks - 1))
        stages.append(nn.Sequential(first, *rest))
    return _init_weights(nn.Sequential(*stem, *stages))


def fuse_conv_bn(module: nn.Module) -> None:
    """Fuse every batch norm into the weights of the convolution before it, for inference only.

    In these networks the norm of a convolution is the next child by name.
    """
    children = list(module.named_children())
    for (name, first), (norm_name, second) in pairwise(children):
        if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(first, second))
            setattr(module, norm_name, nn.Identity())
    for _, child in children:
        fuse_conv_bn(child)


class _InvertedResidual(nn.Module):
    """Inverted residual: expand, depthwise convolution, project."""

    def __init__(self, channels: int, out: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        expand = [] if expansion == 1 else [_conv_norm_relu(channels, wide, 1)]
        depthwise = _conv_norm_relu(wide, wide, 3, stride, groups=wide)
        self.conv = nn.Sequential(*expand, depthwise, _conv(wide, out, 1), nn.BatchNorm2d(out))
        self.has_shortcut = stride == 1 and channels == out

    def forward(self, maps: Tensor) -> Tensor:
        result: Tensor = self.conv(maps)
        return maps + result if self.has_shortcut else result


class _Bottleneck(nn.Module):
    """Bottleneck with grouped convolution and a shortcut."""

    def __init__(self, channels: int, inside: int, stride: int) -> None:
        super().__init__()
        out = 2 * inside
        self.conv1, self.bn1 = _conv(channels, inside, 1), nn.BatchNorm2d(inside)
        self.conv2, self.bn2 = _conv(inside, inside, 3, stride, RESNEXT_GROUPS), nn.BatchNorm2d(inside)
        self.conv3, self.bn3 = _conv(inside, out, 1), nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        fits = stride == 1 and channels == out
        self.downsample = None if fits else nn.Sequential(_conv(channels, out, 1, stride), nn.BatchNorm2d(out))

    def forward(self, maps: Tensor) -> Tensor:
        inside = self.relu(self.bn1(self.conv1(maps)))
        inside = self.relu(self.bn2(self.conv2(inside)))
        passed = maps if self.downsample is None else self.downsample(maps)
        result: Tensor = self.relu(self.bn3(self.conv3(inside)) + passed)
        return result


def _conv(channels: int, out: int, side: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, out, side, stride, side // 2, groups=groups, bias=False)


def _conv_norm_relu(channels: int, out: int, side: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = _conv(channels, out, side, stride, groups)
    return nn.Sequential(conv, nn.BatchNorm2d(out), nn.ReLU6(inplace=True))


def _init_weights(network: nn.Sequential) -> nn.Sequential:
    """Initialise the weights for training from scratch.

    Weights on the meta device are skipped: to draw numbers for them torch would import its compiler.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and not layer.weight.is_meta:
            nn.init.kaiming_normal_(layer.weight, mode="fan_out")
    return network
