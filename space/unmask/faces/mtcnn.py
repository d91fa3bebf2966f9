"""Define the three networks of MTCNN (Zhang et al., IEEE SPL 2016) in torch."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unmask.faces.networks import PIXEL_MEAN, PIXEL_SCALE, FaceNetwork, Float32Array, UInt8Array, read_arrays


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
        return _score(self.face(x)), self.offset(x)


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
        return _score(self.face(x)), self.offset(x)


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
        return _score(self.face(x)), self.offset(x), self.points(x)


def _score(face: Tensor) -> Tensor:
    """Compute the second of two softmax values (n, 2, ...) -> (n, ...)."""
    return (face[:, 1] - face[:, 0]).sigmoid()


def _flatten(maps: Tensor) -> Tensor:
    """Flatten (n, c, h, w) -> (n, w*h*c): the weights come from Matlab through Caffe, where x runs before y."""
    return maps.permute(0, 3, 2, 1).flatten(1)


def load(name: str) -> nn.Module:
    """Build `pnet`, `rnet` or `onet` with its published weights, to be evaluated."""
    net: nn.Module = {"pnet": PNet, "rnet": RNet, "onet": ONet}[name]()
    net.load_state_dict(dict(zip(net.state_dict(), map(torch.from_numpy, read_arrays(name)), strict=True)))
    return net.eval().requires_grad_(False)


def load_on(device: str, name: str) -> FaceNetwork:
    """Load a network to run on pictures, on the device."""
    net = load(name).to(device)

    @torch.inference_mode()
    def run(images: UInt8Array) -> list[Float32Array]:
        data = (torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() - PIXEL_MEAN) / PIXEL_SCALE
        return [output.cpu().numpy() for output in net(data)]

    return run
