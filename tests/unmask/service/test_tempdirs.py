"""The private folder of a process, against processes that are killed."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from unmask.service import tempdirs
from unmask.service.tempdirs import PREFIX, private_folder, sweep

SPACE = str(Path(tempdirs.__file__).parents[2])
LIVES = f"""
import sys, tempfile, time; sys.path.insert(0, {SPACE!r})
from pathlib import Path
from unmask.service.tempdirs import private_folder
with private_folder() as folder:
    Path(tempfile.mkdtemp(prefix="unmask-"), "video").write_bytes(b"a video")
    print(folder, flush=True)
    time.sleep(600)
"""

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs locks that end with the process")


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def other(temporary):
    """A process with its private folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", LIVES], env={**os.environ, "TMPDIR": str(temporary)}, stdout=subprocess.PIPE
    )
    folder = Path(process.stdout.readline().decode().strip())
    assert list(folder.rglob("video"))
    yield process, folder
    process.kill()
    process.wait()
    process.stdout.close()


def test_all_temporary_files_lie_in_it_and_go_with_it(temporary):
    with private_folder() as folder:
        assert folder.parent == temporary
        assert folder.stat().st_mode & 0o077 == 0
        assert Path(tempfile.mkdtemp()).parent == folder
    assert list(temporary.iterdir()) == []
    assert tempfile.gettempdir() == str(temporary)


def test_what_a_killed_process_left_is_removed_at_the_next_start(other):
    process, folder = other
    process.kill()
    process.wait()
    assert list(folder.rglob("video"))
    with private_folder() as ours:
        assert not folder.exists()
        assert ours.exists()


def test_the_folder_of_a_living_process_stays(other):
    _, folder = other
    with private_folder():
        assert list(folder.rglob("video"))


def test_a_folder_that_is_about_to_be_locked_and_all_else_stay(temporary):
    old = temporary / f"{PREFIX}old"
    for folder in (old, temporary / f"{PREFIX}young", temporary / "elsewhere", temporary / "unmask-other"):
        folder.mkdir()
    os.utime(old, (0, time.time() - tempdirs.YOUNG_SECONDS - 1))
    (temporary / "elsewhere" / "file").write_text("mine")
    (temporary / f"{PREFIX}link").symlink_to(temporary / "elsewhere")
    (temporary / f"{PREFIX}file").write_text("mine")
    before = set(temporary.rglob("*"))
    sweep(temporary)
    assert before - set(temporary.rglob("*")) == {old}
