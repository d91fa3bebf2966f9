"""Which models come with this folder. Their names alone, without torch; `weights` loads them."""

from pathlib import Path

FOLDER = Path(__file__).parent / "weights"
DEFAULT = "mobilenet-gru"


def names() -> list[str]:
    """The bundled models, whether or not their files are whole."""
    return sorted(path.parent.name for path in FOLDER.glob("*/config.json"))
