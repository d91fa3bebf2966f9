"""Autoencoders draw the face they are given; equal draws give equal pictures; a folder keeps them and makes pairs."""

import sys

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.training.faces import face, portrait
from training.data.shards import read_clips, write_clips
from training.fit import train_autoencoder
from training.fit.torch_dataset import decode
from training.synthesis import autoencoder, tiny_autoencoder
from training.synthesis.autoencoder import Autoencoder, AutoencoderConfig, as_input
from training.tools import reconstruct_faces

SMALL = AutoencoderConfig(2, 16, "nearest", width=16)
CPU = torch.device("cpu")


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module", name="portrait")
def the_portrait():
    return portrait(224)


@pytest.fixture(scope="module")
def trained(portrait):
    """An autoencoder that has seen one face, 60 times, before and after that; and what it was given."""
    trainer = train_autoencoder.AutoencoderTrainer(SMALL, train_autoencoder.build_perceptual(), CPU, 0)
    images = F.interpolate(as_input(portrait[None]), (128, 128), mode="bicubic", antialias=True).clamp(-1, 1)
    errors = []
    for step in range(60):
        trainer.step(images, step / 60)
        errors.append(float((trainer.autoencoder(images) - images).abs().mean()) * 127.5 if step in (0, 59) else 0)
    return trainer.autoencoder.eval(), errors[0], errors[-1]


@pytest.mark.parametrize("config", train_autoencoder.AUTOENCODERS)
def test_each_autoencoder_keeps_the_shape_and_has_its_bottleneck(config):
    network, images = Autoencoder(config), torch.zeros(1, 3, 64, 64)
    side_px = 64 // 2**config.halvings
    assert network.encoder(images).shape == (1, config.latent_channels, side_px, side_px)
    assert network(images).shape == images.shape


def test_an_autoencoder_learns_the_face(trained, portrait):
    network, first, last = trained
    assert last < first / 3
    drawn = autoencoder.reconstruct(network, portrait[None].repeat(2, 0), rng())
    assert drawn.shape == (2, *portrait.shape) and drawn.dtype == np.uint8
    assert 0.5 < np.abs(drawn[0].astype(int) - portrait).mean() < 20  # the same person, drawn


@pytest.mark.parametrize("seed", range(4))
def test_colours_and_light_stay_those_of_the_face(trained, portrait, seed):
    drawn = autoencoder.reconstruct(trained[0], portrait[None], rng(seed))[0]
    assert np.abs(drawn.mean((0, 1)) - portrait.mean((0, 1))).max() < 4


def test_a_folder_keeps_autoencoders_and_a_folder_without_any_is_refused(trained, portrait, tmp_path):
    autoencoder.save([trained[0], Autoencoder(train_autoencoder.AUTOENCODERS[3]).eval()], tmp_path / "kept")
    first, second = autoencoder.load(tmp_path / "kept")
    assert second.config == train_autoencoder.AUTOENCODERS[3]
    both = [autoencoder.reconstruct(network, portrait[None], rng()) for network in (first, trained[0])]
    assert np.array_equal(*both)
    with pytest.raises(FileNotFoundError, match=r"train_autoencoder"):
        autoencoder.load(tmp_path)


@pytest.mark.parametrize(("channels", "has_pooling"), [(4, False), (32, True)])
def test_a_published_tiny_autoencoder_is_read_by_the_names_of_its_tensors(portrait, tmp_path, channels, has_pooling):
    with pytest.raises(FileNotFoundError, match=r"_encoder\.pth"):
        tiny_autoencoder.load(tmp_path)
    network = tiny_autoencoder.TinyAutoencoder(channels, has_pooling).eval()
    encoder, decoder = network.layers.state_dict(), network.decoder.state_dict()
    assert {"0.bias", "1.conv.4.bias", "2.weight", "13.conv.0.weight", "14.weight"} <= encoder.keys()
    assert {"1.bias", "3.conv.0.weight", "7.weight", "18.conv.4.bias", "19.bias"} <= decoder.keys()
    assert "2.bias" not in encoder and ("11.pool.1.weight" in encoder) == has_pooling
    torch.save(encoder, tmp_path / "x_encoder.pth")
    torch.save(decoder, tmp_path / "x_decoder.pth")
    (read,) = tiny_autoencoder.load(tmp_path)
    both = [autoencoder.reconstruct(one, portrait[None], rng()) for one in (read, network)]
    assert np.array_equal(*both) and both[0].shape == (1, *portrait.shape)


def test_the_commands_train_on_real_training_faces_alone_and_make_pairs_of_them(tmp_path, monkeypatch, capsys):
    clips = [face("r"), face("f", source="r", shift=5), face("v", split="val", shift=9), face("s", shift=3)]
    assert len(train_autoencoder.real_faces(clips, 10, 0)) == 2
    write_clips(tmp_path / "faces", clips)
    folders = ["--data", str(tmp_path / "faces"), "--out", str(tmp_path / "networks"), "--seconds", "1"]
    monkeypatch.setattr(sys, "argv", ["train_autoencoder", *folders])
    train_autoencoder.main()
    assert capsys.readouterr().out.count("grey levels") == len(train_autoencoder.AUTOENCODERS)
    folders = ["--data", str(tmp_path / "faces"), "--out", str(tmp_path / "pairs")]
    monkeypatch.setattr(sys, "argv", ["reconstruct_faces", *folders, "--autoencoders", str(tmp_path / "networks")])
    reconstruct_faces.main()
    made = read_clips(tmp_path / "pairs")
    assert {(clip.video_id, clip.original_id, clip.fake) for clip in made} == {
        (f"{name}{suffix}", name, bool(suffix)) for name in ("r", "s") for suffix in ("", "-drawn")
    }
    assert all(decode(clip).shape == (1, 224, 224, 3) for clip in made)
