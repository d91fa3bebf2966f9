"""Train autoencoders of real faces, whose reconstructions `training.train` uses as fakes.

    python -m training.fit.train_autoencoder --data FACES --out AUTOENCODERS

FaceShifter and NeuralTextures leave no border of a blend, but traces of their decoders. The autoencoders are trained
on real faces of the split `train` alone, each against its own small patch critic (Isola et al., CVPR 2017), which makes
it draw texture. `training.train --autoencoders AUTOENCODERS` trains on reconstructions by all but the last, which makes
the fakes of validation. They are small enough for a CPU.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from training.data.shards import StoredClip, read_clips
from training.fit.torch_dataset import decode
from training.synthesis.autoencoder import NET_SIDE_PX, Autoencoder, AutoencoderConfig, as_input, save
from unmask.compute import choose_precision
from unmask.models.architectures import channels_last
from unmask.torch_compute import autocast

CPU = torch.device("cpu")
BATCH = 16
LEARNING_RATE = 1e-3
CRITIC_FROM = 0.4  # of the steps; before, the reconstructions are too poor
CRITIC_SHARE = 0.03  # of the autoencoder's loss
BETAS = (0.5, 0.99)

AUTOENCODERS = (
    AutoencoderConfig(3, 16, "nearest"),
    AutoencoderConfig(3, 32, "transposed"),
    AutoencoderConfig(3, 24, "bilinear"),
    AutoencoderConfig(3, 48, "shuffle"),
)


def train_autoencoder(
    config: AutoencoderConfig, faces: NDArray[np.uint8], steps: int, seed: int
) -> tuple[Autoencoder, float]:
    """Train one autoencoder on faces (N, 128, 128, 3); return it and its last mean error, in grey levels."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    autoencoder, critic = Autoencoder(config), build_critic()
    channels_last(autoencoder)
    generator_optimizer = torch.optim.Adam(autoencoder.parameters(), LEARNING_RATE, betas=BETAS)
    critic_optimizer = torch.optim.Adam(critic.parameters(), LEARNING_RATE / 2, betas=BETAS)
    lr_scheduler = torch.optim.lr_scheduler.LambdaLR(generator_optimizer, lambda step: min(1.0, 2 * (1 - step / steps)))
    errors = []
    for step in tqdm(range(steps), desc=f"{config.enlarge} {config.halvings}", mininterval=5):
        images = as_input(faces[rng.integers(len(faces), size=BATCH)])
        images = images.flip(3) if rng.random() < 0.5 else images
        images = images.contiguous(memory_format=torch.channels_last)
        with autocast("cpu", choose_precision("cpu")):
            drawn = autoencoder(images)
            loss = reconstruction_loss(drawn.float(), images)
            if step >= CRITIC_FROM * steps:
                loss = loss - CRITIC_SHARE * critic(drawn).float().mean()
        generator_optimizer.zero_grad()
        loss.backward()
        generator_optimizer.step()
        lr_scheduler.step()
        if step >= CRITIC_FROM * steps:
            critic_step(critic, critic_optimizer, images, drawn.detach())
        errors.append(float((drawn.detach().float() - images).abs().mean()) * 127.5)
    return autoencoder.eval(), float(np.mean(errors[-20:]))


def critic_step(critic: nn.Module, critic_optimizer: torch.optim.Optimizer, real: Tensor, drawn: Tensor) -> None:
    """Update the critic once, by the hinge loss."""
    critic_optimizer.zero_grad()
    with autocast("cpu", choose_precision("cpu")):
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
    for before, after in ((3, 16), (16, 32), (32, 64)):
        layers += [nn.utils.parametrizations.spectral_norm(nn.Conv2d(before, after, 4, 2, 1))]
        layers += [nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.utils.parametrizations.spectral_norm(nn.Conv2d(64, 1, 3, 1, 1)))


def real_faces(clips: Sequence[StoredClip], limit: int, seed: int) -> NDArray[np.uint8]:
    """Draw the first frames of up to `limit` real training clips -> (N, 128, 128, 3)."""
    reals = [clip for clip in clips if clip.split == "train" and not clip.fake]
    chosen = np.random.default_rng(seed).permutation(len(reals))[:limit]
    return np.stack(
        [
            cv2.resize(decode(reals[index])[0], (NET_SIDE_PX, NET_SIDE_PX), interpolation=cv2.INTER_AREA)
            for index in chosen
        ]
    ).astype(np.uint8)


def main() -> None:
    """Train the autoencoders that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", action="append", type=Path, required=True, metavar="DIR", help="folder of stored clips")
    add("--out", type=Path, required=True, help="folder of autoencoders")
    add("--steps", type=int, default=1000, help="of each autoencoder")
    add("--limit", type=int, default=4000, help="faces")
    add("--seed", type=int, default=0)
    arguments = parser.parse_args()
    clips = [clip for folder in arguments.data for clip in read_clips(folder)]
    faces = real_faces(clips, arguments.limit, arguments.seed)
    autoencoders = []
    for number, config in enumerate(AUTOENCODERS):
        autoencoder, error = train_autoencoder(config, faces, arguments.steps, arguments.seed + number)
        print(f"{config}: reconstructs with a mean error of {error:.1f} grey levels")
        autoencoders.append(autoencoder)
        save(autoencoders, arguments.out)


if __name__ == "__main__":
    main()
