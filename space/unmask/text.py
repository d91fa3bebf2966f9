"""Clean text from outside, before it is shown or sent on."""

MAX_SKIPPED = 16  # of so many characters a kept one, the rest is not looked at


def printable_line(text: object, max_characters: int) -> str:
    """Turn text into one printable line of at most so many characters; empty for None."""
    head = str(text or "")[: MAX_SKIPPED * max_characters]
    kept = "".join(letter for letter in head if letter.isprintable() or letter.isspace())
    return " ".join(kept.split())[:max_characters]
