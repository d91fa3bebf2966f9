"""Clean text from outside, before it is shown or sent on."""


def printable_line(text: object, max_characters: int) -> str:
    """Turn text into one printable line of at most so many characters; empty for None."""
    kept = "".join(letter for letter in str(text or "") if letter.isprintable() or letter.isspace())
    return " ".join(kept.split())[:max_characters]
