"""Text from outside -> a line that can be shown."""

import pytest

from unmask.text import printable_line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("A film", "A film"),
        ("A\nfilm\tin \x1b[31mred", "A film in [31mred"),
        ("turned \u202eround", "turned round"),
        ("x" * 1000, "x" * 300),
        (f"x{' ' * 10**7}y", "x"),
        ("", ""),
        (None, ""),
        (7, "7"),
    ],
)
def test_text_becomes_one_printable_line(text, line):
    assert printable_line(text, 300) == line
