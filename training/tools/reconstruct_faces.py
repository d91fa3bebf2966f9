"""Draw real faces as generators do, and store them with the reals as pairs to train on.

    python -m training.tools.reconstruct_faces --data FACES --autoencoders AUTOENCODERS --tiny-autoencoders TAESD \
        --out PAIRS [--limit 2000]

Of the split `train` alone, one frame a clip, spread evenly over the folder. A reconstruction has its real's colours,
light and place, so that only the traces of drawing tell them apart; `training.train` pairs the two, since the
reconstruction's `original_id` is the real's `video_id`. The second folder holds published tiny autoencoders of
diffusion models, `…_encoder.pth` and `…_decoder.pth`; one of the two folders is enough.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from training.data.shards import StoredClip, read_clips, write_clips
from training.data.subsets import spread_evenly
from training.fit.torch_dataset import decode
from training.synthesis import autoencoder, tiny_autoencoder
from training.synthesis.autoencoder import Autoencoder
from training.synthesis.tiny_autoencoder import TinyAutoencoder

SIDE_PX = 224
BATCH = 16  # faces that are drawn alike
JPEG_QUALITY = 95
METHOD = "reconstruction"


def main() -> None:
    """Draw the faces that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of stored clips")
    parser.add_argument("--autoencoders", type=Path, help="folder of training.fit.train_autoencoder")
    parser.add_argument("--tiny-autoencoders", type=Path, help="folder of published tiny autoencoders")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--limit", type=int, default=2000, help="real faces")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    reals = [clip for clip in read_clips(arguments.data) if clip.split == "train" and not clip.fake]
    networks: list[Autoencoder | TinyAutoencoder] = []
    if arguments.autoencoders:
        networks += autoencoder.load(arguments.autoencoders)
    if arguments.tiny_autoencoders:
        networks += tiny_autoencoder.load(arguments.tiny_autoencoders)
    if not networks:
        parser.error("give --autoencoders or --tiny-autoencoders")
    write_clips(arguments.out, draw_pairs(spread_evenly(reals, arguments.limit), networks, arguments.seed))


def draw_pairs(
    reals: Sequence[StoredClip], networks: Sequence[Autoencoder | TinyAutoencoder], seed: int
) -> Iterator[StoredClip]:
    """Yield a frame of each real clip, and its reconstruction by one of the networks."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(reals))
    for start in range(0, len(order), BATCH):
        chosen = [reals[index] for index in order[start : start + BATCH]]
        size = (SIDE_PX, SIDE_PX)
        faces = np.stack(
            [cv2.resize(decode(clip, slice(1))[0], size, interpolation=cv2.INTER_CUBIC) for clip in chosen]
        )
        drawn = autoencoder.reconstruct(networks[int(rng.integers(len(networks)))], faces, rng)
        for clip, face, other in zip(chosen, faces, drawn, strict=True):
            real = replace(clip, original_id=clip.video_id, seconds=clip.seconds[:1], jpegs=[encode_jpeg(face)])
            yield real
            yield replace(real, video_id=f"{clip.video_id}-drawn", fake=True, method=METHOD, jpegs=[encode_jpeg(other)])


def encode_jpeg(image: np.ndarray) -> bytes:
    """Encode a face (S, S, 3) RGB."""
    return cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


if __name__ == "__main__":
    main()
