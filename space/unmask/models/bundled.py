"""List the bundled models, without torch; `checkpoint` reads them."""

from pathlib import Path

from unmask.compute import has_torch

FOLDER = Path(__file__).parent / "weights"
DEFAULT = "mobilenet-gru"


def names() -> list[str]:
    """List the names of the bundled models, whether or not their files are whole."""
    return sorted(path.parent.name for path in FOLDER.glob("*/config.json"))


def usable_names() -> list[str]:
    """List the names of the bundled models that can be computed here: without torch, those with a graph."""
    graphs = Path(__file__).parents[1] / "graphs"
    return [name for name in names() if has_torch() or (graphs / f"{name}.onnx").is_file()]
