"""Delete what gradio keeps on disk when it is old: uploads, also broken-off ones, and videos that the page showed."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def periodic_cleanup(folder: Path, every_seconds: float, max_age_seconds: float) -> Iterator[None]:
    """Remove old files from `folder` again and again, in a thread, until the context ends."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(every_seconds):
            remove_old(folder, max_age_seconds)

    thread = threading.Thread(target=run, name="unmask-cleanup", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def remove_old(folder: Path, max_age_seconds: float) -> None:
    """Remove the files under `folder` that are so old, and folders that have been empty as long."""
    too_old = time.time() - max_age_seconds
    for parent, folders, files in os.walk(folder, topdown=False):
        for name in (*files, *folders):
            path = Path(parent, name)
            with suppress(OSError):  # already removed, or a folder with something in it
                if path.lstat().st_mtime < too_old:
                    path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
