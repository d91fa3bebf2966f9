"""Heatmaps against models whose truth is known."""

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.media import astronaut
from tests.untrained import config_of
from unmask.compute import Backend
from unmask.faces.clips import ClipSpec, FaceClip
from unmask.models.architectures import ARCHITECTURES, VideoModel
from unmask.models.checkpoint import ModelInfo
from unmask.models.configs import CONFIGS
from unmask.models.saliency import heatmap, paint
from unmask.models.torch_model import TorchModel
from unmask.verdict import Calibration, Policy

SIDE_PX = 64
SPEC = ClipSpec(side_px=SIDE_PX)


class TopLeft(VideoModel):
    """A model that scores how bright the top left quarter of each frame is, through a GRU."""

    def __init__(self, sign: float = 1.0) -> None:
        super().__init__()
        self.gru = nn.GRU(1, 1, batch_first=True)
        self.sign = sign
        for parameter in self.gru.parameters():
            nn.init.zeros_(parameter)
        nn.init.constant_(self.gru.get_parameter("weight_ih_l0")[2:], 0.2)  # of the new state; the gates stand still

    def frame_features(self, images: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(images.mean(1, keepdim=True), 8) + 3

    def frame_vectors(self, maps: Tensor) -> Tensor:
        half = maps.shape[-1] // 2
        return maps[:, :, :half, :half].mean((-2, -1))

    def sequence_logits(self, vectors: Tensor, mask: Tensor | None) -> Tensor:
        return self.sign * self.gru(vectors)[0][:, -1, 0]


def loaded(module: VideoModel, spec: ClipSpec = SPEC) -> TorchModel:
    info = ModelInfo("test", "0", 0, 0, "")
    return TorchModel(info, spec, Calibration(), Policy(), Backend("torch"), module.eval().requires_grad_(False))


def clip_of(images: np.ndarray) -> FaceClip:
    count, side_px = images.shape[:2]
    xyxy = np.tile(np.array([0, 0, side_px, side_px], np.float32), (count, 1))
    return FaceClip(images, np.arange(count, dtype=np.float64) * 0.12, 0, xyxy)


def portraits(count: int = 4, side_px: int = SIDE_PX) -> np.ndarray:
    """The astronaut's face, moving a little: (count, side_px, side_px, 3)."""
    cuts = [astronaut()[55 + i : 205 + i, 150 + i : 300 + i] for i in range(count)]
    return np.stack([cv2.resize(cut, (side_px, side_px), interpolation=cv2.INTER_AREA) for cut in cuts])


def test_the_heat_lies_where_the_model_looks():
    heat = heatmap(loaded(TopLeft()), clip_of(portraits()))
    assert heat.shape == (4, SIDE_PX, SIDE_PX)
    assert heat.dtype == np.float32
    assert 0 <= heat.min() <= heat.max() == pytest.approx(1, abs=0.1)
    inside = heat[:, : SIDE_PX // 2, : SIDE_PX // 2].sum()
    assert inside > 0.9 * heat.sum()


def test_the_bright_part_of_what_it_looks_at_is_hottest():
    images = np.zeros((2, SIDE_PX, SIDE_PX, 3), np.uint8)
    images[:, 8:16, 16:24] = 255  # one cell in the quarter that counts
    images[:, 40:56, 40:56] = 255  # brighter and larger, but elsewhere
    heat = heatmap(loaded(TopLeft()), clip_of(images))[0]
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    assert 8 <= y < 16
    assert 16 <= x < 24


def test_what_speaks_against_a_fake_matters_as_much_and_a_face_without_details_has_no_hot_place():
    heat = heatmap(loaded(TopLeft(sign=-1.0)), clip_of(portraits()))
    assert np.allclose(heat, heatmap(loaded(TopLeft()), clip_of(portraits())))
    assert not heatmap(loaded(TopLeft()), clip_of(np.full((2, SIDE_PX, SIDE_PX, 3), 120, np.uint8))).any()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_can_be_explained_even_without_gradients_around(architecture):
    torch.manual_seed(1)
    model = loaded(ARCHITECTURES[architecture](config_of(architecture)))
    clip = clip_of(portraits(2))
    with torch.inference_mode():
        heat = heatmap(model, clip)
    assert heat.shape == clip.data.shape[:3]
    assert np.isfinite(heat).all()
    assert all(parameter.grad is None for parameter in model.module.parameters())
    assert np.array_equal(heat, heatmap(model, clip))


def test_autocast_around_does_not_change_the_heat():
    torch.manual_seed(1)
    model, clip = loaded(ARCHITECTURES["meso-transformer"](CONFIGS["meso-transformer"]())), clip_of(portraits(2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = heatmap(model, clip)
    assert np.array_equal(inside, heatmap(model, clip))


def test_paint_leaves_cold_places_as_they_are():
    image = portraits(1)[0]
    heat = np.zeros((SIDE_PX, SIDE_PX), np.float32)
    assert np.array_equal(paint(image, heat), image)
    heat[20:40, 20:40] = 1
    painted = paint(image, heat)
    assert np.array_equal(painted[:10], image[:10])
    assert (painted[25:35, 25:35].astype(int) - image[25:35, 25:35]).any()
    assert painted.dtype == np.uint8
