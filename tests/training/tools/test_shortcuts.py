"""Shortcuts: a codec that goes with the label is found, one that does not is not."""

import cv2
import numpy as np
import pytest

from tests.training.faces import face, portrait
from training.data.augment import NO_AUGMENTATION
from training.fit.recipes import Mixture
from training.fit.torch_dataset import ClipPairs
from training.tools.shortcuts import shortcut_auc
from unmask.faces.clips import ClipSpec

PEOPLE = 60


def clips(quality, rng, fake):
    for person in range(PEOPLE):
        noisy = np.clip(portrait() + rng.normal(0, rng.uniform(2, 12), (224, 224, 3)), 0, 255).astype(np.uint8)
        jpeg = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        yield face(f"{fake}{person}", f"x{person}" if fake else None, group=f"p{person}", jpeg=jpeg)


@pytest.mark.parametrize(("quality", "least", "most"), [(90, 0.3, 0.7), (15, 0.95, 1.0)])
def test_a_codec_that_goes_with_the_label_is_found(quality, least, most):
    rng = np.random.default_rng(0)
    reals, fakes = list(clips(90, rng, fake=False)), list(clips(quality, rng, fake=True))
    spec, mixture = ClipSpec(frames_per_clip=1, side_px=224), Mixture(blended_share=0.0, augment=NO_AUGMENTATION)
    pairs = ClipPairs(reals, [np.zeros((1, 468, 2), np.float32)] * PEOPLE, fakes, spec, mixture, 0)
    assert least <= shortcut_auc(pairs) <= most
