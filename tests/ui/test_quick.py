"""Gradio is imported without its stubs; nothing else notices."""

import inspect
from typing import Any

import gradio as gr
import pytest
from gradio.component_meta import ComponentMeta

from ui.quick import without_stubs


class Written(Exception):
    """In place of a stub."""


def a_component() -> Any:
    """As gradio makes one when it is imported."""
    return ComponentMeta("Textbox", (gr.Textbox,), {"__module__": gr.Textbox.__module__})


def test_no_stub_is_written_for_a_component_of_gradio(monkeypatch):
    def write(*_):
        raise Written

    monkeypatch.setattr("gradio.component_meta.create_pyi", write)
    with without_stubs():
        assert a_component()().label is None
    with pytest.raises(Written):
        a_component()


def test_files_of_everything_else_are_found_as_ever():
    with without_stubs():
        assert inspect.getfile(Written) == __file__
        assert inspect.getfile(pytest) == pytest.__file__
    assert inspect.getfile(gr.Textbox).endswith("textbox.py")
