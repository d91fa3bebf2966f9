"""Tests that the documents hold: their commands parse, their examples run, their links and settings exist.

Shell blocks are run by bash with stand-ins for the programs that they start; each command that was started is
then given to the parser of the program that it names. Examples that call the API run as they are.
"""

import argparse
import contextlib
import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.media import make
from tests.servers import Site
from tests.servers import media as in_parts

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in (".", ".github", "space", "training", "extension")
    for path in (ROOT / folder).glob("*.md")
)
CARDS = [path.relative_to(ROOT).as_posix() for path in ROOT.glob("space/**/weights/*/README.md")]
BASH, NODE = str(shutil.which("bash")), str(shutil.which("node"))
PROGRAMS = ("accelerate", "cp", "docker", "git", "make", "node", "pip", "python", "unmask", ".venv/bin/python")
EXAMPLE_LINK = re.compile(r"https://example\.(?:org|com)/clip\.mp4")
EXAMPLE_SPACE = "http://127.0.0.1:7860"
FENCED = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.M | re.S)
SETTING = re.compile(r"UNMASK_[A-Z_]*[A-Z]")


class Block(NamedTuple):
    """A fenced block of a document."""

    document: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def read(document):
    return (ROOT / document).read_text(encoding="utf-8")


def blocks_of(document):
    text = read(document)
    return [
        Block(document, text.count("\n", 0, found.start()) + 1, found["language"], textwrap.dedent(found["text"]))
        for found in FENCED.finditer(text)
    ]


def commands_in_the_text(document):
    spans = (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", FENCED.sub("", read(document))))
    return [span for span in spans if span.startswith(("make ", "python ", "unmask ", ".venv/bin/python "))]


BLOCKS = [block for document in DOCUMENTS for block in blocks_of(document)]
EXAMPLES = [block for block in BLOCKS if block.language in ("python", "js") or re.search(r"curl|\$\(ask", block.text)]
SCRIPTS = [block for block in BLOCKS if block.language == "sh" and block not in EXAMPLES]
CURRENT = [document for document in DOCUMENTS if document not in ("training/RESULTS.md", "CHANGELOG.md")]  # no history
SPANS = sorted({(document, span) for document in CURRENT for span in commands_in_the_text(document)})


def test_the_documents_hold_what_is_tested_here():
    assert len(SCRIPTS) >= 5 and len(SPANS) >= 10
    assert {block.language for block in EXAMPLES} >= {"python", "sh", "js"}


def started_by(script, folder):
    """Run a script with stand-ins for PROGRAMS -> the commands that it started, as lists of words."""
    (folder / "noted").write_bytes(b"")
    (folder / ".venv/bin").mkdir(parents=True, exist_ok=True)
    (folder / ".venv/bin/activate").touch()
    (folder / "programs").mkdir(exist_ok=True)
    for program in PROGRAMS:
        path = folder / (program if "/" in program else f"programs/{program}")
        path.write_text(f'#!{BASH}\nprintf "%s\\0" "{program}" "$@" $\'\\1\' >> "{folder}/noted"\n')
        path.chmod(0o755)
    for real in ("mktemp", "bash"):
        with contextlib.suppress(FileExistsError):
            (folder / "programs" / real).symlink_to(str(shutil.which(real)))
    environment = {"PATH": str(folder / "programs"), "DATA": "DATA", "TMPDIR": str(folder)}
    command = [BASH, "-euc", script]
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=30)
    assert ran.returncode == 0, ran.stderr
    noted = (folder / "noted").read_text().split("\1")
    return [one.strip("\0").split("\0") for one in noted if one.strip("\0")]


def check(command, folder, home=ROOT):
    """Raise AssertionError, ImportError or SystemExit where the command cannot work in `home`."""
    program, *arguments = command
    if program == "make":
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        made = ["make", "-n", *arguments]
        ran = subprocess.run(made, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30)
        assert ran.returncode == 0, ran.stderr
        assert all(word.partition("=")[0] in read("Makefile") for word in arguments if "=" in word)
    elif program == "unmask":
        check_module("unmask", arguments, folder)
    elif program == "accelerate":
        last = len(arguments) - 1 - arguments[::-1].index("-m")
        check_module(arguments[last + 1], arguments[last + 2 :], folder)
    elif program.endswith("python") and arguments[0] == "-m":
        check_module(arguments[1], arguments[2:], folder)
    elif program.endswith("python") or program in ("node", "cp"):
        given = next(name for name in arguments if not name.startswith("-"))
        assert (home / given).exists(), given


def check_module(name, arguments, folder):
    if name in ("pytest", "playwright"):
        assert all((ROOT / word.partition("::")[0]).exists() for word in arguments if "/" in word), arguments
    elif name == "tests.hub":
        for inner in started_by(shlex.join(arguments), folder):
            check(inner, folder)
    else:
        module = importlib.import_module("unmask.__main__" if name == "unmask" else name)
        if not hasattr(module, "argparse"):  # it takes no arguments
            assert not arguments
            return
        elided = any(re.search(r"…|\.\.\.", word) for word in arguments)
        told = parsed(module, ["--help"] if elided else arguments)
        assert not elided or all(word in told for word in arguments if word.startswith("--"))


def parsed(module, arguments):
    """Parse the arguments as the module's `main` does, without what follows -> its help. Raise SystemExit."""

    class ParsedError(BaseException): ...

    parse, helped = argparse.ArgumentParser.parse_args, []

    def parse_and_stop(self, args=None, namespace=None):
        parse(self, args, namespace)
        raise ParsedError

    def note_and_stop(self, file=None):
        helped.append(self.format_help())
        raise ParsedError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)
        patch.setattr(argparse.ArgumentParser, "print_help", note_and_stop)
        patch.setattr(sys, "argv", [module.__name__, *arguments])
        with contextlib.suppress(ParsedError):
            code = module.main()
            raise AssertionError(f"{module.__name__} does not parse {arguments}: {code}")
    return "".join(helped)


@pytest.mark.parametrize("block", SCRIPTS, ids=str)
def test_every_command_of_a_script_parses(block, tmp_path):
    for command in started_by(block.text, tmp_path):
        check(command, tmp_path, ROOT / "space" if block.document == "space/README.md" else ROOT)


@pytest.mark.parametrize(("document", "span"), SPANS, ids=lambda value: value[:60])
def test_every_command_in_the_text_parses(document, span, tmp_path):
    check(shlex.split(re.sub(r"\[[^]]*\]", "", span)), tmp_path)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    clip = make("short.mp4", tmp_path_factory.mktemp("clip")).read_bytes()
    with Site({"/clip.mp4": in_parts(clip + b"\0\0\0\x08free")}) as running:  # a file that no other test checks
        yield running


def run_examples(language, command, tmp_path, media, space, site):
    """Run all examples of a language in a folder with the files that they name -> what they print."""
    shutil.copy(media("short.mp4"), tmp_path / "clip.mp4")
    shutil.copy(media("picture.jpg"), tmp_path / "frame.jpg")
    documents = {block.document for block in EXAMPLES if block.language == language}
    assert documents
    said = ""
    for document in sorted(documents):
        code = "\n".join(b.text for b in EXAMPLES if (b.document, b.language) == (document, language))
        code = EXAMPLE_LINK.sub(site.url("/clip.mp4"), code.replace(EXAMPLE_SPACE, space.url))
        ran = subprocess.run([*command, code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert ran.returncode == 0, ran.stderr
        said += ran.stdout
    return said


@pytest.mark.timeout(400)
def test_the_examples_in_python_run(tmp_path, media, space, site):
    said = run_examples("python", [sys.executable, "-c"], tmp_path, media, space, site)
    assert "From " in said


@pytest.mark.timeout(400)
def test_the_examples_in_the_shell_run(tmp_path, media, space, site):
    said = run_examples("sh", [BASH, "-euc"], tmp_path, media, space, site)
    kinds = re.findall(r'"status": "ok", "source": \{"kind": "(\w+)"', said)
    assert {"url", "file", "frames"} <= set(kinds), said[:2000]
    assert '"cancelled": ' in said


@pytest.mark.timeout(400)
@pytest.mark.skipif(NODE == "None", reason="needs Node.js")
def test_the_examples_in_javascript_run(tmp_path, media, space, site):
    said = run_examples("js", [NODE, "--input-type=module", "--eval"], tmp_path, media, space, site)
    assert said.splitlines()[-1] in ("fake", "real", "uncertain", "no_face")


@pytest.mark.parametrize("document", [*DOCUMENTS, *CARDS])
def test_every_link_leads_to_something(document):
    text = re.sub(r"`[^`\n]*`", "", FENCED.sub("", read(document)))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, part = target.partition("#")
        if "://" in path or path.startswith("mailto:"):
            continue
        there = (ROOT / document).parent.joinpath(path) if path else ROOT / document
        assert there.exists(), target
        if part and there.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", there.read_text(encoding="utf-8"), re.MULTILINE)
            assert part in {re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-") for name in headings}, target


def test_every_row_of_the_security_table_names_tests_that_are_there():
    rows = [row for row in read("space/SECURITY.md").splitlines() if re.match(r"\| .*\w.* \|.*\|", row)][1:]
    there = {(path.name, name) for path in ROOT.glob("tests/**/test_*.py") for name in names_of_tests(path)}
    assert len(rows) > 10
    for row in rows:
        named = re.findall(r"`(test_\w+\.py)::(\w+)`", row)
        assert named, row
        assert set(named) <= there, set(named) - there


@pytest.mark.parametrize(
    ("document", "root"), [("training/README.md", "training"), (".github/CONTRIBUTING.md", "space/unmask")]
)
def test_a_tree_of_files_names_all_that_are_there(document, root):
    (tree,) = [block.text for block in blocks_of(document) if block.language == "text"]
    folder, listed = "", set()
    for indent, name in re.findall(r"^( *)(\w+(?:/|\.py))", tree, re.MULTILINE):
        if name.endswith("/"):
            folder = name
        else:
            listed.add(f"{folder if indent else ''}{name}")
    modules = (path.relative_to(ROOT / root).as_posix() for path in (ROOT / root).rglob("*.py"))
    assert listed == {name for name in modules if not name.endswith("__init__.py")}


def names_of_tests(path):
    return re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)


def settings_in(*folders):
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.[pj][ys]")]
    own = [path for path in files if not {"vendor", "node_modules"} & set(path.parts)]
    return {name for path in own for name in SETTING.findall(path.read_text(encoding="utf-8"))}


def test_the_settings_of_the_code_are_those_of_the_table():
    listed = re.findall(r"^\| `(UNMASK_\w+)` \|", read("space/README.md"), re.MULTILINE)
    assert sorted(listed) == sorted(settings_in("space", "extension"))
