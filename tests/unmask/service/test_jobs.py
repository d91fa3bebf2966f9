"""Jobs: queueing, merging, caching and cancelling, with a checker that waits for the test."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

from tests.reports import build
from unmask.download.sources import FileSource, FramesSource, Options, UrlSource, VideoSource, content_key, describe
from unmask.errors import BadInput, Busy, FetchFailed, RateLimited
from unmask.report import STANDBY_ANSWERED, CheckReport, with_source
from unmask.service.jobs import ABANDONED_SECONDS, RESULT_SECONDS, Jobs, JobState
from unmask.service.rate_limit import ClientLimits
from unmask.video.sampling import Span

OPTIONS = Options()
A, B, C = (UrlSource(f"https://{name}.example/clip") for name in "abc")
SHA256 = "0123" * 16


class WaitingChecker:
    """Every check waits until the test lets it go on."""

    def __init__(self) -> None:
        self.done: list[VideoSource] = []  # finished, not cancelled
        self.started = threading.Semaphore(0)
        self.go = threading.Event()
        self.ended = threading.Semaphore(0)  # in any way
        self.error: Exception | None = None
        self.keeps: list[Path | None] = []

    def check(
        self,
        source: VideoSource,
        options: Options,
        on_progress: Callable[[str, float, str], None],
        *,
        keep: Path | None,
        cached_reports: Mapping[str, CheckReport],
    ) -> CheckReport:
        self.started.release()
        self.keeps.append(keep)
        try:
            on_progress("fetch", 0.1, "Fetching")
            while not self.go.wait(0.005):
                on_progress("fetch", 0.1, "Fetching")
            if self.error:
                raise self.error
            if source in (A, B) and (report := cached_reports.get(content_key(SHA256, 0.0))):
                return report
            self.done.append(source)
            return with_source(build([], sha256=SHA256 if source in (A, B) else None), describe(source))
        finally:
            self.ended.release()


@pytest.fixture
def checker():
    return WaitingChecker()


@pytest.fixture
def start(checker):
    """Make Jobs with one worker; they are shut down after the test."""
    made: list[Jobs] = []

    def make(workers=1, **settings):
        made.append(Jobs(checker, workers=workers, **settings))  # type: ignore[arg-type]
        return made[-1]

    yield make
    checker.go.set()
    for jobs in made:
        jobs.shutdown()


def finish(jobs: Jobs, job: str) -> JobState:
    deadline = time.monotonic() + 20
    while not (state := jobs.state(job)).finished:
        assert time.monotonic() < deadline, state
        time.sleep(0.002)
    return state


def code(state: JobState) -> str:
    assert state.report is not None
    assert state.report["status"] == "failed"
    return state.report["error"]["code"]


def test_a_job_runs_through_its_states(checker, start):
    jobs = start()
    job = jobs.submit(A, OPTIONS)
    assert checker.started.acquire(timeout=5)
    running = jobs.state(job)
    assert (running.state, running.position, running.report) == ("running", 0, None)
    checker.go.set()
    done = finish(jobs, job)
    assert (done.state, done.stage, done.fraction, done.position) == ("done", "done", 1.0, 0)
    assert done.report
    assert done.report["source"]["url"] == A.url
    assert not jobs.cancel(job)


def test_jobs_wait_until_there_is_a_checker(checker):
    jobs = Jobs(workers=1)
    job = jobs.submit(A, OPTIONS)
    assert (jobs.state(job).state, jobs.state(job).position) == ("queued", 1)
    checker.go.set()
    jobs.start(checker)
    assert finish(jobs, job).state == "done"
    jobs.shutdown()


def test_ids_cannot_be_guessed(start):
    jobs = start(workers=0)
    ids = {jobs.submit(A, OPTIONS) for _ in range(20)}
    assert len(ids) == 20
    assert min(map(len, ids)) >= 32
    job = min(ids)
    wrong = job[:-1] + ("a" if job[-1] != "a" else "b")  # in one letter
    for other in (wrong, "", "x", "nobody's", "-" * 41, "0" * 41, "zzzzzzzz-" + "a" * 32, "a" * 100_000):
        with pytest.raises(BadInput):
            jobs.state(other)
        assert not jobs.cancel(other)
    assert jobs.state(job).state == "queued"


def test_a_full_queue_is_busy_but_equal_work_still_joins(start):
    jobs = start(queue_size=2)
    jobs.submit(A, OPTIONS)
    jobs.submit(B, OPTIONS)
    with pytest.raises(Busy):
        jobs.submit(C, OPTIONS)
    assert jobs.submit(A, OPTIONS)


@pytest.mark.parametrize(
    ("first", "second", "options", "checks"),
    [
        (A, A, OPTIONS, 1),
        (A, UrlSource("HTTPS://A.example:443/clip?utm_source=mail#t=5"), OPTIONS, 1),  # the same page
        (A, A, Options(models=("mobilenet-gru",)), 1),  # what `default` stands for
        (A, A, Options(models=("resnext-lstm",)), 2),
        (A, A, Options(span=Span(5.0, 9.0)), 2),
        (A, A, Options(notices=("Another model answers.",)), 2),  # a notice stays with those it concerns
        (A, C, OPTIONS, 2),
        (FramesSource((b"1",), (0.0,)), FramesSource((b"1",), (0.0,)), OPTIONS, 1),
        (FramesSource((b"1",), (0.0,)), FramesSource((b"1",), (0.5,)), OPTIONS, 2),
        (FramesSource((b"1",), (0.0,)), FramesSource((b"2",), (0.0,)), OPTIONS, 2),
    ],
)
@pytest.mark.parametrize("when", ["while it runs", "after it"])
def test_equal_work_is_done_once(checker, start, first, second, options, checks, when):
    jobs = start()
    one = jobs.submit(first, OPTIONS)
    if when == "after it":
        checker.go.set()
        finish(jobs, one)
    other = jobs.submit(second, options)
    checker.go.set()
    assert finish(jobs, one).state == finish(jobs, other).state == "done"
    assert len(checker.done) == checks


def test_equal_files_are_one_task_and_each_client_keeps_its_own_name(checker, start, tmp_path):
    jobs = start()
    paths = [tmp_path / "hers.mp4", tmp_path / "his.mp4"]
    for path in paths:
        path.write_bytes(b"the same video")
    ids = [jobs.submit(FileSource(path, path.name), OPTIONS) for path in paths]
    checker.go.set()
    reports = [finish(jobs, job).report for job in ids]
    assert [report and report["source"]["name"] for report in reports] == ["hers.mp4", "his.mp4"]
    assert len(checker.done) == 1


def test_equal_content_behind_another_url_is_not_judged_again_while_its_report_is_fresh(checker, start):
    now = [0.0]
    jobs = start(cache_seconds=100.0, clock=lambda: now[0])
    checker.go.set()
    finish(jobs, jobs.submit(A, OPTIONS))
    report = finish(jobs, jobs.submit(B, OPTIONS)).report
    assert report and report["source"]["name"] == B.url
    finish(jobs, jobs.submit(B, Options(models=("resnext-lstm",))))
    assert checker.done == [A, B]
    for now[0], checks in ((99.0, 2), (101.0, 3)):
        assert finish(jobs, jobs.submit(A, OPTIONS)).state == "done"
        assert len(checker.done) == checks


def test_a_failure_is_reported_and_not_cached(checker, start):
    jobs = start()
    checker.error = FetchFailed("The server is down.")
    checker.go.set()
    state = finish(jobs, jobs.submit(A, OPTIONS))
    assert (state.state, code(state)) == ("failed", "fetch_failed")
    assert state.report
    assert state.report["source"]["url"] == A.url
    checker.error = None
    assert finish(jobs, jobs.submit(A, OPTIONS)).state == "done"


def test_a_defect_is_logged_and_reported_as_internal(checker, start, caplog):
    jobs = start()
    checker.error = ZeroDivisionError("a defect")
    checker.go.set()
    with caplog.at_level(logging.ERROR):
        state = finish(jobs, jobs.submit(A, OPTIONS))
    assert code(state) == "internal"
    assert "a defect" not in str(state.report)
    assert "ZeroDivisionError: a defect" in caplog.text
    assert A.url not in caplog.text  # what users check is private
    checker.error = None
    assert finish(jobs, jobs.submit(A, OPTIONS)).state == "done"  # the worker goes on


def test_cancelling_stops_the_check(checker, start):
    jobs = start()
    job = jobs.submit(A, OPTIONS)
    assert checker.started.acquire(timeout=5)
    assert jobs.cancel(job)
    assert (jobs.state(job).state, code(jobs.state(job))) == ("cancelled", "cancelled")
    assert checker.ended.acquire(timeout=5)
    assert not checker.done
    assert not jobs.cancel(job)
    assert not jobs.cancel("no such job")


@pytest.mark.parametrize("cancelled", [1, 2])
def test_a_check_goes_on_while_a_job_waits_for_it(cancelled, checker, start):
    jobs = start()
    ids = [jobs.submit(A, OPTIONS) for _ in range(2)]
    assert checker.started.acquire(timeout=5)
    for job in ids[:cancelled]:
        assert jobs.cancel(job)
    last = jobs.submit(A, OPTIONS)  # joins it, or begins another: a cancelled check cannot be joined
    checker.go.set()
    assert finish(jobs, last).state == "done"
    assert [jobs.state(job).state for job in ids[:cancelled]] == ["cancelled"] * cancelled
    assert checker.done == [A]
    assert len(checker.keeps) == cancelled  # checks that were begun


def test_a_finished_job_is_forgotten_after_a_time(checker, start):
    now = [0.0]
    jobs = start(clock=lambda: now[0])
    checker.go.set()
    job = jobs.submit(A, OPTIONS)
    finish(jobs, job)
    now[0] = RESULT_SECONDS - 1
    assert jobs.state(job).state == "done"
    now[0] = RESULT_SECONDS + 1
    with pytest.raises(BadInput, match="no such job"):
        jobs.state(job)


def test_shutdown_cancels_everything(checker, start):
    jobs = start()
    ids = [jobs.submit(source, OPTIONS) for source in (A, B)]
    assert checker.started.acquire(timeout=5)
    jobs.shutdown()
    assert checker.ended.acquire(timeout=5)
    assert [jobs.state(job).state for job in ids] == ["cancelled", "cancelled"]
    with pytest.raises(Busy):
        jobs.submit(A, OPTIONS)


def test_one_client_cannot_fill_the_queue(start):
    jobs = start(clients=ClientLimits(max_checks=2))
    sources = [UrlSource(f"https://a.example/{number}") for number in range(4)]
    ids = [jobs.submit(source, OPTIONS, client="a") for source in sources[:2]]
    with pytest.raises(RateLimited, match="2 of your checks"):
        jobs.submit(sources[2], OPTIONS, client="a")
    assert jobs.submit(sources[2], OPTIONS, client="b")
    assert jobs.submit(sources[2], OPTIONS, client="a")  # joining the check of b takes no place
    jobs.cancel(ids[1])
    assert jobs.submit(sources[3], OPTIONS, client="a")


def test_one_client_cannot_ask_without_end(checker, start):
    jobs = start(clients=ClientLimits(per_minute=3))
    checker.go.set()
    for _ in range(3):
        finish(jobs, jobs.submit(A, OPTIONS, client="a"))  # answered from the cache, and counted
    with pytest.raises(RateLimited, match="3 checks a minute"):
        jobs.submit(A, OPTIONS, client="a")
    assert jobs.submit(A, OPTIONS, client="b")


def test_clients_take_turns(checker, start):
    jobs = start()
    jobs.submit(C, OPTIONS, client="c")
    assert checker.started.acquire(timeout=5)
    greedy = [UrlSource(f"https://a.example/{number}") for number in range(3)]
    ids = [jobs.submit(source, OPTIONS, client="a") for source in greedy]
    ids.append(jobs.submit(B, OPTIONS, client="b"))
    assert [jobs.state(job).position for job in ids] == [1, 3, 4, 2]
    jobs.cancel(ids[1])
    assert jobs.state(ids[2]).position == 3
    checker.go.set()
    for job in ids:
        finish(jobs, job)
    assert checker.done == [C, greedy[0], B, greedy[2]]


def test_newcomers_do_not_overtake_without_end(checker, start):
    jobs = start()
    running = jobs.submit(UrlSource("https://first.example/"), OPTIONS, client="first")
    assert checker.started.acquire(timeout=5)
    ids = [jobs.submit(source, OPTIONS, client="a") for source in (A, B)]
    jobs.submit(C, OPTIONS, client="c")
    assert [jobs.state(job).position for job in ids] == [1, 3]
    jobs.cancel(running)
    assert checker.started.acquire(timeout=5)  # a had a turn, c is next, then a again
    for number in range(5):
        jobs.submit(UrlSource(f"https://new.example/{number}"), OPTIONS, client=f"newcomer {number}")
        assert jobs.state(ids[1]).position == 2


def test_an_abandoned_job_is_cancelled(checker, start):
    now = [0.0]
    jobs = start(queue_size=3, clock=lambda: now[0])
    running = jobs.submit(A, OPTIONS)
    assert checker.started.acquire(timeout=5)
    forgotten, followed = jobs.submit(B, OPTIONS), jobs.submit(C, OPTIONS)
    now[0] = ABANDONED_SECONDS - 1
    assert jobs.state(followed).position == 2
    now[0] = ABANDONED_SECONDS + 1
    assert jobs.state(followed).position == 1
    assert jobs.state(forgotten).state == "cancelled"
    assert jobs.state(running).state == "running"  # what runs is finished


def test_a_job_of_an_earlier_process_is_cancelled(start):
    job = start(workers=0).submit(A, OPTIONS)
    restarted = start(workers=0)
    state = restarted.state(job)
    assert (state.state, code(state)) == ("cancelled", "cancelled")
    assert "Ask for it again" in state.text
    assert not restarted.cancel(job)


def test_a_check_runs_in_the_context_of_its_request(checker, start):
    asked = ContextVar("asked", default="")
    seen = []

    def check(*_, **__):
        seen.append(asked.get())
        return build([])

    checker.check = check
    jobs = start()
    for name in ("first", "second"):
        token = asked.set(name)
        finish(jobs, jobs.submit(UrlSource(f"https://{name}.example"), OPTIONS))
        asked.reset(token)
    assert seen == ["first", "second"]


def warnings_of(jobs):
    report: Any = finish(jobs, jobs.submit(A, OPTIONS)).report
    return report["warnings"]


def test_an_answer_in_place_of_another_is_not_kept(checker, start):
    reports = [{**build([]), "warnings": [STANDBY_ANSWERED]}, build([])]
    checker.check = lambda *_, **__: reports.pop(0)
    jobs = start()
    for warnings in ([STANDBY_ANSWERED], []):
        assert warnings_of(jobs) == warnings
    assert warnings_of(jobs) == []  # kept: there is no third
