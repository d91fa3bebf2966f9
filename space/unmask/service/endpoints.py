"""The endpoints of the API, without gradio; `ui/api.py` publishes these methods under their names.

Every check is answered with a report, failed checks included.
"""

import asyncio
import dataclasses
import math
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

from unmask.download.sources import Options, VideoSource
from unmask.errors import as_user_error
from unmask.inputs import guess_source, to_frames, to_models, to_span, to_upload, to_url
from unmask.models import bundled
from unmask.report import FailedReport, to_failed_report
from unmask.service.jobs import Jobs, JobState
from unmask.service.settings import Settings

POLL_SECONDS = 0.15  # how often a followed job is asked for its state
HEARTBEAT_SECONDS = 1.0  # the longest pause in a stream: a client that has left is noticed when something is sent

Item = Mapping[str, Any]  # an object of a stream: progress or, at its end, the report
ParseRequest = Callable[[], tuple[VideoSource, Options]]  # reads the arguments; raises UnmaskError


class Endpoints:
    """One method for each endpoint. The API page and MCP clients show their names, parameters and docstrings.

    `client` is not shown: it tells who sends the request, see `rate_limit.identify`. The other arguments are
    untrusted: the annotations say what is expected, not what comes.
    """

    def __init__(self, settings: Settings, jobs: Jobs, uploads: Path) -> None:
        self._settings = settings
        self._jobs = jobs
        self._uploads = uploads  # the folder that uploaded files lie in
        names = {"default", *settings.models, *bundled.names()}
        self._choices = {name for name in names if not Path(name).is_absolute()}

    def check_url(
        self,
        url: str,
        model: str = "",
        start_seconds: float = 0.0,
        end_seconds: float | None = None,
        *,
        client: str | None = None,
    ) -> AsyncGenerator[Item, None]:
        """Check the video behind a link for signs of a deepfake.

        Streams progress objects {"stage", "fraction", "text"}; the last item is the report, whose "status"
        is "ok" or "failed". A client that leaves ends the check.

        Args:
            url: http or https address of a video, or of a page with one video.
            model: Name of a model (see models); several joined by commas: an ensemble; empty: the default.
            start_seconds: Look from here on.
            end_seconds: Look up to here; null for the end of the video.
            client: Who sends the request; not an argument of the API.

        Returns:
            The report, schema unmask.report/1.
        """
        parse = lambda: (to_url(url), self.options(model, start_seconds, end_seconds))
        return self._stream(guess_source("url", url), parse, client)

    def check_file(
        self,
        video: Any,
        model: str = "",
        start_seconds: float = 0.0,
        end_seconds: float | None = None,
        *,
        client: str | None = None,
    ) -> AsyncGenerator[Item, None]:
        """Check an uploaded video file for signs of a deepfake. For a link use check_url.

        Streams progress objects {"stage", "fraction", "text"}; the last item is the report, whose "status"
        is "ok" or "failed". A client that leaves ends the check.

        Args:
            video: The file, uploaded to this server before.
            model: Name of a model (see models); several joined by commas: an ensemble; empty: the default.
            start_seconds: Look from here on.
            end_seconds: Look up to here; null for the end of the video.
            client: Who sends the request; not an argument of the API.

        Returns:
            The report, schema unmask.report/1.
        """
        name = video.get("orig_name") if isinstance(video, Mapping) else None
        parse = lambda: (self.upload(video), self.options(model, start_seconds, end_seconds))
        return self._stream(guess_source("file", name), parse, client)

    def check_frames(
        self, frames: list[Any], page_url: str = "", model: str = "", title: str = "", *, client: str | None = None
    ) -> AsyncGenerator[Item, None]:
        """Check pictures taken from a playing video, for videos that only the browser can fetch.

        Streams progress objects {"stage", "fraction", "text"}; the last item is the report, whose "status"
        is "ok" or "failed". A client that leaves ends the check.

        Args:
            frames: Objects {"seconds": time in the video, "jpeg": base64 or data URL}, at most 256; with "hdr": true
                where the video is HDR.
            page_url: Address of the page that the video plays on.
            model: Name of a model (see models); several joined by commas: an ensemble; empty: the default.
            title: Title of the page or the video.
            client: Who sends the request; not an argument of the API.

        Returns:
            The report, schema unmask.report/1.
        """
        parse = lambda: (to_frames(frames, page_url, title), self.options(model, None, None))
        return self._stream(guess_source("frames", page_url), parse, client)

    def submit(
        self,
        url: str,
        model: str = "",
        start_seconds: float = 0.0,
        end_seconds: float | None = None,
        *,
        client: str | None = None,
    ) -> Item:
        """Queue a check of the video behind a link and return at once; ask job for its state.

        The check goes on when the client leaves. When it is refused (queue full, bad argument), job is null
        and report is the failed report.

        Args:
            url: http or https address of a video, or of a page with one video.
            model: Name of a model (see models); several joined by commas: an ensemble; empty: the default.
            start_seconds: Look from here on.
            end_seconds: Look up to here; null for the end of the video.
            client: Who sends the request; not an argument of the API.

        Returns:
            {"job": id}
        """
        try:
            options = self.options(model, start_seconds, end_seconds)
            return {"job": self._jobs.submit(to_url(url), options, None, client)}
        except Exception as error:  # noqa: BLE001 - reported to the client, a defect is logged
            return {"job": None, "report": to_failure(guess_source("url", url), error)}

    def job(self, id: str) -> Item:
        """Return the state of a submitted check, and its report once it has finished.

        Args:
            id: What submit returned as job.

        Returns:
            {"state": queued, running, done, failed or cancelled, "stage", "fraction", "text", "position",
            "report": null until it has finished}
        """
        try:
            return dict(vars(self._jobs.state(str(id))))
        except Exception as error:  # noqa: BLE001 - reported to the client, a defect is logged
            report = to_failure(guess_source("url", None), error)
            return dict(vars(JobState("failed", "queued", 0.0, report["error"]["message"], 0, report)))

    def cancel(self, id: str) -> Item:
        """Cancel a submitted check. Work that another client waits for goes on.

        Args:
            id: What submit returned as job.

        Returns:
            {"cancelled": whether there was anything to cancel}
        """
        return {"cancelled": self._jobs.cancel(str(id))}

    def models(self) -> list[Item]:
        """List the models that can be chosen: name, revision, parameters, size, headline evaluation.

        Returns:
            [{"name", "revision", "parameters", "size_bytes", "headline"}]
        """
        from unmask.models import checkpoint  # takes a while, for which the page is not to wait

        return [dataclasses.asdict(info) for info in checkpoint.available()]

    def options(self, model: object, start: object, end: object) -> Options:
        """Parse the options of a check. Raises BadInput, ModelUnavailable."""
        asked = to_models(model, self._choices)
        notices = (self._settings.notice,) if self._settings.notice and not asked else ()
        names = asked or self._settings.models
        settings = self._settings
        return Options(to_span(start, end), names, settings.limits, notices, trust_list=settings.trust_list)

    def upload(self, video: object) -> VideoSource:
        """Parse an uploaded file. Raises BadInput."""
        return to_upload(video, self._uploads)

    async def follow(
        self, source: VideoSource, options: Options, keep: Path | None = None, client: str | None = None
    ) -> AsyncGenerator[tuple[str, JobState], None]:
        """Submit a check; yield its job and every state until it has finished, repeated as a heartbeat.

        Leaving early cancels it. `keep`: see Jobs.submit. Raises UnmaskError when the check is refused.
        """
        job = await asyncio.to_thread(self._jobs.submit, source, options, keep, client)
        last, sent_at = None, -math.inf
        try:
            while last is None or not last.finished:
                state = self._jobs.state(job)
                if state != last or time.monotonic() - sent_at >= HEARTBEAT_SECONDS:
                    last, sent_at = state, time.monotonic()
                    yield job, state
                await asyncio.sleep(0 if state.finished else POLL_SECONDS)
        finally:
            self._jobs.cancel(job)  # does nothing to a finished one

    async def _stream(
        self, guess: dict[str, Any], parse: ParseRequest, client: str | None
    ) -> AsyncGenerator[Item, None]:
        try:
            source, options = parse()
            async with aclosing(self.follow(source, options, client=client)) as states:
                async for _, state in states:
                    yield to_progress(state) if state.report is None else state.report
        except Exception as error:  # noqa: BLE001 - reported to the client, a defect is logged
            yield to_failure(guess, error)


def to_progress(state: JobState) -> Item:
    """Convert a state to a progress object, which has a `position` only while the job waits in the queue."""
    item = {"stage": state.stage, "fraction": round(state.fraction, 4), "text": state.text}
    return item | ({"position": state.position} if state.position else {})


def to_failure(source: dict[str, Any], error: Exception) -> FailedReport:
    """Convert any exception to a failed report; a defect of ours is logged."""
    return to_failed_report(source, as_user_error(error))
