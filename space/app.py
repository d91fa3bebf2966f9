"""The page and the API of the Space; the only file that imports gradio.

    python app.py        then open http://127.0.0.1:7860

`GRADIO_SERVER_NAME` and `GRADIO_SERVER_PORT` (or `PORT`) choose the address; `UNMASK_*` the rest, see README.
"""

import asyncio
import contextlib
import dataclasses
import functools
import inspect
import logging
import os
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before gradio is imported: it reads it then
import gradio as gr
import spaces  # before torch is; does nothing but on ZeroGPU
from gradio.components.api_component import Api
from gradio.utils import get_upload_folder
from starlette.middleware import Middleware

from unmask import explain, log, report
from unmask.arguments import guess_source, to_url
from unmask.check import Checker
from unmask.clients import Clients, identify
from unmask.endpoints import HEARTBEAT_SECONDS, Ask, Endpoints, to_failure
from unmask.errors import Busy, Cancelled, ModelUnavailable
from unmask.jobs import Jobs
from unmask.page import (
    EMPTY,
    EXAMPLES,
    HEAD,
    NO_VIDEO,
    OTHER_MODEL,
    PRIVACY,
    example_cards,
    notice_html,
    progress_html,
    save_links,
    seekable,
    state_html,
)
from unmask.scratch import private_folder
from unmask.settings import Settings, from_environment
from unmask.sources import FileSource
from unmask.upkeep import upkeep
from unmask.verdict import Report
from unmask.web import Doorkeeper
from unmask.weights import DEFAULT, available

HERE = Path(__file__).parent
KEPT_SECONDS = 30 * 60  # uploads, and what the page shows, are deleted this long after they came
MAX_STREAMS = 200  # calls that are being answered at the same time; a stream is one, and costs no thread
MAX_SESSIONS = 1000  # of pages and other clients that gradio remembers; each takes 90 kB
KEEPER_SECONDS = 60  # how often it is looked what has to go

Update = dict[Any, Any]  # component -> what to change
Identify = Callable[[Any], str]  # a request of gradio's -> who asks

logger = logging.getLogger(__name__)


# --- the API

STRING = {"type": "string"}
SECONDS = {"type": "number"}
MAYBE_SECONDS = {"oneOf": [{"type": "null"}, {"type": "number"}]}
OBJECT = {"type": "object", "additionalProperties": {}}
OBJECTS = {"type": "array", "items": OBJECT}
FRAME = {"type": "object", "properties": {"seconds": SECONDS, "jpeg": STRING}}
FRAMES = {"type": "array", "items": FRAME}
UPLOAD = gr.FileData.model_json_schema()

LINK = ("Link", STRING, None)  # label, JSON schema, default
FILE = ("Video file", UPLOAD, None)
MODEL = ("Model", STRING, "")
SPAN = (("Start in seconds", SECONDS, 0.0), ("End in seconds", MAYBE_SECONDS, None))
JOB = ("Job", STRING, None)


def declare_api(endpoints: Endpoints, identify: Identify) -> None:
    """The named endpoints of the contract."""
    declare = functools.partial(declare_endpoint, identify)
    page = (("Page address", STRING, ""), MODEL, ("Title", STRING, ""))
    declare(endpoints.check_url, (LINK, MODEL, *SPAN), ("Progress, then the report", OBJECT))
    declare(endpoints.check_file, (FILE, MODEL, *SPAN), ("Progress, then the report", OBJECT))
    declare(endpoints.check_frames, (("Frames", FRAMES, None), *page), ("Progress, then the report", OBJECT))
    declare(endpoints.submit, (LINK, MODEL, *SPAN), ("Job", OBJECT))
    declare(endpoints.job, (JOB,), ("State", OBJECT))
    declare(endpoints.cancel, (JOB,), ("Outcome", OBJECT))
    declare(endpoints.models, (), ("Models", OBJECTS))


def declare_endpoint(
    identify: Identify,
    endpoint: Callable[..., Any],
    arguments: Sequence[tuple[str, Any, Any]],
    answer: tuple[str, Any],
) -> None:
    """Hang an endpoint on a button that nobody sees. `Api` carries JSON as it is: endpoints check it."""
    gr.Button(visible=False).click(
        told_who_asks(endpoint, identify),
        [guarded(Api(default, schema, label)) for label, schema, default in arguments],
        Api(None, answer[1], answer[0]),
        api_name=endpoint.__name__,
        show_progress="hidden",
        concurrency_limit=None,  # the queue of jobs sets the limit
    )


def told_who_asks(endpoint: Callable[..., Any], identify: Identify) -> Callable[..., Any]:
    """The endpoint with a request, which gradio hands in, in the place of its `client`."""
    signature = inspect.signature(endpoint)
    if "client" not in signature.parameters:
        return endpoint

    @functools.wraps(endpoint)
    async def stream(*given: Any) -> AsyncGenerator[Any, None]:
        async with aclosing(endpoint(*given[:-1], client=identify(given[-1]))) as items:
            async for item in items:
                yield item

    @functools.wraps(endpoint)
    def answer(*given: Any) -> Any:
        return endpoint(*given[:-1], client=identify(given[-1]))

    told: Any = stream if inspect.isasyncgenfunction(endpoint) else answer
    shown = [parameter for name, parameter in signature.parameters.items() if name != "client"]
    kind, hint = inspect.Parameter.POSITIONAL_OR_KEYWORD, gr.Request | None
    request = inspect.Parameter("request", kind, default=None, annotation=hint)
    told.__signature__ = signature.replace(parameters=[*shown, request])
    told.__annotations__ = {**endpoint.__annotations__, "request": hint}
    return told


def guarded(component: Any) -> Any:
    """Let a component that takes files take uploads only: gradio must not fetch URLs past our own guard."""
    store = component.async_move_resource_to_block_cache

    async def store_upload(url_or_file_path: Any) -> Any:
        address = str(url_or_file_path)
        return address if address.lower().startswith(("http:", "https:")) else await store(url_or_file_path)

    component.async_move_resource_to_block_cache = store_upload  # `to_upload` refuses an address
    return component


# --- what the page does


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
            return {self.job: None, self.status: report.failure(found)}
        return {
            self.job: None,
            self.status: "",
            self.summary: report.summary(found),
            self.timeline: seekable(report.timeline_svg(found), found),
            self.faces: seekable(report.face_cards(found), found),
            self.details: report.details(found),
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

    async def check_example(
        self, event: gr.EventData, model: Any, request: gr.Request
    ) -> AsyncGenerator[Update, None]:
        name = (event._data or {}).get("example")
        if name not in EXAMPLES:
            return
        source = FileSource(HERE / "examples" / f"{name}.mp4", f"{name}.mp4")
        ask = lambda: (source, self._endpoints.options(model, None, None))
        async with aclosing(self._alone(request, guess_source("file", source.name), ask)) as updates:
            async for update in updates:
                yield update

    def cancel(self, job: str | None) -> None:
        if job:
            self._jobs.cancel(job)

    async def _alone(
        self, request: gr.Request, guess: dict[str, Any], ask: Ask
    ) -> AsyncGenerator[Update, None]:
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
        drawing = asyncio.wrap_future(self._pencil.submit(explain.overlay, video, found, out, on_progress))
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


# --- what the page looks like


def build(settings: Settings, jobs: Jobs, uploads: Path) -> gr.Blocks:
    """The page and the API with everything wired; `launch` serves it."""
    endpoints = Endpoints(settings, jobs, uploads)
    who_asks = functools.partial(asker, settings.clients)
    with gr.Blocks(title="Unmask", analytics_enabled=False) as page:
        plain(HEAD + notice_html(settings.notice))
        with gr.Column(elem_classes="um-ask"):
            with gr.Tabs():
                with gr.Tab("Link"), gr.Row(elem_classes="um-line"):
                    url, check_link = link_box(), check_button("um-check-link")
                with gr.Tab("File"), gr.Row(elem_classes="um-line"):
                    file, check_upload = file_box(), check_button("um-check-file")
            options = option_boxes(settings)
        examples = plain(example_cards(HERE / "examples"), js_on_load=TELL_EXAMPLE, elem_id="um-examples")
        status = plain(EMPTY, elem_id="um-status")
        cancel = gr.Button("Cancel", size="sm", elem_id="um-cancel")
        panel = result_panel(status)
        plain(report.limits() + PRIVACY)
        declare_api(endpoints, who_asks)  # before the page's own events, which would take its names
        handlers, outputs = Handlers(endpoints, jobs, panel, who_asks), panel.outputs()
        gr.on([check_link.click, url.submit], handlers.check_link, [url, *options], outputs, **QUIET)
        check_upload.click(handlers.check_upload, [file, *options], outputs, **QUIET)
        examples.click(handlers.check_example, options[:1], outputs, **QUIET)
        cancel.click(handlers.cancel, panel.job, None, **QUIET)
        page.load(linked, None, url, **QUIET)
    return page.queue(default_concurrency_limit=None)


def linked(request: gr.Request) -> Any:
    """The address in `?url=…` fills the box. Nothing is fetched before a person presses the button."""
    return request.query_params.get("url") or gr.skip()


TELL_EXAMPLE = """
element.addEventListener("click", (event) => {
  const card = event.target.closest("[data-example]");
  if (card) trigger("click", { example: card.dataset.example });
});
"""


QUIET: dict[str, Any] = {  # how the page's own events run
    "show_progress": "hidden",  # the status says it in words
    "concurrency_limit": None,
    "trigger_mode": "multiple",
    "api_visibility": "private",
}


def link_box() -> gr.Textbox:
    return gr.Textbox(
        label="Link to a video",
        show_label=False,
        placeholder="Paste the link of a video",
        max_lines=1,
        scale=5,
        elem_id="um-url",
        html_attributes=gr.InputHTMLAttributes(autocapitalize="off", autocorrect="off", spellcheck=False),
    )


def file_box() -> gr.File:
    kinds = ["video", ".mkv", ".gif"]
    return guarded(
        gr.File(
            label="Video file", show_label=False, file_types=kinds, height=132, scale=5, elem_id="um-file"
        )
    )


def check_button(elem_id: str) -> gr.Button:
    return gr.Button("Check", variant="primary", min_width=120, elem_id=elem_id)


def option_boxes(settings: Settings) -> list[Any]:
    with gr.Accordion("Options", open=False, elem_id="um-options"), gr.Row():
        return [
            gr.Dropdown(
                model_choices(settings),
                value="",
                label="Model",
                filterable=False,
                scale=2,
                elem_id="um-model",
            ),
            gr.Textbox(label="Start", placeholder="0:00", min_width=100, elem_id="um-start"),
            gr.Textbox(label="End", placeholder="to the end", min_width=100, elem_id="um-end"),
        ]


def model_choices(settings: Settings) -> list[tuple[str, str]]:
    """What a person may choose: the configured default, then every other model that is here."""
    default = " + ".join(DEFAULT if name == "default" else Path(name).name for name in settings.models)
    others = [info.name for info in available() if info.name != default]
    return [(f"{default} (default)", ""), *((name, name) for name in others)]


def result_panel(status: gr.HTML) -> Panel:
    with gr.Column(elem_id="um-result"):
        return Panel(
            job=gr.State(None),
            status=status,
            summary=plain(elem_id="um-summary"),
            video=gr.Video(
                label="The video with the findings", show_label=False, interactive=False, elem_id="um-video"
            ),
            timeline=plain(elem_id="um-timeline"),
            faces=plain(elem_id="um-faces"),
            details=plain(elem_id="um-details"),
            saving=plain(elem_id="um-saving"),
        )


def plain(value: str = "", **options: Any) -> gr.HTML:
    """HTML that brings its own style."""
    return gr.HTML(value, apply_default_css=False, padding=False, **options)


# --- how it is served


def asker(clients: Clients, request: Any) -> str:
    """Who sent a request of gradio's, which has no address where gradio asks itself."""
    client, headers = getattr(request, "client", None), getattr(request, "headers", None)
    return identify(getattr(client, "host", None), dict(headers or {}), clients)


def launch(page: gr.Blocks, settings: Settings, uploads: Path, environ: Mapping[str, str]) -> None:
    """Serve without blocking. Spaces say by SPACE_ID who they are, and want to be reached from outside."""
    around = Middleware(
        Doorkeeper,
        clients=settings.clients,
        max_upload_bytes=settings.limits.max_bytes,
        kept_seconds=KEPT_SECONDS + KEEPER_SECONDS,
    )
    page.launch(
        server_name=environ.get("GRADIO_SERVER_NAME")
        or ("0.0.0.0" if "SPACE_ID" in environ else "127.0.0.1"),
        server_port=int(environ.get("GRADIO_SERVER_PORT") or environ.get("PORT") or 7860),
        theme=calm_theme(),
        css_paths=[HERE / "page.css"],
        head=f"<style>{report.CSS}</style><script>{(HERE / 'page.js').read_text(encoding='utf-8')}</script>",
        max_file_size=settings.limits.max_bytes,
        max_threads=MAX_STREAMS,
        state_session_capacity=MAX_SESSIONS,
        mcp_server=True,
        show_error=False,
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        share=False,
        pwa=False,
        footer_links=["api", "settings"],
        prevent_thread_lock=True,
        app_kwargs={
            "middleware": [around],
            "lifespan": upkeep(page, uploads, KEEPER_SECONDS, KEPT_SECONDS),
        },
    )


def calm_theme() -> gr.themes.Base:
    """The colours of the report, and the system's own fonts, so that nothing comes from elsewhere."""
    theme = gr.themes.Base(
        primary_hue="indigo",
        neutral_hue="slate",
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "Menlo", "Consolas", "monospace"],
    )
    wash, card, line, ink, soft = "#f4f6f8", "#ffffff", "#d9dfe6", "#1b2430", "#556070"
    dark_wash, dark_card, dark_line, dark_ink, dark_soft = (
        "#10151c",
        "#1a212b",
        "#36414e",
        "#e8ecf1",
        "#a5b0bd",
    )
    light_and_dark = {
        "body_background_fill": (wash, dark_wash),
        "background_fill_primary": (card, dark_card),
        "background_fill_secondary": (wash, dark_wash),
        "block_background_fill": (card, dark_card),
        "block_label_background_fill": (card, dark_card),
        "input_background_fill": (card, dark_card),
        "border_color_primary": (line, dark_line),
        "block_border_color": (line, dark_line),
        "input_border_color": (line, dark_line),
        "body_text_color": (ink, dark_ink),
        "body_text_color_subdued": (soft, dark_soft),
        "block_label_text_color": (soft, dark_soft),
        "block_title_text_color": (soft, dark_soft),
        "button_primary_background_fill": ("#3538cd", "#4a50dc"),
        "button_primary_background_fill_hover": ("#2a2dab", "#5a60ea"),
        "button_secondary_background_fill": (card, dark_card),
        "button_secondary_background_fill_hover": (wash, dark_line),
        "button_secondary_text_color": (ink, dark_ink),
        "button_secondary_border_color": (line, dark_line),
    }
    values = {name: light for name, (light, _) in light_and_dark.items()}
    return theme.set(**values, **{f"{name}_dark": dark for name, (_, dark) in light_and_dark.items()})


@contextlib.contextmanager
def private_cache() -> Iterator[Path]:
    """Uploads, and what the page shows, lie in a folder for this user only, and go with the process.

    Folders of checks lie beside it, not in it: what gradio finds in its own folder it does not copy.
    """
    with private_folder() as folder:
        own = folder / "page"
        own.mkdir()
        os.environ["GRADIO_TEMP_DIR"] = str(own)
        gr.mcp.DEFAULT_TEMP_DIR = str(own)  # it has read the variable already
        yield Path(get_upload_folder())


def on_gpu(function: Callable[..., Any]) -> Callable[..., Any]:
    """On ZeroGPU: run a function of the Checker on a borrowed GPU. Elsewhere: the function itself."""
    borrowing = spaces.GPU(duration=gpu_seconds)(function)
    if borrowing is function:
        return function

    @functools.wraps(function)
    def run(*args: Any) -> Any:
        try:
            return borrowing(*args)
        except gr.Error as error:  # none is free, or the visitor's time is used up
            raise Busy(f"The Space got no GPU: {error.message}") from error

    return run


def gpu_seconds(*args: Any) -> int:
    """How long to borrow it for: the last argument is the list of clips to work on."""
    return 8 + len(args[-1])


def warm_up(checker: Checker, settings: Settings) -> Settings:
    """Load the default model: no visitor waits for it, and ZeroGPU wants it before it lends anything.

    Where the chosen one cannot be loaded the bundled one takes its place, and everybody is told.
    """
    try:
        checker.load(settings.models)
    except ModelUnavailable as error:
        logger.warning("The chosen model cannot be used: %s", error.message)
    else:
        return settings
    try:
        checker.load((DEFAULT,))
    except ModelUnavailable as error:
        logger.error("Nor can the bundled one, so checks will fail: %s", error.message)
        return settings
    return dataclasses.replace(settings, model=DEFAULT, notice=OTHER_MODEL)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that what follows is cleaned up
    log.begin()
    settings = from_environment(os.environ)
    with private_cache() as uploads:
        checker = Checker(on_gpu=on_gpu)
        settings = warm_up(checker, settings)
        jobs = Jobs(
            checker,
            queue_size=settings.queue_size,
            cache_seconds=settings.cache_seconds,
            clients=settings.clients,
        )
        page = build(settings, jobs, uploads)
        try:
            launch(page, settings, uploads, os.environ)
            page.block_thread()
        finally:
            jobs.shutdown()
            page.close()


if __name__ == "__main__":
    main()
