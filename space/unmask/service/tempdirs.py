"""One private folder for all temporary files of a process, removed with the process or at the next start.

A killed process leaves its folder behind, but not its lock on the folder; so the next process knows, and removes it.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such locks: there folders of killed processes stay
    fcntl = None  # type: ignore[assignment]

PREFIX = "unmask-space-"
YOUNG_SECONDS = 60.0  # a folder so young may belong to a process that is about to lock it


@contextmanager
def private_folder() -> Iterator[Path]:
    """Make the folder and let every temporary file lie in it; remove what killed processes left."""
    parent = Path(tempfile.gettempdir())
    sweep(parent)
    earlier = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=parent, ignore_cleanup_errors=True) as name:
        lock = _lock(Path(name))
        tempfile.tempdir = name
        try:
            yield Path(name)
        finally:
            tempfile.tempdir = earlier
            if lock is not None:
                os.close(lock)


def sweep(parent: Path) -> None:
    """Remove the folders of this user whose processes are gone."""
    if fcntl is None:
        return
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):  # another process has just removed it, or it is another user's
            found = folder.lstat()
            old = time.time() - found.st_mtime > YOUNG_SECONDS
            if found.st_uid == os.getuid() and folder.is_dir() and not folder.is_symlink():
                _remove_unless_in_use(folder, old)


def _remove_unless_in_use(folder: Path, old: bool) -> None:
    lock = _lock(folder)
    if lock is None:
        return
    try:
        if old or any(folder.iterdir()):  # empty and young: its process may be about to lock it
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def _lock(folder: Path) -> int | None:
    """Open and lock the folder, until it is closed or the process ends; None if another process holds the lock."""
    if fcntl is None:
        return None
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(opened)
        return None
    return opened
