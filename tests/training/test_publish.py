"""Publishing to a Hub on this machine over real HTTP, and reading back from it."""

from dataclasses import replace

import pytest
from huggingface_hub import HfApi, SpaceHardware

from tests.training import rows as made_up
from tests.untrained import untrained_model
from training.evaluation.results import ModelRecord, write
from training.publish import MODEL_FILES, SPACE, deploy_space, main, publish_model, tracked
from training.release.card import EVALUATION, read_folder, write_card


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model folder whose card is of its weights."""
    return model_with_card(tmp_path_factory.mktemp("models"))


def model_with_card(parent):
    made = untrained_model(parent / "small", "meso-transformer")
    (made / "figures").mkdir()
    (made / "figures" / "roc.png").write_bytes(b"\x89PNG")
    results = made_up.results()
    measured = ModelRecord("small", read_folder(made).revision, 1_500_000, 3_000_000)
    write(replace(results, models=(measured, *results.models[1:])), made / EVALUATION)
    write_card(made)
    return made


def test_a_model_goes_up_in_one_commit_with_its_tag_and_reads_back_equal(hub, folder, capsys):
    main(["--model-folder", str(folder), "--repo", "me/small", "--private", "--tag", "v1"])
    repository = hub.repositories["model/me/small"]
    assert [commit.title for commit in repository.commits[1:]] == [f"small {read_folder(folder).revision}"]
    assert repository.private
    assert repository.tags == {"v1": repository.head.id}
    names = [*MODEL_FILES, "figures/roc.png"]
    assert {name: repository.head.files[name] for name in names} == {
        name: (folder / name).read_bytes() for name in names
    }
    assert f"commit {repository.head.id}; read back, the logits are equal" in capsys.readouterr().out
    assert any(call.startswith("GET /me/small/resolve/") and "safetensors" in call for call in hub.calls)


@pytest.fixture
def api(hub):
    return HfApi()


def test_publishing_again_is_one_more_commit_without_what_is_gone(hub, api, folder):
    publish_model(api, folder, "me/small", private=False, tag=None)
    repository = hub.repositories["model/me/small"]
    repository.add("by hand", {**repository.head.files, "old.bin": b"old"})
    publish_model(api, folder, "me/small", private=False, tag=None)
    assert len(repository.commits) == 4
    assert set(repository.head.files) == {*MODEL_FILES, "figures/roc.png", ".gitattributes"}


def test_damage_on_the_way_is_noticed(hub, folder):
    hub.on_the_way = lambda path, data: data.replace(b'"side_px": 64', b'"side_px": 96')
    with pytest.raises(SystemExit, match="other logits"):
        main(["--model-folder", str(folder), "--repo", "me/small"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda made: (made / "README.md").unlink(), "has no README.md"),
        (lambda made: (made / "README.md").write_text("# by hand\n"), "run python -m training.release.card"),
    ],
    ids=["no card", "a card of other weights"],
)
def test_weights_without_their_card_are_not_published(hub, api, tmp_path, change, said):
    made = model_with_card(tmp_path)
    change(made)
    with pytest.raises(SystemExit, match=said):
        publish_model(api, made, "me/small", private=False, tag=None)
    assert hub.repositories == {}


def test_the_space_is_the_folder_as_git_knows_it(hub, api):
    deploy_space(api, SPACE, "me/unmask", private=False)
    space = hub.repositories["space/me/unmask"]
    assert space.sdk == "gradio"
    assert len(space.commits) == 2
    expected = {path.relative_to(SPACE).as_posix(): path.read_bytes() for path in tracked(SPACE)}
    assert {name: data for name, data in space.head.files.items() if name != ".gitattributes"} == expected
    assert {
        "README.md",
        "app.py",
        "unmask/pipeline.py",
        "unmask/models/weights/mobilenet-gru/model.safetensors",
    } <= set(expected)
    assert not any("__pycache__" in name for name in expected)
    assert (space.variables, space.hardware) == ({}, None)


def test_a_space_with_a_large_model_has_what_that_needs(hub, api):
    deploy_space(api, SPACE, "me/large", True, "me/gend@v1", SpaceHardware("zero-a10g"))
    space = hub.repositories["space/me/large"]
    assert (space.variables, space.hardware, space.private) == ({"UNMASK_MODEL": "me/gend@v1"}, "zero-a10g", True)
    asked = space.head.files["requirements.txt"].decode()
    assert asked.startswith((SPACE / "requirements.txt").read_text()) and "\ntimm==" in asked


def test_a_space_is_not_made_for_a_model_that_is_not_there(hub):
    with pytest.raises(SystemExit, match=r"publish: .*Repository Not Found"):
        main(["--space", "me/unmask", "--model", "me/none"])
    assert hub.repositories == {}


@pytest.mark.parametrize("arguments", [[], ["--repo", "me/x"], ["--model-folder", "x"]])
def test_half_an_order_is_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert "give --model-folder with --repo" in capsys.readouterr().err
