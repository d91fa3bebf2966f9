"""Model work on ZeroGPU, with the lender replaced; the rest of the Space knows nothing of it."""

import gradio as gr
import pytest

import app
from unmask.errors import NoGpu


class Lender:
    """Stands for `spaces.GPU`: notes for how long each call borrows."""

    def __init__(self, refuses=False):
        self.refuses = refuses
        self.seconds = []

    def __call__(self, duration):
        def decorate(function):
            def borrowing(*args):
                self.seconds.append(duration(*args))
                if self.refuses:
                    raise gr.Error("GPU quota exceeded")
                return function(*args)

            return borrowing

        return decorate


def score(name, clips):
    return [name] * len(clips)


def test_elsewhere_model_work_is_left_as_it_is():
    assert app.on_gpu(score) is score


def test_a_gpu_is_borrowed_for_longer_when_there_is_more_to_do(monkeypatch):
    lender = Lender()
    monkeypatch.setattr("spaces.GPU", lender)
    assert app.on_gpu(score)("default", [1, 2]) == ["default"] * 2
    app.on_gpu(score)("default", [0] * 8)
    assert 0 < lender.seconds[0] < lender.seconds[1] < 60


def test_no_gpu_is_told_apart(monkeypatch):
    monkeypatch.setattr("spaces.GPU", Lender(refuses=True))
    with pytest.raises(NoGpu, match="quota"):
        app.on_gpu(score)("default", [1])
