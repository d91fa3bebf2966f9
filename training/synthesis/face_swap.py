"""Swap faces as the first deepfake tools did: one encoder for all people, a decoder that draws the one it is told.

The encoder sees warped faces of many people and keeps little of each, so that what it passes on is pose and expression;
the decoder learns every person's looks by a code of theirs (its layers are scaled and shifted by it, Perez et al.,
"FiLM", AAAI 2018), where the tools have a decoder a person: with fifteen pictures of each, what all share is learned
from all. The drawn face is pasted back with the target's colours. Training only; serving never needs it.
"""

import itertools

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn

from training.synthesis import landmarks
from training.synthesis.autoencoder import as_input
from training.synthesis.self_blend import soften_edges, transfer_colour

Image = NDArray[np.uint8]
Points = NDArray[np.float32]

SIDE_PX = 96  # of the faces that are drawn
LATENT = 128  # numbers that pose and expression of a face are passed on in
CODE = 64  # numbers of a person
WIDTHS = (32, 64, 128, 192)
START_PX = SIDE_PX // 2 ** len(WIDTHS)
ALIGNED_ROWS = (33, 263, 61, 291, 1)  # corners of the eyes and of the mouth, tip of the nose
ALIGNED = np.array(
    [(0.27, 0.33), (0.73, 0.33), (0.34, 0.74), (0.66, 0.74), (0.5, 0.55)], np.float32
)  # shares of the side


class FaceSwapper(nn.Module):
    """Draw faces (N, 3, 96, 96) in −1..1 as people (N,), given by their rows: -> (N, 3, 96, 96)."""

    def __init__(self, people: int) -> None:
        super().__init__()
        shrink: list[nn.Module] = []
        for before, after in itertools.pairwise((3, *WIDTHS)):
            shrink += [nn.Conv2d(before, after, 5, 2, 2), nn.LeakyReLU(0.1)]
        self.encoder = nn.Sequential(*shrink, nn.Flatten(), nn.Linear(WIDTHS[-1] * START_PX**2, LATENT))
        self.start = nn.Linear(LATENT, WIDTHS[-1] * START_PX**2)
        self.people = nn.Embedding(people, CODE)
        steps = list(itertools.pairwise((*WIDTHS[::-1], WIDTHS[0])))
        self.grow = nn.ModuleList(nn.Conv2d(before, 4 * after, 3, 1, 1) for before, after in steps)
        self.norms = nn.ModuleList(nn.GroupNorm(8, after) for _, after in steps)
        self.film = nn.ModuleList(nn.Linear(CODE, 2 * after) for _, after in steps)
        self.last = nn.Conv2d(WIDTHS[0], 3, 5, 1, 2)

    def forward(self, faces: Tensor, people: Tensor) -> Tensor:
        """Draw each face as its person."""
        code = self.people(people)
        maps = self.start(self.encoder(faces)).unflatten(1, (WIDTHS[-1], START_PX, START_PX))
        for grow, norm, film in zip(self.grow, self.norms, self.film, strict=True):
            scale, shift = film(code)[..., None, None].chunk(2, 1)
            maps = norm(nn.functional.pixel_shuffle(grow(maps), 2))
            maps = nn.functional.leaky_relu(maps * (1 + scale) + shift, 0.1)
        return torch.tanh(self.last(maps))


def alignment(points: Points) -> NDArray[np.float64]:
    """Fit the matrix (2, 3) that brings a face with the mesh `points` (468, 2) to a picture of SIDE_PX."""
    matrix, _ = cv2.estimateAffinePartial2D(points[list(ALIGNED_ROWS)], ALIGNED * SIDE_PX, method=cv2.LMEDS)
    if matrix is None:
        raise ValueError("the landmarks of a face lie in one point")
    return np.asarray(matrix, np.float64)


def align(image: Image, points: Points) -> Image:
    """Cut the face with the mesh `points` out of a crop (S, S, 3) -> (96, 96, 3)."""
    size = (SIDE_PX, SIDE_PX)
    return np.asarray(cv2.warpAffine(image, alignment(points), size, borderMode=cv2.BORDER_REFLECT), np.uint8)


def pose(points: Points) -> NDArray[np.float32]:
    """Return how far the tip of the nose is off the middle of the face (2,), in widths of the face."""
    outline = points[list(landmarks.OVAL)]
    return np.asarray((points[1] - outline.mean(0)) / np.ptp(outline[:, 0]), np.float32)


@torch.inference_mode()
def swap(swapper: FaceSwapper, image: Image, points: Points, person: int, rng: Generator) -> Image:
    """Give the face in a crop (S, S, 3), whose mesh is `points`, another person's looks."""
    faces = as_input(align(image, points)[None])
    drawn = swapper(faces, torch.tensor([person]))[0].permute(1, 2, 0).numpy()
    return paste(np.clip(np.rint((drawn + 1) * 127.5), 0, 255).astype(np.uint8), image, points, rng)


def paste(drawn: Image, image: Image, points: Points, rng: Generator) -> Image:
    """Paste a drawn face (96, 96, 3) into the crop (S, S, 3) that it was aligned from, in the crop's colours."""
    size = image.shape[1::-1]
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    back = cv2.warpAffine(drawn, alignment(points), size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    coloured = transfer_colour(np.asarray(back, np.uint8), image, points).astype(np.float32)
    mask = face_mask(points, image.shape[0], rng)[..., None]
    return np.clip(np.rint(coloured * mask + image * (1 - mask)), 0, 255).astype(np.uint8)


def face_mask(points: Points, side_px: int, rng: Generator) -> NDArray[np.float32]:
    """Draw a soft mask (S, S) in 0..1 of the face, of another size and softness each time."""
    outline = points[list(landmarks.OVAL)]
    outline = outline.mean(0) + (outline - outline.mean(0)) * rng.uniform(0.8, 0.97)
    mask = np.zeros((side_px, side_px), np.float32)
    cv2.fillConvexPoly(mask, cv2.convexHull(outline).astype(np.int32), 1.0)
    return np.asarray(soften_edges(mask, rng) * drawn_area(points, side_px), np.float32)


def drawn_area(points: Points, side_px: int) -> NDArray[np.float32]:
    """Return 1 for the pixels (S, S) of a crop that its aligned face shows, 0 for others, softly."""
    whole = np.zeros((SIDE_PX, SIDE_PX), np.float32)
    whole[3:-3, 3:-3] = 1
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    shown = cv2.warpAffine(whole, alignment(points), (side_px, side_px), flags=flags)
    return np.asarray(cv2.GaussianBlur(shown, (0, 0), 0.01 * side_px), np.float32)
