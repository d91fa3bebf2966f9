"""What the log leaves out."""

import io
import logging
import tempfile
import traceback

import pytest

from unmask.logs import RedactingStream, configure, redact, summarise_traceback


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nothing to hide", "nothing to hide"),
        ("at https://a.example/w?v=zebra now", "at (link) now"),
        ("('http://zebra.example', 3)", "('(link)', 3)"),
        ("203.0.113.7, 2001:db8::7, and fe80:1:2:3:4:5:6:7.", "(address), (address), and (address)."),
        ("version 6.31.0 took 12:30:45 s", "version 6.31.0 took 12:30:45 s"),
        ("module::name stays", "module::name stays"),
        (f"no room for '{tempfile.gettempdir()}/unmask-space-1/zebra.mp4'", "no room for '(file)'"),
    ],
)
def test_links_addresses_and_files_are_left_out(text, shown):
    assert redact(text) == shown


def test_also_from_log_records_tracebacks_and_what_others_print(monkeypatch):
    printed = io.StringIO()
    monkeypatch.setattr("sys.stderr", printed)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    configure()
    try:
        raise OSError("cannot fetch https://zebra.example/?secret=1")
    except OSError:
        logging.getLogger("unmask").exception("failed at %s", "203.0.113.7")
    text = printed.getvalue()
    assert "zebra" not in text.replace("raise OSError(", "") and "failed at (address)" in text
    assert "OSError: cannot fetch (link)" in text
    printed = io.StringIO()
    try:
        raise FileNotFoundError(f"{tempfile.gettempdir()}/unmask-space-1/0f3a/zebra.mp4")
    except FileNotFoundError:
        traceback.print_exc(file=RedactingStream(printed))
    assert "zebra" not in printed.getvalue().replace('unmask-space-1/0f3a/zebra.mp4")', "")
    assert "FileNotFoundError: (file)" in printed.getvalue()


def test_of_a_childs_traceback_only_the_places_are_kept():
    stderr = (
        'Traceback (most recent call last):\n  File "download.py", line 3, in main\n    fetch(url)\n'
        "yt_dlp.utils.DownloadError: ERROR: zebra.example is gone\n"
    )
    assert summarise_traceback(stderr) == 'File "download.py", line 3, in main; yt_dlp.utils.DownloadError'
    assert summarise_traceback("") == "no output"
