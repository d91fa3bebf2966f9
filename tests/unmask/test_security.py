"""`space/SECURITY.md` names a test in every line, and each of them is there."""

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TEXT = (HERE.parents[1] / "space" / "SECURITY.md").read_text(encoding="utf-8")
ROWS = [line for line in TEXT.splitlines() if line.startswith("| ") and not line.startswith("| Defended")]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[2:40])
def test_every_line_names_tests_that_are_there(row):
    named = re.findall(r"`(test_\w+\.py)::(\w+)`", row.rpartition("|")[0].rpartition("|")[2])
    assert named
    for file, name in named:
        assert f"def test_{name}(" in (HERE / file).read_text(encoding="utf-8"), (file, name)


def test_it_is_one_page():
    assert len(TEXT.split()) < 1300
