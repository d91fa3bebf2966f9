"""ResNeXt50 starts from a MobileNetV2: its blocks say what theirs say, and training brings the rest close."""

import numpy as np
import pytest
import torch

from tests.training.faces import face, portrait
from training.data.shards import write_clips
from training.fit.run_folder import RunFolder
from training.fit.weight_transfer import FIRST_STAGE, MAP_PAIRS, layer_maps, match_head, transfer
from training.tools import transfer_backbone
from unmask.models import checkpoint
from unmask.models.architectures import ResNextLstm
from unmask.models.backbones import resnext50
from unmask.models.configs import ResNextLstmConfig


@pytest.fixture(scope="module")
def networks():
    """The bundled MobileNetV2, a ResNeXt50 that took its blocks, the constants between them, and faces."""
    image = torch.from_numpy(portrait()).permute(2, 0, 1) / 127.5 - 1
    faces = torch.stack([image, image.flip(2), 0.5 * image, image.roll(9, 1)])
    torch.manual_seed(0)
    source, target = transfer_backbone.saved_backbone("mobilenet-gru", torch.device("cpu")), resnext50().eval()
    return source, target, transfer(source, target, faces), faces


@pytest.mark.parametrize(("stage", "most"), [(1, 0.1), (2, 0.35)])
def test_a_stage_that_is_given_their_maps_gives_nearly_their_next_ones(networks, stage, most):
    source, target, offsets, faces = networks
    with torch.inference_mode():
        theirs = layer_maps(source, faces)
        maps = torch.zeros(len(faces), 128 * 2**stage, *theirs[MAP_PAIRS[stage - 1].layer].shape[2:])
        maps[:, MAP_PAIRS[stage - 1].channels] = theirs[MAP_PAIRS[stage - 1].layer] + offsets[stage - 1][:, None, None]
        ours = target[FIRST_STAGE + stage](maps.relu())
    wanted = theirs[MAP_PAIRS[stage].layer] + offsets[stage][:, None, None]
    error = (ours[:, MAP_PAIRS[stage].channels] - wanted).square().mean((0, 2, 3))
    assert (error / wanted.var((0, 2, 3)).clamp(min=1e-4)).log1p().mean() < most


def test_a_temporal_head_learns_to_answer_as_that_of_the_teacher():
    torch.manual_seed(0)
    teacher = checkpoint.restore(checkpoint.locate("mobilenet-gru")[0]).eval().requires_grad_(False)
    student = ResNextLstm(ResNextLstmConfig(hidden=32))
    vectors = 2 * torch.rand(200, 1) * torch.rand(200, 1280) * torch.rand(1280)
    padded = torch.zeros(200, 1, 2048)
    padded[..., MAP_PAIRS[-1].channels] = vectors[:, None]

    @torch.inference_mode()
    def distance() -> float:
        ours, theirs = (
            model.eval().sequence_logits(seen, None) for model, seen in ((student, padded), (teacher, vectors[:, None]))
        )
        return float((ours - theirs).abs().mean())

    before = distance()
    match_head(teacher, student, vectors, 60)
    assert distance() < 0.5 * before


def test_the_command_writes_a_run_to_train_further_and_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    write_clips(tmp_path / "faces", [face(f"r{index}", shift=index) for index in range(4)])
    words = ["--data", tmp_path / "faces", "--out", tmp_path / "run", "--pairs-per-batch", "2", "--workers", "0"]
    words += ["--precision", "no"]
    monkeypatch.setattr("sys.argv", ["transfer_backbone", *map(str, words)])
    monkeypatch.setattr(transfer_backbone, "HEAD_STEPS", 1)
    transfer_backbone.main()
    lines = [line for line in capsys.readouterr().out.splitlines() if "the loss is" in line]
    assert [line[0] for line in lines] == ["1", "4", "4"] and all(float(line.split()[-1]) > 0 for line in lines)
    weights = checkpoint.restore(RunFolder(tmp_path / "run").model).state_dict()
    transfer_backbone.main()  # nothing is left to do
    again = checkpoint.restore(RunFolder(tmp_path / "run").model).state_dict()
    assert all(np.array_equal(value, again[name]) for name, value in weights.items())
