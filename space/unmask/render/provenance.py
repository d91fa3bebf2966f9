"""Put what is said of a video's origin into lines. Pure; reports of older versions say nothing."""

from unmask.provenance_text import MADE_WORDS, PROBLEM_WORDS, State, made_of
from unmask.report import CheckReport, ManifestReport

RELATIONS = {"parentOf": "made from", "componentOf": "with a part of", "inputTo": "with, as an input,"}

DOUBTS: dict[State, str] = {
    "valid": "whose signer is not on the trust list",
    "unverified": "whose content was not checked",
}


def origin_text(report: CheckReport) -> str:
    """Give the sentence that joins the origin with the faces; nothing where nothing was said."""
    said = report.get("provenance")
    if not said or not (said["credentials"]["state"] != "none" or said["site"] or said["metadata"]["made"]):
        return ""
    return said["text"]


def origin_lines(report: CheckReport) -> list[str]:
    """Say all that is known: Content Credentials and their chain, the site's label, the tags."""
    said = report.get("provenance")
    if not said:
        return []
    credentials, tags, site = said["credentials"], said["metadata"], said["site"]
    chain = [_describe_manifest(each, credentials["state"]) for each in credentials["chain"]]
    lines = [credentials["text"], *chain]
    if credentials["codes"]:
        lines.append(f"What failed: {', '.join(credentials['codes'])}.")
    if site:
        lines.append(f"{site['name']} labels it “{site['label']}”.")
    named = {
        "camera": tags["camera"],
        "software": tags["software"],
        "created": tags["created_at"],
        "source": ", ".join(tags["source_types"]),
    }
    if found := [f"{name} {value}" for name, value in named.items() if value]:
        lines.append(f"Tags: {'; '.join(found)}.")
    return [*lines, *tags["notes"]]


def _describe_manifest(manifest: ManifestReport, state: State) -> str:
    relation = "signed" if manifest["relation"] == "active" else RELATIONS.get(manifest["relation"], "from")
    by = f" by {manifest['signer']}" if manifest["signer"] else ""
    what = f" “{manifest['title']}”" if manifest["title"] and manifest["relation"] != "active" else ""
    own = manifest.get("state", state)
    doubt = DOUBTS.get(own)
    if own == "invalid":
        why = [words for problem, words in PROBLEM_WORDS.items() if problem == manifest.get("problem")]
        doubt = ": ".join(["which does not hold", *why])
    types = ", ".join(manifest["source_types"])
    made = made_of(manifest["source_types"])
    facts: list[str | bool | None] = [
        manifest["generator"] and f"written by {manifest['generator']}",
        manifest["signed_at"] and f"at {manifest['signed_at']}",
        f"{types}: {MADE_WORDS[made]}" if made else types,
        own != state and doubt,
    ]
    signed = f", signed{by}" if by and manifest["relation"] != "active" else by
    return "; ".join([f"Chain: {relation}{what}{signed}", *(fact for fact in facts if isinstance(fact, str) and fact)])
