"""Which model a Space starts with, and when it is loaded."""

import functools

import pytest

import app
from tests.media import make
from tests.unmask.service.test_endpoints import items_of
from tests.untrained import untrained_model
from unmask.models import bundled
from unmask.service.endpoints import Endpoints
from unmask.service.jobs import Jobs
from unmask.service.settings import Settings


def test_a_space_whose_model_is_damaged_goes_on_with_the_bundled_one(tmp_path, caplog):
    weights = untrained_model(tmp_path / "damaged") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    checker, settings = app.load_checker(Settings(model=str(weights.parent)))
    assert "cannot be used" in caplog.text
    jobs = Jobs(checker)
    try:
        video = str(make("short.mp4", tmp_path))
        for model, is_said in (("", True), ("mobilenet-gru", False)):
            report = items_of(Endpoints(settings, jobs, tmp_path).check_file(video, model))[-1]
            assert report["models"][0]["name"] == "mobilenet-gru"
            assert any("bundled one answers" in warning for warning in report["warnings"]) == is_said
    finally:
        jobs.shutdown()


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
