"""Each private part of gradio that the Space uses: the test fails when it changes."""

import asyncio
import inspect
from collections.abc import AsyncGenerator
from pathlib import Path
from unittest.mock import Mock

import gradio as gr
import gradio.mcp
import pytest
from gradio import component_meta, networking
from gradio.utils import get_upload_folder
from gradio_client import Client  # type: ignore[import-untyped]

from ui.api import STRING, UPLOAD
from ui.gradio_compat import (
    IDLE_SECONDS,
    LAUNCH_OPTIONS,
    declare_endpoint,
    rest_when_idle,
    uploads_only,
    use_upload_folder,
)
from ui.gradio_import import without_stub_files


def echo(text: str, video: str = "", *, client: str = "unknown") -> str:
    """Repeat the text.

    Args:
        text: What to repeat.
    """
    return f"{text}, {client}"


async def count(text: str, *, client: str = "unknown") -> AsyncGenerator[str, None]:
    """Count to two."""
    for number in (1, 2):
        yield f"{text} {number}, {client}"


@pytest.fixture
def page():
    """Build a page with two endpoints."""
    identify = lambda request: "known" if isinstance(request, gr.Request) else "unknown"
    with gr.Blocks() as built:
        declare_endpoint(echo, [("Text", STRING, None), ("Video", UPLOAD, "")], ("Answer", STRING), identify)
        declare_endpoint(count, [("Text", STRING, None)], ("Answer", STRING), identify)
    yield built
    built.close()


def test_no_source_of_gradio_is_parsed_while_it_is_imported(monkeypatch):
    parse = Mock(return_value=(None, None))
    monkeypatch.setattr(component_meta, "extract_class_source_code", parse)
    with without_stub_files():
        component_meta.create_or_modify_pyi(gr.Button, "Button", [])
        assert inspect.getfile(Path)
    assert not parse.called
    with pytest.raises(ValueError, match="class source"):
        component_meta.create_or_modify_pyi(gr.Button, "Button", [])
    assert parse.called


@pytest.mark.timeout(120)
def test_an_endpoint_has_its_name_types_and_client(page, monkeypatch):
    monkeypatch.setattr(networking, "url_ok", lambda url: False)  # what `_frontend=False` leaves out
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, **LAUNCH_OPTIONS)
    client = Client(url, verbose=False)
    assert client.predict(text="hello", api_name="/echo") == "hello, known"
    assert list(client.submit(text="at", api_name="/count")) == ["at 1, known", "at 2, known"]
    parameters = client.view_api(return_format="dict")["named_endpoints"]["/echo"]["parameters"]
    assert [(each["parameter_name"], each["parameter_has_default"]) for each in parameters] == [
        ("text", False),
        ("video", True),
    ]


def test_the_arguments_of_launch_are_known():
    assert set(LAUNCH_OPTIONS) <= set(inspect.signature(gr.Blocks.launch).parameters)


def test_an_address_is_not_fetched(page, monkeypatch):
    fetched = []

    async def fetch(url, **_):
        fetched.append(url)
        return "fetched"

    monkeypatch.setattr("gradio.processing_utils.async_ssrf_protected_download", fetch)
    address = "http://videos.example/"
    asyncio.run(gr.File().async_move_resource_to_block_cache(address))
    assert fetched == [address]  # as it does by itself
    file = {"path": address, "meta": {"_type": "gradio.FileData"}}
    asyncio.run(page.preprocess_data(page.fns[0], ["text", file], None))
    assert fetched == [address]


def test_an_uploaded_file_is_passed_on(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"video")
    kept = asyncio.run(uploads_only(gr.File()).async_move_resource_to_block_cache(str(path)))
    assert kept.endswith("clip.mp4")


@pytest.mark.parametrize("loop", ["start_processing", "start_progress_updates"])
def test_an_idle_queue_rests(loop, page, monkeypatch):
    slept = []

    async def sleep(seconds):
        slept.append(seconds)
        page._queue.stopped = True

    rest_when_idle(page)
    page._queue.stopped = False
    monkeypatch.setattr("gradio.queueing.asyncio.sleep", sleep)
    asyncio.run(getattr(page._queue, loop)())
    assert slept == [IDLE_SECONDS]


def test_files_of_all_clients_lie_in_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    monkeypatch.setattr(gradio.mcp, "DEFAULT_TEMP_DIR", "")
    use_upload_folder(tmp_path)
    assert get_upload_folder() == str(tmp_path)
    server = gradio.mcp.GradioMCPServer.__new__(gradio.mcp.GradioMCPServer)
    file = server.convert_strings_to_filedata({"video": "data:video/mp4;base64,AAAA"}, [["video"]])["video"]
    assert Path(file["path"]).is_relative_to(tmp_path)
