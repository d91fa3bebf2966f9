"""Many checks at once: a bounded queue, worker threads, equal work done once, reports kept for a while.

A job is what one asker waits for; a piece of work is what is computed. Several jobs may wait for one piece
of work, and it stops only when the last of them is cancelled. Clients take turns, and none holds more than
its share of the places. Nothing here knows how a check is done.
"""

import logging
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from unmask.download.sources import Options, VideoSource, describe, fingerprint
from unmask.errors import BadInput, Busy, Cancelled, InternalError, RateLimited, UnmaskError
from unmask.report import Report, to_failed_report
from unmask.service.rate_limit import USUAL, Clients, Rates, fair_order

RESULT_SECONDS = 900.0  # a finished job can be asked for this long
MAX_JOBS = 4096  # askers remembered at once, merged ones included
MAX_CACHED = 256  # finished reports kept for equal requests
ABANDONED_SECONDS = 300.0  # a job that still waits and that nobody asked for so long loses its place
PATIENT_ROUNDS = 2  # a job goes first when so many times all places of the queue had a turn before it
WAKE_SECONDS = 15.0  # an idle worker looks this often for what has expired
ID_LIFE, ID_REST = r"[0-9a-f]{8}", r"[\w-]{32}"  # what ids look like: the process, and what no one can guess

StateName = Literal["queued", "running", "done", "failed", "cancelled"]
Key = tuple[object, ...]  # equal keys mean equal work

logger = logging.getLogger(__name__)


class Checks(Protocol):
    """What jobs need of a `check.Checker`."""

    def identify(self, models: tuple[str, ...]) -> tuple[str, ...]: ...

    def check(
        self,
        source: VideoSource,
        options: Options,
        on_progress: Callable[[str, float, str], None],
        *,
        keep: Path | None,
        known: Callable[[str], Report | None],
    ) -> Report: ...


@dataclass(frozen=True)
class JobState:
    """A job at one moment."""

    state: StateName
    stage: str  # one of check.STAGES
    fraction: float  # 0..1 of the whole check
    text: str  # what happens now, for a person
    position: int  # 1: next in the queue; 0: not waiting
    report: Report | None  # present when, and only when, the job has finished; failed reports included

    @property
    def finished(self) -> bool:
        return self.report is not None


@dataclass(eq=False)
class _Work:
    """One check, asked for by one or more jobs."""

    key: Key
    source: VideoSource | None  # None once finished: a finished job holds no media
    options: Options
    keep: Path | None = None
    client: str | None = None  # who asked for it first; None: nobody who is to be limited
    askers: set[str] = field(default_factory=set)
    state: StateName = "queued"
    stage: str = "queued"
    fraction: float = 0.0
    text: str = "Waiting for a free place"
    report: Report | None = None
    content: str | None = None  # what was fetched, see check.content_key
    came_at: int = 0  # how many turns there had been
    unwanted: bool = False  # to be stopped at its next sign of progress
    finished_at: float = float("inf")


@dataclass(eq=False)
class _Job:
    """One asker of a piece of work."""

    work: _Work
    described: dict[str, Any]  # the source as this asker named it
    asked_at: float  # when its state was last wanted
    cancelled_at: float | None = None

    @property
    def over_at(self) -> float:
        return self.work.finished_at if self.cancelled_at is None else self.cancelled_at


class Jobs:
    """Submit, watch, cancel. Every method may be called from any thread."""

    def __init__(
        self,
        checker: Checks,
        *,
        workers: int = 3,  # they fetch and decode side by side; the checker takes turns on the model
        queue_size: int = 16,  # pieces of work waiting or running before the answer is `busy`
        cache_seconds: float = 3600.0,  # how long a report answers equal requests; 0 switches it off
        clients: Clients = USUAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._checker = checker
        self._queue_size = queue_size
        self._cache_seconds = cache_seconds
        self._clients = clients
        self._clock = clock
        self._life = secrets.token_hex(4)  # begins the ids of this process
        self._rates = Rates(clients.per_minute, clock)
        self._changed = threading.Condition(threading.RLock())  # guards every field below
        self._jobs: dict[str, _Job] = {}
        self._queue: list[_Work] = []  # in the order of their coming
        self._running: set[_Work] = set()
        self._turns = 0  # that any client had
        self._last_turns: dict[str | None, int] = {}  # of the clients that wait for another
        self._shared: dict[Key, _Work] = {}  # queued or running work that a new job may join
        self._reports: dict[Key, tuple[float, Report]] = {}  # when it was finished; oldest first
        self._closed = False
        self._threads = [
            threading.Thread(target=self._serve, name=f"unmask-job-{index}", daemon=True) for index in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, source: VideoSource, options: Options, keep: Path | None = None, client: str | None = None) -> str:
        """Queue a check; return the job's id, which cannot be guessed. `client`: see `clients.identify`.

        Equal work that waits, runs or has a fresh report is not done again. A job that wants to `keep` the
        fetched video (see `Checker.check`) fetches in any case; what comes after the fetch is shared.
        The file of a FileSource must stay where it is until the job has finished.
        Raises Busy when the queue is full, RateLimited when this client asks for too much, BadInput when the
        file cannot be read.
        """
        with self._changed:
            self._check_rate(client)
        key = self._key(fingerprint(source, options.limits.max_bytes), options)
        with self._changed:
            self._forget_expired()
            if self._closed or len(self._jobs) >= MAX_JOBS:
                raise Busy("No more work can be taken at the moment; try again in a minute.")
            work = self._known_work(key, options) if keep is None else None
            work = work or self._enqueue(_Work(key, source, options, keep, client))
            job = f"{self._life}-{secrets.token_urlsafe(24)}"
            self._jobs[job] = _Job(work, describe(source), self._clock())
            work.askers.add(job)
            self._changed.notify_all()
            return job

    def state(self, job: str) -> JobState:
        """Raises BadInput when there is no such job, or it has expired.

        A job of an earlier life of the service, before it was stopped or broke down, is cancelled.
        """
        with self._changed:
            self._forget_expired()
            if job not in self._jobs:
                return self._lost(job)
            asked = self._jobs[job]
            asked.asked_at = self._clock()
            work = asked.work
            if asked.cancelled_at is not None:
                report = to_failed_report(asked.described, Cancelled("The check was cancelled."))
                return JobState("cancelled", work.stage, work.fraction, "Cancelled", 0, report)
            position = self._in_turn().index(work) + 1 if work in self._queue else 0
            own_report = None if work.report is None else _readdressed(work.report, asked.described)
            return JobState(work.state, work.stage, work.fraction, work.text, position, own_report)

    def watch(self, job: str) -> Iterator[JobState]:
        """Yield the job's state now and after every change; the last one is finished.

        A watcher that goes away leaves the job running. Raises BadInput as `state` does.
        """
        last: JobState | None = None
        while last is None or not last.finished:
            with self._changed:
                state = self.state(job)
                if state == last:
                    self._changed.wait(WAKE_SECONDS)
                    continue
            yield state
            last = state

    def cancel(self, job: str) -> bool:
        """Stop waiting for a job; its work stops, too, unless another job waits for it.

        Returns whether there was anything to cancel.
        """
        with self._changed:
            asked = self._jobs.get(job)
            if asked is None or asked.cancelled_at is not None or asked.work.report is not None:
                return False
            asked.cancelled_at = self._clock()
            asked.work.askers.discard(job)
            if not asked.work.askers:
                self._abandon(asked.work)
            self._changed.notify_all()
            return True

    def shutdown(self, timeout_seconds: float = 10.0) -> None:
        """Cancel everything, take no more, and let the workers clean up behind themselves."""
        with self._changed:
            self._closed = True
            for job in list(self._jobs):
                self.cancel(job)
            self._changed.notify_all()
        deadline = time.monotonic() + timeout_seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _key(self, fingerprint: str, options: Options) -> Key:
        span = options.span
        models = sorted(self._checker.identify(options.models))
        return (fingerprint, *models, span.start_seconds, span.end_seconds, *options.notices)

    def _lost(self, job: str) -> JobState:
        life, _, rest = job.partition("-")
        if not re.fullmatch(ID_LIFE, life) or not re.fullmatch(ID_REST, rest) or life == self._life:
            raise BadInput("There is no such job; it may have expired.")
        lost = Cancelled("The service was started anew and has lost this check. Ask for it again.")
        report = to_failed_report({"kind": "url", "name": "", "url": None}, lost)
        return JobState("cancelled", "queued", 0.0, lost.message, 0, report)

    # With the lock held:

    def _check_rate(self, client: str | None) -> None:
        if client is not None and not self._rates.take(client):
            raise RateLimited(
                f"At most {self._clients.per_minute} checks a minute are taken from one place; wait a little."
            )

    def _in_turn(self) -> list[_Work]:
        overdue = lambda work: self._turns - work.came_at >= PATIENT_ROUNDS * self._queue_size
        return fair_order(self._queue, lambda work: work.client, self._running, self._last_turns, overdue)

    def _known_work(self, key: Key, options: Options) -> _Work | None:
        """Work under way, or a stand-in for finished work whose report is fresh."""
        report = self._fresh_report(key)
        if report is None:
            return self._shared.get(key)
        finished = _Work(key, None, options, report=report, finished_at=self._clock())
        finished.state, finished.stage, finished.fraction, finished.text = "done", "done", 1.0, "Done"
        return finished

    def _enqueue(self, work: _Work) -> _Work:
        if len(self._queue) + len(self._running) >= self._queue_size:
            raise Busy(f"{self._queue_size} checks are waiting already; try again in a minute.")
        mine = [other for other in (*self._queue, *self._running) if other.client == work.client]
        if work.client is not None and 0 < self._clients.places <= len(mine):
            raise RateLimited(f"{len(mine)} of your checks wait or run already; wait for one to finish, or cancel it.")
        work.came_at = self._turns
        self._queue.append(work)
        self._shared.setdefault(work.key, work)
        return work

    def _abandon(self, work: _Work) -> None:
        work.unwanted = True
        self._unshare(work)
        if work in self._queue:
            self._queue.remove(work)
            work.source = None

    def _unshare(self, work: _Work) -> None:
        if self._shared.get(work.key) is work:
            del self._shared[work.key]

    def _fresh_report(self, key: Key) -> Report | None:
        finished_at, report = self._reports.get(key, (float("-inf"), None))
        return report if self._clock() < finished_at + self._cache_seconds else None

    def _remember(self, key: Key, report: Report) -> None:
        self._reports.pop(key, None)
        self._reports[key] = (self._clock(), report)
        while len(self._reports) > MAX_CACHED:
            del self._reports[next(iter(self._reports))]

    def _forget_expired(self) -> None:
        now = self._clock()
        for job, asked in self._jobs.items():
            if asked.work in self._queue and asked.asked_at + ABANDONED_SECONDS <= now:
                self.cancel(job)
        for job in [job for job, asked in self._jobs.items() if asked.over_at + RESULT_SECONDS <= now]:
            del self._jobs[job]
        for key in [key for key in self._reports if self._fresh_report(key) is None]:
            del self._reports[key]

    def _note_turn(self, work: _Work) -> None:
        self._turns += 1
        still_wait = {other.client for other in self._queue}
        kept = {client: turn for client, turn in self._last_turns.items() if client in still_wait}
        self._last_turns = {**kept, work.client: self._turns}

    # In the worker threads, taking the lock where needed:

    def _serve(self) -> None:
        while (work := self._next_work()) is not None:
            state, report = self._run(work)
            self._finish(work, state, report)

    def _next_work(self) -> _Work | None:
        """Wait for work; None when the jobs are shut down."""
        with self._changed:
            while not self._queue and not self._closed:
                self._changed.wait(WAKE_SECONDS)
                self._forget_expired()
            if self._closed:
                return None
            work = self._in_turn()[0]
            self._queue.remove(work)
            self._note_turn(work)
            work.state = "running"
            self._running.add(work)
            self._changed.notify_all()
            return work

    def _run(self, work: _Work) -> tuple[StateName, Report]:
        """The boundary at which a defect of ours becomes `internal`."""
        assert work.source is not None
        described = describe(work.source)

        def on_progress(stage: str, fraction: float, text: str) -> None:
            with self._changed:
                if work.unwanted:
                    raise Cancelled("The check was cancelled.")
                work.stage, work.fraction, work.text = stage, fraction, text
                self._changed.notify_all()

        def known(content: str) -> Report | None:
            with self._changed:
                work.content = content
                return self._fresh_report(self._key(content, work.options))

        try:
            return "done", self._checker.check(work.source, work.options, on_progress, keep=work.keep, known=known)
        except Cancelled as error:
            return "cancelled", to_failed_report(described, error)
        except UnmaskError as error:
            return "failed", to_failed_report(described, error)
        except Exception:
            logger.exception("A check failed unexpectedly")
            defect = InternalError("Something went wrong on our side. It is logged; trying again may help.")
            return "failed", to_failed_report(described, defect)

    def _finish(self, work: _Work, state: StateName, report: Report) -> None:
        with self._changed:
            asked_key = work.key[0]
            work.state, work.report, work.finished_at, work.source = state, report, self._clock(), None
            if state == "done":
                work.stage, work.fraction, work.text = "done", 1.0, "Done"
                for found in {asked_key, work.content} - {None}:
                    self._remember(self._key(str(found), work.options), report)
            self._unshare(work)
            self._running.discard(work)
            self._changed.notify_all()


def _readdressed(report: Report, described: dict[str, Any]) -> Report:
    """The report with its source as this asker named it: others' names and links are theirs."""
    return {**report, "source": {**report["source"], **described}}
