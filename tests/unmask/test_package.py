"""The wheel of the package: what is in it, and the command that it installs."""

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from unmask.models import bundled

SPACE = Path(__file__).resolve().parents[2] / "space"
EXAMPLE = SPACE / "examples" / "photograph.mp4"

pytestmark = pytest.mark.timeout(900)  # importing torch takes minutes where all cores are taken


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    source = shutil.copytree(
        SPACE, folder / "space", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    )
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_contains_the_package_its_weights_and_nothing_else(wheel):
    names = {Path(name) for name in zipfile.ZipFile(wheel).namelist()}
    package = {path.relative_to(SPACE) for path in SPACE.glob("unmask/**/*") if path.is_file()}
    left_out = {path for path in package if {"figures", "evaluation.json", "__pycache__"} & set(path.parts)}
    assert left_out
    assert {name for name in names if name.parts[0] == "unmask"} == package - left_out
    assert {name.parts[0] for name in names if name.parts[0] != "unmask"} == {f"unmask-{version(wheel)}.dist-info"}
    for model in bundled.names():
        folder = Path("unmask/models/weights", model)
        assert {folder / "config.json", folder / "model.safetensors", folder / "README.md"} <= names


def version(wheel):
    return wheel.name.split("-")[1]


def test_the_metadata_is_complete(wheel):
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"unmask-{version(wheel)}.dist-info/METADATA").decode()
    metadata = Parser().parsestr(text)
    for field in ("Summary", "Author", "License-Expression", "License-File", "Keywords", "Requires-Python"):
        assert metadata[field], field
    assert len(metadata.get_all("Classifier")) > 5
    lists = ("-base", "-torch", "-torch", "-large")  # the extra `large` brings PyTorch, too
    requirements = [line for part in lists for line in (SPACE / f"requirements{part}.txt").read_text().splitlines()]
    assert len(metadata.get_all("Requires-Dist")) == sum("==" in line.partition("#")[0] for line in requirements)
    assert "# Unmask" in metadata.get_payload()


def test_the_installed_command_checks_a_video_from_any_folder(wheel, tmp_path):
    environment = tmp_path / "environment"
    venv.create(environment, symlinks=True)
    python, command = environment / "bin" / "python", environment / "bin" / "unmask"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-compile", wheel]
    subprocess.run(install, check=True, capture_output=True, timeout=600)
    (packages,) = environment.glob("lib/*/site-packages")
    others = [path for path in sys.path if path.endswith("-packages")]  # the requirements, but no editable install
    (packages / "others.pth").write_text("\n".join(others))
    (tmp_path / "empty").mkdir()

    def run(*arguments):
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(arguments, cwd=tmp_path / "empty", env=clean, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert str(environment) in run(python, "-c", "import unmask; print(unmask.__file__)")
    report = json.loads(run(command, "check", str(EXAMPLE), "--json"))
    assert report["status"] == "ok"
    assert [model["name"] for model in report["models"]] == [bundled.DEFAULT]
    assert report["faces"]
    assert list((tmp_path / "empty").iterdir()) == []
