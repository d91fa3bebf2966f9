"""Read published tiny autoencoders of latent diffusion models, to draw faces with the traces of their decoders.

The layout of TAESD and its successors (O. B. Bohan, MIT): two files of tensors, `…_encoder.pth` and `…_decoder.pth`.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

WIDTH = 64
LATENT_NOISE = 0.4  # at most, of the latent's spread: faces change, and stay faces


class TinyAutoencoder(nn.Module):
    """A convolutional autoencoder: (N, 3, S, S) in −1..1 -> its reconstruction, for S a multiple of 8."""

    latent_noise = LATENT_NOISE

    def __init__(self, latent_channels: int, has_pooling: bool) -> None:
        super().__init__()
        shrink: list[nn.Module] = [_conv(3, WIDTH), Block()]
        for level in range(3):
            shrink += [_conv(WIDTH, WIDTH, stride=2, bias=False), *(Block(has_pooling and level == 2) for _ in "123")]
        self.layers = nn.Sequential(*shrink, _conv(WIDTH, latent_channels))
        grow: list[nn.Module] = [SoftClamp(), _conv(latent_channels, WIDTH), nn.ReLU()]
        for level in range(3):
            grow += [Block(has_pooling and level == 0) for _ in "123"]
            grow += [nn.Upsample(scale_factor=2), _conv(WIDTH, WIDTH, bias=False)]
        self.decoder = nn.Sequential(*grow, Block(), _conv(WIDTH, 3))

    def encoder(self, images: Tensor) -> Tensor:
        """Encode images (N, 3, S, S) to latents (N, C, S/8, S/8)."""
        return torch.as_tensor(self.layers((images + 1) / 2))

    def decode(self, latent: Tensor) -> Tensor:
        """Decode latents (N, C, s, s) to images (N, 3, 8s, 8s)."""
        return torch.as_tensor(self.decoder(latent)).clamp(0, 1) * 2 - 1


class Block(nn.Module):
    """Three convolutions whose result is added to the input (N, 64, H, W), before them an optional global pooling."""

    def __init__(self, has_pooling: bool = False) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            *(layer for _ in "12" for layer in (_conv(WIDTH, WIDTH), nn.ReLU())), _conv(WIDTH, WIDTH)
        )
        self.pool = None
        if has_pooling:
            wide = 4 * WIDTH
            self.pool = nn.Sequential(
                nn.Conv2d(WIDTH, wide, 1, bias=False),
                nn.GroupNorm(4, wide),
                nn.ReLU(),
                nn.Conv2d(wide, WIDTH, 1, bias=False),
            )

    def forward(self, maps: Tensor) -> Tensor:
        """Add the convolutions' result."""
        if self.pool is not None:
            maps = maps + self.pool(maps)
        return torch.relu(self.conv(maps) + maps)


class SoftClamp(nn.Module):
    """Keep values within ±3."""

    def forward(self, maps: Tensor) -> Tensor:
        """Squash the values."""
        return 3 * torch.tanh(maps / 3)


def load(folder: Path) -> list[TinyAutoencoder]:
    """Read the autoencoders of a folder. Raises FileNotFoundError where there are none."""
    autoencoders = []
    for path in sorted(folder.glob("*_encoder.pth")):
        encoder, decoder = (
            torch.load(path.with_name(path.name.replace("encoder", half)), map_location="cpu", weights_only=True)
            for half in ("encoder", "decoder")
        )
        last = max(int(name.split(".")[0]) for name in encoder)
        autoencoder = TinyAutoencoder(len(encoder[f"{last}.weight"]), any(".pool." in name for name in encoder))
        autoencoder.layers.load_state_dict(encoder)
        autoencoder.decoder.load_state_dict(decoder)
        autoencoders.append(autoencoder.eval().requires_grad_(False))
    if not autoencoders:
        raise FileNotFoundError(f"{folder} holds no …_encoder.pth of a tiny autoencoder")
    return autoencoders


def _conv(before: int, after: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, stride, 1, bias=bias)
