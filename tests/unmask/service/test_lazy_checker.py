"""The page answers before there is a checker; the checks that come meanwhile wait for it."""

import functools
import os
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

import app
from tests.media import make
from tests.served import APP, served
from unmask.download.sources import Options, UrlSource
from unmask.models import bundled
from unmask.service.jobs import Jobs
from unmask.service.lazy_checker import StandIn
from unmask.service.settings import Settings

SOURCE = UrlSource("https://videos.example/clip.mp4")


class Checker:
    """Answers at once."""

    def identify(self, models):
        return tuple(f"{model}@1" for model in models)

    def check(self, source, options, on_progress, *, keep, known):
        return {"status": "ok", "source": {}}


@pytest.fixture
def jobs():
    """Jobs with a stand-in for what `make` gives."""
    made = []

    def with_standin(make):
        standin = StandIn(make)
        made.append(Jobs(standin, workers=1))
        return standin, made[-1]

    yield with_standin
    for each in made:
        each.shutdown()


def state_with(text, jobs, job):
    return next(state for state in jobs.watch(job) if state.text == text)


@pytest.mark.timeout(30)
def test_a_check_that_comes_early_is_told_so_waits_and_is_answered(jobs):
    standin, jobs = jobs(Checker)
    job = jobs.submit(SOURCE, Options())
    assert state_with("Getting ready", jobs, job).state == "running"
    standin.begin()
    *_, last = jobs.watch(job)
    assert (last.state, last.report["status"]) == ("done", "ok")


@pytest.mark.timeout(30)
def test_a_check_that_waits_can_be_cancelled_and_makes_room(jobs):
    _, jobs = jobs(Checker)
    first, second = jobs.submit(SOURCE, Options()), jobs.submit(UrlSource("https://b.example/"), Options())
    state_with("Getting ready", jobs, first)
    assert jobs.cancel(first)
    assert state_with("Getting ready", jobs, second).state == "running"  # there is one worker


@pytest.mark.timeout(30)
@pytest.mark.parametrize("problem", [ImportError("no torch"), SystemExit(1)])
def test_a_checker_that_cannot_be_made_is_logged_and_fails_checks_early_and_late(jobs, problem, caplog):
    def make():
        raise problem

    standin, jobs = jobs(make)
    early = jobs.submit(SOURCE, Options())
    state_with("Getting ready", jobs, early)
    standin.begin()
    for job in (early, jobs.submit(UrlSource("https://b.example/"), Options())):
        *_, last = jobs.watch(job)
        assert (last.state, last.report["error"]["code"]) == ("failed", "internal")
    assert "could not be made" in caplog.text
    assert repr(problem).partition("(")[0] in caplog.text


def test_models_keep_their_names_until_there_is_a_checker():
    ready = threading.Event()

    def make():
        ready.wait()
        return Checker()

    standin = StandIn(make)
    standin.end()  # nothing has begun: nothing to wait for
    standin.begin()
    assert standin.identify(("b", "a", "b")) == ("a", "b")
    ready.set()
    standin.end()
    assert standin.identify(("a",)) == ("a@1",)


@pytest.mark.parametrize(
    ("model", "on_zero_gpu", "follows"),
    [
        ("default", False, True),
        (bundled.DEFAULT, False, True),
        (f"default,{bundled.DEFAULT}", False, True),
        ("owner/name", False, False),  # the page says so when it cannot be used
        ("/models/mine", False, False),
        ("default,owner/name", False, False),
        ("default", True, False),  # nothing is lent to what is loaded later
    ],
)
def test_only_the_bundled_model_is_loaded_behind_the_page(model, on_zero_gpu, follows, monkeypatch):
    if on_zero_gpu:
        monkeypatch.setattr("spaces.GPU", lambda duration: functools.partial(functools.partial))
    assert app.can_follow(Settings(model=model)) is follows


@pytest.mark.timeout(60)
def test_a_bundled_model_that_is_missing_is_logged_and_fails_checks(jobs, monkeypatch, tmp_path, caplog):
    monkeypatch.setattr("unmask.models.bundled.FOLDER", tmp_path)
    standin, jobs = jobs(lambda: app.ready_checker(Settings())[0])
    standin.begin()
    *_, last = jobs.watch(jobs.submit(SOURCE, Options()))
    assert last.report["error"]["code"] == "model_unavailable"
    assert "checks will fail" in caplog.text


BUILD = """
import sys
from pathlib import Path
import app
app.build(app.Settings(), app.Jobs(app.StandIn(lambda: None)), Path())
print([name for name in ("torch", "safetensors") if name in sys.modules])
"""


@pytest.mark.timeout(300)
def test_the_page_is_there_without_torch_whose_import_takes_seconds():
    environment = {**os.environ, "PYTHONPATH": str(APP.parent)}
    built = subprocess.run([sys.executable, "-c", BUILD], env=environment, capture_output=True, check=True)
    assert built.stdout.decode().splitlines()[-1] == "[]"


@pytest.mark.timeout(900)  # starting the Space takes minutes where all cores are taken
def test_a_space_is_asked_as_soon_as_it_is_there(tmp_path):
    with served(tmp_path, UNMASK_MODEL="") as space:
        report = space.ask("check_file", {"video": uploaded(space, make("short.mp4", tmp_path))})
        assert report["models"][0]["name"] == bundled.DEFAULT


@pytest.mark.timeout(900)
def test_a_space_that_is_stopped_while_it_gets_ready_ends_quietly(tmp_path):
    with served(tmp_path, UNMASK_MODEL="") as space:
        pass
    assert space.process.returncode == 0
    assert "Traceback" not in space.log.read_text()


WITHOUT_TORCH = """
import runpy, sys
sys.modules["torch"] = None
sys.path.insert(0, sys.argv[1])
runpy.run_path(f"{sys.argv[1]}/app.py", run_name="__main__")
"""


@pytest.mark.timeout(900)
def test_a_space_whose_torch_is_broken_shows_its_page_and_answers_with_failed_reports(tmp_path):
    with served(tmp_path, command=("-c", WITHOUT_TORCH, str(APP.parent)), UNMASK_MODEL="") as space:
        assert httpx.get(space.url).is_success
        report = space.ask("check_file", {"video": uploaded(space, make("short.mp4", tmp_path))})
        assert report["error"]["code"] == "internal"
        assert "ModuleNotFoundError" in space.log.read_text()


def uploaded(space, path: Path):
    return {"path": space.upload(path).json()[0], "meta": {"_type": "gradio.FileData"}}
