"""Import gradio, in about half the time that it takes by itself; before anything else that imports it."""

import gc
import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["gr"]

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # gradio reads it when it is imported


@contextmanager
def without_stub_files() -> Iterator[None]:
    """Let gradio write no stub files for editors, and Python look for no garbage, while modules are imported.

    For each of its components gradio parses the source and writes a stub, if it finds the source.
    """
    module: Any = inspect
    find_source: Callable[[Any], str] = module.getfile

    def find_others(item: Any) -> str:
        if isinstance(item, type) and item.__module__.startswith("gradio."):
            raise OSError("not looked for")
        return find_source(item)

    module.getfile = find_others
    gc.disable()
    try:
        yield
    finally:
        module.getfile = find_source
        gc.freeze()  # what was imported stays
        gc.enable()


with without_stub_files():
    import gradio as gr
