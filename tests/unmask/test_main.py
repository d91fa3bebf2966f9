"""The command line: what is printed where, exit codes, files written, scans resumed and on a cluster."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.untrained import untrained_model
from unmask.__main__ import main
from unmask.batch import scan as scan_module
from unmask.batch.scan import ScanInput, finished_inputs
from unmask.download.sources import FileSource, Options
from unmask.errors import BadInput, Busy, Cancelled
from unmask.pipeline import Checker
from unmask.render.terminal import describe_report, progress_bar
from unmask.verdict_text import SHOWN_LABEL
from unmask.video.decode import probe

SPACE = Path(__file__).parents[2] / "space"


@pytest.fixture(autouse=True)
def environment(monkeypatch, untrained):
    for name in [name for name in os.environ if name.startswith("UNMASK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UNMASK_MODEL", untrained)


def test_check_prints_a_few_lines(media, capsys):
    assert main(["check", str(media("h264.mp4"))]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert any(lines[0].startswith(label) for label in SHOWN_LABEL.values())
    assert "Face 1:" in out
    assert "frames looked at" in lines[-1]
    assert 3 <= len(lines) <= 12
    for forbidden in ("verified", "authentic", "genuine"):
        assert forbidden not in out.lower()


def test_overlay_and_page_are_written(media, tmp_path, capsys):
    clip, video, page = media("short.mp4"), tmp_path / "seen.mp4", tmp_path / "report.html"
    assert main(["check", str(clip), "--overlay", str(video), "--report", str(page)]) == 0
    assert probe(video).codec == "h264"
    assert page.read_text().lstrip().lower().startswith("<!doctype html>")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "seen.mp4"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["check"],
        ["check", "a", "b"],
        ["check", "a", "--no-such-option"],
        ["no-such-command"],
        ["scan", "folder"],
        ["check", "CLIP", "--start", "soon"],
        ["check", "CLIP", "--start", "nan"],
        ["check", "CLIP", "--start", "3", "--end", "2"],
        ["check", "CLIP", "--start", "-1"],
        ["check", "CLIP", "--overlay", "seen.avi"],
        ["check", "CLIP", "--overlay", "CLIP"],
        ["check", "CLIP", "--report", "/no/such/folder/report.html"],
        ["check", "CLIP", "--report", "report.txt"],
        ["scan", "/no/such/folder", "--out", "out.jsonl"],
        ["scan", "EMPTY", "--out", "out.jsonl"],
        ["scan", "CLIP", "--out", "out.jsonl"],
        ["scan", "LIST", "--out", "LIST"],
    ],
)
def test_bad_arguments_are_one_line(arguments, media, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "list.txt").write_text("clip.mp4\n")
    places = {"CLIP": str(media("short.mp4")), "EMPTY": "empty", "LIST": "list.txt"}
    before = media("short.mp4").read_bytes()
    assert main([places.get(argument, argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("unmask: bad_input: ")
    assert err.count("\n") == 1
    assert media("short.mp4").read_bytes() == before
    assert (tmp_path / "list.txt").read_text() == "clip.mp4\n"


def test_a_defect_is_reported_without_a_traceback(media, monkeypatch, capsys):
    def broken(*_, **__):
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(Checker, "check", broken)
    assert main(["check", str(media("short.mp4")), "--json"]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["error"]["code"] == "internal"
    assert err.startswith("unmask: internal: ")
    assert err.count("\n") == 1


def test_lines_for_a_person_fit_every_label():
    face = {"id": 0, "probability_fake": 0.9, "label": "fake", "first_seconds": 0.0, "last_seconds": 61.26}
    moment = {"start_seconds": 61.26, "end_seconds": 62.0, "face_id": 0, "probability_fake": 0.95}
    report: Any = {
        "source": {"title": "A\n talk\x1b[2J"},
        "verdict": {"label": "fake", "probability_fake": 0.9, "text": "One honest sentence.", "reasons": []},
        "models": [{"name": "m", "revision": "r", "probability_fake": 0.9}],
        "faces": [face],
        "timeline": [moment],
        "coverage": {"frames": 64, "frames_with_face": 60},
        "timing_seconds": {"total": 1.23},
        "warnings": ["Take care."],
    }
    assert describe_report(report).splitlines() == [
        "Likely deepfake · probability of a deepfake 90%",
        "One honest sentence.",
        "Video: A talk?[2J",  # a title cannot steer the terminal
        "Face 1: Likely deepfake, 90%, seen 0:00 to 1:01",
        "Where to look: 1:01 (95%)",
        "Note: Take care.",
        "64 frames looked at, a face in 60 · 1.2 s · m r",
    ]
    no_face = {"label": "no_face", "probability_fake": None, "text": "No face.", "reasons": ["face_too_small"]}
    quiet = {**report, "verdict": no_face, "faces": [], "timeline": [], "warnings": [], "source": {"title": None}}
    assert describe_report(quiet).splitlines()[:3] == [
        "No face found",
        "No face.",
        "What would help: the original file instead of this copy.",
    ]
    per_100 = {"fakes": 86.2, "low": 79.6, "high": 91.0, "videos": 120}
    evidence = {"direction": "fake", "strength": "moderate", "likelihood_ratio": 6.14, "per_100": per_100}
    report["verdict"] |= {"label": "uncertain", "probability_fake": 0.6, "text": "It leans.", "evidence": evidence}
    assert describe_report(report).splitlines()[:6] == [
        "Not sure · leans deepfake (moderate) · probability of a deepfake 60%",
        "It leans.",
        "Evidence: moderate, for a deepfake",
        "real  strong · moderate · weak · none · weak · [MODERATE] · strong  deepfake",
        "In our tests, where half of all videos were deepfakes, 86 of 100 that scored like this were deepfakes"
        " (95% interval 80 to 91; from 120 videos).",
        "If one in a hundred such videos were a deepfake: 6% of those that score like this would be deepfakes.",
    ]


def test_models_prints_a_line_a_model(tmp_path, monkeypatch, capsys):
    untrained_model(tmp_path / "one", "one")
    untrained_model(tmp_path / "two", "two")
    monkeypatch.setattr("unmask.models.bundled.FOLDER", tmp_path)
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["one", "two"]
    assert all("parameters" in line and "MiB" in line and "never trained" in line for line in lines)


@pytest.fixture
def folder(media, tmp_path):
    """Two videos, a broken one, and files that are none."""
    folder = tmp_path / "videos"
    (folder / "deep").mkdir(parents=True)
    (folder / "b.mp4").write_bytes(media("no-face.mp4").read_bytes())
    (folder / "deep" / "a.MP4").write_bytes(media("short.mp4").read_bytes())
    (folder / "broken.mp4").write_text("no video")
    (folder / "notes.txt").write_text("not looked at")
    return folder


def reports(out: Path) -> list[Any]:
    return [json.loads(line) for line in out.read_text().splitlines()]


def test_scan_of_a_folder(folder, tmp_path, capsys):
    out = tmp_path / "out.jsonl"
    assert main(["scan", str(folder), "--out", str(out)]) == 0
    found = reports(out)
    assert [report["source"]["name"] for report in found] == ["b.mp4", "broken.mp4", "deep/a.MP4"]
    assert [report["status"] for report in found] == ["ok", "failed", "ok"]
    assert found[1]["error"]["code"] == "not_a_video"
    printed = capsys.readouterr()
    assert "failed: 1" in printed.out
    assert "No face found: 1" in printed.out
    assert printed.err == ""


def test_scan_of_a_list(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    (tmp_path / "list.txt").write_text("# two of three\n\ndeep/a.MP4\nhttp://127.0.0.1/private.mp4\n  deep/a.MP4  \n")
    out = tmp_path / "out.jsonl"
    assert main(["scan", str(tmp_path / "list.txt"), "--out", str(out)]) == 0
    first, second = reports(out)
    assert (first["status"], first["source"]["name"], first["input"]) == ("ok", "a.MP4", "deep/a.MP4")
    assert second["source"]["name"] == "http://127.0.0.1/private.mp4"
    assert second["error"]["code"] == "blocked_address"


def test_scan_resumes_where_it_was_cut_off(folder, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out.jsonl"
    main(["scan", str(folder), "--out", str(out)])
    whole = out.read_text().splitlines(keepends=True)
    out.write_text(whole[0] + whole[1][:40])  # stopped in the middle of a line
    checked: list[str] = []
    check_one = scan_module.check_one

    def counting(checker, item, options):
        checked.append(item.name)
        return check_one(checker, item, options)

    monkeypatch.setattr(scan_module, "check_one", counting)
    assert main(["scan", str(folder), "--out", str(out), "--resume"]) == 0
    assert checked == ["broken.mp4", "deep/a.MP4"]
    assert [report["input"] for report in reports(out)] == ["b.mp4", "broken.mp4", "deep/a.MP4"]
    assert main(["scan", str(folder), "--out", str(out), "--resume"]) == 0
    assert len(reports(out)) == 3
    assert len(checked) == 2


@pytest.mark.parametrize(
    ("content", "names", "repaired"),
    [
        (b"", set(), b""),
        (b'{"input": "a"}\n', {"a"}, b'{"input": "a"}\n'),
        (b'{"source": {"name": "a"}}\n', {"a"}, b'{"source": {"name": "a"}}\n'),
        (b'{"input": "a"}', {"a"}, b'{"input": "a"}\n'),  # only the end of the line is missing
        (b'{"input": "a"}\n{"input": "b', {"a"}, b'{"input": "a"}\n'),
        (b'{"input": "a"}\n{"input": "\xc3', {"a"}, b'{"input": "a"}\n'),  # cut inside of a letter
        (b'{"input": "a"}\n\0\0\0\0', {"a"}, b'{"input": "a"}\n'),
    ],
)
def test_a_half_written_line_is_repaired(tmp_path, content, names, repaired):
    out = tmp_path / "out.jsonl"
    out.write_bytes(content)
    assert finished_inputs(out) == names
    assert out.read_bytes() == repaired


def test_other_files_are_not_resumed(tmp_path):
    precious = tmp_path / "thesis.txt"
    precious.write_text("Chapter one\nIt was a dark night.\n")
    with pytest.raises(BadInput):
        finished_inputs(precious)
    assert precious.read_text() == "Chapter one\nIt was a dark night.\n"


def test_a_scan_without_its_model_stops_at_once(folder, tmp_path, capsys):
    out = tmp_path / "out.jsonl"
    assert main(["scan", str(folder), "--out", str(out), "--model", "no-such-model"]) == 2
    assert capsys.readouterr().err.startswith("unmask: model_unavailable: ")
    assert not out.exists()


def test_ray_that_is_not_installed_is_bad_input(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)  # type: ignore[arg-type]
    assert main(["scan", str(folder), "--out", str(tmp_path / "out.jsonl"), "--ray", "local"]) == 2
    assert "pip install ray" in capsys.readouterr().err


class Stub:
    """A checker that raises for some names."""

    def check(self, source, options):
        if error := {"busy": Busy("Full."), "defect": ZeroDivisionError("ours"), "stop": Cancelled()}.get(source.name):
            raise error
        return {"status": "ok", "input": options.input}


def test_every_error_of_a_scan_but_a_cancellation_is_a_report(monkeypatch, caplog):
    items = [ScanInput(name, FileSource(Path(name), name)) for name in ("fine", "busy", "defect", "stop")]
    monkeypatch.setattr(scan_module, "shared_checker", lambda precision: Stub())
    monkeypatch.setattr(
        scan_module, "map_on_ray", lambda task, inputs, *_, **__: ((item, task(item)) for item in inputs)
    )
    found: list[Any] = list(scan_module.run_on_ray(items[:3], Options(), "auto", "float32"))
    assert [report.get("error", {}).get("code") for report in found] == [None, "busy", "internal"]
    with pytest.raises(Cancelled):
        scan_module.check_one(Stub(), items[-1], Options())
    monkeypatch.setattr(scan_module, "map_on_ray", lambda *_, **__: [(items[0], MemoryError("killed"))])
    found += scan_module.run_on_ray(items[:1], Options(), "auto", "float32")
    assert (found[-1]["input"], found[-1]["error"]["code"]) == ("fine", "internal")


def test_a_bar_is_shown_on_a_terminal_only(monkeypatch, capsys):
    for is_terminal in (False, True):
        monkeypatch.setattr(sys.stderr, "isatty", lambda shown=is_terminal: shown)
        with progress_bar() as on_progress:
            on_progress("faces", 0.5, "Looking at faces")
        assert ("Looking at faces" in capsys.readouterr().err) == is_terminal


HELP = """import unmask, unmask.__main__ as command
try: command.main(['check', '--help'])
except SystemExit: pass"""


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        (HELP, {"torch", "cv2", "av", "numpy", "gradio", "yt_dlp"}),
        ("import unmask.download.worker", {"torch", "cv2", "av", "numpy", "gradio"}),
        ("import unmask.video.decode_worker", {"torch", "cv2", "gradio", "yt_dlp", "PIL", "huggingface_hub"}),
    ],
)
def test_help_and_workers_start_without_the_heavy_libraries(code, heavy):
    command = [sys.executable, "-c", f"{code}\nimport sys; print({heavy} & set(sys.modules))"]
    printed = subprocess.run(command, cwd=SPACE, capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "set()"
    assert ("--overlay" in printed) == (code == HELP)


@pytest.mark.timeout(400)
def test_a_terminated_check_leaves_nothing_behind(media, tmp_path):
    from tests.servers import Site, silent

    with Site({"/silent": silent()}) as site:
        environment = {"TMPDIR": str(tmp_path), "UNMASK_ALLOW_PRIVATE": "1"}
        command = [sys.executable, "-m", "unmask", "check", site.url("/silent")]
        process = subprocess.Popen(
            command, env={**os.environ, "PYTHONPATH": str(SPACE), **environment}, stderr=subprocess.PIPE
        )
        deadline = time.monotonic() + 150
        while not site.requests and time.monotonic() < deadline:
            time.sleep(0.05)
        assert site.requests
        assert list(tmp_path.iterdir())
        process.terminate()
        _, err = process.communicate(timeout=150)
    assert process.returncode == 2
    assert err == b"unmask: cancelled: Stopped.\n"
    assert list(tmp_path.iterdir()) == []
