"""The Space: the page and the API, served. Only this file and `ui/` import gradio.

    python app.py        then open http://127.0.0.1:7860

`GRADIO_SERVER_NAME` and `GRADIO_SERVER_PORT` (or `PORT`) choose the address; `UNMASK_*` the rest, see README.
"""

import contextlib
import dataclasses
import functools
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ui.quick import without_stubs

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before gradio is imported: it reads it then
with without_stubs():
    import gradio as gr
import spaces  # before torch is; does nothing but on ZeroGPU
from gradio.utils import get_upload_folder
from starlette.middleware import Middleware

from ui.html import OTHER_MODEL
from ui.page import build
from ui.theme import STYLE_SHEET, calm_theme, head_html
from unmask import logs
from unmask.errors import Busy, ModelUnavailable
from unmask.models import bundled
from unmask.service.cleanup import upkeep
from unmask.service.jobs import Checks, Jobs
from unmask.service.lazy_checker import StandIn
from unmask.service.middleware import Doorkeeper
from unmask.service.settings import Settings, from_environment
from unmask.service.tempdirs import private_folder

KEPT_SECONDS = 30 * 60  # uploads, and what the page shows, are deleted this long after they came
MAX_STREAMS = 200  # calls that are being answered at the same time; a stream is one, and costs no thread
MAX_SESSIONS = 1000  # of pages and other clients that gradio remembers; each takes 90 kB
KEEPER_SECONDS = 60  # how often it is looked what has to go

logger = logging.getLogger(__name__)


def launch(page: gr.Blocks, settings: Settings, uploads: Path, environ: Mapping[str, str]) -> None:
    """Serve without blocking. Spaces say by SPACE_ID who they are, and want to be reached from outside."""
    around = Middleware(
        Doorkeeper,
        clients=settings.clients,
        max_upload_bytes=settings.limits.max_bytes,
        kept_seconds=KEPT_SECONDS + KEEPER_SECONDS,
    )
    page.launch(
        server_name=environ.get("GRADIO_SERVER_NAME") or ("0.0.0.0" if "SPACE_ID" in environ else "127.0.0.1"),
        server_port=int(environ.get("GRADIO_SERVER_PORT") or environ.get("PORT") or 7860),
        theme=calm_theme(),
        css_paths=[STYLE_SHEET],
        head=head_html(),
        max_file_size=settings.limits.max_bytes,
        max_threads=MAX_STREAMS,
        state_session_capacity=MAX_SESSIONS,
        mcp_server=True,
        show_error=False,
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        share=False,
        _frontend=False,  # or it ends where the page takes over three seconds to answer, as on a busy machine
        pwa=False,
        footer_links=["api", "settings"],
        prevent_thread_lock=True,
        app_kwargs={
            "middleware": [around],
            "lifespan": upkeep(page, uploads, KEEPER_SECONDS, KEPT_SECONDS),
        },
    )


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


def can_follow(settings: Settings) -> bool:
    """Whether the checker may be made behind the page: what the page says must not depend on its models,
    and ZeroGPU wants them before it lends anything.
    """
    lends = on_gpu(gpu_seconds) is not gpu_seconds  # any function would do
    return set(settings.models) <= {"default", bundled.DEFAULT} and not lends


def ready_checker(settings: Settings) -> tuple[Checks, Settings]:
    """A checker with the default model loaded, so that no visitor waits for it.

    Where the chosen one cannot be loaded the bundled one takes its place, and everybody is told.
    """
    from unmask.pipeline import Checker  # and with it torch, which the page is not to wait for

    checker = Checker(on_gpu=on_gpu)
    try:
        checker.load(settings.models)
    except ModelUnavailable as error:
        logger.warning("The chosen model cannot be used: %s", error.message)
    else:
        return checker, settings
    try:
        checker.load((bundled.DEFAULT,))
    except ModelUnavailable as error:
        logger.error("Nor can the bundled one, so checks will fail: %s", error.message)
        return checker, settings
    return checker, dataclasses.replace(settings, model=bundled.DEFAULT, notice=OTHER_MODEL)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that what follows is cleaned up
    logs.begin()
    settings = from_environment(os.environ)
    with private_cache() as uploads:
        standin = StandIn(lambda: ready_checker(settings)[0])
        checker, settings = (standin, settings) if can_follow(settings) else ready_checker(settings)
        jobs = Jobs(
            checker,
            queue_size=settings.queue_size,
            cache_seconds=settings.cache_seconds,
            clients=settings.clients,
        )
        page = build(settings, jobs, uploads)
        try:
            launch(page, settings, uploads, os.environ)
            if checker is standin:
                standin.begin()  # not earlier: its import would take the page's time
            page.block_thread()
        finally:
            jobs.shutdown()
            page.close()
            standin.end()


if __name__ == "__main__":
    main()
