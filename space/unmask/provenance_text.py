"""Put into words what a file, its signer, its tags and its site say of its origin. Pure."""

from collections.abc import Iterable
from typing import Literal, get_args

from unmask.verdict import Label
from unmask.verdict_text import SHOWN_LABEL

State = Literal["trusted", "valid", "invalid", "unverified", "none"]
Made = Literal["ai", "part_ai", "software", "edited", "camera"]  # what matters most comes first
Problem = Literal["changed", "expired", "damaged", "uncovered"]

MADE: dict[str, Made] = {  # of the digital source types: cv.iptc.org/newscodes/digitalsourcetype, C2PA 2.2
    "trainedAlgorithmicMedia": "ai",
    "trainedAlgorithmicData": "ai",
    "compositeWithTrainedAlgorithmicMedia": "part_ai",
    "algorithmicMedia": "software",
    "compositeSynthetic": "software",
    "dataDrivenMedia": "software",
    "digitalArt": "software",
    "digitalCreation": "software",
    "screenCapture": "software",
    "softwareImage": "software",
    "virtualRecording": "software",
    "algorithmicallyEnhanced": "edited",
    "composite": "edited",
    "compositeCapture": "edited",
    "humanEdits": "edited",
    "minorHumanEdits": "edited",
    "computationalCapture": "camera",
    "digitalCapture": "camera",
    "negativeFilm": "camera",
    "positiveFilm": "camera",
    "print": "camera",
}
MADE_WORDS: dict[Made, str] = {
    "ai": "it was made with AI",
    "part_ai": "it was partly made with AI",
    "software": "it was made with software, not filmed",
    "edited": "it was edited or put together",
    "camera": "it was recorded with a camera",
}
UNSAID = "nothing of how it was made"
PROBLEM_WORDS: dict[Problem, str] = {
    "changed": "the content was changed after it was signed",
    "expired": "the signer's certificate was not valid, and nothing proves that it was when this was signed",
    "damaged": "they are damaged, or were changed themselves",
    "uncovered": "they do not cover the whole file, so nobody can tell whether it was changed",
}
FORGEABLE = "which anybody can change"


def made_of(source_types: Iterable[str]) -> Made | None:
    """Choose, of what several source types mean, what matters most."""
    known = {MADE[name] for name in source_types if name in MADE}
    return next((made for made in get_args(Made) if made in known), None)


def credentials_text(state: State, signer: str | None, made: Made | None, problem: Problem | None, where: str) -> str:
    """Say what Content Credentials are worth and what they say.

    Args:
        state: Of the validation.
        signer: As the certificate names it.
        made: What they say.
        problem: Why they are invalid.
        where: Where they lie, or why they were not verified.
    """
    name = signer or "somebody unnamed"
    says = MADE_WORDS[made] if made else UNSAID
    unverified = f"It comes with Content Credentials that were not checked: {where}."
    return {
        "trusted": f"Its Content Credentials say {says}. They hold, and the signer, {name}, is on the trust list.",
        "valid": f"Its Content Credentials say {says}. The signature holds, but the signer, {name}, is not on a trust "
        "list here: nobody confirms who that is.",
        "invalid": f"Its Content Credentials, of {name}, do not hold: {PROBLEM_WORDS[problem or 'damaged']}.",
        "unverified": f"{unverified} They say {says}." if made else unverified,
        "none": "No Content Credentials were found. That means nothing: most videos have none.",
    }[state]


def origin_sentence(
    label: Label,
    state: State,
    signer: str | None,
    problem: Problem | None,
    made: Made | None,  # what the credentials say
    site: tuple[str, str] | None,  # name and label
    tags_made: Made | None,  # what the tags say
) -> str:
    """Join what is said of the origin and what the faces say in one sentence, without mixing them."""
    faces = f"; the faces: {SHOWN_LABEL[label].lower()}."
    says = MADE_WORDS[made] if made else UNSAID
    if state in ("trusted", "valid"):
        doubt = "" if state == "trusted" else ", who is not on a trust list"
        return f"Its Content Credentials, signed by {signer or 'somebody unnamed'}{doubt}, say {says}{faces}"
    if state == "invalid":
        return f"Its Content Credentials do not hold: {PROBLEM_WORDS[problem or 'damaged']}{faces}"
    if site is not None:
        return f"{site[0]} labels it “{site[1]}”{faces}"
    if state == "unverified" and made is not None:
        return f"Its Content Credentials, which were not checked, say {says}{faces}"
    if tags_made is not None:
        return f"Its tags, {FORGEABLE}, say {MADE_WORDS[tags_made]}{faces}"
    if state == "unverified":
        return f"It comes with Content Credentials, which were not checked{faces}"
    return f"Nothing was found in which it says how it was made, and that means nothing{faces}"
