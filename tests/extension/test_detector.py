"""The detector in JavaScript against Python: the same vectors, networks and faces."""

import base64
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest

from extension.pack import HERE
from tests.heat import effects
from tests.media import EXAMPLES, astronaut
from tests.untrained import untrained_model
from tests.vectors import FILE, vectors
from training.publish import main
from unmask.faces.appearance import embed
from unmask.faces.boxes import overlaps
from unmask.faces.clips import FaceClip, crop, normalise
from unmask.faces.detector import FaceFinder
from unmask.faces.tracking import link
from unmask.models import bundled, checkpoint, inference
from unmask.models.inference import LoadedModel
from unmask.models.saliency import BLUR_SHARE, heatmap
from unmask.video import decode
from unmask.video.frames import Frames
from unmask.video.sampling import plan_windows

SCRIPT = Path(__file__).with_name("networks.js")


def test_the_stored_vectors_are_the_results_of_python():
    stored, now = (rounded(text) for text in (FILE.read_text(encoding="utf-8"), json.dumps(vectors())))
    assert stored == now, "python -m tests.vectors writes them anew"


def rounded(text: str) -> Any:
    """Read JSON with numbers that do not depend on how a processor adds them up."""
    return json.loads(text, parse_float=lambda digits: round(float(digits), 9))


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return inference.load("default")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, out = str(bundled.FOLDER / bundled.DEFAULT), tmp_path_factory.mktemp("exported")
    main(["--onnx", "--model-folder", folder, "--out", str(out)])  # which compares with torch, or raises
    return out


def test_an_export_carries_the_models_settings(exported, model):
    names = ["appearance.bin", "config.json", "heat.onnx", "model.onnx", "onet.onnx", "pnet.onnx", "rnet.onnx"]
    assert sorted(path.name for path in exported.iterdir()) == names
    told = json.loads((exported / "config.json").read_text(encoding="utf-8"))
    assert told["revision"] == model.revision
    assert checkpoint.read_config(exported).calibration == model.calibration
    assert checkpoint.read_config(exported).policy == model.policy and told["policy"]["max_drift"]


def test_the_heat_of_an_export_is_that_of_the_space(exported, model):
    side_px = model.spec.side_px
    face = cv2.resize(astronaut()[55:205, 150:300], (side_px, side_px), interpolation=cv2.INTER_AREA)
    clip = FaceClip(face[None], np.zeros(1), 0, np.array([[0, 0, side_px, side_px]], np.float32))
    both = np.stack([cv2.GaussianBlur(face, (0, 0), side_px * BLUR_SHARE), face])
    pair = replace(clip, data=both, seconds=np.array([0.0, 0.1]), xyxy=clip.xyxy.repeat(2, 0))
    _, _, maps = run(exported / "model.onnx", normalise(pair, model.spec))
    (heat,) = run(exported / "heat.onnx", maps)
    large = cv2.resize(heat / heat.max(), (side_px, side_px), interpolation=cv2.INTER_CUBIC)
    assert np.abs(large.clip(0, 1) - heatmap(model, clip)[0]).max() < 1e-4


def run(network: Path, data: np.ndarray) -> list[np.ndarray]:
    outputs: list[np.ndarray] = onnxruntime.InferenceSession(network).run(None, {"data": data})
    return outputs


def test_an_architecture_that_onnx_cannot_express_is_refused(tmp_path):
    folder = untrained_model(tmp_path / "tower")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"architecture": "vit-linear", "model": {}}))
    with pytest.raises(SystemExit, match=r"only mobilenet-gru.* this is a vit-linear"):
        main(["--onnx", "--model-folder", str(folder), "--out", str(tmp_path / "out")])


@dataclass(frozen=True)
class Window:
    """A window of a video, in Python and in the extension."""

    boxes: list[np.ndarray]
    embeddings: list[list[np.ndarray]]
    clip: FaceClip
    said: dict[str, Any]

    @property
    def crops(self) -> np.ndarray:
        return np.frombuffer(base64.b64decode(self.said["crops"]), np.uint8).reshape(self.clip.data.shape)

    @property
    def heats(self) -> np.ndarray:
        return np.frombuffer(base64.b64decode(self.said["heats"]), np.float32).reshape(self.clip.data.shape[:3])


def two_windows(example: str, model: LoadedModel) -> Iterator[Frames]:
    """Decode two windows of an example."""
    plan = plan_windows([model.spec])
    yield from islice(decode.decode(EXAMPLES / f"{example}.mp4", plan), 2)


@pytest.fixture(scope="module")
def windows(model: LoadedModel, tmp_path_factory: pytest.TempPathFactory) -> list[Window]:
    if not (HERE / "models" / "heat.onnx").exists():
        pytest.skip("make extension has not added the networks")
    found, folders = [], []
    for frames in chain(two_windows("blended-face", model), two_windows("photograph", model)):
        boxes = FaceFinder().detect(frames)
        clip = crop(frames, link(boxes, frames.seconds, ())[0], model.spec)
        embeddings = [
            [embed(image, points) for points in some.landmarks] for image, some in zip(frames.data, boxes, strict=True)
        ]
        found.append(([some.xyxy for some in boxes], embeddings, clip))
        told = {
            "width": frames.data.shape[2],
            "height": frames.data.shape[1],
            "seconds": frames.seconds.tolist(),
            "boxes": [some.xyxy.tolist() for some in boxes],
        }
        folders.append(tmp_path_factory.mktemp("window"))
        (folders[-1] / "window.json").write_text(json.dumps(told))
        (folders[-1] / "pictures.rgb").write_bytes(frames.data.tobytes())
    done = subprocess.run(["node", SCRIPT, *folders], capture_output=True, check=True, timeout=300)
    return [Window(*ours, said) for ours, said in zip(found, json.loads(done.stdout), strict=True)]


def test_faces_crops_and_logits_of_a_video_are_those_of_python(model, windows):
    for window in windows:
        for ours, theirs in zip(window.boxes, window.said["boxes"], strict=True):
            assert np.diag(overlaps(ours, np.array(theirs, np.float32))).min() >= 0.95
        for ours, theirs in zip(window.embeddings, window.said["embeddings"], strict=True):
            assert (np.array(ours) * np.array(theirs)).sum(1).min() > 0.95
        assert np.abs(window.crops.astype(int) - window.clip.data.astype(int)).max() <= 2
        (logit,) = model.logits([window.clip])
        assert abs(window.said["logit"] - logit) < 0.02


def single_frames(window: Window) -> Iterator[FaceClip]:
    """Make a clip of each of the extension's crops."""
    yield from replace(window.clip, data=window.crops).frames()


def test_heatmaps_are_those_of_python(model, windows):
    for window in windows:
        for ours, theirs in zip(single_frames(window), window.heats, strict=True):
            assert np.abs(heatmap(model, ours)[0] - theirs).max() < 0.05


def test_blurring_hot_places_changes_the_score_more_than_blurring_cold_ones(model, windows):
    moved = [
        effects(model, clip, heat, model.spec.side_px // 3)
        for window in windows
        for clip, heat in zip(single_frames(window), window.heats, strict=True)
    ]
    hot, cold = np.array(moved).T
    assert hot.mean() > 1.3 * cold.mean()
    assert (hot > cold).mean() > 0.6
