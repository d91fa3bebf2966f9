"""Adopting published checkpoints: their numbers are those of other libraries, and nothing is left to chance."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.hub import Repository
from tests.training import rows as made_up
from tests.training.faces import face
from tests.training.gend import PERCEPTION, Reference
from training import adopt, calibrate, publish
from training.data.shards import write_clips
from training.evaluation.results import ModelRecord, write
from training.fit.pretrained import load_pretrained
from training.release.card import EVALUATION, read_folder, write_card
from unmask.download.sources import Options
from unmask.faces.clips import FaceClip
from unmask.models import checkpoint, torch_model
from unmask.models.architectures import ARCHITECTURES, make_tower
from unmask.models.configs import VitLinearConfig
from unmask.models.torch_model import to_input
from unmask.pipeline import Checker


def pictures(side_px, count=4):
    data = np.random.default_rng(0).integers(0, 256, (count, 1, side_px, side_px, 3), np.uint8)
    return [FaceClip(one, np.zeros(1), 0, np.zeros((1, 4), np.float32)) for one in data]


def adopted(reference, folder, *more):
    adopt.main([str(reference.save(folder / "gend")), "--as", "gend", "--out", str(folder / "model"), *more])
    return folder / "model"


def arguments(reference, folder):
    """Where the sizes of a tower are written that is not a known one."""
    if reference.tower_config is None:
        return ()
    reference.tower_config.save_pretrained(folder / "backbone")
    return ("--backbone", str(folder / "backbone"))


@pytest.mark.parametrize(
    ("backbone", "head"),
    [("tiny/clip", "LinearNorm"), ("tiny/clip", "linear"), ("tiny/dinov3", "LinearNorm"), (PERCEPTION, "LinearNorm")],
)
def test_probabilities_are_those_of_an_independent_tower(backbone, head, tmp_path):
    reference = Reference(backbone, head)
    model = torch_model.load(str(adopted(reference, tmp_path, *arguments(reference, tmp_path))), precision="float32")
    clips = pictures(model.spec.side_px)
    expected = reference.probability_fake(to_input(clips, model.spec).data[:, 0]).numpy()
    assert np.ptp(expected) > 1e-3
    np.testing.assert_allclose(1 / (1 + np.exp(-model.logits(clips))), expected, atol=1e-4)


def changed(name, value):
    def change(reference):
        reference.tensors[name] = value
        if value is None:
            del reference.tensors[name]

    return change


FIRST = "feature_extractor.vision_model.encoder.layers.0."
DAMAGES = {
    "one tensor more": (changed("feature_extractor.extra", torch.zeros(1)), "fit nothing"),
    "one more in the tower": (changed(FIRST + "mlp.fc3.weight", torch.zeros(1)), "fits nothing"),
    "one tensor less": (changed(FIRST + "mlp.fc2.weight", None), "1 tensors differ, tower.blocks.0.mlp.fc2.weight"),
    "no keys": (changed(FIRST + "self_attn.k_proj.weight", None), "no blocks.0.attn.k.weight"),
    "another shape": (changed(FIRST + "layer_norm1.weight", torch.zeros(3)), "sizes|differ|heads"),
    "three classes": (changed("model.linear.weight", torch.zeros(3, 64)), "two classes"),
    "another head": (lambda reference: reference.config.update(head="mlp"), "the head is 'mlp'"),
    "a head that is a list": (lambda reference: reference.config.update(head=["linear"]), "the head is"),
    "no number": (changed("model.linear.bias", torch.full((2,), torch.nan)), "not finite, model.linear.bias"),
    "another tower": (lambda reference: reference.config.update(backbone="facebook/dinov2-base"), "known are CLIP"),
}


@pytest.mark.parametrize(("damage", "said"), DAMAGES.values(), ids=DAMAGES.keys())
def test_a_checkpoint_that_does_not_fit_is_refused_with_what_does_not(damage, said, tmp_path):
    reference = Reference("tiny/clip")
    damage(reference)
    with pytest.raises(SystemExit, match=said):
        adopted(reference, tmp_path, *arguments(reference, tmp_path))


def test_a_hub_that_cannot_be_reached_is_said_in_a_line(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(SystemExit, match="refused"):
        adopt.main(["owner/name", "--as", "gend", "--out", str(tmp_path)])


FILES = {
    "no weights": ({"model.safetensors": None, "pytorch_model.bin": b""}, "has no model.safetensors"),
    "a part of them": ({"model.safetensors": None, "model-00001-of-00002.safetensors": b""}, "1 of 2 parts"),
    "a pointer": ({"model.safetensors": b"version https://git-lfs.github.com/spec/v1"}, "header"),
    "no config": ({"config.json": None}, "has no config.json"),
    "no JSON": ({"config.json": b"{"}, "config.json is no JSON"),
    "no object": ({"config.json": b"[]"}, "config.json is no JSON object"),
}


@pytest.mark.parametrize(("files", "said"), FILES.values(), ids=FILES.keys())
def test_files_that_are_no_checkpoint_are_refused_in_a_line(files, said, tmp_path):
    folder = Reference("tiny/clip").save(tmp_path / "gend")
    for name, content in files.items():
        (folder / name).unlink(missing_ok=True)
        if content is not None:
            (folder / name).write_bytes(content)
    with pytest.raises(SystemExit, match=said):
        adopt.main([str(folder), "--as", "gend", "--out", str(tmp_path / "model")])


def test_the_checkpoint_is_not_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(Reference("tiny/clip").save(tmp_path / "gend"))
    with pytest.raises(SystemExit, match="--out is the folder"):
        adopt.main([".", "--as", "gend", "--out", str(tmp_path / "gend")])


@pytest.mark.parametrize(("missing", "said"), [("memory", r"GiB of memory .* are free"), ("timm", r"unmask\[large\]")])
def test_what_this_machine_lacks_is_said_in_a_line(missing, said, monkeypatch, tmp_path):
    if missing == "memory":
        monkeypatch.setattr(checkpoint, "free_memory_bytes", lambda: 1)
    else:
        monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(SystemExit, match=said):
        adopted(Reference("tiny/clip"), tmp_path, *arguments(Reference("tiny/clip"), tmp_path))


INDEX = """model-index:
- name: one
  results:
  - task: {type: image-classification}
    dataset: {type: celeb-df, name: Celeb-DF v2, split: test}
    metrics: [{type: roc_auc, value: 0.966, name: AUC}]
"""
TABLE = "| set | AUC |\n|---|---|\n| DFDC | 0.871 <!-- x --> |"


@pytest.mark.parametrize(
    ("card", "licence", "figures"),
    [
        (None, "not stated", ""),
        ("# No metadata\n", "not stated", ""),
        ("---\nlicense: [\n---\n", "not stated", ""),
        ("---\nlicense: mit\nmodel-index: 3\n---\n", "mit", ""),
        ("---\nlicense: [mit, apache-2.0]\n---\n", "['mit', 'apache-2.0']", ""),
        ("---\nlicense: other\nlicense_name: research\nlicense_link: LICENSE\n---\n", "other, research, LICENSE", ""),
        (f"---\nlicense: mit\n{INDEX}---\n", "mit", "> - AUC on Celeb-DF v2, test: 0.966"),
        (
            f"# A\n\nTrained with torch 2.8\n\n{TABLE}\n\n```sh\nAUC 0.1\n```\n\nIts EER is 12 %.\n",
            "not stated",
            "> | set | AUC |\n> |---|---|\n> | DFDC | 0.871 &lt;!-- x --> |\n>\n> Its EER is 12 %.",
        ),
    ],
)
def test_what_a_card_states_is_quoted(card, licence, figures, tmp_path):
    path = tmp_path / "README.md"
    if card is not None:
        path.write_text(card)
    assert adopt.stated(None if card is None else path) == (licence, figures)


def test_heads_are_never_guessed(tmp_path):
    (tmp_path / "backbone").mkdir()
    (tmp_path / "backbone" / "config.json").write_text("{}")
    with pytest.raises(SystemExit, match="--backbone"):
        adopted(Reference("tiny/clip"), tmp_path, "--backbone", str(tmp_path / "backbone"))


# --- from one Hub to another


def test_from_the_authors_repository_to_a_label_and_to_one_of_ones_own(hub, media, tmp_path, monkeypatch, capsys):
    reference = Reference("tiny/clip")
    files = {path.name: path.read_bytes() for path in reference.save(tmp_path / "gend", shards=2).iterdir()}
    files["README.md"] = f"---\nlicense: mit\n{INDEX}---\n# A tiny one\n\n{TABLE}\n".encode()
    theirs = hub.repositories["model/authors/GenD"] = Repository("authors/GenD")
    commit = theirs.add("first", {**files, "modeling_gend.py": b"raise SystemExit"}).id
    theirs.add("second", {"README.md": b"gone"})
    reference.tower_config.save_pretrained(tmp_path / "backbone")
    tower = hub.repositories["model/tiny/clip"] = Repository("tiny/clip")
    tower.add("first", {"config.json": (tmp_path / "backbone" / "config.json").read_bytes()})

    # adopted, at the commit that was named: it runs none of their code, and gives no label
    adopt.main([f"authors/GenD@{commit}", "--as", "gend", "--out", str(tmp_path / "adopted")])
    assert not any("modeling_gend" in call for call in hub.calls)
    card = (tmp_path / "adopted" / "README.md").read_text()
    for words in (
        commit,
        "Yermakov",
        "licence (mit)",
        "As they state them, not measured here",
        "> - AUC on Celeb-DF v2, test: 0.966",
        "> | DFDC | 0.871",
        "**Not evaluated here**",
    ):
        assert words in card
    checker = Checker()
    names = (str(tmp_path / "adopted"),)
    report = checker.check(media("h264.mp4"), Options(models=names))
    assert (report["verdict"]["label"], report["compute"]["backend"]) == ("uncertain", "torch")
    assert report["faces"][0]["heatmap"].startswith("data:image/jpeg")

    # calibrated, on crops that were cut as it wants them
    clips = [face(f"r{index}", split="val", shift=2 * index, frames=2) for index in range(4)]
    fakes = [face(f"f{index}", source=f"r{index}", split="val", shift=9, frames=2) for index in range(4)]
    write_clips(tmp_path / "faces", [*clips, *fakes])
    out = tmp_path / "models" / "small"
    asked = ["--model-folder", names[0], "--data", tmp_path / "faces", "--out", out, "--workers", 0]
    monkeypatch.setattr("sys.argv", ["calibrate", *map(str, asked)])
    calibrate.main()
    config = json.loads((out / "config.json").read_text())
    assert config["name"] == "small"
    assert config["policy"]["real_below"] > 0 or config["policy"]["evidence"]["per_100"]
    assert config["clip"] == json.loads((tmp_path / "adopted" / "config.json").read_text())["clip"]
    tensors, before = (load_file(folder / "model.safetensors") for folder in (out, tmp_path / "adopted"))
    assert all(torch.equal(tensors[name], before[name]) for name in before)

    # published with an evaluation, and checked with under its name there
    with pytest.raises(SystemExit, match=EVALUATION):
        publish.main(["--model-folder", str(out), "--repo", "me/small"])
    results = made_up.results()
    measured = ModelRecord("small", read_folder(out).revision, 72_001, 290_000)
    write(replace(results, models=(measured, *results.models[1:])), out / EVALUATION)
    write_card(out)
    card = (out / "README.md").read_text()
    assert "Not evaluated" not in card and commit in card and "## Evaluation" in card and "test: 0.966" in card
    publish.main(["--model-folder", str(out), "--repo", "me/small"])
    assert "read back, the logits are equal" in capsys.readouterr().out
    report = checker.check(media("h264.mp4"), Options(models=("me/small",)))
    assert report["models"][0]["revision"] == hub.repositories["model/me/small"].head.id


def test_a_tower_is_trained_from_the_weights_that_timm_names(hub, tmp_path):
    config = VitLinearConfig("test_vit")
    torch.manual_seed(1)
    theirs, ours = make_tower(config), ARCHITECTURES["vit-linear"](config)
    save_file({**theirs.state_dict(), "head.weight": torch.zeros(1), "head.bias": torch.zeros(1)}, tmp_path / "file")
    found = hub.repositories["model/timm/test_vit.r160_in1k"] = Repository("timm/test_vit.r160_in1k")
    found.add("first", {"model.safetensors": (tmp_path / "file").read_bytes()})
    picture = torch.randn(2, 3, 160, 160)
    assert load_pretrained(ours)
    vectors = ours.eval().frame_vectors(ours.frame_features(picture))
    torch.testing.assert_close(vectors, theirs.eval()(picture))
