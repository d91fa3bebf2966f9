"""Reconstruct faces with small autoencoders, so that training has fakes with the traces that decoders leave.

`training.fit.train_autoencoder` trains them, each with another kind of upsampling and another bottleneck. Training
only; serving never needs it.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

NET_SIDE_PX = 128
LATENT_NOISE = 0.3  # at most, of the latent's spread
DETAIL_SHARE = 0.5  # of the reconstructed faces get some of the detail back that 128 px cannot hold

Image = NDArray[np.uint8]
Upsampling = Literal["nearest", "bilinear", "transposed", "shuffle"]


@dataclass(frozen=True)
class AutoencoderConfig:
    """The size of an autoencoder. The field names stand in the files that `save` writes."""

    halvings: int  # the latent's side is 128 / 2**halvings
    latent_channels: int
    enlarge: Upsampling
    width: int = 24


class Autoencoder(nn.Module):
    """A convolutional autoencoder: (N, 3, 128, 128) in −1..1 -> its reconstruction."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        widths = [min(config.width * 2**level, 128) for level in range(config.halvings)]
        shrink: list[nn.Module] = []
        for before, after in zip([3, *widths], widths, strict=False):
            shrink += [nn.Conv2d(before, after, 4, 2, 1), nn.GroupNorm(8, after), nn.SiLU()]
        self.encoder = nn.Sequential(*shrink, nn.Conv2d(widths[-1], config.latent_channels, 1))
        grow: list[nn.Module] = [nn.Conv2d(config.latent_channels, widths[-1], 3, 1, 1)]
        for before, after in zip(reversed(widths), [*reversed(widths[:-1]), config.width], strict=True):
            grow += [nn.SiLU(), upsampling_layer(before, after, config.enlarge), nn.GroupNorm(8, after)]
        self.decoder = nn.Sequential(*grow, nn.SiLU(), nn.Conv2d(config.width, 3, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Reconstruct images (N, 3, 128, 128)."""
        return self.decode(self.encoder(images))

    def decode(self, latent: Tensor) -> Tensor:
        """Decode latents (N, C, s, s) to images (N, 3, 128, 128)."""
        return torch.tanh(self.decoder(latent))


def upsampling_layer(before: int, after: int, how: Upsampling) -> nn.Module:
    """Make a layer that doubles the side; each kind leaves other traces (Odena et al., 2016)."""
    if how == "transposed":
        return nn.ConvTranspose2d(before, after, 4, 2, 1)
    if how == "shuffle":
        return nn.Sequential(nn.Conv2d(before, 4 * after, 3, 1, 1), nn.PixelShuffle(2))
    return nn.Sequential(nn.Upsample(scale_factor=2, mode=how), nn.Conv2d(before, after, 3, 1, 1))


def reconstruct(autoencoder: Autoencoder, image: Image, rng: Generator) -> Image:
    """Reconstruct a face crop (S, S, 3) RGB, with some noise on its latent."""
    side_px = image.shape[0]
    small = cv2.resize(image, (NET_SIDE_PX, NET_SIDE_PX), interpolation=cv2.INTER_AREA)
    with torch.inference_mode():
        latent = autoencoder.encoder(as_input(small[None]))
        noise = torch.from_numpy(rng.standard_normal(latent.shape, np.float32))
        decoded = autoencoder.decode(latent + float(rng.uniform(0, LATENT_NOISE)) * latent.std() * noise)
    picture = (decoded[0].permute(1, 2, 0).numpy() + 1) * 127.5
    large = cv2.resize(picture, (side_px, side_px), interpolation=cv2.INTER_CUBIC)
    if rng.random() < DETAIL_SHARE:
        coarse = cv2.resize(small, (side_px, side_px), interpolation=cv2.INTER_CUBIC)
        large += rng.uniform() * (image.astype(np.float32) - coarse)
    return np.clip(np.rint(large), 0, 255).astype(np.uint8)


def as_input(images: NDArray[np.uint8]) -> Tensor:
    """Convert uint8 (N, S, S, 3) to float32 (N, 3, S, S) in −1..1."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def save(autoencoders: Sequence[Autoencoder], folder: Path) -> None:
    """Write autoencoders as `0.safetensors`, `1.safetensors`, …, each with its config."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, autoencoder in enumerate(autoencoders):
        config = {"config": json.dumps(asdict(autoencoder.config))}
        state = {name: value.contiguous() for name, value in autoencoder.state_dict().items()}
        save_file(state, folder / f"{number}.safetensors", config)


def load(folder: Path) -> list[Autoencoder]:
    """Read the autoencoders of a folder. Raises FileNotFoundError where there are none."""
    autoencoders = []
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            config = AutoencoderConfig(**json.loads(file.metadata()["config"]))
        autoencoder = Autoencoder(config)
        autoencoder.load_state_dict(load_file(path))
        autoencoders.append(autoencoder.eval().requires_grad_(False))
    if not autoencoders:
        raise FileNotFoundError(f"{folder} holds no autoencoder; training.fit.train_autoencoder makes some")
    return autoencoders
