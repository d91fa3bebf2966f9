"""The commands of a card, run from the data sets to the model."""

import shlex
from pathlib import Path

import pytest

from tests.training.faces import face
from training.data.shards import write_clips
from training.release.provenance import TRAINED, Trained
from training.tools import reproduce

PLACES = ["DFDC_FACES=faces", "FFHQ=photos", "TALKING=talking", "DFDC_VIDEOS=videos"]


def entry(*commands: str) -> Trained:
    return Trained("", {}, "", "", commands, ())


def at(places: list[str]) -> list[str]:
    return [word for place in places for word in ("--data", place)]


@pytest.fixture
def ran(monkeypatch):
    """What would have been run, word by word."""
    steps = []
    monkeypatch.setattr("subprocess.run", lambda step, **_: steps.append(step[1:]))
    return steps


@pytest.mark.parametrize("model", TRAINED)
def test_every_command_of_a_card_is_run_with_the_places_of_the_data(model, ran, tmp_path, capsys):
    reproduce.main([model, "--out", str(tmp_path), *at(PLACES)])
    said = "\n".join(TRAINED[model].commands)
    for name, folder in (place.split("=") for place in PLACES):
        said = said.replace(name, str(Path(folder).resolve()))
    assert [shlex.join(["python", *step]) for step in ran] == said.splitlines()
    assert capsys.readouterr().out.count("$ python -m training.") == len(ran)


def test_a_data_set_without_a_place_is_asked_for(ran, tmp_path, capsys):
    with pytest.raises(SystemExit):
        reproduce.main(["mobilenet-gru", "--out", str(tmp_path), *at(PLACES[:2])])
    assert "--data DFDC_VIDEOS=DIR --data TALKING=DIR" in capsys.readouterr().err and not ran


def test_a_short_try_goes_all_the_way(monkeypatch, tmp_path):
    faces = tmp_path / "the faces"
    reals = [face(f"r{index}", shift=index) for index in range(6)]
    write_clips(faces, [*reals, face("f", source="r0", shift=20), face("v", split="val")])
    train = "python -m training.train meso-transformer"
    small = entry(
        f"{train} frames --scratch --side 64 --data FACES --out frames",
        f"{train} clips --side 64 --data FACES --start frames --out clips",
    )
    monkeypatch.setitem(TRAINED, "small", small)
    reproduce.main(["small", "--out", str(tmp_path / "out"), "--data", f"FACES={faces}", "--short", "4"])
    assert (tmp_path / "out" / "clips" / "model" / "model.safetensors").is_file()
