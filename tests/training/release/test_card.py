"""Tests of the model card: it says what the evaluation says, of the weights beside it."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from tests.training import rows as made_up
from tests.untrained import untrained_model
from training.evaluation.results import ModelRecord, Results, read, write
from training.release import card
from training.release.model_selection import default_ensemble
from unmask.models import inference

NAME = "mobilenet-gru"


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A folder like space/unmask/models/weights, with one model that has no card yet, the default."""
    chosen = default_ensemble(made_up.results())
    monkeypatch.setattr("unmask.models.bundled.DEFAULT", chosen)
    monkeypatch.setattr(card, "SHIPPED", tmp_path / "weights")
    untrained_model(tmp_path / "weights" / NAME, NAME)
    return tmp_path / "weights"


def results_of(folder) -> Results:
    """Made-up results in which `small` is the model in the folder."""
    results = made_up.results()
    small = ModelRecord("small", card.read_folder(folder).revision, 2_500_000, 5_000_000)
    return replace(results, models=(small, *results.models[1:]))


@pytest.fixture
def evaluated(shipped, tmp_path):
    (tmp_path / "out").mkdir()
    write(results_of(shipped / NAME), tmp_path / "out" / "results.json")
    return tmp_path / "out"


def render(shipped, evaluated, *more):
    card.main(["--results", str(evaluated), "--model-folder", str(shipped / NAME), *map(str, more)])
    return (shipped / NAME / "README.md").read_text()


def test_the_revision_is_that_of_the_loaded_model(shipped):
    folder = shipped / NAME
    assert card.read_folder(folder).revision == inference.load(str(folder)).revision


def test_the_card_has_every_number_of_its_model(shipped, evaluated):
    text = render(shipped, evaluated)
    results = results_of(shipped / NAME)
    for one in results.sets:
        summary = one.summary("small")
        for name in ("auc", "ap", "eer", "ece", "brier", "tpr_at_fpr_0.05", "ece_answered"):
            assert str(summary.metrics[name]) in text, name
        assert all(str(part.auc) in text for part in (*summary.by_method.values(), *summary.by_group.values()))
    pair = next(item for item in results.comparisons if item.first == "small" and item.second == "large")
    assert f"| {pair.set} | large | {pair.auc.value:+.3f}" in text
    assert results.command in text
    assert "| other | development set | 20 / 20 |" in text
    assert "| home | validation" in text
    assert all(f"jpeg {level}" in text for level in (30, 90))


def test_the_hub_reads_the_metadata(shipped, evaluated):
    text = render(shipped, evaluated)
    data: Any = ModelCard(text).data
    assert (data.license, data.datasets) == ("other", ["dfdc", "ffhq"])
    found = {(one.dataset_type, one.metric_type): one.metric_value for one in data.eval_results}
    auc = results_of(shipped / NAME).set("home").summary("small").metrics["auc"].value
    assert found["home-folder", "roc_auc"] == pytest.approx(auc, abs=1e-4)
    for words in ("DFDC", "FFHQ", "non-commercial", f"--model {NAME}", "no proof", "set -euo pipefail"):
        assert words in text
    prose = re.sub(r"^\||```sh.*?```", "", text, flags=re.MULTILINE | re.DOTALL)
    assert max(len(line) for line in prose.splitlines() if not line.startswith((" ", "|"))) <= 250


def test_the_card_is_rendered_again_from_the_stored_evaluation(shipped, evaluated):
    text = render(shipped, evaluated)
    (evaluated / "results.json").unlink()
    (shipped / NAME / "README.md").unlink()
    card.main(["--model-folder", str(shipped / NAME)])
    assert (shipped / NAME / "README.md").read_text() == text
    assert not any(one.rows for one in read(shipped / NAME / card.EVALUATION).sets)


def test_figures_are_copied_and_shown_in_order(shipped, evaluated, tmp_path):
    figures = tmp_path / "figures"
    figures.mkdir()
    for name in ("roc", "reliability", "unknown"):
        (figures / f"{name}.png").write_bytes(b"\x89PNG")
    text = render(shipped, evaluated, "--figures", figures)
    copied = sorted(path.name for path in (shipped / NAME / "figures").iterdir())
    assert copied == ["reliability.png", "roc.png"]
    assert text.index("(figures/roc.png)") < text.index("(figures/reliability.png)")


def other_weights(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")


def unknown_model(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "name": "unknown"}))


def edited_card(folder):
    card = folder / "README.md"
    card.write_text(card.read_text().replace("no proof", "proof"))


def ungraded(folder):
    results = json.loads((folder / "evaluation.json").read_text())
    groups = [part for one in results["sets"] for summary in one["summaries"] for part in summary["by_group"].values()]
    assert groups
    for part in groups:
        part["fake_grades"] = {}
    (folder / "evaluation.json").write_text(json.dumps(results))


PROBLEMS = [
    (lambda folder: None, None),
    (lambda folder: (folder / "README.md").unlink(), "not what the template gives"),
    (lambda folder: (folder / "evaluation.json").unlink(), "has no evaluation.json"),
    (edited_card, "not what the template gives"),
    (other_weights, "no model of revision"),
    (ungraded, "no graded evidence"),
    (unknown_model, "data_sources.py and training/runs"),
]


@pytest.mark.parametrize(("change", "said"), PROBLEMS)
def test_the_check_finds_what_is_wrong(shipped, evaluated, change, said):
    render(shipped, evaluated)
    change(shipped / NAME)
    if said is None:
        card.main(["--check"])
    else:
        with pytest.raises(SystemExit, match=said):
            card.main(["--check"])


def test_an_evaluation_that_chooses_another_default_does_not_pass(shipped, evaluated, monkeypatch):
    render(shipped, evaluated)
    monkeypatch.setattr(card, "default_ensemble", lambda results: "large")
    assert "it is **large**" in " ".join(render(shipped, evaluated).split())
    monkeypatch.setattr("unmask.models.bundled.DEFAULT", "small")
    assert card.problems(shipped) == ["an evaluation chooses large as the default, unmask has small"]


def test_a_section_is_renewed_between_its_marks(shipped, evaluated, tmp_path, monkeypatch):
    render(shipped, evaluated)
    monkeypatch.setattr("unmask.models.bundled.DEFAULT", NAME)
    readme = tmp_path / "README.md"
    marked = "".join(f"{begin}\nold\n{end}\n" for begin, end in (card.MARKS, card.MODEL_MARKS))
    readme.write_text(f"before\n{marked}after\n")
    for _ in range(2):
        card.main(["--section", str(readme)])
    text = readme.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "\nold\n" not in text
    assert "| other | development set | 20 / 20 |" in text
    assert re.search(rf"\| `{NAME}` \| 2.5 M \| [\d.]+ MiB \| 0\.\d{{3}}; \d+% \|", text)
    readme.write_text("no marks\n")
    with pytest.raises(SystemExit, match="evaluation"):
        card.main(["--section", str(readme)])


def test_the_readme_has_the_tables_of_the_cards(tmp_path):
    readme, copy = Path(__file__).parents[3] / "README.md", tmp_path / "README.md"
    shutil.copyfile(readme, copy)
    card.main(["--section", str(copy)])
    assert copy.read_text() == readme.read_text(), "run python -m training.release.card --section README.md"
