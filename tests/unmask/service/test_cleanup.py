"""What is kept for a while only: files of uploads, answers that nobody fetches."""

import asyncio
import os
import time
from typing import Any

import pytest

from unmask.service.cleanup import Unread, remove_old

KEPT = 100.0


@pytest.fixture
def folder(tmp_path):
    """Old and young, as uploads and their broken-off kind leave it."""

    def put(name: str, age: float) -> None:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"video")
        for aged in (path, path.parent):
            os.utime(aged, (0, time.time() - age))

    put("0f3a/whole.mp4", KEPT + 50)
    put("77aa/young.mp4", KEPT - 50)
    put("tmpold", KEPT + 50)
    put("tmpyoung", KEPT - 50)
    (tmp_path / "link").symlink_to("/etc")
    os.utime(tmp_path / "link", (0, 0), follow_symlinks=False)
    return tmp_path


def test_only_what_is_too_old_is_removed(folder):
    remove_old(folder, KEPT)
    left = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
    assert left == {"77aa/young.mp4", "tmpyoung"}


def test_folders_go_once_they_have_been_empty_as_long(folder):
    remove_old(folder, KEPT)  # what lay in it has just gone, so that the folder is as new
    assert (folder / "0f3a").exists()
    os.utime(folder / "0f3a", (0, 0))
    remove_old(folder, KEPT)
    assert not (folder / "0f3a").exists()


class Answers:
    """As much of gradio's queue as matters here."""

    def __init__(self, **waiting: list[str]) -> None:
        self.pending_messages_per_session: dict[str, asyncio.Queue[Any]] = {name: asyncio.Queue() for name in waiting}
        self.pending_event_ids_session = {name: {"call"} for name in waiting}
        self.ended: list[str] = []
        for name, messages in waiting.items():
            for message in messages:
                self.say(name, message)

    def say(self, session: str, message: str) -> None:
        self.pending_messages_per_session[session].put_nowait([message])  # a list: each is one of its own

    async def clean_events(self, *, session_hash: str) -> None:
        self.ended.append(session_hash)


def test_a_call_is_ended_when_nobody_reads_its_answers():
    async def live() -> None:
        queue = Answers(left=["a", "b"], read=["a", "b"], quiet=[])
        unread = Unread(queue)
        await unread.forget()
        assert queue.ended == []
        queue.pending_messages_per_session["read"].get_nowait()  # slowly, but read
        queue.say("left", "c")
        await unread.forget()
        assert queue.ended == ["left"]
        assert set(queue.pending_messages_per_session) == {"read", "quiet"}
        assert set(queue.pending_event_ids_session) == {"read", "quiet"}

    asyncio.run(live())


def test_calls_whose_answers_gradio_has_dropped_are_forgotten_too():
    async def live() -> None:
        queue = Answers(dropped=["a"], other=[])
        del queue.pending_messages_per_session["dropped"]
        await Unread(queue).forget()
        assert queue.ended == ["dropped"]
        assert set(queue.pending_event_ids_session) == {"other"}

    asyncio.run(live())
