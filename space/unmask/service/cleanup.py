"""What gradio keeps and nobody will ask for again: files, and answers that were never fetched.

Its own deletion knows neither uploads that were broken off nor the folders of those that it deletes, ends for
good when a file comes while it looks, and lets unread answers heap up.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any


def upkeep(
    page: Any, folder: Path, every_seconds: float, kept_seconds: float
) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    """A part of the life of an ASGI application: looks after `page` and the folder of its files."""

    async def look_after() -> None:
        unread = Unread(page._queue)
        while True:
            await asyncio.sleep(every_seconds)
            await asyncio.to_thread(remove_old, folder, kept_seconds)
            for known in page.temp_file_sets:  # what gradio would delete
                known.clear()
            await unread.forget()

    @asynccontextmanager
    async def life(_: Any) -> AsyncGenerator[None, None]:
        task = asyncio.create_task(look_after())
        yield
        task.cancel()

    return life


def remove_old(folder: Path, kept_seconds: float) -> None:
    """Remove the files that have lain in `folder` so long, and folders in it that are empty as long."""
    too_old = time.time() - kept_seconds
    for entry in folder.iterdir():
        for path in [*entry.rglob("*"), entry] if entry.is_dir() and not entry.is_symlink() else [entry]:
            with suppress(OSError):  # somebody else removes it, or it is a folder with something in it
                if path.lstat().st_mtime < too_old:
                    path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


class Unread:
    """Ends the calls whose oldest answer was already there at the last look: nobody reads them."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue  # gradio's
        self._oldest: dict[str, Any] = {}  # session -> its oldest answer at the last look

    async def forget(self) -> None:
        answers, calls = self._queue.pending_messages_per_session, self._queue.pending_event_ids_session
        oldest = {session: _first(waiting) for session, waiting in answers.items()}
        left = {each for each, first in oldest.items() if first and first is self._oldest.get(each)}
        for session in left | (calls.keys() - answers.keys()):
            await self._queue.clean_events(session_hash=session)  # as if the client had gone
            answers.pop(session, None)
            calls.pop(session, None)
        self._oldest = oldest


def _first(waiting: Any) -> Any | None:
    """The oldest of an asyncio.Queue, left where it is."""
    return waiting._queue[0] if waiting._queue else None
