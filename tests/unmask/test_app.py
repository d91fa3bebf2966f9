"""The API of the Space, as its clients meet it: over HTTP, gradio_client and MCP."""

import asyncio
import base64
import time

import gradio_client  # type: ignore[import-untyped]
import httpx
import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from tests.media import EXAMPLES, jpeg
from tests.served import SHARED_MAX_BYTES
from tests.servers import Site, content, slow
from tests.test_contract import ENDPOINTS
from unmask.video import decode
from unmask.video.sampling import DecodePlan

FACE = EXAMPLES / "photograph.mp4"
STAGES = {"queued", "fetch", "decode", "faces", "model", "explain", "done"}

pytestmark = pytest.mark.timeout(300)  # starting the Space takes minutes where all cores are taken


@pytest.fixture(scope="module")
def client(space):
    return gradio_client.Client(space.url, verbose=False)


@pytest.fixture(scope="module")
def site():
    clip = FACE.read_bytes()
    routes = {"/clip.mp4": content(clip, "video/mp4"), "/a.mp4": slow(clip), "/b.mp4": slow(clip)}
    with Site(routes | {"/c.mp4": slow(clip), "/d.mp4": slow(clip)}) as running:
        yield running


def assert_whole(report, kind):
    """Every field of the contract is there, with a value that a real check gives."""
    assert report["schema"] == "unmask.report/1"
    assert report["status"] == "ok", report
    assert report["source"]["kind"] == kind
    assert report["source"]["name"]
    assert (report["source"]["width"], report["source"]["height"]) == (480, 360)
    assert len(report["source"]["sha256"]) == 64
    assert report["verdict"]["label"] in ("fake", "real", "uncertain")
    assert 0 < report["verdict"]["probability_fake"] < 1
    assert report["verdict"]["face_id"] == report["faces"][0]["id"]
    assert report["verdict"]["reasons"]
    assert report["verdict"]["text"]
    assert report["models"][0]["name"] == "untrained"
    assert report["models"][0]["revision"]
    for picture in ("thumbnail", "heatmap"):
        assert report["faces"][0][picture].startswith("data:image/jpeg;base64,")
    assert report["faces"][0]["boxes"]
    assert report["timeline"]
    assert report["coverage"]["frames_with_face"] > 0
    assert report["timing_seconds"]["total"] > 0


def test_the_endpoints_are_typed_and_in_openapi(space, client):
    named = client.view_api(return_format="dict")["named_endpoints"]
    assert {p["parameter_name"]: p["python_type"]["type"] for p in named["/check_url"]["parameters"]} == {
        "url": "str",
        "model": "str",
        "start_seconds": "float",
        "end_seconds": "None | float",
    }
    paths = httpx.get(f"{space.url}/gradio_api/openapi.json").json()["paths"]
    assert all(any(path.endswith(name) for path in paths) for name in ENDPOINTS)


def test_a_file_is_checked_with_progress_on_the_way(client):
    job = client.submit(video=gradio_client.handle_file(FACE), api_name="/check_file")
    *progress, report = job
    assert_whole(report, "file")
    assert report["source"]["name"] == "photograph.mp4"
    assert {item["stage"] for item in progress} <= STAGES
    assert all(set(item) <= {"stage", "fraction", "text", "position"} for item in progress)
    fractions = [item["fraction"] for item in progress]
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] <= fractions[-1] <= 1


def test_a_link_gives_the_same_answer_as_the_file(space, site, client):
    by_file = client.predict(video=gradio_client.handle_file(FACE), api_name="/check_file")
    events = list(space.stream("check_url", {"url": site.url("/clip.mp4")}))
    assert [event for event, _ in events][-1] == "complete"
    report = events[-1][1][0]
    assert_whole(report, "url")
    assert report["source"]["url"] == site.url("/clip.mp4")
    assert report["verdict"] == by_file["verdict"]
    assert any("stage" in data[0] for _, data in events[:-1])


def frames_of(path, count=16):
    plan = DecodePlan(windows=2, frames_per_window=count // 2)
    for window in decode.decode(path, plan):
        for picture, second in zip(window.data, window.seconds, strict=True):
            yield {"seconds": float(second), "jpeg": base64.b64encode(jpeg(picture)).decode()}


def test_captured_frames_are_checked(client):
    frames = list(frames_of(FACE))
    frames[0]["jpeg"] = f"data:image/jpeg;base64,{frames[0]['jpeg']}"
    page = "https://videos.example/watch?v=1"
    report = client.predict(frames=frames[::-1], page_url=page, api_name="/check_frames")
    assert_whole(report, "frames")
    assert report["source"]["url"] == page
    assert report["coverage"]["frames"] == len(frames)


def test_check_file_reads_uploads_only(space, site):
    meta = {"_type": "gradio.FileData"}
    before = site.hits("/clip.mp4")
    by_link = {"path": site.url("/clip.mp4"), "meta": meta}
    assert space.ask("check_file", {"video": by_link})["error"]["code"] == "bad_input"
    assert site.hits("/clip.mp4") == before, "gradio fetched a link past the guard"
    for path in ("/etc/hostname", str(FACE), str(space.temporary / "elsewhere.mp4")):
        events = list(space.stream("check_file", {"video": {"path": path, "meta": meta}}))
        assert events[-1][0] == "error" or events[-1][1][0]["status"] == "failed", path
    assert httpx.get(f"{space.url}/gradio_api/file={FACE}").status_code == 403


def test_an_upload_above_the_limit_is_refused(space, tmp_path):
    large = tmp_path / "large.mp4"
    large.write_bytes(bytes(SHARED_MAX_BYTES + 1))
    assert space.upload(large).status_code == 413


def wait_for(state, space, job, seconds=60):
    deadline = time.monotonic() + seconds
    while (found := space.ask("job", {"id": job}))["state"] != state:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found


def test_a_submitted_job_goes_on_without_its_client(space, site):
    job = space.ask("submit", {"url": site.url("/clip.mp4"), "end_seconds": 2})["job"]
    done = wait_for("done", space, job)
    assert set(done) >= {"state", "stage", "fraction", "position", "report"}
    assert (done["stage"], done["fraction"], done["position"]) == ("done", 1.0, 0)
    assert_whole(done["report"], "url")
    assert space.ask("cancel", {"id": job}) == {"cancelled": False}


def test_endpoints_are_tools_for_mcp_clients(space):
    async def talk():
        async with (
            streamable_http_client(f"{space.url}/gradio_api/mcp/") as (read, write, *_),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = (await session.list_tools()).tools
            answer = await session.call_tool("check_url", {"url": ""})  # needs no place
            return tools, answer.content[0].text

    tools, answer = asyncio.run(talk())
    assert {f"/{tool.name}" for tool in tools} == set(ENDPOINTS)
    check = next(tool for tool in tools if tool.name == "check_url")
    assert check.inputSchema["required"] == ["url"]
    assert all(field["description"] for field in check.inputSchema["properties"].values())
    assert "bad_input" in answer
