"""What a person types, and what a report says of it."""

import hashlib
import time
from contextlib import closing
from pathlib import Path

import pytest

from unmask.download.sources import (
    BackgroundHash,
    FileSource,
    FramesSource,
    UrlSource,
    describe,
    to_source,
)
from unmask.report import Source


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://example.com/v", True),
        ("HTTP://example.com", True),
        ("ftp://example.com/v.mp4", True),  # refused later
        ("file:///etc/passwd", True),
        ("data:video/mp4;base64,AAAA", True),
        ("www.example.com", True),
        ("example.com/watch?v=1", True),
        ("localhost:8000/clip.mp4", True),
        ("clip.mp4", False),
        ("./example.com/clip.mp4", False),
        ("videos/clip.mp4", False),
        ("C:\\videos\\clip.mp4", False),
        ("", False),
        ("nul\0byte", False),
    ],
)
def test_what_looks_like_a_url(text: str, url: bool) -> None:
    assert isinstance(to_source(text), UrlSource) == url


def test_an_existing_file_is_a_file_whatever_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "www.example.com").write_bytes(b"")
    assert to_source("www.example.com") == FileSource(Path("www.example.com"), "www.example.com")


def test_a_file_is_hashed_unless_it_is_too_long_or_it_was_closed(tmp_path: Path) -> None:
    path, nothing = tmp_path / "video", hashlib.sha256(b"").hexdigest()
    path.write_bytes(bytes(10_000_000))
    with closing(BackgroundHash(path, 10_000_000)) as digest:
        assert digest.result() == hashlib.sha256(bytes(10_000_000)).hexdigest()
    for other, max_bytes in ((path, 9_999_999), (tmp_path, 10_000_000), (tmp_path / "gone", 10_000_000)):
        with closing(BackgroundHash(other, max_bytes)) as digest:
            assert digest.result() == nothing
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(2**34)  # ten seconds
    began = time.monotonic()
    with closing(BackgroundHash(path, 2**34)) as digest:
        pass
    digest.result()
    assert time.monotonic() - began < 5.0


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (UrlSource("https://example.com/v"), "https://example.com/v"),
        (FileSource(Path("/secret/place/clip.mp4"), "clip.mp4"), "clip.mp4"),
        (FramesSource((), (), "https://example.com/v", "A talk"), "https://example.com/v"),
        (FramesSource((), (), None, "A talk"), "A talk"),
        (FramesSource((), ()), "captured frames"),
    ],
)
def test_a_source_is_described_without_its_place_on_disk(source, name):
    described = Source(**describe(source))
    assert described.name == name
    assert "secret" not in str(described)
