"""Tests of the names that other people's code binds to."""

import importlib
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

import unmask
from unmask import errors
from unmask.__main__ import main

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "space" / "examples"
app: Any = importlib.import_module("app")  # the Space's; it is asked for names that it does not export

VERBS = ("run", "test", "test-quick", "setup", "check VIDEO=clip.mp4", "lint", "bench", "extension")
UNMASK_OPTIONS = {
    "check": ("INPUT", "--model", "--json", "--overlay", "--report", "--start", "--end", "--sign", "--cert"),
    "verify": ("REPORT.json", "--trust"),
    "scan": ("INPUTS", "--out", "--resume", "--ray", "--model"),
    "models": (),
}
TRAINING_OPTIONS = {
    "prepare": ("--data", "--out", "--windows", "--split", "--ray"),
    "train": ("--data", "--out", "--start", "--teacher", "--epochs", "mobilenet-gru", "frames", "clips"),
    "calibrate": ("--run", "--data", "--out"),
    "evaluate": ("--model", "--ensemble", "--set", "--out", "--robustness"),
    "publish": ("--model-folder", "--repo", "--tag", "--space", "--private", "--onnx", "--out"),
}
EXPORTS = {
    "Checker", "FileSource", "FramesSource", "JobState", "Jobs", "Limits", "Options", "Report", "Span",
    "UnmaskError", "UrlSource", "to_html",
}  # fmt: skip
ENDPOINTS = {
    "/check_url": ["url", "model", "start_seconds", "end_seconds"],
    "/check_file": ["video", "model", "start_seconds", "end_seconds"],
    "/check_frames": ["frames", "page_url", "model", "title"],
    "/submit": ["url", "model", "start_seconds", "end_seconds"],
    "/job": ["id"],
    "/cancel": ["id"],
    "/models": [],
}
CODES = {
    "bad_url", "blocked_address", "unsupported_site", "login_required", "fetch_failed", "too_large",
    "too_long", "live_stream", "not_a_video", "no_frames", "timeout", "busy", "rate_limited", "bad_input",
    "model_unavailable", "cancelled", "internal",
}  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
def test_make_knows_the_verb(verb):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    made = subprocess.run(["make", "-n", *verb.split()], cwd=ROOT, env=environment, capture_output=True, timeout=30)
    assert made.returncode == 0, made.stderr.decode()


@pytest.mark.parametrize(("command", "options"), UNMASK_OPTIONS.items())
def test_unmask_has_the_command_with_its_options(command, options, capsys):
    with pytest.raises(SystemExit, match=r"^0$"):
        main([command, "--help"])
    helped = capsys.readouterr().out
    assert [option for option in options if option not in helped] == []


@pytest.mark.parametrize(("command", "options"), TRAINING_OPTIONS.items())
def test_training_has_the_command_with_its_options(command, options, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", [command, "--help"])
    with pytest.raises(SystemExit, match=r"^0$"):
        runpy.run_module(f"training.{command}", run_name="__main__")
    helped = capsys.readouterr().out
    assert [option for option in options if option not in helped] == []


def test_unmask_exports_its_public_names_and_no_others():
    assert set(unmask.__all__) == EXPORTS
    assert all(getattr(unmask, name) for name in EXPORTS)
    assert set(dir(unmask)) >= EXPORTS
    with pytest.raises(AttributeError):
        _ = unmask.nothing  # type: ignore[attr-defined]


def test_the_space_has_the_endpoints(tmp_path):
    jobs = unmask.Jobs(unmask.Checker())
    try:
        named = app.build(app.from_environment({}), jobs, tmp_path).get_api_info()["named_endpoints"]
    finally:
        jobs.shutdown()
    found = {name: [parameter["parameter_name"] for parameter in at["parameters"]] for name, at in named.items()}
    assert found == ENDPOINTS
    assert all(at["description"] for at in named.values())


def test_the_report_of_a_video_has_every_field(capsys):
    """`tests/assets/report.json` is the report of the contract; `test_report.py` compares the types."""
    assert main(["check", str(EXAMPLES / "photograph.mp4"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    wanted = json.loads((ROOT / "tests/assets/report.json").read_text(encoding="utf-8"))
    assert wanted.keys() <= report.keys()
    for part in ("source", "verdict", "provenance", "coverage", "timing_seconds"):
        assert wanted[part].keys() <= report[part].keys()
    for part in ("models", "faces", "timeline"):
        assert wanted[part][0].keys() <= report[part][0].keys()


def test_the_error_codes():
    assert {kind.code for kind in errors.UnmaskError.__subclasses__()} == CODES


def test_the_states_of_a_job():
    fields = unmask.JobState.__annotations__
    assert set(fields) >= {"state", "stage", "fraction", "position", "report"}
    assert set(get_args(fields["state"])) == {"queued", "running", "done", "failed", "cancelled"}
