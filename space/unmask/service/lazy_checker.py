"""A stand-in for a checker that is still being made: the page answers before torch is imported."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path

from unmask.download.sources import Options, VideoSource
from unmask.errors import InternalError
from unmask.progress import OnProgress
from unmask.report import Report
from unmask.service.jobs import Checks

WAIT_SECONDS = 0.25  # how often a check that waits looks whether it is still wanted

logger = logging.getLogger(__name__)


class StandIn:
    """Does what a checker does, as soon as there is one. Checks that come before wait for it."""

    def __init__(self, make: Callable[[], Checks]) -> None:
        self._make = make
        self._made: Future[Checks] = Future()
        self._thread = threading.Thread(target=self._run, name="unmask-standin")

    def begin(self) -> None:
        """Make the checker, in a thread."""
        self._thread.start()

    def end(self) -> None:
        """Wait for what has begun: the import of torch fails loudly when Python stops in the midst of it."""
        if self._thread.is_alive():
            self._thread.join()

    def identify(self, models: tuple[str, ...]) -> tuple[str, ...]:
        """As `Checker.identify`, which leaves a model that is not loaded yet its name."""
        if not self._made.done() or self._made.exception():
            return tuple(sorted(set(models)))
        return self._made.result().identify(models)

    def check(
        self,
        source: VideoSource,
        options: Options,
        on_progress: OnProgress,
        *,
        keep: Path | None,
        known: Callable[[str], Report | None],
    ) -> Report:
        """As `Checker.check`. Raises InternalError, too, when there is and will be no checker."""
        while not self._made.done():
            on_progress("fetch", 0.0, "Getting ready")
            wait([self._made], WAIT_SECONDS)
        if error := self._made.exception():
            raise InternalError("The Space could not get ready for checks. It is logged.") from error
        return self._made.result().check(source, options, on_progress, keep=keep, known=known)

    def _run(self) -> None:
        try:
            self._made.set_result(self._make())
        except BaseException as error:
            logger.exception("The checker could not be made, so checks will fail")
            self._made.set_exception(error)
