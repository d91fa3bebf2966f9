"""Train painters: small networks that redraw real faces, whose work `training.train` learns to tell.

    python -m training.fit.train_autoencoder --data FACES --out PAINTERS

FaceShifter and NeuralTextures leave no border that a blend could show, but how their decoders draw. The
painters learn from real faces of the split `train` alone, each against its own small critic of patches (Isola
et al., CVPR 2017), which asks for texture. `training.train --painters PAINTERS` learns from all but the last,
which draws validation's fakes. They are small enough for a CPU.
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

from training.data.shards import StoredClip, stored_clips
from training.fit.torch_dataset import decode
from training.synthesis.autoencoder import NET_SIDE_PX, Painter, PainterConfig, as_input, save
from unmask.compute import choose_dtype
from unmask.models.architectures import channels_last
from unmask.models.inference import autocast

CPU = torch.device("cpu")
BATCH = 16
LEARNING_RATE = 1e-3
CRITIC_FROM = 0.4  # of the steps; before, the pictures are too poor to judge
CRITIC_SHARE = 0.03  # of the painter's loss
BETAS = (0.5, 0.99)

PAINTERS = (
    PainterConfig(3, 16, "nearest"),
    PainterConfig(3, 32, "transposed"),
    PainterConfig(3, 24, "bilinear"),
    PainterConfig(3, 48, "shuffle"),
)


def learn(config: PainterConfig, faces: NDArray[np.uint8], steps: int, seed: int) -> tuple[Painter, float]:
    """Train one painter on faces (N, 128, 128, 3); returns it and its last mean error, in grey levels."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    painter, critic = Painter(config), patch_critic()
    channels_last(painter)
    hand = torch.optim.Adam(painter.parameters(), LEARNING_RATE, betas=BETAS)
    eye = torch.optim.Adam(critic.parameters(), LEARNING_RATE / 2, betas=BETAS)
    falling = torch.optim.lr_scheduler.LambdaLR(hand, lambda step: min(1.0, 2 * (1 - step / steps)))
    errors = []
    for step in tqdm(range(steps), desc=f"{config.enlarge} {config.halvings}", mininterval=5):
        images = as_input(faces[rng.integers(len(faces), size=BATCH)])
        images = images.flip(3) if rng.random() < 0.5 else images
        images = images.contiguous(memory_format=torch.channels_last)
        with autocast(CPU, choose_dtype(CPU)):
            drawn = painter(images)
            loss = likeness(drawn.float(), images)
            if step >= CRITIC_FROM * steps:
                loss = loss - CRITIC_SHARE * critic(drawn).float().mean()
        hand.zero_grad()
        loss.backward()
        hand.step()
        falling.step()
        if step >= CRITIC_FROM * steps:
            judge(critic, eye, images, drawn.detach())
        errors.append(float((drawn.detach().float() - images).abs().mean()) * 127.5)
    return painter.eval(), float(np.mean(errors[-20:]))


def judge(critic: nn.Module, eye: torch.optim.Optimizer, real: Tensor, drawn: Tensor) -> None:
    """One step of the critic, by the hinge loss."""
    eye.zero_grad()
    with autocast(CPU, choose_dtype(CPU)):
        loss = F.relu(1 - critic(real)).float().mean() + F.relu(1 + critic(drawn)).float().mean()
    loss.backward()
    eye.step()


def likeness(drawn: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute error of the pictures, and of their differences between neighbours, at two sizes."""
    loss = F.l1_loss(drawn, wanted)
    for _ in range(2):
        loss = loss + F.l1_loss(drawn.diff(dim=3), wanted.diff(dim=3))
        loss = loss + F.l1_loss(drawn.diff(dim=2), wanted.diff(dim=2))
        drawn, wanted = F.avg_pool2d(drawn, 2), F.avg_pool2d(wanted, 2)
    return loss


def patch_critic() -> nn.Sequential:
    """(N, 3, S, S) -> (N, 1, S/8, S/8), how real each patch looks."""
    layers: list[nn.Module] = []
    for before, after in ((3, 16), (16, 32), (32, 64)):
        layers += [nn.utils.parametrizations.spectral_norm(nn.Conv2d(before, after, 4, 2, 1))]
        layers += [nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.utils.parametrizations.spectral_norm(nn.Conv2d(64, 1, 3, 1, 1)))


def real_faces(clips: Sequence[StoredClip], limit: int, seed: int) -> NDArray[np.uint8]:
    """Up to `limit` first frames of real training clips -> (N, 128, 128, 3)."""
    reals = [clip for clip in clips if clip.split == "train" and not clip.fake]
    chosen = np.random.default_rng(seed).permutation(len(reals))[:limit]
    return np.stack(
        [
            cv2.resize(decode(reals[index])[0], (NET_SIDE_PX, NET_SIDE_PX), interpolation=cv2.INTER_AREA)
            for index in chosen
        ]
    ).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", action="append", type=Path, required=True, metavar="DIR", help="folder of stored clips")
    add("--out", type=Path, required=True, help="folder of painters")
    add("--steps", type=int, default=1000, help="of each painter")
    add("--limit", type=int, default=4000, help="faces")
    add("--seed", type=int, default=0)
    arguments = parser.parse_args()
    clips = [clip for folder in arguments.data for clip in stored_clips(folder)]
    faces = real_faces(clips, arguments.limit, arguments.seed)
    painters = []
    for number, config in enumerate(PAINTERS):
        painter, error = learn(config, faces, arguments.steps, arguments.seed + number)
        print(f"{config}: redraws with a mean error of {error:.1f} grey levels")
        painters.append(painter)
        save(painters, arguments.out)


if __name__ == "__main__":
    main()
