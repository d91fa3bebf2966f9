"""Every kind of bad input through the command line: its code, one line, exit 2, and nothing left behind."""

import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.media import RECIPES
from tests.servers import split_hls, video_site
from tests.untrained import untrained_model
from unmask import errors
from unmask.__main__ import main
from unmask.report import SCHEMA

SPACE = Path(__file__).parents[2] / "space"
HOME = {"UNMASK_ALLOW_PRIVATE": "1"}

pytestmark = pytest.mark.usefixtures("quick_worker")


@dataclass(frozen=True)
class Case:
    """An input, and what becomes of it."""

    given: str  # a name of tests.media, a path on the site (starts with /), or what is typed as it stands
    code: str
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join((self.given.replace("\0", "NUL")[:60] or "nothing", *self.arguments))


# one of each kind; the tables of test_network, test_client and test_decode have the others
FILES = [
    Case("there-is-no-such-file.mp4", "bad_input"),
    Case("", "bad_input"),
    Case(".", "bad_input"),  # a folder
    Case("nul\0byte.mp4", "bad_input"),
    Case("x" * 5000, "bad_input"),  # longer than a file's name can be
    Case("text.mp4", "not_a_video"),  # text with another ending
    Case("playlist.mp4", "not_a_video"),  # would make the decoder open other files
    Case("audio-with-cover.mp4", "no_frames"),
    Case("bomb.avi", "no_frames"),  # pictures of 900 million pixels behind a modest header
    Case("too-large.avi", "too_large"),  # the same, honestly announced
    Case("short.mp4", "too_large", environment={"UNMASK_MAX_BYTES": "1000"}),
    Case("h264.mp4", "too_long", environment={"UNMASK_MAX_SECONDS": "3"}),
    Case("h264.mp4", "bad_input", ("--start", "3600")),  # beyond the end
    Case("h264.mp4", "bad_input", environment={"UNMASK_MAX_BYTES": "plenty"}),
    Case("h264.mp4", "model_unavailable", ("--model", "no-such-model")),
    Case("h264.mp4", "model_unavailable", ("--model", "CORRUPT")),
]
LINKS = [
    Case("ftp://www.example.com/clip.mp4", "bad_url"),
    Case("https://a.example/1 or https://b.example/2", "bad_url"),
    Case("blob:https://example.com/1234", "bad_url"),
    Case("http://127.0.0.1/clip.mp4", "blocked_address"),
    Case("http://169.254.169.254/latest/meta-data/", "blocked_address", environment=HOME),
]
SITES = [
    Case("/clip.mp4", "blocked_address"),  # as long as nothing allows addresses at home
    Case("/broken-server", "fetch_failed", environment=HOME),
    Case("/login", "login_required", environment=HOME),
    Case("/plain", "unsupported_site", environment=HOME),
    Case("/hls/live.m3u8", "live_stream", environment=HOME),
    Case("/silent", "timeout", environment={**HOME, "UNMASK_TIMEOUT_SECONDS": "3"}),
]


@pytest.fixture(scope="module")
def corrupt(tmp_path_factory):
    folder = untrained_model(tmp_path_factory.mktemp("corrupt"))
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    return str(folder)


@pytest.fixture(scope="module")
def site(media):
    clip = media("h264.mp4").read_bytes()
    with video_site(clip, split_hls(clip)) as site:
        yield site


@pytest.fixture
def typed(media, request):
    """A case -> what stands on the command line."""

    def type_out(case):
        given = case.given
        if given.startswith("/"):
            given = request.getfixturevalue("site").url(given)
        elif given in RECIPES:
            given = str(media(given))
        return ["check", given, *(request.getfixturevalue("corrupt") if a == "CORRUPT" else a for a in case.arguments)]

    return type_out


@pytest.fixture
def temporary(tmp_path, untrained, monkeypatch):
    """Sets the case's environment; afterwards neither the temporary nor the current folder holds anything."""
    folder, here = tmp_path / "temporary", tmp_path / "here"
    folder.mkdir()
    here.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.chdir(here)

    def prepare(case):
        for name in [name for name in os.environ if name.startswith("UNMASK_")]:
            monkeypatch.delenv(name)
        wanted = {"UNMASK_MODEL": str(untrained), "TMPDIR": str(folder), **case.environment}
        for name, value in wanted.items():
            monkeypatch.setenv(name, value)
        return wanted

    yield prepare
    assert list(folder.iterdir()) == []
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("case", FILES + LINKS + SITES, ids=str)
def test_bad_input_gets_its_code_in_one_line(case, typed, temporary, capsys):
    arguments = typed(case)
    temporary(case)
    assert main([*arguments, "--json"]) == 2
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert (report["schema"], report["status"], report["error"]["code"]) == (SCHEMA, "failed", case.code)
    assert err.startswith(f"unmask: {case.code}: ")
    assert err.count("\n") == 1
    assert err[:-1].isprintable()
    sentence = report["error"]["message"]
    assert sentence[0].isupper() or not sentence[0].isalpha()
    assert sentence.rstrip()[-1] in ".?!)"
    for inside in ("Traceback", "Errno", "object at 0x", "/temporary/"):
        assert inside not in sentence
    assert report["source"]["kind"] == ("url" if case in LINKS or case in SITES else "file")


def test_every_code_that_is_a_matter_of_the_input_is_in_the_tables():
    known = {kind.code for kind in errors.UnmaskError.__subclasses__()}
    assert known - {case.code for case in FILES + LINKS + SITES} == {"internal", "busy", "rate_limited", "cancelled"}
