"""Which model a Space starts with, and when it is loaded."""

import functools
from pathlib import Path

import pytest

import app
from tests.media import make
from tests.served import served
from tests.untrained import untrained_model
from unmask.models import bundled
from unmask.service.settings import Settings

pytestmark = pytest.mark.timeout(900)  # starting the Space takes minutes where all cores are taken


def damaged(folder: Path) -> Path:
    weights = untrained_model(folder) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    return folder


@pytest.mark.server
def test_a_space_whose_model_is_damaged_goes_on_with_the_bundled_one(tmp_path):
    with served(tmp_path, UNMASK_MODEL=str(damaged(tmp_path / "damaged"))) as space:
        path = make("short.mp4", tmp_path)
        file = {"path": space.upload(path).json()[0], "meta": {"_type": "gradio.FileData"}}
        report = space.ask("check_file", {"video": file})
        assert report["models"][0]["name"] == "mobilenet-gru"
        assert any("bundled one answers" in warning for warning in report["warnings"])
        asked = space.ask("check_file", {"video": file, "model": "mobilenet-gru"})
        assert not any("bundled one answers" in warning for warning in asked["warnings"])
        assert "cannot be used" in space.log.read_text()


@pytest.mark.parametrize(
    ("model", "on_zero_gpu", "after"),
    [
        ("default", False, True),
        (f"default,{bundled.DEFAULT}", False, True),
        ("owner/name", False, False),  # the page says so when it cannot be used
        ("default,/models/mine", False, False),
        ("default", True, False),  # nothing is lent to what is loaded later
    ],
)
def test_only_the_bundled_model_is_loaded_after_the_page(model, on_zero_gpu, after, monkeypatch):
    if on_zero_gpu:
        monkeypatch.setattr("spaces.GPU", lambda duration: functools.partial(functools.partial))
    assert app.loads_after_launch(Settings(model=model)) is after
