"""Handlers of the page: they run a check and fill the components with its progress and its report."""

import asyncio
import dataclasses
import logging
import tempfile
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from ui.api import Identify
from ui.html import EXAMPLES, NO_VIDEO, progress_html, save_links, seekable, state_html
from unmask.download.sources import FileSource
from unmask.errors import Cancelled
from unmask.inputs import guess_source, to_url
from unmask.render import html
from unmask.render.video import overlay
from unmask.report import CheckReport, Report
from unmask.service.endpoints import HEARTBEAT_SECONDS, Endpoints, ParseRequest, to_failure
from unmask.service.jobs import Jobs

EXAMPLE_VIDEOS = Path(__file__).parents[1] / "examples"

Update = dict[Any, Any]  # component -> what to change

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Panel:
    """The components that a check fills.

    The style sheet hides empty ones: gradio loses changes of `visible` that follow each other fast.
    """

    job: gr.State  # id of the running job
    status: gr.HTML  # nothing yet, progress, or an error
    summary: gr.HTML
    video: gr.Video
    timeline: gr.HTML
    faces: gr.HTML
    details: gr.HTML
    saving: gr.HTML

    def outputs(self) -> list[Any]:
        """Return all of them."""
        return [getattr(self, field.name) for field in dataclasses.fields(self)]

    def show_progress(self, job: str | None, status: str) -> Update:
        """Show the status and remove an earlier answer."""
        return {self.job: job, self.status: status, self.summary: "", self.video: None}

    def show_report(self, report: Report) -> Update:
        """Show a report, without the video."""
        if report["status"] != "ok":
            return {self.job: None, self.status: html.failure(report)}
        return {
            self.job: None,
            self.status: "",
            self.summary: html.summary(report),
            self.timeline: seekable(html.timeline_svg(report), report),
            self.faces: seekable(html.face_cards(report), report),
            self.details: html.details(report),
            self.saving: save_links(report),
        }


class Handlers:
    """Event handlers of the page. Of the checks of one page only the latest goes on."""

    def __init__(self, endpoints: Endpoints, jobs: Jobs, panel: Panel, identify: Identify) -> None:
        self._endpoints = endpoints
        self._identify = identify
        self._jobs = jobs
        self._panel = panel
        self._latest: dict[str | None, object] = {}  # session of a page -> its latest check
        self._overlay_pool = ThreadPoolExecutor(1, "unmask-overlay")  # one video at a time

    async def check_link(
        self, url: str, model: Any, start: str, end: str, request: gr.Request
    ) -> AsyncGenerator[Update, None]:
        """Check the video behind a link."""
        parse = lambda: (to_url(url), self._endpoints.options(model, start, end))
        async with aclosing(self._latest_only(request, guess_source("url", url), parse)) as updates:
            async for update in updates:
                yield update

    async def check_upload(
        self, path: Any, model: Any, start: str, end: str, request: gr.Request
    ) -> AsyncGenerator[Update, None]:
        """Check an uploaded file."""
        parse = lambda: (self._endpoints.upload(path), self._endpoints.options(model, start, end))
        async with aclosing(self._latest_only(request, guess_source("file", None), parse)) as updates:
            async for update in updates:
                yield update

    async def check_example(self, event: gr.EventData, model: Any, request: gr.Request) -> AsyncGenerator[Update, None]:
        """Check one of the examples, which the page's script names."""
        name = getattr(event, "example", None)
        if name not in EXAMPLES:
            return
        source = FileSource(EXAMPLE_VIDEOS / f"{name}.mp4", f"{name}.mp4")
        parse = lambda: (source, self._endpoints.options(model, None, None))
        async with aclosing(self._latest_only(request, guess_source("file", source.name), parse)) as updates:
            async for update in updates:
                yield update

    def cancel(self, job: str | None) -> None:
        """Cancel the running check."""
        if job:
            self._jobs.cancel(job)

    async def _latest_only(
        self, request: gr.Request, guess: dict[str, Any], parse: ParseRequest
    ) -> AsyncGenerator[Update, None]:
        """Check, and end silently as soon as the same page has begun another check."""
        session = request.session_hash
        mine = self._latest[session] = object()
        try:
            async with aclosing(self._check(guess, parse, self._identify(request))) as updates:
                async for update in updates:
                    if self._latest.get(session) is not mine:
                        return
                    yield update
        finally:
            if self._latest.get(session) is mine:
                del self._latest[session]

    async def _check(self, guess: dict[str, Any], parse: ParseRequest, client: str) -> AsyncGenerator[Update, None]:
        yield self._panel.show_progress(None, progress_html("queued", 0.0, "Starting"))
        with tempfile.TemporaryDirectory(prefix="unmask-page-") as name:
            folder, report = Path(name), None
            try:
                source, options = parse()
                fetched = folder / "video"  # a link's video is left there, to be drawn into
                video = source.path if isinstance(source, FileSource) else fetched
                keep = None if isinstance(source, FileSource) else fetched
                async with aclosing(self._endpoints.follow(source, options, keep, client)) as states:
                    async for job, state in states:
                        report = state.report
                        yield self._panel.show_progress(job, state_html(state))
                assert report is not None
            except Exception as error:  # noqa: BLE001 - shown to the person, a defect is logged
                report = to_failure(guess, error)
            yield self._panel.show_report(report)
            if report["status"] == "ok" and report["faces"] and video.exists():
                async with aclosing(self._draw(video, report, folder)) as updates:
                    async for update in updates:
                        yield update

    async def _draw(self, video: Path, report: CheckReport, folder: Path) -> AsyncGenerator[Update, None]:
        """Draw the findings into the video; that takes a while, so it comes after the answer."""
        done, left = 0.0, False

        def on_progress(stage: str, fraction: float, text: str) -> None:
            nonlocal done
            done = fraction
            if left:
                raise Cancelled("The page was left.")

        out = folder / "unmask-findings.mp4"
        drawing = asyncio.wrap_future(self._overlay_pool.submit(overlay, video, report, out, on_progress))
        try:
            while not drawing.done():
                yield {self._panel.status: progress_html("", done, "Drawing the findings into the video")}
                await asyncio.wait({drawing}, timeout=HEARTBEAT_SECONDS / 2)
            drawing.result()
            yield {self._panel.status: "", self._panel.video: str(out)}
        except Exception:
            logger.exception("The findings could not be drawn into the video")
            yield {self._panel.status: NO_VIDEO}
        finally:
            left = True
            await asyncio.wait({drawing})  # it writes to `folder`, and soon notices that the page was left
            drawing.exception()
