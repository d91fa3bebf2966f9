"""Reconstruct faces with small autoencoders, so that training has fakes with the traces that decoders leave.

`training.fit.train_autoencoder` trains them, each with another kind of upsampling and another bottleneck. Training
only; serving never needs it.
"""

import itertools
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
from torch.nn import functional as F

from training.synthesis.tiny_autoencoder import TinyAutoencoder
from unmask.compute import choose_precision
from unmask.files import atomic_write
from unmask.torch_compute import autocast

LATENT_NOISE = 0.05  # at most, of the latent's spread
SIDES_PX = (128, 160, 192, 224, 256)  # that faces are drawn at, whatever their own side
WARPED_SHARE = 0.4  # of the drawn batches: moved a little before, as animated stills are
WARP_REACH = 0.035  # of half the side
ENHANCED_SHARE = 0.5  # of the drawn batches: skin smoothed and edges sharpened, as face enhancers do

Image = NDArray[np.uint8]
Upsampling = Literal["nearest", "bilinear", "transposed", "shuffle"]


@dataclass(frozen=True)
class AutoencoderConfig:
    """The size of an autoencoder. The field names stand in the files that `save` writes."""

    halvings: int  # the latent's side is the picture's / 2**halvings
    latent_channels: int
    enlarge: Upsampling
    width: int = 32


class Autoencoder(nn.Module):
    """A convolutional autoencoder: (N, 3, S, S) in −1..1 -> its reconstruction, for S a multiple of 2**halvings."""

    latent_noise = LATENT_NOISE

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        widths = [min(config.width * 2**level, 4 * config.width) for level in range(config.halvings + 1)]
        shrink: list[nn.Module] = [nn.Conv2d(3, widths[0], 3, 1, 1)]
        for before, after in itertools.pairwise(widths):
            shrink += [ResidualBlock(before), nn.Conv2d(before, after, 4, 2, 1)]
        self.encoder = nn.Sequential(
            *shrink, ResidualBlock(widths[-1]), nn.Conv2d(widths[-1], config.latent_channels, 1)
        )
        grow: list[nn.Module] = [nn.Conv2d(config.latent_channels, widths[-1], 3, 1, 1), ResidualBlock(widths[-1])]
        for before, after in zip(widths[:0:-1], widths[-2::-1], strict=True):
            grow += [upsampling_layer(before, after, config.enlarge), ResidualBlock(after)]
        self.decoder = nn.Sequential(*grow, nn.SiLU(), nn.Conv2d(widths[0], 3, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Reconstruct images (N, 3, S, S)."""
        return self.decode(self.encoder(images))

    def decode(self, latent: Tensor) -> Tensor:
        """Decode latents (N, C, s, s) to images (N, 3, S, S)."""
        return torch.tanh(self.decoder(latent))


class ResidualBlock(nn.Module):
    """Two normalised convolutions whose result is added to the input (N, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(2):
            layers += [nn.GroupNorm(8, channels), nn.SiLU(), nn.Conv2d(channels, channels, 3, 1, 1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, maps: Tensor) -> Tensor:
        """Add the convolutions' result."""
        return torch.as_tensor(maps + self.layers(maps))


def upsampling_layer(before: int, after: int, how: Upsampling) -> nn.Module:
    """Make a layer that doubles the side; each kind leaves other traces (Odena et al., 2016)."""
    if how == "transposed":
        return nn.ConvTranspose2d(before, after, 4, 2, 1)
    if how == "shuffle":
        return nn.Sequential(nn.Conv2d(before, 4 * after, 3, 1, 1), nn.PixelShuffle(2))
    return nn.Sequential(nn.Upsample(scale_factor=2, mode=how), nn.Conv2d(before, after, 3, 1, 1))


@torch.inference_mode()
def reconstruct(autoencoder: Autoencoder | TinyAutoencoder, images: Image, rng: Generator) -> Image:
    """Draw face crops (N, S, S, 3) RGB as a generator would, all of them alike; colours and light stay theirs."""
    side_px = images.shape[1]
    faces = as_input(images)
    if rng.random() < WARPED_SHARE:
        faces = _warp(faces, rng)
    source = _as_pixels(faces)
    drawn_side_px = int(rng.choice(SIDES_PX))
    small = F.interpolate(faces, (drawn_side_px, drawn_side_px), mode="bicubic", antialias=True).clamp(-1, 1)
    with autocast("cpu", choose_precision("cpu")):
        latent = autoencoder.encoder(small.contiguous(memory_format=torch.channels_last)).float()
        noise = torch.from_numpy(rng.standard_normal(latent.shape, np.float32))
        drawn = autoencoder.decode(latent + autoencoder.latent_noise * float(rng.random()) * latent.std() * noise)
    pixels = _as_pixels(F.interpolate(drawn.float(), (side_px, side_px), mode="bicubic", antialias=True))
    sigma_px = rng.uniform(0.02, 0.06) * side_px
    pixels = pixels - _blur(pixels, sigma_px) + _blur(source, sigma_px)
    if rng.random() < ENHANCED_SHARE:
        pixels = _enhance(pixels, rng)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def _warp(images: Tensor, rng: Generator) -> Tensor:
    """Move the content of images (N, 3, S, S) along a smooth random field of 4 × 4 cells."""
    field = torch.from_numpy(rng.normal(0, WARP_REACH, (len(images), 2, 4, 4)).astype(np.float32))
    field = F.interpolate(field, images.shape[-2:], mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
    identity = F.affine_grid(torch.eye(2, 3).repeat(len(images), 1, 1), list(images.shape), align_corners=False)
    return F.grid_sample(images, identity + field, padding_mode="border", align_corners=False)


def _enhance(pixels: NDArray[np.float32], rng: Generator) -> NDArray[np.float32]:
    sigma, amount = rng.uniform(8, 25), rng.uniform(0.3, 1.2)
    smooth = [cv2.bilateralFilter(image, 5, sigma, 3) for image in np.clip(pixels, 0, 255).astype(np.uint8)]
    skin = np.stack(smooth).astype(np.float32)
    return skin + np.float32(amount) * (skin - _blur(skin, 1.2))


def _blur(pixels: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    return np.stack([cv2.GaussianBlur(image, (0, 0), sigma_px) for image in pixels])


def _as_pixels(images: Tensor) -> NDArray[np.float32]:
    """Convert images (N, 3, S, S) in −1..1 to (N, S, S, 3) in 0..255."""
    return np.asarray(((images + 1) * 127.5).permute(0, 2, 3, 1).numpy(), np.float32)


def as_input(images: NDArray[np.uint8]) -> Tensor:
    """Convert uint8 (N, S, S, 3) to float32 (N, 3, S, S) in −1..1."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def save(autoencoders: Sequence[Autoencoder], folder: Path) -> None:
    """Write autoencoders as `0.safetensors`, `1.safetensors`, …, each with its config."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, autoencoder in enumerate(autoencoders):
        config = {"config": json.dumps(asdict(autoencoder.config))}
        state = {name: value.contiguous() for name, value in autoencoder.state_dict().items()}
        with atomic_write(folder / f"{number}.safetensors") as draft:
            save_file(state, draft, config)


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
