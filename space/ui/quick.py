"""Gradio, imported without what it does for editors at every import.

It reads the source of each of its components and writes a stub with their events beside it. That is 2 of
the 5 seconds that importing it takes, and where the folder is not ours to write to, they are for nothing.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def without_stubs() -> Iterator[None]:
    """To import gradio in: it passes over components that have no source file."""
    find = inspect.getfile

    def getfile(object: Any) -> str:
        if isinstance(object, type) and object.__module__.startswith("gradio."):
            raise OSError
        return find(object)

    inspect.getfile = getfile
    try:
        yield
    finally:
        inspect.getfile = find
