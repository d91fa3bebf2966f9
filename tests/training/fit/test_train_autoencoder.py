"""Autoencoders reconstruct the face they are given; equal draws give equal pictures; a folder keeps them."""

import sys

import cv2
import numpy as np
import pytest
import torch

from tests.training.faces import face, portrait
from training.data.shards import write_clips
from training.fit import train_autoencoder
from training.synthesis import autoencoder, landmarks, self_blend
from training.synthesis.autoencoder import NET_SIDE_PX, Autoencoder, AutoencoderConfig

SIDE = 224
SMALL = AutoencoderConfig(2, 32, "nearest", width=16)


@pytest.fixture(scope="module", name="portrait")
def the_portrait():
    return portrait(SIDE)


@pytest.fixture(scope="module")
def trained(portrait):
    """An autoencoder that has seen one face, 120 times; and how far off it was in the end, in grey levels."""
    small = cv2.resize(portrait, (NET_SIDE_PX, NET_SIDE_PX), interpolation=cv2.INTER_AREA)
    return train_autoencoder.train_autoencoder(SMALL, small[None], steps=120, seed=0)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("config", train_autoencoder.AUTOENCODERS)
def test_each_autoencoder_keeps_the_shape_and_has_its_bottleneck(config):
    network = Autoencoder(config)
    images = torch.zeros(2, 3, NET_SIDE_PX, NET_SIDE_PX)
    side = NET_SIDE_PX // 2**config.halvings
    assert network.encoder(images).shape == (2, config.latent_channels, side, side)
    assert network(images).shape == images.shape


def test_an_autoencoder_learns_the_face(trained, portrait):
    network, error = trained
    fresh = train_autoencoder.train_autoencoder(SMALL, portrait[None, :NET_SIDE_PX, :NET_SIDE_PX], steps=1, seed=0)
    assert error < fresh[1] / 3
    drawn = autoencoder.reconstruct(network, portrait, rng())
    assert drawn.shape == portrait.shape and drawn.dtype == np.uint8
    apart = np.abs(drawn.astype(int) - portrait).mean()
    assert 1 < apart < 25  # the same person, drawn


def test_a_blended_reconstruction_leaves_the_corners(trained, portrait):
    points = landmarks.find(portrait)
    for seed in range(8):
        drawn = autoencoder.reconstruct(trained[0], portrait, rng(seed))
        fake = self_blend.blend_reconstruction(portrait, points, drawn, rng(seed))
        change = np.abs(fake.astype(int) - portrait).max(-1)
        assert change.max() > 8
        assert change[[0, 0, -1, -1], [0, -1, 0, -1]].max() == 0


def test_a_folder_keeps_autoencoders_and_a_folder_without_any_is_refused(trained, portrait, tmp_path):
    autoencoder.save([trained[0], Autoencoder(train_autoencoder.AUTOENCODERS[3]).eval()], tmp_path / "kept")
    first, second = autoencoder.load(tmp_path / "kept")
    assert second.config == train_autoencoder.AUTOENCODERS[3]
    assert np.array_equal(
        autoencoder.reconstruct(first, portrait, rng()), autoencoder.reconstruct(trained[0], portrait, rng())
    )
    with pytest.raises(FileNotFoundError, match=r"train_autoencoder"):
        autoencoder.load(tmp_path)


def test_the_command_learns_from_real_training_faces_alone(tmp_path, monkeypatch, capsys):
    clips = [face("r"), face("f", source="r", shift=5), face("v", split="val", shift=9)]
    assert len(train_autoencoder.real_faces(clips, 10, 0)) == 1
    write_clips(tmp_path / "faces", clips)
    monkeypatch.setattr(
        sys,
        "argv",
        ["train_autoencoder", "--data", str(tmp_path / "faces"), "--out", str(tmp_path / "out"), "--steps", "3"],
    )
    train_autoencoder.main()
    assert len(autoencoder.load(tmp_path / "out")) == len(train_autoencoder.AUTOENCODERS)
    assert capsys.readouterr().out.count("grey levels") == len(train_autoencoder.AUTOENCODERS)
