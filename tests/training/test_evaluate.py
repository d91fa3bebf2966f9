"""Evaluation end to end, with small models that were never trained: it must say what the Space would say."""

import pytest

from tests.training.faces import face
from tests.training.sets import crop_set, video_set
from tests.untrained import untrained_model
from training import evaluate
from training.evaluation.corruptions import GRID
from training.evaluation.eval_sets import ClipSet, open_set
from training.evaluation.results import read
from unmask.compute import Backend, ComputeOptions
from unmask.faces.clips import ClipSpec
from unmask.pipeline import Checker, FileSource, Options
from unmask.verdict import ClipScore

COARSE = ClipSpec(side_px=96, frames_per_clip=5, frame_stride_seconds=0.3)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return [str(untrained_model(folder / "a", "a")), str(untrained_model(folder / "b", "b", COARSE))]


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return video_set(tmp_path_factory.mktemp("videos"), {"one": "real", "two": "fake"})


def run(*arguments):
    evaluate.main([str(item) for item in arguments])


def test_every_ensemble_answers_every_video_as_a_check_does(models, videos, tmp_path):
    run("--model", models[0], "--model", models[1], "--set", f"v={videos}", "--out", tmp_path, "--device", "cpu")
    rows = read(tmp_path / "results.json").set("v").rows
    checker = Checker(ComputeOptions(device="cpu"))
    for ensemble, asked in {"a": models[:1], "b": models[1:], "a+b": models}.items():
        for row in rows:
            source = FileSource(videos / f"{row.id}.mp4", row.id)
            report = checker.check(source, Options(models=tuple(asked)))
            said = row.answers[ensemble]
            assert said.label == report["verdict"]["label"]
            assert round(said.probability_fake, 4) == report["verdict"]["probability_fake"]


def test_results_hold_models_sets_and_the_command_without_paths(models, videos, tmp_path, capsys):
    crops = crop_set(tmp_path / "crops")
    sets = ("--set", f"v={videos}", "--set", f"crops={crops}")
    run("--model", f"mine={models[0]}", *sets, "--out", tmp_path / "out", "--cache", tmp_path / "cache")
    results = read(tmp_path / "out" / "results.json")
    assert [model.name for model in results.models] == ["mine"]
    assert [one.name for one in results.sets] == ["v", "crops"]
    assert str(tmp_path) not in (tmp_path / "out" / "results.json").read_text()
    assert results.command.endswith(f"--model mine=a --set v={videos.name} --set crops=crops")
    assert "mine" in capsys.readouterr().out
    again = tmp_path / "again"
    run("--model", f"mine={models[0]}", *sets, "--out", again, "--cache", tmp_path / "cache")
    assert read(again / "results.json").sets == results.sets


def test_robustness_is_measured_on_sets_with_both_kinds(models, videos, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "GRID", GRID[:1])
    only_real = video_set(tmp_path / "real", {"x": "real"})
    run("--model", models[0], "--set", f"v={videos}", "--set", f"r={only_real}", "--out", tmp_path, "--robustness")
    points = read(tmp_path / "results.json").robustness
    assert [(item.set, item.kind, item.level, item.videos) for item in points] == [
        ("v", "clean", 0, 2),
        ("v", "jpeg", 90, 2),
    ]


def test_stored_clips_of_validation_come_after_cross_dataset_ones(models, videos, tmp_path, monkeypatch):
    stored = [face("r", split="val"), face("f", "r", split="val", shift=6), face("t")]
    monkeypatch.setattr(
        evaluate, "open_set", lambda folder, *rest: ClipSet(stored) if folder != videos else open_set(folder, *rest)
    )
    folder = video_set(tmp_path / "faces", {"x": "real"})
    run("--model", models[0], "--set", f"faces={folder}", "--set", f"v={videos}", "--out", tmp_path)
    results = read(tmp_path / "results.json")
    assert [(one.name, one.splits) for one in results.sets] == [("v", ("test",)), ("faces", ("val",))]
    assert [row.id for row in results.set("faces").rows] == ["r", "f"]
    assert all(row.answers["a"].uncapped is not None for row in results.set("faces").rows)


def test_part_of_a_set_can_be_named_and_what_was_seen_in_training_is_not_cross_dataset(models, videos, tmp_path):
    run("--model", models[0], "--set", f"v={videos}", "--only", "v=one", "--seen", "v", "--out", tmp_path)
    results = read(tmp_path / "results.json")
    assert [row.id for row in results.set("v").rows] == ["one"]
    assert not results.set("v").is_cross_dataset
    assert "--only v=one --seen v" in results.command


def test_a_broken_video_is_listed_and_left_out(models, tmp_path, capsys):
    folder = video_set(tmp_path / "set", {"good": "real", "broken": "fake"})
    (folder / "broken.mp4").write_bytes(b"no video")
    run("--model", models[0], "--set", f"v={folder}", "--out", tmp_path)
    one = read(tmp_path / "results.json").set("v")
    assert [row.id for row in one.rows] == ["good"]
    assert one.unreadable == ("broken",)
    assert "broken: not_a_video" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "{a}", "--model", "{a}"], "same name"),
        (["--model", "{a}", "--ensemble", "a+c"], "c"),
        (["--model", "{a}", "--set", "nowhere"], "NAME=DIR"),
        (["--model", "{a}", "--set", "v=/nowhere"], "manifest.tsv"),
        (["--model", "{a}", "--only", "v=three"], "three"),
        (["--model", "{a}", "--seen", "w"], "w"),
    ],
)
def test_mistakes_are_told_before_any_work(models, videos, arguments, said):
    with pytest.raises(SystemExit, match=said):
        run(*(text.format(a=models[0]) for text in arguments), "--set", f"v={videos}")


def clip_score(track, probability_logit, start=0.0, frames=8, model="m"):
    return ClipScore(model, track, start, start + 1, frames, 0.1, probability_logit, probability_logit)


def test_an_answer_is_withheld_as_the_space_withholds_it_and_the_uncapped_score_ignores_that(models):
    (model,) = evaluate.load_models(models[:1], Backend("torch"))
    ensemble = evaluate.Ensemble("a", (model,))
    few = evaluate.answer(ensemble, [clip_score(0, 4.0, frames=1, model="a")], (), lambda faces: [])
    assert few.label == "uncertain"
    assert few.probability_fake == ensemble.policy.fake_above
    assert few.uncapped == pytest.approx(1 / (1 + 2.718281828**-4.0))
    assert evaluate.answer(ensemble, [], ("face_too_small",), lambda faces: []).label == "no_face"
    first, again = ([clip_score(0, logit, model="a")] for logit in (6.0, -6.0))
    assert evaluate.answer(ensemble, first, (), lambda faces: first).label == "fake"
    doubted = evaluate.answer(ensemble, first, (), lambda faces: again)
    assert doubted.label == "uncertain"
    assert doubted.uncapped == evaluate.answer(ensemble, first, (), lambda faces: first).uncapped
