"""Clean text from outside, before it is shown or sent on."""

import re

# controls but for tabs and line ends, and what turns the direction of text around
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
MAX_SKIPPED = 16  # of so many characters a kept one, the rest is not looked at


def printable_line(text: object, max_characters: int) -> str:
    """Turn text into one printable line of at most so many characters; empty for None."""
    head = str(text or "")[: MAX_SKIPPED * max_characters]
    kept = "".join(letter for letter in head if letter.isprintable() or letter.isspace())
    return " ".join(kept.split())[:max_characters]
