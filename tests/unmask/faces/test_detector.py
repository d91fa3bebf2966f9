"""Finding faces."""

import training.fit.pretrained  # noqa: F401  first: it makes the reference importable beside a CPU build of torch

# isort: split
import io
import pickle
from pathlib import Path
from typing import Any

import cv2
import joblib
import numpy as np
import pytest
import torch
from facenet_pytorch import MTCNN
from facenet_pytorch.models import mtcnn as reference_nets
from facenet_pytorch.models.utils import detect_face

from tests.media import astronaut, scaled, window_of
from unmask.compute import Backend
from unmask.faces import mtcnn, networks
from unmask.faces.boxes import overlaps, sides
from unmask.faces.detector import BOXES_PER_FACE, FaceBoxes, FaceFinder, SearchedFrame, extrapolate_boxes
from unmask.faces.networks import NAMES, read_arrays
from unmask.video.decode import decode
from unmask.video.sampling import DecodePlan


@pytest.fixture(scope="module")
def finder():
    return FaceFinder()


@pytest.fixture(scope="module")
def reference():
    """Image -> box (4,) and landmarks (5, 2) of the largest face by facenet-pytorch.

    Its answer depends on how the levels of its pyramid happen to lie: with another smallest face, its own
    boxes of one picture overlap by 0.94 in the median and by 0.82 in the worst twentieth. So the
    reference is the mean over three settings.
    """
    patch = pytest.MonkeyPatch()
    patch.setattr(detect_face, "batched_nms", _batched_nms)
    finders = [MTCNN(min_face_size=size, select_largest=True) for size in (44, 48, 52)]

    def find(image):
        answers = [finder.detect(image, landmarks=True) for finder in finders]
        found = [(boxes[0], points[0]) for boxes, _, points in answers if boxes is not None]
        assert found, "the reference finds no face"
        return tuple(np.mean([part[k] for part in found], 0).astype(np.float32) for k in (0, 1))

    yield find
    patch.undo()


def _batched_nms(boxes, scores, groups, limit):
    """torchvision's, which the CPU build of torch cannot load."""
    if not len(boxes):
        return torch.empty(0, dtype=torch.int64)
    apart = (boxes + (groups.to(boxes) * (boxes.max() + 1))[:, None]).numpy()
    xywh = np.concatenate([apart[:, :2], apart[:, 2:] - apart[:, :2]], 1)
    kept: Any = cv2.dnn.NMSBoxes(xywh.tolist(), scores.tolist(), 0.0, limit)
    return torch.as_tensor(np.asarray(kept, np.int64).reshape(-1))


@pytest.mark.parametrize(("name", "side_px"), [("PNet", 40), ("RNet", 24), ("ONet", 48)])
def test_networks_equal_the_reference(name, side_px):
    ours = mtcnn.load(name.lower())
    theirs = getattr(reference_nets, name)().eval()
    images = torch.randn(3, 3, side_px, side_px, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        score, offset, *points = ours(images)
        *their_others, their_scores = theirs(images)
    for mine, their in zip([score, offset, *points], [their_scores[:, 1], *their_others], strict=True):
        torch.testing.assert_close(mine, their, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("factor", [0.75, 1.0, 1.5, 2.0, 3.0])
def test_photograph_agrees_with_the_reference(finder, reference, factor):
    image = scaled(astronaut(), factor)
    (found,) = finder.detect(window_of(image))
    box, points = reference(image)
    assert len(found) == 1
    assert overlaps(box[None], found.xyxy)[0, 0] >= 0.9
    assert np.abs(found.landmarks[0] - points).max() < 0.04 * sides(box[None])[0]


def test_a_window_gives_what_its_frames_give_alone(finder):
    images = [np.roll(astronaut(), shift, 1) for shift in (0, 7, 30)] + [np.zeros_like(astronaut())]
    together = finder.detect(window_of(*images))
    assert [len(found) for found in together] == [1, 1, 1, 0]
    for found, image in zip(together, images, strict=True):
        (alone,) = finder.detect(window_of(image))
        np.testing.assert_allclose(found.xyxy, alone.xyxy, atol=0.05)
        np.testing.assert_allclose(found.landmarks, alone.landmarks, atol=0.05)


@pytest.mark.parametrize("size", [(720, 1280), (1280, 720)])
def test_faces_of_48_px_in_720p_are_found(finder, size):
    face = scaled(astronaut(), 0.5)  # its face is 48 px
    image = np.full((*size, 3), 110, np.uint8)
    image[300:556, 200:456] = face
    (found,) = finder.detect(window_of(image))
    assert len(found) == 1
    assert 42 < sides(found.xyxy)[0] < 54


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((11, 2000, 3), np.uint8),
        np.zeros((2000, 13, 3), np.uint8),
        np.full((360, 640, 3), 255, np.uint8),
        np.random.default_rng(0).integers(0, 256, (360, 640, 3), dtype=np.uint8),
    ],
    ids=["1 px", "flat strip", "tall strip", "white", "noise"],
)
def test_no_face_is_an_answer(finder, image):
    (found,) = finder.detect(window_of(image))
    assert len(found) == 0
    assert found.xyxy.shape == (0, 4)
    assert found.landmarks.shape == (0, 5, 2)


NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.mark.parametrize(("device", "px"), [("cpu", 0.01), pytest.param("cuda", 1.0, marks=NO_GPU)])
def test_torch_finds_what_onnx_runtime_finds(finder, device, px):
    window = window_of(astronaut(), scaled(scaled(astronaut(), 0.5), 2))
    in_torch = FaceFinder(Backend("torch", device)).detect(window)
    for mine, their in zip(finder.detect(window), in_torch, strict=True):
        np.testing.assert_allclose(mine.xyxy, their.xyxy, atol=px)


def drifting(count=8, step_px=6):
    return [np.roll(astronaut(), step_px * index, 1) for index in range(count)]


@pytest.fixture
def searched(finder, monkeypatch):
    """How many pictures P-Net looked at, call by call."""
    counts = []
    propose = finder._propose

    def counted(images, min_face_px):
        counts.append(len(images))
        return propose(images, min_face_px)

    monkeypatch.setattr(finder, "_propose", counted)
    return counts


def test_a_face_that_stays_is_searched_at_both_ends_and_confirmed_between(finder, searched):
    found = finder.detect(window_of(*drifting()))
    assert searched == [2]
    for one, image in zip(found, drifting(), strict=True):
        (alone,) = finder.detect(window_of(image))
        assert len(one) == 1
        assert overlaps(one.xyxy, alone.xyxy)[0, 0] >= 0.85
        assert np.abs(one.landmarks - alone.landmarks).max() < 6


EMPTY = np.zeros_like(astronaut())


@pytest.mark.parametrize(
    ("window", "calls"),
    [
        ([*drifting(4), *[EMPTY] * 4], [2, 1, 1, 1, 1]),  # goes
        ([*[EMPTY] * 4, *drifting(4)], [2, 1, 1, 1, 2]),  # comes
        ([*drifting(4), *drifting(4, -60)], [2, 1, 1, 1, 1]),  # a cut
        ([*[EMPTY] * 3, *drifting(2), *[EMPTY] * 3], [2, 6]),  # a moment
    ],
    ids=["goes", "comes", "a cut", "a moment"],
)
def test_between_ends_that_differ_the_change_is_looked_for(finder, searched, window, calls):
    found = finder.detect(window_of(*window))
    assert searched == calls
    assert [len(one) for one in found] == [int(image.any()) for image in window]


def test_a_frame_where_a_face_is_not_confirmed_is_searched(finder, searched):
    window = drifting(step_px=0)
    window[3] = np.roll(window[3], 150, 0)  # for this moment somewhere else
    found = finder.detect(window_of(*window))
    assert searched == [2, 1]
    assert all(len(one) == 1 for one in found)
    assert found[3].xyxy[0, 1] - found[2].xyxy[0, 1] == pytest.approx(150, abs=5)


@pytest.mark.shared
def test_research_videos_lose_no_face_by_being_followed(finder, shared_data: Path):
    plan, overlap = DecodePlan(windows=2, frames_per_window=8, frame_stride_seconds=0.12), []
    for path in sorted(shared_data.glob("*-videos/*.mp4"))[::4]:
        for window in decode(path, plan):
            for image, followed in zip(window.data, finder.detect(window), strict=True):
                (alone,) = finder.detect(window_of(image))
                overlap += overlaps(alone.xyxy, followed.xyxy).max(1, initial=0).tolist()
    assert np.mean(np.array(overlap) >= 0.8) >= 0.98


def boxes(*rows):
    return np.array(rows, np.float32).reshape(-1, 4)


def sighting(faces, refined):
    count = len(faces)
    found = FaceBoxes(faces, np.zeros((count, 5, 2), np.float32), np.ones(count, np.float32))
    return SearchedFrame(refined, found)


A, B, FAR = [10, 10, 50, 50], [22, 10, 62, 50], [200, 10, 240, 50]


def test_boxes_are_carried_from_the_nearer_end_along_with_their_face():
    first = sighting(boxes(A), boxes([8, 10, 48, 50], FAR, *[A] * BOXES_PER_FACE))
    last = sighting(boxes(B), boxes([22, 13, 62, 53]))
    early, late = extrapolate_boxes(first, last, 2)
    np.testing.assert_allclose(early, boxes([12, 10, 52, 50], *[[14, 10, 54, 50]] * (BOXES_PER_FACE - 1)), atol=1e-4)
    np.testing.assert_allclose(late, boxes([18, 13, 58, 53]), atol=1e-4)


@pytest.mark.parametrize(
    ("first", "last"), [(boxes(), boxes()), (boxes(A), boxes()), (boxes(A), boxes(A, FAR)), (boxes(A), boxes(FAR))]
)
def test_nothing_is_foretold_unless_both_ends_show_the_same_faces(first, last):
    assert extrapolate_boxes(sighting(first, first), sighting(last, last), 3) == []


def test_of_the_weight_files_nothing_but_arrays_is_read():
    for name in NAMES:
        expected = joblib.load(networks._weights_folder() / f"{name}.lz4")
        for ours, theirs in zip(read_arrays(name), map(networks._to_torch_layout, expected), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(pickle.UnpicklingError, match="no part of an array"):
        networks._JoblibReader(io.BytesIO(pickle.dumps(Path("x")))).load()
