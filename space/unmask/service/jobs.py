"""A bounded queue of checks, the threads that run them, and a cache of their reports.

A job is one request for a check. Equal jobs share one task, which stops when the last of them is cancelled.
"""

import itertools
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import Context, copy_context
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from cachetools import TTLCache

from unmask.download.sources import Options, VideoSource, content_key, describe, fingerprint
from unmask.errors import BadInput, Busy, Cancelled, RateLimited, as_user_error
from unmask.models import bundled
from unmask.report import CheckReport, Report, is_by_standby, to_failed_report, with_source
from unmask.service.rate_limit import DEFAULT_LIMITS, ClientLimits, RateLimiter

if TYPE_CHECKING:
    from unmask.signing import Signer

RESULT_SECONDS = 900.0  # how long a finished job can be asked for
MAX_JOBS = 4096  # jobs that are unfinished, and as many finished ones that are remembered
MAX_CACHED = 256  # reports kept for equal requests
ABANDONED_SECONDS = 300.0  # a waiting job that was not asked for in this time is cancelled
WAKE_SECONDS = 15.0  # how often an idle worker drops what has expired
ID_PROCESS, ID_SECRET = r"[0-9a-f]{8}", r"[\w-]{32}"  # the two parts of a job's id

StateName = Literal["queued", "running", "done", "failed", "cancelled"]
Key = tuple[object, ...]  # equal keys mean equal work; the first item is a fingerprint of the source


class Checks(Protocol):
    """What jobs need of a `pipeline.Checker`."""

    def check(
        self,
        source: VideoSource,
        options: Options,
        on_progress: Callable[[str, float, str], None],
        *,
        keep: Path | None,
        cached_reports: Mapping[str, CheckReport],
    ) -> CheckReport:
        """Check one video."""


@dataclass(frozen=True)
class JobState:
    """A job at one moment."""

    state: StateName
    stage: str  # one of progress.STAGES
    fraction: float  # 0..1 of the whole check
    text: str  # what happens now, for a person
    position: int  # 1: next in the queue; 0: not waiting
    report: Report | None  # there when the job has finished; a failed report when it has failed

    @property
    def finished(self) -> bool:
        """Whether there is a report."""
        return self.report is not None


QUEUED = JobState("queued", "queued", 0.0, "Waiting for a free place", 0, None)
DONE = JobState("done", "done", 1.0, "Done", 0, None)


@dataclass(eq=False)
class _Task:
    """One check, requested by one or more jobs."""

    key: Key
    source: VideoSource
    options: Options
    keep: Path | None
    client: str | None  # who asked first; None: not limited
    jobs: set[str] = field(default_factory=set)
    # of the request that came first, whose visitor's time a borrowed GPU uses up
    context: Context = field(default_factory=copy_context)
    state: JobState = QUEUED
    cancelled: bool = False


@dataclass
class _Job:
    """One unfinished request."""

    task: _Task
    described: dict[str, Any]  # the source as this client named it
    asked_at: float  # when its state was last asked for


class Jobs:
    """Queue checks, report their state and cancel them. Every method may be called from any thread.

    Args:
        checker: None: nothing runs before `start`.
        workers: They fetch and decode side by side; the checker shares out the model.
        queue_size: Tasks waiting or running before the answer is `busy`.
        cache_seconds: How long a report answers equal requests; 0 switches it off.
        clients: What each client may ask for.
        signer: Signs every report that is given out.
        clock: Gives the seconds that cache and limits count.
    """

    def __init__(
        self,
        checker: Checks | None = None,
        *,
        workers: int = 3,
        queue_size: int = 16,
        cache_seconds: float = 3600.0,
        clients: ClientLimits = DEFAULT_LIMITS,
        signer: "Signer | None" = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workers = workers
        self._queue_size = queue_size
        self._clients = clients
        self._signer = signer
        self._clock = clock
        self._process_id = secrets.token_hex(4)  # begins the ids of this process
        self._rates = RateLimiter(clients.per_minute, clock)
        self._changed = threading.Condition(threading.RLock())  # guards every field below
        self._active: dict[str, _Job] = {}
        self._finished: TTLCache[str, JobState] = TTLCache(MAX_JOBS, RESULT_SECONDS, clock)
        self._reports: TTLCache[Key, CheckReport] = TTLCache(MAX_CACHED, cache_seconds, clock)
        self._waiting: dict[str | None, deque[_Task]] = {}  # by client; the first client is served next
        self._running: set[_Task] = set()
        self._closed = False
        self._threads: list[threading.Thread] = []
        if checker is not None:
            self.start(checker)

    def start(self, checker: Checks) -> None:
        """Run what waits and what comes."""
        for index in range(self._workers):
            thread = threading.Thread(target=self._work, args=(checker,), name=f"unmask-job-{index}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def submit(self, source: VideoSource, options: Options, keep: Path | None = None, client: str | None = None) -> str:
        """Queue a check and return the job's id, which cannot be guessed.

        Equal work that waits, runs or has a fresh report is not done again.

        Args:
            source: What is checked; the file of a FileSource must stay where it is until the job has finished.
            options: How.
            keep: As of `Checker.check`. The video is then fetched in any case; what comes after the fetch is shared.
            client: Who asks, see `rate_limit.identify`; None: nothing is limited.

        Raises:
            Busy: The queue is full.
            RateLimited: This client asks for too much.
            BadInput: The file cannot be read.
        """
        with self._changed:
            if client is not None and not self._rates.allow(client):
                raise RateLimited(f"At most {self._clients.per_minute} checks a minute are allowed; wait a little.")
        key = _key(fingerprint(source, options.limits.max_bytes), options)
        with self._changed:
            self._drop_expired()
            if self._closed or len(self._active) >= MAX_JOBS:
                raise Busy("No more checks can be taken at the moment; try again in a minute.")
            job_id, described = f"{self._process_id}-{secrets.token_urlsafe(24)}", describe(source)
            report = None if keep else self._reports.get(key)
            if report is not None:
                self._finished[job_id] = replace(DONE, report=self._own_report(report, described))
                return job_id
            task = (None if keep else self._find_task(key)) or self._enqueue(_Task(key, source, options, keep, client))
            task.jobs.add(job_id)
            self._active[job_id] = _Job(task, described, self._clock())
            return job_id

    def state(self, job_id: str) -> JobState:
        """Return how far a job is.

        A job of an earlier process of the service, before it was restarted, is cancelled.

        Raises:
            BadInput: There is no such job, or it has expired.
        """
        with self._changed:
            self._drop_expired()
            if (finished := self._finished.get(job_id)) is not None:
                return finished
            if job_id not in self._active:
                return self._lost(job_id)
            job = self._active[job_id]
            job.asked_at = self._clock()
            order = self._round_robin()
            return replace(job.task.state, position=order.index(job.task) + 1 if job.task in order else 0)

    def cancel(self, job_id: str) -> bool:
        """Stop waiting for a job, and its task, unless another job waits for it.

        Returns:
            Whether there was anything to cancel.
        """
        with self._changed:
            job = self._active.get(job_id)
            if job is None:
                return False
            report = to_failed_report(job.described, Cancelled("The check was cancelled."))
            self._finish(job_id, replace(job.task.state, state="cancelled", text="Cancelled", report=report))
            job.task.jobs.discard(job_id)
            if not job.task.jobs:
                self._stop(job.task)
            return True

    def shutdown(self, timeout_seconds: float = 10.0) -> None:
        """Cancel everything, accept no more, and let the workers clean up."""
        with self._changed:
            self._closed = True
            for job_id in list(self._active):
                self.cancel(job_id)
            self._changed.notify_all()
        deadline = time.monotonic() + timeout_seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _lost(self, job_id: str) -> JobState:
        process, _, secret = job_id.partition("-")
        ours = process == self._process_id
        if ours or not re.fullmatch(ID_PROCESS, process) or not re.fullmatch(ID_SECRET, secret):
            raise BadInput("There is no such job; it may have expired.")
        error = Cancelled("The service was restarted and has lost this check. Ask for it again.")
        report = to_failed_report({"kind": "url", "name": "", "url": None}, error)
        return replace(QUEUED, state="cancelled", text=error.message, report=report)

    # With the lock held:

    def _round_robin(self) -> list[_Task]:
        """Return what waits in the order in which it is served: one of each client, then the next of each."""
        return [task for row in itertools.zip_longest(*self._waiting.values()) for task in row if task]

    def _find_task(self, key: Key) -> _Task | None:
        tasks = (*self._round_robin(), *self._running)
        return next((task for task in tasks if task.key == key and not task.cancelled), None)

    def _enqueue(self, task: _Task) -> _Task:
        tasks = (*self._round_robin(), *self._running)
        if len(tasks) >= self._queue_size:
            raise Busy(f"{self._queue_size} checks are waiting already; try again in a minute.")
        own = sum(other.client == task.client for other in tasks)
        if task.client is not None and 0 < self._clients.max_checks <= own:
            raise RateLimited(f"{own} of your checks wait or run already; wait for one to finish, or cancel it.")
        self._waiting.setdefault(task.client, deque()).append(task)
        self._changed.notify()
        return task

    def _stop(self, task: _Task) -> None:
        task.cancelled = True
        queue = self._waiting.get(task.client, deque())
        if task in queue:
            queue.remove(task)
            if not queue:
                del self._waiting[task.client]

    def _finish(self, job_id: str, state: JobState) -> None:
        del self._active[job_id]
        self._finished[job_id] = state

    def _drop_expired(self) -> None:
        self._finished.expire()
        self._reports.expire()
        too_old = self._clock() - ABANDONED_SECONDS
        waiting = set(self._round_robin())
        for job_id, job in list(self._active.items()):
            if job.task in waiting and job.asked_at <= too_old:
                self.cancel(job_id)

    # In the worker threads, taking the lock where needed:

    def _work(self, checker: Checks) -> None:
        while (task := self._next_task()) is not None:
            self._complete(task, *task.context.run(self._run, checker, task))

    def _next_task(self) -> _Task | None:
        """Wait for a task; None when the jobs are shut down."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait(WAKE_SECONDS)
                self._drop_expired()
            if self._closed:
                return None
            client = next(iter(self._waiting))
            queue = self._waiting.pop(client)
            task = queue.popleft()
            if queue:
                self._waiting[client] = queue  # at the end: the other clients come first
            task.state = replace(task.state, state="running")
            self._running.add(task)
            return task

    def _run(self, checker: Checks, task: _Task) -> tuple[StateName, Report]:
        """Check; the boundary at which an unexpected exception becomes `internal`."""

        def on_progress(stage: str, fraction: float, text: str) -> None:
            if task.cancelled:
                raise Cancelled("The check was cancelled.")
            task.state = JobState("running", stage, fraction, text, 0, None)

        with self._changed:
            cached = {str(key[0]): report for key, report in self._reports.items() if key[1:] == task.key[1:]}
        described = describe(task.source)
        try:
            report = checker.check(task.source, task.options, on_progress, keep=task.keep, cached_reports=cached)
            return "done", report
        except Cancelled as error:
            return "cancelled", to_failed_report(described, error)
        except Exception as error:  # noqa: BLE001 - shown to the user, a defect is logged
            return "failed", to_failed_report(described, as_user_error(error))

    def _complete(self, task: _Task, state: StateName, report: Report) -> None:
        with self._changed:
            self._running.discard(task)
            finished = replace(DONE if state == "done" else task.state, state=state)
            if report["status"] == "ok" and not is_by_standby(report):
                for key in _cache_keys(task, report):
                    self._reports[key] = report
            for job_id in task.jobs:
                own_report = self._own_report(report, self._active[job_id].described)
                self._finish(job_id, replace(finished, report=own_report))

    def _own_report(self, report: Report, described: Mapping[str, Any]) -> Report:
        """Return the report for one who named the source so, signed where that is set."""
        own_report = with_source(report, described)
        return own_report if self._signer is None else self._signer.sign(own_report)


def _key(source: str, options: Options) -> Key:
    models = sorted({bundled.DEFAULT if name == "default" else name for name in options.models})
    return (source, *models, options.span.start_seconds, options.span.end_seconds, *options.notices)


def _cache_keys(task: _Task, report: CheckReport) -> set[Key]:
    """Return the key that was asked for and, where all of the content is known, that of equal content."""
    keys, sha256 = {task.key}, report["source"]["sha256"]
    if sha256 and report["source"]["kind"] != "frames":
        offset_seconds = report["coverage"]["offset_seconds"] or 0.0
        keys.add((content_key(sha256, offset_seconds), *task.key[1:]))
    return keys
