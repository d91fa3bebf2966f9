"""What the page does: a press becomes a check, and its progress and answer fill the page's components."""

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
from unmask.report import Report
from unmask.service.endpoints import HEARTBEAT_SECONDS, Ask, Endpoints, to_failure
from unmask.service.jobs import Jobs

EXAMPLE_VIDEOS = Path(__file__).parents[1] / "examples"

Update = dict[Any, Any]  # component -> what to change

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Panel:
    """The components that a check writes to.

    What is empty is hidden by the style sheet: gradio loses changes of `visible` that follow each other fast.
    """

    job: gr.State  # id of the running job
    status: gr.HTML  # nothing yet, progress, or what went wrong
    summary: gr.HTML
    video: gr.Video
    timeline: gr.HTML
    faces: gr.HTML
    details: gr.HTML
    saving: gr.HTML

    def outputs(self) -> list[Any]:
        return [getattr(self, field.name) for field in dataclasses.fields(self)]

    def working(self, job: str | None, status: str) -> Update:
        return {self.job: job, self.status: status, self.summary: "", self.video: None}

    def found(self, found: Report) -> Update:
        """Everything but the video."""
        if found["status"] != "ok":
            return {self.job: None, self.status: html.failure(found)}
        return {
            self.job: None,
            self.status: "",
            self.summary: html.summary(found),
            self.timeline: seekable(html.timeline_svg(found), found),
            self.faces: seekable(html.face_cards(found), found),
            self.details: html.details(found),
            self.saving: save_links(found),
        }


class Handlers:
    """What happens when something on the page is pressed. Of one page's checks, the latest wins."""

    def __init__(self, endpoints: Endpoints, jobs: Jobs, panel: Panel, identify: Identify) -> None:
        self._endpoints = endpoints
        self._identify = identify
        self._jobs = jobs
        self._panel = panel
        self._latest: dict[str | None, object] = {}  # session of a page -> its latest check
        self._pencil = ThreadPoolExecutor(1, "unmask-findings")  # draws one video at a time

    async def check_link(
        self, url: str, model: Any, start: str, end: str, request: gr.Request
    ) -> AsyncGenerator[Update, None]:
        ask = lambda: (to_url(url), self._endpoints.options(model, start, end))
        async with aclosing(self._alone(request, guess_source("url", url), ask)) as updates:
            async for update in updates:
                yield update

    async def check_upload(
        self, path: Any, model: Any, start: str, end: str, request: gr.Request
    ) -> AsyncGenerator[Update, None]:
        ask = lambda: (self._endpoints.upload(path), self._endpoints.options(model, start, end))
        async with aclosing(self._alone(request, guess_source("file", None), ask)) as updates:
            async for update in updates:
                yield update

    async def check_example(self, event: gr.EventData, model: Any, request: gr.Request) -> AsyncGenerator[Update, None]:
        name = (event._data or {}).get("example")
        if name not in EXAMPLES:
            return
        source = FileSource(EXAMPLE_VIDEOS / f"{name}.mp4", f"{name}.mp4")
        ask = lambda: (source, self._endpoints.options(model, None, None))
        async with aclosing(self._alone(request, guess_source("file", source.name), ask)) as updates:
            async for update in updates:
                yield update

    def cancel(self, job: str | None) -> None:
        if job:
            self._jobs.cancel(job)

    async def _alone(self, request: gr.Request, guess: dict[str, Any], ask: Ask) -> AsyncGenerator[Update, None]:
        """A check that ends without a word as soon as the same page has begun another."""
        session = request.session_hash
        mine = self._latest[session] = object()
        try:
            async with aclosing(self._check(guess, ask, self._identify(request))) as updates:
                async for update in updates:
                    if self._latest.get(session) is not mine:
                        return
                    yield update
        finally:
            if self._latest.get(session) is mine:
                del self._latest[session]

    async def _check(self, guess: dict[str, Any], ask: Ask, client: str) -> AsyncGenerator[Update, None]:
        yield self._panel.working(None, progress_html("queued", 0.0, "Starting"))
        with tempfile.TemporaryDirectory(prefix="unmask-page-") as name:
            folder, found = Path(name), None
            try:
                source, options = ask()
                fetched = folder / "video"  # a link's video is left there, to be drawn into
                video = source.path if isinstance(source, FileSource) else fetched
                keep = None if isinstance(source, FileSource) else fetched
                async with aclosing(self._endpoints.follow(source, options, keep, client)) as states:
                    async for job, state in states:
                        found = state.report
                        yield self._panel.working(job, state_html(state))
                assert found is not None
                yield self._panel.found(found)
            except Exception as error:  # noqa: BLE001 - shown to the person, a defect is logged
                found = to_failure(guess, error)
                yield self._panel.found(found)
            if found["status"] == "ok" and found["faces"] and video.exists():
                async with aclosing(self._draw(video, found, folder)) as updates:
                    async for update in updates:
                        yield update

    async def _draw(self, video: Path, found: Report, folder: Path) -> AsyncGenerator[Update, None]:
        """The video with the findings drawn in; it comes after the answer, because it takes a while."""
        done, left = [0.0], [False]

        def on_progress(stage: str, fraction: float, text: str) -> None:
            done[0] = fraction
            if left[0]:
                raise Cancelled("The page was left.")

        out = folder / "unmask-findings.mp4"
        drawing = asyncio.wrap_future(self._pencil.submit(overlay, video, found, out, on_progress))
        try:
            while not drawing.done():
                yield {self._panel.status: progress_html("", done[0], "Drawing the findings into the video")}
                await asyncio.wait({drawing}, timeout=HEARTBEAT_SECONDS / 2)
            drawing.result()
            yield {self._panel.status: "", self._panel.video: str(out)}
        except Exception:
            logger.exception("The findings could not be drawn into the video")
            yield {self._panel.status: NO_VIDEO}
        finally:
            left[0] = True
            await asyncio.wait({drawing})  # it writes to `folder`, and notices soon that nobody waits
            drawing.exception()
