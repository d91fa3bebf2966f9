"""Tests of the scripts that make the shipped models: every command parses, as it stands and with SHORT."""

import shutil
from pathlib import Path

import pytest

from tests.test_documents import check, started_by

RUNS = sorted(Path(__file__).resolve().parents[2].glob("training/runs/*.sh"))
DATA = ("DFDC_FACES", "DFDC_PAIRS", "DFDC_VIDEOS", "FFHQ", "PAGES", "TALKING", "UTKFACE", "YTFACES")


@pytest.mark.parametrize("short", ["", "20"])
@pytest.mark.parametrize("script", RUNS, ids=lambda path: path.stem)
def test_every_command_parses(script, short, tmp_path):
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "dirname").symlink_to(str(shutil.which("dirname")))
    data = " ".join(f"{name}={name}" for name in DATA)
    commands = started_by(f"{data} OUT=out SHORT={short} bash {script}", tmp_path)
    modules = [command[2] for command in commands]
    assert modules.count("training.prepare") >= 3 and modules[-1] == "training.calibrate"
    assert all(("--epochs" in command) >= ("training.train" in command and bool(short)) for command in commands)
    for command in commands:
        check(command, tmp_path)


def test_a_data_set_without_a_folder_is_named(tmp_path):
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "dirname").symlink_to(str(shutil.which("dirname")))
    with pytest.raises(AssertionError, match="DFDC_FACES: folder of DFDC face crops"):
        started_by(f"bash {RUNS[0]}", tmp_path)
