"""A table of validation scores, a row a clip or video, which the calibration is fitted on."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

ROW = np.dtype(
    [
        ("part", "U9"),  # "pairs", "corrupted", "blurred", "stored" or "videos"
        ("domain", "U64"),  # data folder of "videos"
        ("condition", "i4"),  # index into `calibration.CORRUPTED` or `BLURRED`
        ("item", "i4"),  # rows of one item are split together: a pair, a real under each condition
        ("fake", "?"),
        ("blended", "?"),  # of "pairs": its fake is a blended one
        ("logit", "f8"),  # of "videos": pooled over their clips
        ("recompressed_logit", "f8"),  # of "pairs"
        ("sharpness", "f8"),  # of "blurred": of the crop
    ]
)
Table = NDArray[np.void]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def make_rows(part: str, logit: ArrayLike, **columns: ArrayLike) -> Table:
    """Make the rows of one part; `item` counts along the last axis of `logit` unless it is given."""
    logits = np.asarray(logit, np.float64)
    rows = np.zeros(logits.size, ROW)
    rows["part"], rows["logit"] = part, logits.ravel()
    columns = {"item": np.arange(logits.shape[-1]), **columns}
    for name, values in columns.items():
        rows[name] = np.broadcast_to(values, logits.shape).ravel()
    return rows


def select(table: Table, part: str) -> Table:
    """Return the rows of a part."""
    return table[table["part"] == part]


def by_column(rows: Table, name: str) -> Iterator[Table]:
    """Yield the rows with each value of a column."""
    for value in np.unique(rows[name]):
        yield rows[rows[name] == value]


def balanced_weights(domain: Table, domains: Sequence[Table]) -> Floats:
    """Weigh the rows of a domain so that labels, and domains within a label, weigh the same."""
    weights = np.zeros(len(domain))
    for label in (False, True):
        rows = domain["fake"] == label
        weights[rows] = 0.5 / max(1, rows.sum()) / sum((one["fake"] == label).any() for one in domains)
    return weights
