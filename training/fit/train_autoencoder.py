"""Train autoencoders of real faces, whose reconstructions are used as fakes.

    python -m training.fit.train_autoencoder --data FACES --out AUTOENCODERS

Heads that a network draws as a whole, FaceShifter and NeuralTextures leave no border of a blend, but traces of their
decoders. The autoencoders are trained on real faces of the split `train` alone, each against its own patch critic
(Isola et al., CVPR 2017) and with a loss on the first layers of the shipped detector (Johnson et al., ECCV 2016),
which make it draw texture. `training.tools.reconstruct_faces` draws faces with them, of which `training.train` makes
pairs. All are trained on the same batches.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from training.data.shards import StoredClip, read_clips
from training.fit.torch_dataset import decode
from training.synthesis.autoencoder import SIDES_PX, Autoencoder, AutoencoderConfig, save
from unmask.compute import choose_precision
from unmask.models import bundled, checkpoint
from unmask.models.architectures import MobileNetGru, channels_last
from unmask.torch_compute import autocast

FACE_SIDE_PX = 224
BATCH = {"cuda": 32, "cpu": 8}
LEARNING_RATE = 5e-4
CRITIC_FROM = 0.15  # of the training; before, the reconstructions are too poor
CRITIC_SHARE = 0.05  # of the autoencoder's loss
PERCEPTUAL_SHARE = 0.5
PERCEPTUAL_LAYERS = 4  # of the backbone; they see edges and texture, not yet what is fake
BETAS = (0.5, 0.99)
SAVE_SECONDS = 15.0

AUTOENCODERS = (
    AutoencoderConfig(3, 8, "nearest"),
    AutoencoderConfig(3, 16, "transposed"),
    AutoencoderConfig(2, 4, "nearest"),
    AutoencoderConfig(4, 32, "shuffle"),
    AutoencoderConfig(3, 12, "shuffle"),
)


class AutoencoderTrainer:
    """Trains one autoencoder, step by step."""

    def __init__(self, config: AutoencoderConfig, perceptual: nn.Module, device: torch.device, seed: int) -> None:
        torch.manual_seed(seed)
        self.perceptual, self.device = perceptual, device
        self.autoencoder, self.critic = Autoencoder(config).to(device), build_critic().to(device)
        channels_last(self.autoencoder)
        self.generator_optimizer = torch.optim.Adam(self.autoencoder.parameters(), LEARNING_RATE, betas=BETAS)
        self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), LEARNING_RATE, betas=BETAS)
        self.error = 0.0  # mean over recent steps, in grey levels

    def step(self, images: Tensor, progress: float) -> None:
        """Train on images (N, 3, S, S) in −1..1, when a share `progress` of the training is done."""
        for group in self.generator_optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, 2 * (1 - progress) + 0.02)
        has_critic = progress >= CRITIC_FROM
        with autocast(self.device.type, choose_precision(self.device.type)):
            drawn = self.autoencoder(images)
            loss = reconstruction_loss(drawn.float(), images)
            wanted = self.perceptual(images).float()
            loss = loss + PERCEPTUAL_SHARE * F.l1_loss(self.perceptual(drawn).float(), wanted) / wanted.abs().mean()
            if has_critic:
                loss = loss - CRITIC_SHARE * self.critic(drawn).float().mean()
        self.generator_optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.autoencoder.parameters(), 1.0)
        self.generator_optimizer.step()
        if has_critic:
            critic_step(self.critic, self.critic_optimizer, images, drawn.detach())
        self.error = 0.95 * self.error + 0.05 * float((drawn.detach().float() - images).abs().mean()) * 127.5


def train(faces: NDArray[np.uint8], out: Path, seconds: float, seed: int, device: torch.device) -> list[float]:
    """Train all autoencoders in turns on faces (N, S, S, 3), and save them; return their mean errors in grey levels."""
    rng, perceptual = np.random.default_rng(seed), build_perceptual().to(device)
    trainers = [AutoencoderTrainer(config, perceptual, device, seed + n) for n, config in enumerate(AUTOENCODERS)]
    stored, started, saved = torch.from_numpy(faces).to(device), time.monotonic(), time.monotonic()
    while (progress := (time.monotonic() - started) / seconds) < 1:
        rows = torch.from_numpy(rng.integers(len(faces), size=BATCH[device.type])).to(device)
        images = stored[rows].permute(0, 3, 1, 2).float() / 127.5 - 1
        side_px = int(rng.choice(SIDES_PX))
        images = F.interpolate(images, (side_px, side_px), mode="bicubic", antialias=True).clamp(-1, 1)
        images = (images.flip(3) if rng.random() < 0.5 else images).contiguous(memory_format=torch.channels_last)
        for trainer in trainers:
            trainer.step(images, progress)
        if time.monotonic() - saved > SAVE_SECONDS:
            save([trainer.autoencoder for trainer in trainers], out)
            print(f"{progress:.0%}", [round(trainer.error, 1) for trainer in trainers], flush=True)
            saved = time.monotonic()
    save([trainer.autoencoder for trainer in trainers], out)
    return [trainer.error for trainer in trainers]


def critic_step(critic: nn.Module, critic_optimizer: torch.optim.Optimizer, real: Tensor, drawn: Tensor) -> None:
    """Update the critic once, by the hinge loss."""
    critic_optimizer.zero_grad()
    with autocast(real.device.type, choose_precision(real.device.type)):
        loss = F.relu(1 - critic(real)).float().mean() + F.relu(1 + critic(drawn)).float().mean()
    loss.backward()
    critic_optimizer.step()


def reconstruction_loss(drawn: Tensor, wanted: Tensor) -> Tensor:
    """Compute the mean absolute error of images (N, 3, S, S) and of their gradients, at two sizes."""
    loss = F.l1_loss(drawn, wanted)
    for _ in range(2):
        loss = loss + F.l1_loss(drawn.diff(dim=3), wanted.diff(dim=3))
        loss = loss + F.l1_loss(drawn.diff(dim=2), wanted.diff(dim=2))
        drawn, wanted = F.avg_pool2d(drawn, 2), F.avg_pool2d(wanted, 2)
    return loss


def build_critic() -> nn.Sequential:
    """Make a patch critic: (N, 3, S, S) -> (N, 1, S/8, S/8), higher where a patch looks real."""
    layers: list[nn.Module] = []
    for before, after in ((3, 48), (48, 96), (96, 192)):
        layers += [nn.utils.parametrizations.spectral_norm(nn.Conv2d(before, after, 4, 2, 1))]
        layers += [nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.utils.parametrizations.spectral_norm(nn.Conv2d(192, 1, 3, 1, 1)))


def build_perceptual() -> nn.Module:
    """Take the first layers of the bundled default detector, frozen."""
    model = checkpoint.restore(bundled.FOLDER / bundled.DEFAULT)
    if not isinstance(model, MobileNetGru):
        raise TypeError(f"{bundled.DEFAULT} has no MobileNetV2 backbone to take the first layers of")
    return nn.Sequential(*list(model.backbone.children())[:PERCEPTUAL_LAYERS]).eval().requires_grad_(False)


def real_faces(clips: Sequence[StoredClip], limit: int, seed: int) -> NDArray[np.uint8]:
    """Draw the first frames of up to `limit` real training clips -> (N, 224, 224, 3)."""
    reals = [clip for clip in clips if clip.split == "train" and not clip.fake]
    chosen = np.random.default_rng(seed).permutation(len(reals))[:limit]
    size = (FACE_SIDE_PX, FACE_SIDE_PX)
    return np.stack([cv2.resize(decode(reals[index])[0], size, interpolation=cv2.INTER_CUBIC) for index in chosen])


def main() -> None:
    """Train the autoencoders that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", action="append", type=Path, required=True, metavar="DIR", help="folder of stored clips")
    add("--out", type=Path, required=True, help="folder of autoencoders")
    add("--seconds", type=float, default=7200, help="of training, of all together")
    add("--limit", type=int, default=4000, help="faces")
    add("--seed", type=int, default=0)
    arguments = parser.parse_args()
    clips = [clip for folder in arguments.data for clip in read_clips(folder)]
    faces = real_faces(clips, arguments.limit, arguments.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    errors = train(faces, arguments.out, arguments.seconds, arguments.seed, device)
    for config, error in zip(AUTOENCODERS, errors, strict=True):
        print(f"{config}: reconstructs with a mean error of {error:.1f} grey levels")


if __name__ == "__main__":
    main()
