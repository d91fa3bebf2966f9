"""Embed what a face looks like, to find a person again in another shot: gradients and colours, projected linearly.

The projection is fitted by `training.tools.appearance` on people of YouTube Faces (Wolf et al., CVPR 2011) by linear
discriminant analysis. It may be used as they may: for research and other non-commercial purposes. Embeddings are
compared within one check; no report holds them.
"""

import functools
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

UInt8Array = npt.NDArray[np.uint8]
Float32Array = npt.NDArray[np.float32]

PROJECTION = Path(__file__).with_name("appearance.safetensors")
SIDE_PX = 64  # of the aligned face
LANDMARKS_PX = np.array([[22, 26], [42, 26], [32, 36], [24, 45], [40, 45]], np.float32)  # in it; hair and neck are seen
CELLS = 8  # a side
DIRECTIONS = 8  # of gradients
COLOUR_WEIGHT = 3.0
RGB_TO_XYZ = np.array(  # of linear sRGB, divided by the white point
    [[0.433953, 0.376219, 0.189828], [0.212671, 0.715160, 0.072169], [0.017758, 0.109477, 0.872766]], np.float32
)


def embed(image: UInt8Array, landmarks: Float32Array) -> Float32Array:
    """Embed the face with these landmarks (5, 2) px in (H, W, 3) RGB -> (64,) of length one.

    The dot product of two embeddings is their similarity.
    """
    mean, matrix = projection()
    found = (features(align(image, landmarks)) - mean) @ matrix
    return (found / max(float(np.linalg.norm(found)), 1e-6)).astype(np.float32)


@functools.cache
def projection() -> tuple[Float32Array, Float32Array]:
    """Read the mean (704,) of features and the matrix (704, 64) that projects them."""
    tensors = load_file(PROJECTION)
    return tensors["mean"].astype(np.float32), tensors["projection"].astype(np.float32)


def align(image: UInt8Array, landmarks: Float32Array) -> UInt8Array:
    """Turn, scale and move a face so that its landmarks (5, 2) px lie at LANDMARKS_PX (Umeyama, 1991)."""
    centre, wanted = landmarks.mean(0), LANDMARKS_PX.mean(0)
    here, there = landmarks - centre, LANDMARKS_PX - wanted
    size = max(float((here * here).sum()), 1e-6)
    cos = float((here * there).sum()) / size
    sin = float((here[:, 0] * there[:, 1] - here[:, 1] * there[:, 0]).sum()) / size
    turn = np.array([[cos, -sin], [sin, cos]], np.float32)
    matrix = np.column_stack([turn, wanted - turn @ centre])
    return cv2.warpAffine(image, matrix, (SIDE_PX, SIDE_PX), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)


def features(face: UInt8Array) -> Float32Array:
    """Compute gradients (Dalal and Triggs, CVPR 2005) and colours in cells of an aligned face -> (704,)."""
    gray = np.sqrt(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY).astype(np.float32))
    size, angle = cv2.cartToPolar(cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1))
    place = angle % np.pi / np.pi * DIRECTIONS
    lower = np.floor(place).astype(int)
    rows, columns = np.indices(gray.shape)
    spread = np.zeros((*gray.shape, DIRECTIONS), np.float32)
    spread[rows, columns, lower % DIRECTIONS] = size * (1 - place + lower)
    spread[rows, columns, (lower + 1) % DIRECTIONS] += size * (place - lower)
    cell = SIDE_PX // CELLS
    cells = spread.reshape(CELLS, cell, CELLS, cell, DIRECTIONS).sum((1, 3))
    energy = cv2.blur((cells**2).sum(2), (3, 3))
    lab = cv2.resize(to_lab(face), (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    colours = lab.ravel() * (COLOUR_WEIGHT / 255)
    return np.concatenate([(cells / (np.sqrt(energy)[..., None] + 1e-3)).ravel(), colours])


def to_lab(image: UInt8Array) -> Float32Array:
    """Convert sRGB to CIELAB (D65), scaled to 0..255 like OpenCV, whose tables take 0.09 s to make."""
    share = image.astype(np.float32) / 255
    linear = np.where(share > 0.04045, ((share + 0.055) / 1.055) ** 2.4, share / 12.92)
    xyz = linear @ RGB_TO_XYZ.T
    bent = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = np.moveaxis(bent, 2, 0)
    lab = np.stack([(116 * y - 16) * 2.55, 500 * (x - y) + 128, 200 * (y - z) + 128], 2)
    return lab.astype(np.float32)
