"""Define the three networks of MTCNN (Zhang et al., IEEE SPL 2016) and load their published weights.

The weights are data files of the package `mtcnn`, whose code (TensorFlow) is never imported.
"""

import importlib.util
from pathlib import Path

import joblib
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

Float32Array = npt.NDArray[np.float32]


class PNet(nn.Module):
    """Proposal network: fully convolutional, one cell of 12 px every 2 px."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 10, 3), nn.PReLU(10)
        self.conv2, self.prelu2 = nn.Conv2d(10, 16, 3), nn.PReLU(16)
        self.conv3, self.prelu3 = nn.Conv2d(16, 32, 3), nn.PReLU(32)
        self.offset = nn.Conv2d(32, 4, 1)
        self.face = nn.Conv2d(32, 2, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (n, 3, h, w) to scores (n, h', w') and box offsets (n, 4, h', w')."""
        x = F.max_pool2d(self.prelu1(self.conv1(images)), 2, 2, ceil_mode=True)
        x = self.prelu3(self.conv3(self.prelu2(self.conv2(x))))
        return self.face(x).softmax(1)[:, 1], self.offset(x)


class RNet(nn.Module):
    """Refinement network for proposals of 24 px."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 28, 3), nn.PReLU(28)
        self.conv2, self.prelu2 = nn.Conv2d(28, 48, 3), nn.PReLU(48)
        self.conv3, self.prelu3 = nn.Conv2d(48, 64, 2), nn.PReLU(64)
        self.dense, self.prelu4 = nn.Linear(576, 128), nn.PReLU(128)
        self.offset = nn.Linear(128, 4)
        self.face = nn.Linear(128, 2)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map patches (n, 3, 24, 24) to scores (n,) and box offsets (n, 4)."""
        x = F.max_pool2d(self.prelu1(self.conv1(images)), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.prelu2(self.conv2(x)), 3, 2, ceil_mode=True)
        x = self.prelu3(self.conv3(x))
        x = self.prelu4(self.dense(_flatten(x)))
        return self.face(x).softmax(1)[:, 1], self.offset(x)


class ONet(nn.Module):
    """Output network for boxes of 48 px, with landmarks."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 32, 3), nn.PReLU(32)
        self.conv2, self.prelu2 = nn.Conv2d(32, 64, 3), nn.PReLU(64)
        self.conv3, self.prelu3 = nn.Conv2d(64, 64, 3), nn.PReLU(64)
        self.conv4, self.prelu4 = nn.Conv2d(64, 128, 2), nn.PReLU(128)
        self.dense, self.prelu5 = nn.Linear(1152, 256), nn.PReLU(256)
        self.offset = nn.Linear(256, 4)
        self.points = nn.Linear(256, 10)
        self.face = nn.Linear(256, 2)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map patches (n, 3, 48, 48) to scores (n,), box offsets (n, 4), and landmarks (n, 10): five x, five y."""
        x = F.max_pool2d(self.prelu1(self.conv1(images)), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.prelu2(self.conv2(x)), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.prelu3(self.conv3(x)), 2, 2, ceil_mode=True)
        x = self.prelu4(self.conv4(x))
        x = self.prelu5(self.dense(_flatten(x)))
        return self.face(x).softmax(1)[:, 1], self.offset(x), self.points(x)


def _flatten(maps: Tensor) -> Tensor:
    """Flatten (n, c, h, w) -> (n, w*h*c): the weights come from Matlab through Caffe, where x runs before y."""
    return maps.permute(0, 3, 2, 1).flatten(1)


def load(net: nn.Module, device: torch.device) -> nn.Module:
    """Load the package's weights into a network, to be evaluated on the device; its arrays are in our layers' order."""
    file = _weights_folder() / f"{type(net).__name__.lower()}.lz4"
    arrays = joblib.load(file)  # a pickle: as trustworthy as any code of a pinned package
    values = (torch.from_numpy(_to_torch_layout(array)) for array in arrays)
    state = dict(zip(net.state_dict(), values, strict=True))
    net.load_state_dict(state)
    return net.eval().requires_grad_(False).to(device)


def _weights_folder() -> Path:
    package = importlib.util.find_spec("mtcnn")  # finds, does not import: that would need TensorFlow
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("the package mtcnn, which holds the weights of the face finder, is missing")
    return Path(package.submodule_search_locations[0]) / "assets" / "weights"


def _to_torch_layout(array: Float32Array) -> Float32Array:
    """Convert convolutions from HWIO to OIHW, transpose dense layers, flatten PReLU (1, 1, c) to (c,)."""
    axes = {4: (3, 2, 0, 1), 2: (1, 0)}.get(array.ndim)
    return np.ascontiguousarray(array.transpose(axes) if axes else array.reshape(-1))
