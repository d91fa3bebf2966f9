"""Old files of the page are removed."""

import os
import time

import pytest

from unmask.service.expired_files import periodic_cleanup, remove_old

MAX_AGE = 100.0


@pytest.fixture
def folder(tmp_path):
    """Old and new files, as whole and broken-off uploads leave them."""

    def put(name: str, age: float) -> None:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"video")
        for aged in (path, path.parent):
            os.utime(aged, (0, time.time() - age))

    put("0f3a/whole.mp4", MAX_AGE + 50)
    put("77aa/new.mp4", MAX_AGE - 50)
    put("tmpold", MAX_AGE + 50)
    put("tmpnew", MAX_AGE - 50)
    (tmp_path / "link").symlink_to("/etc")
    os.utime(tmp_path / "link", (0, 0), follow_symlinks=False)
    return tmp_path


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def test_only_old_files_are_removed(folder):
    remove_old(folder, MAX_AGE)
    assert files(folder) == {"77aa/new.mp4", "tmpnew"}


def test_a_folder_goes_once_it_has_been_empty_as_long(folder):
    remove_old(folder, MAX_AGE)  # removing what lay in it makes the folder as new
    assert (folder / "0f3a").exists()
    os.utime(folder / "0f3a", (0, 0))
    remove_old(folder, MAX_AGE)
    assert not (folder / "0f3a").exists()


@pytest.mark.timeout(60)
def test_it_is_done_again_and_again(folder):
    with periodic_cleanup(folder, 0.01, MAX_AGE):
        for name in ("tmpold", "later"):
            (folder / name).write_bytes(b"")
            os.utime(folder / name, (0, 0))
            while (folder / name).exists():
                time.sleep(0.01)
    assert "tmpnew" in files(folder)
