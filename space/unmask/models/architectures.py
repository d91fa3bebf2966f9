"""Define the video models: a backbone on each frame, then a temporal head -> one logit a clip.

Every model takes `data` float32 (B, T, 3, S, S), normalised, with any T, and `mask` bool (B, T), True where a frame is
real; padding is at the end of a clip and never changes the result. Positive logits mean fake. `frame_features` and
`temporal` are the two halves of `forward`, between which saliency maps are computed.
"""

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unmask import torch_compute
from unmask.models.backbones import mobilenet_v2, resnext50
from unmask.models.configs import MesoTransformerConfig, MobileNetGruConfig, ResNextLstmConfig, VitLinearConfig

ToVectors = Callable[[Tensor], Tensor]  # images (N, 3, S, S) -> vectors (N, D)
MapImages = Callable[[ToVectors, Tensor], Tensor]  # computes the vectors, in parts or not


def map_at_once(to_vectors: ToVectors, images: Tensor) -> Tensor:
    """Compute the vectors of all images in one batch."""
    return to_vectors(images)


class VideoModel(nn.Module):
    """The base of the models: from frames to feature maps, from maps to vectors, from vectors to a logit."""

    frame_parts: tuple[str, ...]  # the submodules that see single frames; all else is the temporal head
    stored_as: ClassVar[type[np.floating[Any]]] = np.float16  # half the file, and logits move by less than 1e-3

    def frame_features(self, images: Tensor) -> Tensor:
        """Compute the last feature maps of the backbone (N, C, h, w) from normalised images (N, 3, S, S)."""
        raise NotImplementedError

    def frame_vectors(self, maps: Tensor) -> Tensor:
        """Pool feature maps (N, C, h, w) to a vector a frame (N, D)."""
        return maps.mean((-2, -1))

    def sequence_logits(self, vectors: Tensor, mask: Tensor | None) -> Tensor:
        """Compute logits (B,) from frame vectors (B, T, D) with a mask (B, T), or none where all frames are real."""
        raise NotImplementedError

    def temporal(self, maps: Tensor, mask: Tensor) -> Tensor:
        """Compute logits (B,) from feature maps (B, T, C, h, w) with a mask (B, T)."""
        return self.sequence_logits(self.frame_vectors(maps.flatten(0, 1)).unflatten(0, mask.shape), mask)

    def forward(self, data: Tensor, mask: Tensor, map_images: MapImages = map_at_once) -> Tensor:
        """Compute logits (B,) from clips (B, T, 3, S, S) with a mask (B, T)."""
        return self.sequence_logits(self.clip_vectors(data, mask, map_images), mask)

    def clip_vectors(self, data: Tensor, mask: Tensor, map_images: MapImages = map_at_once) -> Tensor:
        """Compute frame vectors (B, T, D) of clips (B, T, 3, S, S) with a mask (B, T).

        Padding gets zeros and costs nothing in the backbone.
        """
        images = data[mask].contiguous(memory_format=torch.channels_last)  # 4 x as fast in bfloat16 on a CPU
        vectors = map_images(lambda part: self.frame_vectors(self.frame_features(part)), images)
        padded = vectors.new_zeros(*mask.shape, vectors.shape[-1])
        padded[mask] = vectors
        return padded

    def fill_buffers(self) -> None:
        """Compute what is neither learned nor stored; called after the weights were loaded."""


class MobileNetGru(VideoModel):
    """MobileNetV2 (Sandler et al., CVPR 2018) a frame -> GRU -> logit.

    The GRU adds to the frames' projections (a residual), so that a clip of one frame is scored by that frame.
    """

    frame_parts = ("backbone",)

    def __init__(self, config: MobileNetGruConfig) -> None:
        super().__init__()
        self.backbone = mobilenet_v2()
        self.project = nn.Linear(1280, config.hidden)
        self.gru = nn.GRU(config.hidden, config.hidden, batch_first=True)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.hidden, 1)

    def frame_features(self, images: Tensor) -> Tensor:
        """Compute feature maps, see VideoModel."""
        return self.backbone(images)

    def sequence_logits(self, vectors: Tensor, mask: Tensor | None) -> Tensor:
        """Compute logits, see VideoModel."""
        projected = self.project(vectors)
        refined = projected + self.gru(projected)[0]  # padding comes last: the GRU has not seen it yet
        return self.head(self.dropout(_masked_mean(refined, mask))).squeeze(-1)


class ResNextLstm(VideoModel):
    """ResNeXt50 32x4d (Xie et al., CVPR 2017) a frame -> two-layer bidirectional LSTM -> mean -> logit."""

    frame_parts = ("backbone",)

    def __init__(self, config: ResNextLstmConfig) -> None:
        super().__init__()
        self.backbone = resnext50()
        self.lstm = nn.LSTM(
            2048,
            config.hidden,
            config.layers,
            batch_first=True,
            bidirectional=True,
            dropout=config.dropout if config.layers > 1 else 0.0,
        )
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(2 * config.hidden, 1)

    def frame_features(self, images: Tensor) -> Tensor:
        """Compute feature maps, see VideoModel."""
        return self.backbone(images)

    def sequence_logits(self, vectors: Tensor, mask: Tensor | None) -> Tensor:
        """Compute logits, see VideoModel."""
        if mask is None:
            return self._logits(self.lstm(vectors)[0], mask)
        packed = nn.utils.rnn.pack_padded_sequence(vectors, mask.sum(1).cpu(), batch_first=True, enforce_sorted=False)
        states, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=mask.shape[1])
        return self._logits(states, mask)

    def _logits(self, states: Tensor, mask: Tensor | None) -> Tensor:
        return self.head(self.dropout(_masked_mean(states, mask))).squeeze(-1)


class MesoTransformer(VideoModel):
    """MesoInception-4 (Afchar et al., WIFS 2018) beside a CNN over the log spectrum -> Transformer -> logit.

    The spectrum branch follows the finding that up-sampling leaves traces in high frequencies (Durall et al., CVPR
    2020). Its vector is repeated at every cell of the map, so that both are one feature map.
    """

    frame_parts = ("meso", "spectrum")

    def __init__(self, config: MesoTransformerConfig) -> None:
        super().__init__()
        self.meso = _MesoInception4(config.width)
        self.spectrum = _SpectrumBranch(config.frequency_channels)
        self.pool = nn.AdaptiveAvgPool2d(config.pool_side)
        pooled = self.meso.out_channels * config.pool_side**2 + config.frequency_channels
        self.merge = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(pooled, config.merged))
        self.class_token = nn.Parameter(torch.zeros(1, 1, config.merged))
        layer = nn.TransformerEncoderLayer(
            config.merged,
            config.heads,
            config.feedforward,
            config.dropout,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.encoder = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(config.merged)
        self.head = nn.Linear(config.merged, 1)
        nn.init.trunc_normal_(self.class_token, std=0.02)

    def frame_features(self, images: Tensor) -> Tensor:
        """Compute feature maps, see VideoModel."""
        maps = self.meso(images)
        spectrum = self.spectrum(images)[:, :, None, None].expand(-1, -1, *maps.shape[-2:])
        return torch.cat([maps, spectrum], 1)

    def frame_vectors(self, maps: Tensor) -> Tensor:
        """Pool feature maps, see VideoModel."""
        spatial, spectrum = maps.split([self.meso.out_channels, maps.shape[1] - self.meso.out_channels], 1)
        pooled = self.pool(spatial).flatten(1)
        return self.merge(torch.cat([pooled, spectrum.mean((-2, -1))], 1))

    def sequence_logits(self, vectors: Tensor, mask: Tensor | None) -> Tensor:
        """Compute logits, see VideoModel."""
        vectors = vectors + _sinusoids(vectors.shape[1], vectors.shape[2]).to(vectors)
        tokens = torch.cat([self.class_token.expand(vectors.shape[0], -1, -1).to(vectors.dtype), vectors], 1)
        padding = None if mask is None else F.pad(~mask, (1, 0), value=False)
        encoded = self.encoder(tokens, src_key_padding_mask=padding)
        return self.head(self.norm(encoded[:, 0])).squeeze(-1)


class VitLinear(VideoModel):
    """A vision tower of timm a frame -> linear layer -> the mean of the frames' logits.

    As GenD (Yermakov et al., WACV 2026) has it. The feature maps are the embedded patches, before the first block:
    later the class token holds most of what is seen, and no place.
    """

    frame_parts = ("patches", "tower")
    stored_as = np.float32  # as published

    def __init__(self, config: VitLinearConfig) -> None:
        super().__init__()
        self.config, tower = config, make_tower(config)
        self.head = nn.Linear(tower.num_features, 1)
        self.patches: Any = tower.patch_embed
        tower.patch_embed = _Embedded(tower.patch_embed.grid_size)
        self.tower: Any = tower

    def frame_features(self, images: Tensor) -> Tensor:
        """Embed patches, see VideoModel."""
        return self.patches(images).permute(0, 3, 1, 2)

    def frame_vectors(self, maps: Tensor) -> Tensor:
        """Compute what the tower makes of embedded patches, see VideoModel."""
        return self.tower(maps.permute(0, 2, 3, 1).contiguous())

    def sequence_logits(self, vectors: Tensor, mask: Tensor | None) -> Tensor:
        """Compute logits, see VideoModel."""
        with torch.autocast(vectors.device.type, enabled=False):
            vectors = vectors.float()
            features = F.normalize(vectors, dim=-1) if self.config.normalised else vectors
            return _masked_mean(self.head(features), mask).squeeze(-1)

    def fill_buffers(self) -> None:
        """Compute the tower's tables of positions, see VideoModel."""
        for module in self.tower.modules():
            for name, value in module.named_buffers(recurse=False):
                if value.is_meta:
                    setattr(module, name, torch.empty_like(value, device="cpu"))
            if hasattr(module, "init_non_persistent_buffers"):  # timm's
                module.init_non_persistent_buffers()


class _Embedded(nn.Module):
    """Stands where timm embeds patches, for patches that are embedded already."""

    def __init__(self, grid_size: tuple[int, int]) -> None:
        super().__init__()
        self.grid_size = grid_size  # of the learned positions

    def forward(self, patches: Tensor) -> Tensor:
        return patches


def make_tower(config: VitLinearConfig, pretrained: bool = False) -> Any:
    """Make a vision tower of timm. Raises ImportError where timm is not installed, ValueError for one it lacks."""
    torch_compute.import_torchvision()
    import timm

    if not timm.is_model(config.tower):
        raise ValueError(f"timm has no architecture {config.tower!r}")
    names = {"side_px": "img_size", "patch_px": "patch_size", "width": "embed_dim", "layers": "depth"}
    names |= {"heads": "num_heads", "mlp_ratio": "mlp_ratio"}
    sizes = {name: getattr(config, own) for own, name in names.items() if getattr(config, own) is not None}
    if "dinov3" in config.tower:
        sizes["global_pool"] = "token"  # as its authors pool, unlike timm
    return timm.create_model(config.tower, pretrained=pretrained, num_classes=0, dynamic_img_size=True, **sizes)


class _InceptionLayer(nn.Module):
    """Four parallel convolutions of growing receptive field, as in MesoInception-4."""

    def __init__(self, channels_in: int, a: int, b: int, c: int, d: int) -> None:
        super().__init__()

        def branch(out: int, dilation: int) -> nn.Sequential:
            reduce = nn.Conv2d(channels_in, out, 1)
            if dilation == 1:
                return nn.Sequential(reduce, nn.ReLU(), nn.Conv2d(out, out, 3, padding=1), nn.ReLU())
            spread = nn.Conv2d(out, out, 3, padding=dilation, dilation=dilation)
            return nn.Sequential(reduce, nn.ReLU(), spread, nn.ReLU())

        point = nn.Sequential(nn.Conv2d(channels_in, a, 1), nn.ReLU())
        self.branches = nn.ModuleList([point, branch(b, 1), branch(c, 2), branch(d, 3)])
        self.norm = nn.BatchNorm2d(a + b + c + d)

    def forward(self, images: Tensor) -> Tensor:
        return self.norm(torch.cat([branch(images) for branch in self.branches], 1))


class _MesoInception4(nn.Module):
    """Two inception and two convolution stages: (N, 3, S, S) -> (N, 16 x width, S/32, S/32)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out_channels = 16 * width
        self.stages = nn.Sequential(
            _InceptionLayer(3, 1 * width, 4 * width, 4 * width, 2 * width),
            nn.MaxPool2d(2),
            _InceptionLayer(11 * width, 2 * width, 4 * width, 4 * width, 2 * width),
            nn.MaxPool2d(2),
            nn.Conv2d(12 * width, 16 * width, 5, padding=2),
            nn.ReLU(),
            nn.BatchNorm2d(16 * width),
            nn.MaxPool2d(2),
            nn.Conv2d(16 * width, 16 * width, 5, padding=2),
            nn.ReLU(),
            nn.BatchNorm2d(16 * width),
            nn.MaxPool2d(4),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.stages(images)


class _SpectrumBranch(nn.Module):
    """A small CNN on the centred log-magnitude spectrum of the grey image: (N, 3, S, S) -> (N, C)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.magnitude = LogMagnitude()
        self.layers = nn.Sequential(
            nn.BatchNorm2d(1),
            nn.Conv2d(1, channels // 2, 3, stride=2, padding=1),
            nn.BatchNorm2d(channels // 2),
            nn.ReLU(),
            nn.Conv2d(channels // 2, channels, 3, stride=2, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(self.magnitude(images))


class LogMagnitude(nn.Module):
    """The log magnitude of the grey image's spectrum, low frequencies in the middle: (N, 3, S, S) -> (N, 1, S, S)."""

    def forward(self, images: Tensor) -> Tensor:
        """Compute it in float32: there is no FFT in bfloat16."""
        with torch.autocast(images.device.type, enabled=False):
            grey = images.float().mean(1, keepdim=True)
            spectrum = torch.fft.fftshift(torch.fft.fft2(grey, norm="ortho"), dim=(-2, -1))
            return torch.log1p(spectrum.abs())


def channels_last(module: nn.Module) -> None:
    """Lay out the weights as `VideoModel.clip_vectors` lays out the images; the stubs of `to` lack this argument."""
    to: Any = module.to
    to(memory_format=torch.channels_last)


def _masked_mean(vectors: Tensor, mask: Tensor | None) -> Tensor:
    """Average vectors (B, T, D) over the real frames -> (B, D)."""
    if mask is None:
        return vectors.mean(1)
    weights = mask.to(vectors.dtype)[..., None]
    return (vectors * weights).sum(1) / weights.sum(1).clamp(min=1)


def _sinusoids(length: int, width: int) -> Tensor:
    """Compute the positional encoding (length, width) of Vaswani et al., 2017."""
    position = torch.arange(length, dtype=torch.float32)[:, None]
    rates = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10_000.0) / width))
    return torch.cat([torch.sin(position * rates), torch.cos(position * rates)], 1)


ARCHITECTURES: dict[str, type[VideoModel]] = {  # by the names in `configs.CONFIGS`
    "mobilenet-gru": MobileNetGru,
    "resnext-lstm": ResNextLstm,
    "meso-transformer": MesoTransformer,
    "vit-linear": VitLinear,
}
