"""Choose some of many items. Pure."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")


def spread_evenly(items: Sequence[Item], count: int) -> list[Item]:
    """Choose at most `count` items, from all over the list."""
    return [items[row] for row in np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)]
