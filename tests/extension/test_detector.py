"""The extension's own detector beside Python: the same vectors, the same networks, the same faces."""

import base64
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from extension.pack import HERE
from tests.browser.sites import EXAMPLES
from tests.vectors import FILE, vectors
from training.publish import main
from unmask import decoder, weights
from unmask.boxes import overlaps
from unmask.check import plan_windows
from unmask.clips import crop, to_input
from unmask.faces import FaceFinder
from unmask.plan import Span
from unmask.tracks import link

SCRIPT = Path(__file__).with_name("networks.js")
CPU = torch.device("cpu")


def test_the_vectors_that_the_extension_is_tested_with_are_what_python_says_today():
    stored, now = json.loads(FILE.read_text(encoding="utf-8")), json.loads(json.dumps(vectors()))
    assert stored == now, "python -m tests.vectors writes them anew"


def test_an_export_says_what_torch_says_and_carries_the_models_settings(tmp_path):
    folder = str(weights.BUNDLED / weights.DEFAULT)
    main(["--onnx", "--model-folder", folder, "--out", str(tmp_path)])  # which compares, or raises
    names = ["config.json", "model.onnx", "onet.onnx", "pnet.onnx", "rnet.onnx"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    told = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    model = weights.load("default", CPU)
    assert told["revision"] == model.revision
    assert weights.read_config(tmp_path).calibration == model.calibration
    assert weights.read_config(tmp_path).policy == model.policy and told["policy"]["max_drift"]


@pytest.mark.skipif(not (HERE / "models" / "model.onnx").exists(), reason="make extension has not added them")
def test_faces_crops_and_logits_of_a_video_are_those_of_python(tmp_path):
    model = weights.load("default", CPU)
    plan = plan_windows([model], Span())
    frames = next(iter(decoder.decode(EXAMPLES / "blended-face.mp4", plan, lambda: None)))
    boxes = FaceFinder().detect(frames)
    clip = crop(frames, link(boxes, frames.seconds, ())[0], model.spec)
    with torch.inference_mode():
        batch = to_input([clip], model.spec)
        logit = float(model.module(batch.data, batch.mask))
    told = {
        "width": frames.data.shape[2],
        "height": frames.data.shape[1],
        "seconds": frames.seconds.tolist(),
        "boxes": [found.xyxy.tolist() for found in boxes],
    }
    (tmp_path / "window.json").write_text(json.dumps(told))
    (tmp_path / "pictures.rgb").write_bytes(frames.data.tobytes())
    done = subprocess.run(["node", SCRIPT, tmp_path], capture_output=True, check=True, timeout=120)
    said = json.loads(done.stdout)
    for ours, theirs in zip(boxes, said["boxes"], strict=True):
        assert np.diag(overlaps(ours.xyxy, np.array(theirs, np.float32))).min() >= 0.95
    crops = np.frombuffer(base64.b64decode(said["crops"]), np.uint8).reshape(clip.data.shape)
    assert np.abs(crops.astype(int) - clip.data.astype(int)).max() <= 2
    assert abs(said["logit"] - logit) < 0.02
