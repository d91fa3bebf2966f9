"""Streams and answers of the endpoints, with jobs whose states the test gives."""

import asyncio
import logging
from contextlib import aclosing

import pytest

from unmask.errors import Busy
from unmask.models import bundled
from unmask.service.endpoints import Endpoints, to_failure
from unmask.service.jobs import JobState
from unmask.service.settings import Settings


class Jobs:
    """Goes through the given states, the last one for ever."""

    def __init__(self, *states):
        self.states = list(states)
        self.cancelled = []

    def submit(self, source, options, keep=None, client=None):
        if not self.states:
            raise Busy("The queue is full.")
        return "job-1"

    def state(self, job):
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def cancel(self, job):
        self.cancelled.append(job)
        return True


QUEUED = JobState("queued", "queued", 0.0, "Waiting", 2, None)
RUNNING = JobState("running", "faces", 0.5, "Looking for faces", 0, None)
DONE = JobState("done", "done", 1.0, "Done", 0, {"status": "ok"})


@pytest.fixture
def endpoints(tmp_path):
    return lambda jobs: Endpoints(Settings(), jobs, tmp_path)


def items_of(stream):
    async def collect():
        return [item async for item in stream]

    return asyncio.run(collect())


def test_a_stream_tells_each_state_once_and_ends_with_the_report(endpoints):
    jobs = Jobs(QUEUED, QUEUED, RUNNING, RUNNING, DONE)
    assert items_of(endpoints(jobs).check_url("https://videos.example/")) == [
        {"stage": "queued", "fraction": 0.0, "text": "Waiting", "position": 2},
        {"stage": "faces", "fraction": 0.5, "text": "Looking for faces"},
        {"status": "ok"},
    ]


def test_a_state_that_lasts_is_repeated_so_that_leaving_is_noticed(endpoints, monkeypatch):
    monkeypatch.setattr("unmask.service.endpoints.HEARTBEAT_SECONDS", 0.0)
    jobs = Jobs(RUNNING, RUNNING, RUNNING, DONE)
    assert len(items_of(endpoints(jobs).check_url("https://videos.example/"))) == 4


def test_leaving_a_stream_cancels_its_job(endpoints):
    jobs = Jobs(RUNNING)

    async def leave():
        async with aclosing(endpoints(jobs).check_url("https://videos.example/")) as items:
            await anext(items)

    asyncio.run(leave())
    assert jobs.cancelled == ["job-1"]


@pytest.mark.parametrize(("kind", "argument"), [("url", None), ("file", None), ("frames", 7)])
def test_a_bad_argument_is_a_failed_report(endpoints, kind, argument):
    (report,) = items_of(getattr(endpoints(Jobs(RUNNING)), f"check_{kind}")(argument))
    assert (report["source"]["kind"], report["error"]["code"]) == (kind, "bad_input")


def test_a_job_is_asked_for_and_cancelled_by_its_id(endpoints):
    asked = endpoints(Jobs(RUNNING))
    assert asked.submit("https://videos.example/") == {"job": "job-1"}
    assert asked.job("job-1")["stage"] == "faces" and asked.cancel("job-1") == {"cancelled": True}
    unknown = endpoints(Jobs()).job("other")
    assert (unknown["state"], unknown["report"]["error"]["code"]) == ("failed", "internal")
    assert [set(model) for model in asked.models()] == [
        {"name", "revision", "parameters", "size_bytes", "headline"}
    ] * len(bundled.names())


def test_a_full_queue_is_a_failed_report(endpoints):
    (report,) = items_of(endpoints(Jobs()).check_url("https://videos.example/"))
    assert report["error"] == {"code": "busy", "message": "The queue is full."}
    assert report["source"]["url"] == "https://videos.example/"
    refused = endpoints(Jobs()).submit("https://videos.example/")
    assert (refused["job"], refused["report"]["error"]["code"]) == (None, "busy")


def test_a_defect_of_ours_is_logged_and_not_told(caplog):
    caplog.set_level(logging.ERROR)  # the command line, tested before, sets another one
    report = to_failure({"kind": "file", "name": "clip.mp4"}, ZeroDivisionError("the secret path"))
    assert report["error"]["code"] == "internal"
    assert "secret" not in str(report)
    assert "the secret path" in caplog.text


def test_users_cannot_name_the_owners_folder(tmp_path):
    settings = Settings(model=str(tmp_path))
    endpoints = Endpoints(settings, Jobs(RUNNING), tmp_path)
    assert endpoints.options("", None, None).models == (str(tmp_path),)
    (report,) = items_of(endpoints.check_url("https://videos.example/", model=str(tmp_path)))
    assert report["error"]["code"] == "model_unavailable"
    assert str(tmp_path) not in report["error"]["message"].partition("Choose from")[2]
