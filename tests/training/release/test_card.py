"""The card says what the results say, for the weights beside it; a card of other weights does not pass."""

import re
import shutil
from dataclasses import replace

import pytest
import torch

from tests.training import rows as made_up
from tests.untrained import untrained_model
from training.evaluation.results import ModelRecord, Results, write
from training.release import card
from unmask.models import inference


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A folder like space/unmask/models/weights, with one model that has no card yet, the default."""
    monkeypatch.setattr("unmask.models.bundled.DEFAULT", "small")  # as the evaluation calls it
    folder = tmp_path / "weights"
    untrained_model(folder / "mobilenet-gru", "mobilenet-gru")
    return folder


def results_of(folder) -> Results:
    """Made-up results in which `small` is the model in the folder."""
    results = made_up.results()
    small = ModelRecord("small", card.read_folder(folder).revision, 2_500_000, 5_000_000)
    return replace(results, models=(small, *results.models[1:]))


@pytest.fixture
def evaluated(shipped, tmp_path):
    (tmp_path / "out").mkdir()
    write(results_of(shipped / "mobilenet-gru"), tmp_path / "out" / "results.json")
    return tmp_path / "out"


def written(shipped, evaluated, *more):
    folder = shipped / "mobilenet-gru"
    card.main(["--results", str(evaluated), "--model-folder", str(folder), *map(str, more)])
    return (folder / "README.md").read_text()


def test_the_revision_is_the_one_that_unmask_tells(shipped):
    folder = shipped / "mobilenet-gru"
    assert card.read_folder(folder).revision == inference.load(str(folder), torch.device("cpu")).revision


def test_the_card_holds_every_number_of_its_model(shipped, evaluated):
    text = written(shipped, evaluated)
    results = results_of(shipped / "mobilenet-gru")
    for one in results.sets:
        summary = one.summary("small")
        for name in ("auc", "ap", "eer", "ece", "brier", "tpr_at_fpr_0.05", "ece_answered"):
            assert str(summary.metrics[name]) in text, name
        assert all(str(part.auc) in text for part in (*summary.by_method.values(), *summary.by_group.values()))
    assert results.command in text
    assert "partly" not in text and "| home, split val: models were chosen on it |" in text
    assert "| elsewhere, from elsewhere |" in text
    assert all(f"jpeg {level}" in text for level in (30, 90))


def test_the_card_names_data_and_terms_and_is_read_by_the_hub(shipped, evaluated):
    text = written(shipped, evaluated)
    front = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    assert front is not None and "license: other" in front[1]
    for words in ("DFDC", "FFHQ", "non-commercial", "--model mobilenet-gru", "no proof"):
        assert words in text
    assert max(map(len, re.sub(r"^\|.*$", "", text, flags=re.MULTILINE).splitlines())) <= 120


def test_differences_are_told_from_this_models_side(shipped, evaluated):
    text = written(shipped, evaluated)
    results = results_of(shipped / "mobilenet-gru")
    pair = next(item for item in results.comparisons if item.first == "small" and item.second == "large")
    assert f"| {pair.set} | large | {pair.auc.value:+.3f}" in text


def test_a_card_that_finds_another_default_does_not_pass(shipped, evaluated, monkeypatch):
    assert "By this evaluation it is **small**." in " ".join(written(shipped, evaluated).split())
    assert card.problems(shipped) == []
    monkeypatch.setattr(card, "default_lineup", lambda results: "large")
    written(shipped, evaluated)
    (problem,) = card.problems(shipped)
    assert "finds large to be the default" in problem
    monkeypatch.setattr(card, "default_lineup", lambda results: None)
    assert "none can be" in " ".join(written(shipped, evaluated).split())
    assert card.problems(shipped) == []


def test_pictures_are_copied_and_shown(shipped, evaluated, tmp_path):
    figures = tmp_path / "figures"
    figures.mkdir()
    for name in ("roc", "reliability", "unknown"):
        (figures / f"{name}.png").write_bytes(b"\x89PNG")
    text = written(shipped, evaluated, "--figures", figures)
    assert sorted(path.name for path in (shipped / "mobilenet-gru" / "figures").iterdir()) == [
        "reliability.png",
        "roc.png",
    ]
    assert text.index("(figures/roc.png)") < text.index("(figures/reliability.png)")


def test_results_of_other_weights_are_refused(shipped, evaluated):
    other = untrained_model(shipped / "other", "mobilenet-gru")
    (other / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes() + b" ")
    with pytest.raises(SystemExit, match="no model of revision"):
        card.main(["--results", str(evaluated), "--model-folder", str(other)])


def test_a_model_of_unknown_training_gets_no_card(shipped, evaluated):
    untrained_model(shipped / "mobilenet-gru", "nobody-knows")
    with pytest.raises(SystemExit, match=r"provenance.*nobody-knows"):
        card.main(["--results", str(evaluated), "--model-folder", str(shipped / "mobilenet-gru")])


def test_the_check_passes_only_with_a_card_of_these_weights(shipped, evaluated):
    (problem,) = card.problems(shipped)
    assert "have no card" in problem
    written(shipped, evaluated)
    assert card.problems(shipped) == []
    file = shipped / "mobilenet-gru" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    (problem,) = card.problems(shipped)
    assert "the card is of revision" in problem and card.read_folder(file.parent).revision in problem


def test_a_card_written_by_hand_does_not_pass(shipped):
    (shipped / "mobilenet-gru" / "README.md").write_text("# mobilenet-gru\n\nIt is very good.\n")
    (problem,) = card.problems(shipped)
    assert "unknown" in problem


def test_the_command_fails_when_a_check_does(shipped, monkeypatch):
    monkeypatch.setattr(card, "SHIPPED", shipped)
    with pytest.raises(SystemExit, match="no card"):
        card.main(["--check"])
    shutil.rmtree(shipped / "mobilenet-gru")
    card.main(["--check"])


def test_a_section_is_renewed_between_its_marks(evaluated, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{card.MARKS[0]}\nold\n{card.MARKS[1]}\nafter\n")
    for _ in range(2):
        card.main(["--results", str(evaluated), "--section", str(readme)])
    text = readme.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    assert all(f"| {name} |" in text for name in ("small", "large", "small+large"))
    readme.write_text("no marks\n")
    with pytest.raises(SystemExit, match="evaluation"):
        card.main(["--results", str(evaluated), "--section", str(readme)])


def test_peers_are_shown_beside_the_sets_that_they_were_measured_on():
    results = made_up.results()
    renamed = replace(results, sets=(replace(results.sets[0], folder="ffpp-c40-dev"), results.sets[1]))
    assert "| *MesoInception-4, its authors' Deepfakes weights* | 0.62 (0.47–0.75) | – |" in card.section(renamed)
    assert "Meso" not in card.section(results)
