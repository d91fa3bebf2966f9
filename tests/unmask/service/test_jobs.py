"""Jobs: queueing, merging, caching and cancelling, with a stand-in that checks nothing."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from unmask.download.sources import FileSource, FramesSource, Options, UrlSource, VideoSource, describe
from unmask.errors import BadInput, Busy, FetchFailed, RateLimited
from unmask.report import Report
from unmask.service import jobs as jobs_module
from unmask.service.jobs import Jobs, JobState
from unmask.service.rate_limit import Clients
from unmask.video.sampling import Span

OPTIONS = Options()
A, B = UrlSource("https://a.example/clip"), UrlSource("https://b.example/clip")


class Checking:
    """Stands in for a Checker: every check waits until the test lets it go on."""

    def __init__(self) -> None:
        self.done: list[VideoSource] = []  # finished, not cancelled
        self.started = threading.Semaphore(0)
        self.go = threading.Event()
        self.ended = threading.Semaphore(0)  # in any way
        self.error: Exception | None = None
        self.content = "content"  # what every URL turns out to lead to
        self.recalled: Report | None = None
        self.keeps: list[Path | None] = []

    def identify(self, models: tuple[str, ...]) -> tuple[str, ...]:
        return tuple({"default": "mobilenet-gru@1"}.get(name, name) for name in models)

    def check(
        self,
        source: VideoSource,
        options: Options,
        on_progress: Callable[[str, float, str], None],
        *,
        keep: Path | None,
        known: Callable[[str], Report | None],
    ) -> Report:
        self.started.release()
        self.keeps.append(keep)
        try:
            on_progress("fetch", 0.1, "Fetching")
            while not self.go.wait(0.005):
                on_progress("fetch", 0.1, "Fetching")
            if self.error:
                raise self.error
            if isinstance(source, UrlSource) and (recalled := known(f"{self.content}:{source.url}")):
                self.recalled = recalled
                return {**recalled, "source": describe(source)}
            on_progress("model", 0.8, "Judging")
            self.done.append(source)
            return {"status": "ok", "source": describe(source), "verdict": {"label": "real"}}
        finally:
            self.ended.release()


@pytest.fixture
def checking() -> Checking:
    return Checking()


@pytest.fixture
def start(checking: Checking) -> Iterator[Callable[..., Jobs]]:
    """Make Jobs around the stand-in; they are shut down after the test."""
    made: list[Jobs] = []

    def make(**settings: object) -> Jobs:
        made.append(Jobs(checking, **settings))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for jobs in made:
        jobs.shutdown()


def finish(jobs: Jobs, job: str) -> JobState:
    *_, last = jobs.watch(job)
    return last


def test_a_job_runs_through_its_states(checking: Checking, start: Callable[..., Jobs]) -> None:
    jobs = start(workers=1)
    job = jobs.submit(A, OPTIONS)
    states = []
    for state in jobs.watch(job):
        states.append(state)
        if state.stage == "fetch":
            checking.go.set()
    assert [state.state for state in states][-1] == "done"
    assert {state.state for state in states} <= {"queued", "running", "done"}
    assert states[-1] == jobs.state(job)
    assert (states[-1].stage, states[-1].fraction, states[-1].position) == ("done", 1.0, 0)
    assert states[-1].report
    assert states[-1].report["source"]["url"] == A.url
    assert all(state.report is None for state in states[:-1])


def test_ids_cannot_be_guessed(checking: Checking, start: Callable[..., Jobs]) -> None:
    jobs = start(workers=0)
    ids = {jobs.submit(A, OPTIONS) for _ in range(20)}
    assert len(ids) == 20
    assert min(map(len, ids)) >= 32


def test_waiting_jobs_know_their_position(checking: Checking, start: Callable[..., Jobs]) -> None:
    jobs = start(workers=1)
    running = jobs.submit(UrlSource("https://x.example/"), OPTIONS)
    assert checking.started.acquire(timeout=5)
    first, second = jobs.submit(A, OPTIONS), jobs.submit(B, OPTIONS)
    assert [jobs.state(job).position for job in (running, first, second)] == [0, 1, 2]
    assert jobs.cancel(first)
    assert jobs.state(second).position == 1


def test_a_full_queue_is_busy_but_equal_work_still_joins(checking: Checking, start: Callable[..., Jobs]) -> None:
    jobs = start(workers=1, queue_size=2)
    jobs.submit(A, OPTIONS)
    jobs.submit(B, OPTIONS)
    with pytest.raises(Busy):
        jobs.submit(UrlSource("https://c.example/"), OPTIONS)
    assert jobs.submit(A, OPTIONS)


@pytest.mark.parametrize(
    ("first", "second", "options", "computed"),
    [
        (A, A, OPTIONS, 1),
        (A, UrlSource("HTTPS://A.example:443/clip?utm_source=mail#t=5"), OPTIONS, 1),  # the same page
        (A, A, Options(models=("mobilenet-gru@1",)), 1),  # what `default` stands for
        (A, A, Options(models=("resnext-lstm",)), 2),
        (A, A, Options(span=Span(5.0, 9.0)), 2),
        (A, B, OPTIONS, 2),
        (FramesSource((b"1",), (0.0,)), FramesSource((b"1",), (0.0,)), OPTIONS, 1),
        (FramesSource((b"1",), (0.0,)), FramesSource((b"1",), (0.5,)), OPTIONS, 2),
        (FramesSource((b"1",), (0.0,)), FramesSource((b"2",), (0.0,)), OPTIONS, 2),
    ],
)
@pytest.mark.parametrize("when", ["while it runs", "after it"])
def test_equal_work_is_done_once(
    checking: Checking,
    start: Callable[..., Jobs],
    first: VideoSource,
    second: VideoSource,
    options: Options,
    computed: int,
    when: str,
) -> None:
    jobs = start(workers=1)
    one = jobs.submit(first, OPTIONS)
    if when == "after it":
        checking.go.set()
        finish(jobs, one)
    other = jobs.submit(second, options)
    checking.go.set()
    assert finish(jobs, one).state == finish(jobs, other).state == "done"
    assert len(checking.done) == computed


def test_equal_files_are_one_work_and_each_asker_keeps_their_own_name(
    checking: Checking, start: Callable[..., Jobs], tmp_path: Path
) -> None:
    jobs = start(workers=1)
    paths = [tmp_path / "hers.mp4", tmp_path / "his.mp4"]
    for path in paths:
        path.write_bytes(b"the same video")
    hers, his = (jobs.submit(FileSource(path, path.name), OPTIONS) for path in paths)
    checking.go.set()
    reports = [finish(jobs, job).report or {} for job in (hers, his)]
    assert [report["source"]["name"] for report in reports] == ["hers.mp4", "his.mp4"]
    assert len(checking.done) == 1


def test_a_url_with_content_that_is_known_is_not_judged_again(checking: Checking, start: Callable[..., Jobs]) -> None:
    jobs = start(workers=1)
    checking.go.set()
    finish(jobs, jobs.submit(A, OPTIONS))
    key = jobs._key(f"{checking.content}:{B.url}", OPTIONS)
    with jobs._changed:
        jobs._remember(key, {"status": "ok", "source": {"name": "another's"}})
    report = finish(jobs, jobs.submit(B, OPTIONS)).report
    assert checking.recalled is not None
    assert report is not None
    assert report["source"]["name"] == B.url


def test_a_report_is_used_again_only_while_it_is_fresh(checking: Checking, start: Callable[..., Jobs]) -> None:
    now = [0.0]
    jobs = start(workers=1, cache_seconds=100.0, clock=lambda: now[0])
    checking.go.set()
    for now[0], computed in ((0.0, 1), (99.0, 1), (101.0, 2)):
        assert finish(jobs, jobs.submit(A, OPTIONS)).state == "done"
        assert len(checking.done) == computed


def test_failures_are_told_and_not_remembered(checking: Checking, start: Callable[..., Jobs]) -> None:
    jobs = start(workers=1)
    checking.error = FetchFailed("The server is down.")
    checking.go.set()
    state = finish(jobs, jobs.submit(A, OPTIONS))
    assert state.state == "failed"
    assert state.report is not None
    assert state.report["error"] == {"code": "fetch_failed", "message": "The server is down."}
    assert state.report["source"]["url"] == A.url
    checking.error = None
    assert finish(jobs, jobs.submit(A, OPTIONS)).state == "done"


def test_a_defect_is_logged_and_told_as_internal(
    checking: Checking, start: Callable[..., Jobs], caplog: pytest.LogCaptureFixture
) -> None:
    jobs = start(workers=1)
    checking.error = ZeroDivisionError("a defect")
    checking.go.set()
    with caplog.at_level(logging.ERROR):
        report = finish(jobs, jobs.submit(A, OPTIONS)).report
    assert report is not None
    assert report["error"]["code"] == "internal"
    assert "a defect" not in report["error"]["message"]
    assert "ZeroDivisionError: a defect" in caplog.text
    assert A.url not in caplog.text  # what people check is nobody's business
    checking.error = None
    assert finish(jobs, jobs.submit(A, OPTIONS)).state == "done"  # the worker lives on


def test_cancelling_stops_the_work(checking: Checking, start: Callable[..., Jobs]) -> None:
    jobs = start(workers=1)
    job = jobs.submit(A, OPTIONS)
    assert checking.started.acquire(timeout=5)
    assert jobs.cancel(job)
    state = jobs.state(job)
    assert (state.state, state.finished) == ("cancelled", True)
    assert state.report is not None
    assert state.report["error"]["code"] == "cancelled"
    assert checking.ended.acquire(timeout=5)
    assert not checking.done
    assert not jobs.cancel(job)
    assert not jobs.cancel("no such job")


def test_cancelling_one_of_two_askers_leaves_the_work_to_the_other(
    checking: Checking, start: Callable[..., Jobs]
) -> None:
    jobs = start(workers=1)
    first, second = jobs.submit(A, OPTIONS), jobs.submit(A, OPTIONS)
    assert checking.started.acquire(timeout=5)
    assert jobs.cancel(first)
    time.sleep(0.05)
    checking.go.set()
    assert finish(jobs, second).state == "done"
    assert jobs.state(first).state == "cancelled"
    assert len(checking.done) == 1


def test_nobody_joins_work_that_is_being_stopped(checking: Checking, start: Callable[..., Jobs]) -> None:
    jobs = start(workers=1)
    first = jobs.submit(A, OPTIONS)
    assert checking.started.acquire(timeout=5)
    jobs.cancel(first)
    second = jobs.submit(A, OPTIONS)
    checking.go.set()
    assert finish(jobs, second).state == "done"


def test_a_waiting_job_that_is_cancelled_never_runs(checking: Checking, start: Callable[..., Jobs]) -> None:
    jobs = start(workers=1)
    jobs.submit(A, OPTIONS)
    jobs.cancel(waiting := jobs.submit(B, OPTIONS))
    checking.go.set()
    assert finish(jobs, waiting).state == "cancelled"
    finish(jobs, jobs.submit(UrlSource("https://c.example/"), OPTIONS))
    assert B not in checking.done


def test_a_job_that_keeps_the_video_fetches_it(checking: Checking, start: Callable[..., Jobs], tmp_path: Path) -> None:
    jobs = start(workers=1)
    checking.go.set()
    finish(jobs, jobs.submit(A, OPTIONS))
    finish(jobs, jobs.submit(A, OPTIONS, keep=tmp_path))
    assert checking.keeps == [None, tmp_path]
    finish(jobs, jobs.submit(A, OPTIONS))
    assert len(checking.keeps) == 2


def test_jobs_are_forgotten_after_a_time(checking: Checking, start: Callable[..., Jobs]) -> None:
    now = [0.0]
    jobs = start(workers=1, clock=lambda: now[0])
    checking.go.set()
    job = jobs.submit(A, OPTIONS)
    finish(jobs, job)
    now[0] = jobs_module.RESULT_SECONDS - 1
    assert jobs.state(job).state == "done"
    now[0] = max(jobs_module.RESULT_SECONDS, 3600.0) + 1
    with pytest.raises(BadInput, match="no such job"):
        jobs.state(job)
    assert not jobs._jobs
    assert not jobs._reports


def test_finished_jobs_hold_no_media(checking: Checking, start: Callable[..., Jobs]) -> None:
    jobs = start(workers=1)
    checking.go.set()
    job = jobs.submit(FramesSource((b"\xff\xd8 a face",), (0.0,)), OPTIONS)
    finish(jobs, job)
    assert jobs._jobs[job].work.source is None


def test_shutdown_cancels_everything(checking: Checking, start: Callable[..., Jobs]) -> None:
    jobs = start(workers=1)
    ids = [jobs.submit(source, OPTIONS) for source in (A, B)]
    assert checking.started.acquire(timeout=5)
    jobs.shutdown()
    assert [jobs.state(job).state for job in ids] == ["cancelled", "cancelled"]
    assert not any(thread.is_alive() for thread in jobs._threads)
    with pytest.raises(Busy):
        jobs.submit(A, OPTIONS)


def test_a_file_that_is_gone_is_bad_input(start: Callable[..., Jobs], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"gone\.mp4"):
        start(workers=0).submit(FileSource(tmp_path / "gone.mp4", "gone.mp4"), OPTIONS)


# Who asks.


def test_one_client_cannot_fill_the_queue(checking: Checking, start: Callable[..., Jobs]) -> None:
    jobs = start(workers=1, clients=Clients(places=2))
    sources = [UrlSource(f"https://a.example/{number}") for number in range(4)]
    ids = [jobs.submit(source, OPTIONS, client="a") for source in sources[:2]]
    with pytest.raises(RateLimited, match="2 of your checks"):
        jobs.submit(sources[2], OPTIONS, client="a")
    assert jobs.submit(sources[2], OPTIONS, client="b")
    assert jobs.submit(sources[2], OPTIONS, client="a")  # joining what b waits for takes no place
    jobs.cancel(ids[1])
    assert jobs.submit(sources[3], OPTIONS, client="a")  # a place that was given back


def test_one_client_cannot_ask_for_ever(checking: Checking, start: Callable[..., Jobs]) -> None:
    now = [0.0]
    jobs = start(workers=1, clients=Clients(per_minute=3), clock=lambda: now[0])
    checking.go.set()
    for _ in range(3):
        finish(jobs, jobs.submit(A, OPTIONS, client="a"))  # answered from memory, and yet asked
    with pytest.raises(RateLimited, match="3 checks a minute"):
        jobs.submit(A, OPTIONS, client="a")
    assert jobs.submit(A, OPTIONS, client="b")
    now[0] = 20.0
    assert jobs.submit(A, OPTIONS, client="a")


def test_clients_take_turns_in_the_queue(checking: Checking, start: Callable[..., Jobs]) -> None:
    jobs = start(workers=1)
    jobs.submit(UrlSource("https://first.example/"), OPTIONS, client="c")
    assert checking.started.acquire(timeout=5)
    greedy = [jobs.submit(UrlSource(f"https://a.example/{n}"), OPTIONS, client="a") for n in range(3)]
    modest = jobs.submit(B, OPTIONS, client="b")
    assert [jobs.state(job).position for job in (*greedy, modest)] == [1, 3, 4, 2]
    checking.go.set()
    for job in (*greedy, modest):
        finish(jobs, job)
    assert [source.url for source in checking.done if isinstance(source, UrlSource)] == [
        "https://first.example/",
        "https://a.example/0",
        B.url,
        "https://a.example/1",
        "https://a.example/2",
    ]


def test_nobody_waits_for_ever_behind_newcomers(checking: Checking, start: Callable[..., Jobs]) -> None:
    jobs = start(workers=1, queue_size=3)
    running = jobs.submit(A, OPTIONS, client="a")
    assert checking.started.acquire(timeout=5)
    waiting, overtaken = jobs.submit(B, OPTIONS, client="a"), 0
    while overtaken < 20:
        newcomer = UrlSource(f"https://new.example/{overtaken}")
        came = jobs.submit(newcomer, OPTIONS, client=f"newcomer {overtaken}")
        jobs.cancel(running)
        assert checking.started.acquire(timeout=5)
        if jobs.state(waiting).state == "running":
            break
        running, overtaken = came, overtaken + 1
    assert overtaken == 6  # two rounds of the places


def test_a_waiting_job_that_nobody_asks_for_loses_its_place(checking: Checking, start: Callable[..., Jobs]) -> None:
    now = [0.0]
    jobs = start(workers=1, queue_size=3, clock=lambda: now[0])
    running = jobs.submit(UrlSource("https://x.example/"), OPTIONS)
    assert checking.started.acquire(timeout=5)
    forgotten, followed = jobs.submit(A, OPTIONS), jobs.submit(B, OPTIONS)
    now[0] = jobs_module.ABANDONED_SECONDS - 1
    assert jobs.state(followed).position == 2
    now[0] = jobs_module.ABANDONED_SECONDS + 1
    assert jobs.state(followed).position == 1
    assert jobs.state(forgotten).state == "cancelled"
    assert jobs.state(running).state == "running"  # what runs is finished
    assert jobs.submit(UrlSource("https://y.example/"), OPTIONS)  # there is room again


def test_a_job_of_an_earlier_life_is_cancelled(checking: Checking, start: Callable[..., Jobs]) -> None:
    before, now = start(workers=0), start(workers=0)
    job = before.submit(A, OPTIONS)
    state = now.state(job)
    assert (state.state, state.finished) == ("cancelled", True)
    assert state.report is not None
    assert state.report["error"]["code"] == "cancelled"
    assert "Ask for it again" in state.report["error"]["message"]
    assert not now.cancel(job)


@pytest.mark.parametrize("job", ["", "x", "nobody's", "-" * 41, "0" * 41, "zzzzzzzz-" + "a" * 32, "a" * 100_000])
def test_what_was_never_an_id_is_bad_input(job: str, checking: Checking, start: Callable[..., Jobs]) -> None:
    with pytest.raises(BadInput):
        start(workers=0).state(job)


def test_an_id_of_this_life_that_is_wrong_in_one_letter_is_nobodys(
    checking: Checking, start: Callable[..., Jobs]
) -> None:
    jobs = start(workers=0)
    job = jobs.submit(A, OPTIONS)
    wrong = job[:-1] + ("a" if job[-1] != "a" else "b")
    with pytest.raises(BadInput):
        jobs.state(wrong)
    assert not jobs.cancel(wrong)
    assert jobs.state(job).state == "queued"


def test_a_notice_stays_with_those_whom_it_concerns(checking: Checking, start: Callable[..., Jobs]) -> None:
    jobs = start(workers=1)
    checking.go.set()
    finish(jobs, jobs.submit(A, Options(notices=("Another model answers.",))))
    finish(jobs, jobs.submit(A, OPTIONS))
    assert len(checking.done) == 2
