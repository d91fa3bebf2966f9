"""The list of licences: what it takes, what it refuses, and that it looks at everything."""

import re
import sys
from email.message import Message
from importlib import metadata

import pytest
from packaging.utils import canonicalize_name

from tests import licences

COPYLEFT = re.compile(r"lib(avcodec|avformat|x264|x265|gnutls|gmp|nettle|mp3lame|readline)\b.*\.so.*|ffmpeg(-linux.*)?")


def about(**fields):
    """Metadata of a package."""
    message = Message()
    message["Name"] = "some-package"
    for name, values in fields.items():
        for value in [values] if isinstance(values, str) else values:
            message[name.replace("_", "-")] = value
    return message


@pytest.mark.parametrize(
    ("fields", "licence", "fits"),
    [
        ({"License_Expression": "MIT"}, "MIT", True),
        # the expression goes before all else
        ({"License_Expression": "GPL-3.0-only", "License": "MIT"}, "GPL-3.0-only", False),
        ({"License_Expression": "MPL-2.0 AND (Apache-2.0 OR MIT)"}, "MPL-2.0 AND (Apache-2.0 OR MIT)", True),
        # of two, one may be chosen; where both hold, both must fit
        ({"License_Expression": "GPL-2.0-only OR MIT"}, "GPL-2.0-only OR MIT", True),
        ({"License_Expression": "MIT AND GPL-2.0-only"}, "MIT AND GPL-2.0-only", False),
        ({"Classifier": "License :: OSI Approved :: BSD License", "License": "a page\nof text"}, "BSD", True),
        (
            {"Classifier": ["License :: OSI Approved", "Topic :: Video"], "License": "Apache 2.0"},
            "Apache-2.0",
            True,
        ),
        # classifiers do not say whether one may choose
        (
            {"Classifier": [f"License :: OSI Approved :: {name}" for name in ("MIT License", "GPLv2")]},
            "GPLv2 AND MIT",
            False,
        ),
        ({"License": "NVIDIA Proprietary Software"}, "NVIDIA", True),
        ({"License": "UNKNOWN"}, "unknown", False),
        ({}, "unknown", False),
    ],
)
def test_a_licence_is_understood(fields, licence, fits):
    assert licences.licence_of(about(**fields)) == licence
    assert licences.is_allowed(licence) == fits


def test_everything_that_is_asked_for_is_listed_with_what_it_needs(capsys):
    licences.main()
    listed = {line.split()[0].lower() for line in capsys.readouterr().out.splitlines() if line}
    # one of each list, what one of them needs, what an extra needs, and what the extension ships
    assert {"torch", "ray", "facenet-pytorch", "ruff", "sympy", "mcp", "onnxruntime-web", "long"} <= listed


def test_one_that_does_not_fit_ends_with_its_name(monkeypatch, capsys):
    monkeypatch.setattr(licences, "ALLOWED", {name: "" for name in licences.ALLOWED if name != "Unlicense"})
    with pytest.raises(SystemExit, match=r"yt-dlp \(Unlicense\)"):
        licences.main()


def test_the_wheels_that_carry_copyleft_libraries_are_named():
    carrying = {
        canonicalize_name(part.name)
        for part in licences.installed()
        if any(COPYLEFT.fullmatch(file.name) for file in metadata.files(part.name) or [])
    }
    if sys.platform == "linux":  # elsewhere the libraries have other names
        assert carrying == set(licences.CARRIED)
