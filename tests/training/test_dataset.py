"""Training pairs: a real and a fake of the same person, equal for equal draws however they are loaded."""

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from training import mesh
from training.catalog import FaceImage
from training.dataset import FacePairs, PairSpec, PlainFaces, VideoClip, VideoPairs, collate
from unmask.clips import ClipSpec

SPEC = ClipSpec(frames_per_clip=3, side_px=96)


def face(name, fake=False, original=None, shift=0):
    image = cv2.resize(astronaut()[40 + shift : 260 + shift, 120:320], (224, 224))
    jpeg = cv2.imencode(".jpg", image[..., ::-1])[1].tobytes()
    return FaceImage(name, fake, original or name, "train", jpeg)


REALS = [face("a"), face("b", shift=4)]
FAKES = [face("a-fake", fake=True, original="a", shift=8)]


@pytest.fixture(scope="module")
def meshes():
    image = cv2.resize(astronaut()[40:260, 120:320], (224, 224))
    return np.stack([mesh.find(image)] * 2)


@pytest.mark.parametrize("blended_share", [0.0, 0.5, 1.0])
def test_an_item_is_one_real_and_one_fake_clip(meshes, blended_share):
    pairs = FacePairs(REALS, meshes, FAKES, PairSpec(SPEC, blended_share=blended_share))
    for index in range(len(pairs)):
        (real, is_real), (fake, is_fake) = pairs[index]
        assert (is_real, is_fake) == (False, True)
        assert real.shape == fake.shape == (3, 96, 96, 3)


def test_draws_depend_on_epoch_and_index_and_on_nothing_else(meshes):
    first, second = (FacePairs(REALS, meshes, FAKES, PairSpec(SPEC)) for _ in range(2))
    second[1]  # another order of loading
    assert np.array_equal(first[0][1][0], second[0][1][0])
    second.epoch = 1
    assert not np.array_equal(first[0][1][0], second[0][1][0])


def test_a_batch_is_normalised_as_serving_normalises(meshes):
    batch = collate([PlainFaces(REALS, SPEC)[0], PlainFaces(FAKES, SPEC)[0]], SPEC)
    assert batch.clips.data.shape == (2, 3, 3, 96, 96)
    assert batch.clips.mask.all()
    assert batch.fake.tolist() == [0.0, 1.0]


def test_a_blended_video_moves_with_the_face(meshes):
    image = cv2.resize(astronaut()[40:260, 120:320], (224, 224))
    clip = VideoClip(np.repeat(image[None], 3, 0), np.repeat(meshes[:1], 3, 0))
    pairs = VideoPairs([clip], [], repeats=2, spec=PairSpec(SPEC))
    assert len(pairs) == 2
    (real, is_real), (fake, is_fake) = pairs[0]
    assert (is_real, is_fake) == (False, True)
    assert real.shape == fake.shape == (3, 96, 96, 3)


def test_a_broken_picture_is_named():
    broken = FaceImage("x.jpg", False, "x", "train", b"not a picture")
    with pytest.raises(ValueError, match=r"x\.jpg"):
        PlainFaces([broken], SPEC)[0]
