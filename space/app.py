"""Start the Space: the page and the API. Only this file and `ui/` import gradio.

    python app.py        then open http://127.0.0.1:7860

`GRADIO_SERVER_NAME` and `GRADIO_SERVER_PORT` (or `PORT`) choose the address; `UNMASK_*` the rest, see README.md.
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

from ui.gradio_import import gr  # before others import gradio, too

# isort: split
import spaces  # before torch is; does nothing but on ZeroGPU
from starlette.middleware import Middleware

from ui.gradio_compat import LAUNCH_OPTIONS, use_upload_folder
from ui.html import OTHER_MODEL
from ui.page import build
from ui.theme import STYLE_SHEET, head_html, theme
from unmask import logs
from unmask.errors import ModelUnavailable, NoGpu
from unmask.models import bundled
from unmask.service.expired_files import periodic_cleanup
from unmask.service.jobs import Checks, Jobs
from unmask.service.middleware import RequestLimitMiddleware
from unmask.service.settings import Settings, from_environment
from unmask.service.tempdirs import private_folder

MAX_FILE_AGE_SECONDS = 30 * 60  # uploads, and what the page shows, are deleted after this time
CLEANUP_SECONDS = 60  # between two clean-ups
MAX_STREAMS = 200  # calls that are answered at the same time; a stream is one, and needs no thread
MAX_SESSIONS = 1000  # of pages and other clients that gradio remembers; each takes 90 kB

logger = logging.getLogger(__name__)


def launch(page: gr.Blocks, settings: Settings, environ: Mapping[str, str]) -> None:
    """Serve without blocking. A Space of the platform is known by SPACE_ID, and is reached from outside."""
    limits = Middleware(
        RequestLimitMiddleware,
        clients=settings.clients,
        max_upload_bytes=settings.limits.max_bytes,
        kept_seconds=MAX_FILE_AGE_SECONDS + CLEANUP_SECONDS,
    )
    page.launch(
        server_name=environ.get("GRADIO_SERVER_NAME") or ("0.0.0.0" if "SPACE_ID" in environ else "127.0.0.1"),
        server_port=int(environ.get("GRADIO_SERVER_PORT") or environ.get("PORT") or 7860),
        theme=theme(),
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
        pwa=False,
        footer_links=["api", "settings"],
        prevent_thread_lock=True,
        app_kwargs={"middleware": [limits]},
        **LAUNCH_OPTIONS,
    )


@contextlib.contextmanager
def upload_folder() -> Iterator[Path]:
    """Make a folder for uploads and for what the page shows, for this user only; remove it at the end.

    Folders of checks lie beside it: what gradio finds in its own folder it does not copy.
    """
    with private_folder() as folder:
        uploads = folder / "page"
        uploads.mkdir()
        use_upload_folder(uploads)
        with periodic_cleanup(uploads, CLEANUP_SECONDS, MAX_FILE_AGE_SECONDS):
            yield uploads


def on_gpu(function: Callable[..., Any]) -> Callable[..., Any]:
    """Run a function of the Checker on a borrowed GPU, on ZeroGPU; otherwise return the function itself."""
    borrowing = spaces.GPU(duration=gpu_seconds)(function)
    if borrowing is function:
        return function

    @functools.wraps(function)
    def run(*args: Any) -> Any:
        try:
            return borrowing(*args)
        except gr.Error as error:  # none is free, or the visitor's time is used up
            raise NoGpu(f"The Space got no GPU: {error.message}") from error

    return run


def gpu_seconds(*args: Any) -> int:
    """Return how long to borrow a GPU: the last argument is the list of clips to work on.

    A visitor must have as many seconds left, and uses up only those that it took. A large tower needs most of them to
    be loaded into the GPU: it looks at 8 frames in some hundredths of a second.
    """
    return 10 + len(args[-1]) // 4


def loads_after_launch(settings: Settings) -> bool:
    """Return whether the page may answer before the models are loaded.

    Not if it must say that another model answers, nor on ZeroGPU, which needs the models before it lends anything.
    """
    lends = on_gpu(gpu_seconds) is not gpu_seconds  # any function would do
    return set(settings.models) <= {"default", bundled.DEFAULT} and not lends


def load_checker(settings: Settings) -> tuple[Checks, Settings]:
    """Load the configured model, or the bundled one with a notice where that is impossible."""
    from unmask.pipeline import Checker

    checker = Checker(settings.compute, on_gpu)
    try:
        checker.load(settings.models)
        return checker, settings
    except ModelUnavailable as error:
        logger.warning("The configured model cannot be used: %s", error.message)
    try:
        checker.load((bundled.DEFAULT,))
    except ModelUnavailable as error:
        logger.error("The bundled model cannot be used either, so checks will fail: %s", error.message)
        return checker, settings
    return checker, dataclasses.replace(settings, model=bundled.DEFAULT, notice=OTHER_MODEL)


def main() -> None:
    """Serve until a signal ends the process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))  # so that the folders are removed
    logs.configure()
    settings = from_environment(os.environ)
    with upload_folder() as uploads:
        checker = None
        if not loads_after_launch(settings):
            checker, settings = load_checker(settings)
        jobs = Jobs(
            queue_size=settings.queue_size,
            cache_seconds=settings.cache_seconds,
            clients=settings.clients,
            signer=settings.signer,
        )
        page = build(settings, jobs, uploads)
        try:
            launch(page, settings, os.environ)
            jobs.start(checker or load_checker(settings)[0])  # checks that came before have waited
            page.block_thread()
        finally:
            jobs.shutdown()
            page.close()


if __name__ == "__main__":
    main()
