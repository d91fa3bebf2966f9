"""Groups by what a crop tells: darker pictures are darker, turned faces turned, every group is counted."""

import sys

import numpy as np

from tests.training.faces import face, portrait
from tests.untrained import untrained_model
from training.data.shards import write_clips
from training.synthesis import landmarks
from training.tools import subgroups
from training.tools.subgroups import SKIN_FROM, subgroups_of


def test_a_darker_picture_is_darker_and_its_skin_too():
    image = portrait(224)
    points = landmarks.find(image)
    bright = subgroups_of(image, points)
    dark = subgroups_of((image * 0.25).astype(np.uint8), points)
    assert (bright.light, dark.light) == ("medium", "dark")
    assert list(SKIN_FROM).index(dark.skin) < list(SKIN_FROM).index(bright.skin)
    assert bright.view == dark.view


def test_the_command_prints_a_row_for_each_group(tmp_path, monkeypatch, capsys):
    clips = [
        face(f"{kind}{index}", source=f"r{index}" if kind == "f" else None, shift=index, split="val")
        for index in range(3)
        for kind in "rf"
    ]
    write_clips(tmp_path / "faces", clips)
    untrained_model(tmp_path / "model", "mobilenet-gru")
    words = ["looks", "--model", tmp_path / "model", "--data", tmp_path / "faces", "--meshes", tmp_path / "m"]
    monkeypatch.setattr(sys, "argv", [*map(str, words), "--workers", "0"])
    subgroups.main()
    rows = capsys.readouterr().out.splitlines()
    assert sum(row.split()[0] in ("light", "view", "skin") for row in rows if row.split()) >= 3
