"""Groups by what a crop tells: darker pictures are darker, turned faces turned, every group is counted."""

import sys

import numpy as np
import pytest

from tests.training.faces import face, portrait
from tests.untrained import untrained_model
from training.data.shards import write_clips
from training.synthesis import landmarks
from training.tools import subgroups
from training.tools.subgroups import LIGHT_FROM, SKIN_FROM, VIEW_FROM, Look, group, look_of, table

SIDE = 224


@pytest.fixture(scope="module", name="portrait")
def the_portrait():
    return portrait(SIDE)


@pytest.fixture(scope="module")
def points(portrait):
    return landmarks.find(portrait)


GROUPS = [
    (LIGHT_FROM, -1.0, "dark"),
    (LIGHT_FROM, 39.9, "dark"),
    (LIGHT_FROM, 40.0, "medium"),
    (LIGHT_FROM, 99.0, "bright"),
    (SKIN_FROM, -90.0, "dark"),
    (SKIN_FROM, 45.0, "light"),
    (VIEW_FROM, 0.2, "half turned"),
]


@pytest.mark.parametrize(("starts", "value", "expected"), GROUPS)
def test_a_value_belongs_to_the_last_group_that_begins_before_it(starts, value, expected):
    assert group(starts, value) == expected


def test_a_darker_picture_is_darker_and_its_skin_too(portrait, points):
    bright = look_of(portrait, points)
    dark = look_of((portrait * 0.25).astype(np.uint8), points)
    assert (bright.light, dark.light) == ("medium", "dark")
    assert list(SKIN_FROM).index(dark.skin) < list(SKIN_FROM).index(bright.skin)
    assert bright.view == dark.view


def test_the_table_counts_what_each_group_is_told():
    people = [Look("dark", "frontal", "tan")] * 4 + [Look("bright", "side", "light")] * 4
    fake = np.array([False, False, True, True] * 2)
    said = ["fake", "real", "fake", "uncertain", "real", "real", "fake", "fake"]
    text = table(people, np.array([0.9, 0.1, 0.95, 0.5, 0.1, 0.2, 0.9, 0.8]), said, fake)
    dark, bright = (next(row for row in text.splitlines() if f" {name} " in row) for name in ("dark", "bright"))
    assert "50.0%" in dark and "1/0/1" in dark and "1/1/0" in dark
    assert "1.000" in bright and "0.0%" in bright and "0/0/2" in bright and "2/0/0" in bright
    assert "medium" not in text and "half turned" not in text


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
