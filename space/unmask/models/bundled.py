"""List the bundled models, without torch; `checkpoint` reads them."""

from pathlib import Path

FOLDER = Path(__file__).parent / "weights"
DEFAULT = "mobilenet-gru"


def names() -> list[str]:
    """List the names of the bundled models, whether or not their files are whole."""
    return sorted(path.parent.name for path in FOLDER.glob("*/config.json"))
