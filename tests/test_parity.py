"""Training sees the pixels that serving sees, where crops are stored at the model's own side as PNG."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from tests import media
from tests.untrained import untrained_recipe
from training.data.shards import StoredClip
from training.evaluation.eval_sets import SamplingSpec, find_clips
from training.fit.recipes import RECIPES
from training.fit.torch_dataset import PlainClips, collate
from unmask.faces.clips import crop_square
from unmask.faces.detector import FaceFinder
from unmask.models import torch_model
from unmask.video.decode import decode
from unmask.video.sampling import plan_windows


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return media.make("h264.mp4", tmp_path_factory.mktemp("video"))


@pytest.fixture(scope="module", params=RECIPES)
def folder(request, tmp_path_factory):
    """A model of the recipe with random weights: what matters here is what it is shown."""
    return untrained_recipe(tmp_path_factory.mktemp(request.param), RECIPES[request.param])


class Seen:
    """Everything that a model is shown."""

    def __init__(self, module):
        self.inputs: list[list[torch.Tensor]] = []
        module.register_forward_pre_hook(lambda _, given: self.inputs.append([part.clone() for part in given[:2]]))

    def joined(self):
        """Data and masks of all batches."""
        return [torch.cat(parts) for parts in zip(*self.inputs, strict=True)]


def test_training_normalises_and_pads_a_clip_as_serving_does(video, folder):
    """A crop kept without loss goes through the loader of training and through serving alike."""
    model = torch_model.load(str(folder))
    plan = replace(plan_windows([model.spec]), windows=1)
    found = find_clips(decode(video, plan), FaceFinder(), SamplingSpec(plan, (model.spec,)))
    clip = found.clips[model.spec][0]
    served = Seen(model.module)
    model.logits([clip])
    stored = StoredClip("v", False, "real", "v", "v", "train", 0, tuple(clip.seconds), tuple(map(png, clip.data)))
    batch = collate([PlainClips([stored], model.spec)[0]], model.spec)
    assert torch.equal(batch.clips.data, served.joined()[0])
    assert torch.equal(batch.clips.mask, served.joined()[1])


def png(image: np.ndarray) -> bytes:
    assert np.array_equal(crop_square(image, (0, 0, *image.shape[1::-1]), len(image)), image)
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()
