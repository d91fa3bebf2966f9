"""What the documents say is so: commands, examples of the API, links, settings, codes and verbs.

Everything is read from the documents. Shell blocks are run by bash: those that call the API really, all
others with stand-ins for the programs that they start, which note what they were given; then each command is
run here, or its arguments are given to the parser of the program that it means.
"""

import argparse
import contextlib
import functools
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from playwright.sync_api import sync_playwright

from tests.browser.chromium import ARGUMENTS, INSTALLED
from tests.media import glide, make, write_video
from tests.served import Served, served
from tests.servers import Site, content, html
from tests.servers import media as in_parts
from unmask import errors
from unmask.__main__ import main as unmask

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = (
    "README.md",
    ".github/CONTRIBUTING.md",
    "space/README.md",
    "space/SECURITY.md",
    "training/README.md",
    "extension/README.md",
)
CARDS = tuple(
    path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob("space/unmask/models/weights/*/README.md"))
)
LINKED_TOO = ("training/RESULTS.md", "space/examples/README.md", *CARDS)
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
BASH, NODE = shutil.which("bash"), shutil.which("node")
PROGRAMS = ("accelerate", "cp", "git", "make", "node", "pip", "python", ".venv/bin/python")  # the stand-ins
EXAMPLE_LINKS = re.compile(r"https://example\.(?:org|com)/clip\.mp4")
EXAMPLE_SPACE = "http://127.0.0.1:7860"
WORDS_A_MINUTE = 250
ELIDED = re.compile(r"…|\.\.\.")

FENCED = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)

Command = tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """A fenced block of a document."""

    document: str
    language: str
    text: str
    line: int

    @property
    def calls_the_api(self) -> bool:
        return self.language in ("python", "js") or "curl" in self.text or "$(ask" in self.text

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def read(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def blocks_of(document: str) -> Iterator[Block]:
    text = read(document)
    for found in FENCED.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(document, found["language"], textwrap.dedent(found["text"]), line)


BLOCKS = [block for document in DOCUMENTS for block in blocks_of(document)]
SCRIPTS = [block for block in BLOCKS if block.language == "sh" and not block.calls_the_api]
EXAMPLES = [block for block in BLOCKS if block.calls_the_api]


def spans_of(document: str) -> list[str]:
    """Commands in the running text and in tables."""
    text = FENCED.sub("", read(document))
    spans = (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text))
    starts = tuple(f"{program} " for program in PROGRAMS if program != "cp")
    return [span for span in spans if span.startswith(starts)]


SPANS = [(document, span) for document in DOCUMENTS for span in dict.fromkeys(spans_of(document))]


def test_the_documents_hold_what_is_tested_here():
    assert len(SCRIPTS) >= 5 and len(SPANS) >= 15
    assert {(block.document, block.language) for block in EXAMPLES} >= {
        ("README.md", "python"),
        ("README.md", "sh"),
        ("space/README.md", "python"),
        ("space/README.md", "sh"),
        ("space/README.md", "js"),
    }
    assert {block.language for block in BLOCKS} <= {"", "sh", "python", "js", "mermaid"}


# --- commands


def started_by(script: str, folder: Path) -> list[Command]:
    """Run a script in `folder` with stand-ins -> what it started, with all words as the shell made them.

    A program without a stand-in is not found, which ends the script: it fails the test.
    """
    noted = folder / "noted"
    noted.write_bytes(b"")
    (folder / ".venv/bin").mkdir(parents=True, exist_ok=True)
    (folder / ".venv/bin/activate").touch()
    (folder / "programs").mkdir(exist_ok=True)
    for program in PROGRAMS:
        path = folder / (program if "/" in program else f"programs/{program}")
        path.write_text(f'#!{BASH}\nprintf "%s\\0" "{program}" "$@" $\'\\1\' >> "{noted}"\n')
        path.chmod(0o755)
    for real in ("mktemp", "bash"):
        if not (folder / "programs" / real).exists():
            (folder / "programs" / real).symlink_to(str(shutil.which(real)))
    environment = {"PATH": str(folder / "programs"), "DATA": "DATA", "TMPDIR": str(folder)}
    ran = subprocess.run(
        [str(BASH), "-euc", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=30
    )
    assert ran.returncode == 0, ran.stderr
    return [tuple(one.strip("\0").split("\0")) for one in noted.read_text().split("\1") if one.strip("\0")]


class Understood(BaseException):
    """The parser has taken the arguments; what would follow is not for this test."""


def check(command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch, home: Path = ROOT) -> None:
    """Raises what a person who types the command in `home` would meet, as far as that is cheap to know."""
    program, *arguments = command
    if program == "make":
        check_make(arguments)
    elif program == "accelerate":
        assert arguments[0] == "launch"
        check_module(arguments[len(arguments) - 1 - arguments[::-1].index("-m") :], folder, monkeypatch)
    elif program.endswith("python") and arguments[0] == "-m":
        check_module(arguments, folder, monkeypatch)
    elif program.endswith("python"):
        assert (home / arguments[0]).is_file(), arguments[0]
    elif program in ("node", "cp"):
        given = [name for name in arguments if not name.startswith("-")]
        assert (home / given[0]).exists(), given[0]
    elif program == "pip":
        assert arguments == ["install", "-e", "."] and (home / "pyproject.toml").is_file()
    else:
        assert arguments[0] in ("clone", "switch", "commit"), command


def check_make(arguments: Sequence[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    ran = subprocess.run(
        ["make", "-n", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30
    )
    assert ran.returncode == 0, ran.stderr
    for name in (argument.partition("=")[0] for argument in arguments if "=" in argument):
        assert re.search(rf"\b{name}\b", read("Makefile")), f"make takes no {name}="


def check_module(arguments: Sequence[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, name, *rest = arguments
    if name in ("pytest", "playwright"):
        assert all((ROOT / word.partition("::")[0]).exists() for word in rest if "/" in word), rest
        return
    assert name.partition(".")[0] in ("unmask", "training", "tests"), name
    module = importlib.import_module("unmask.__main__" if name == "unmask" else name)
    if name == "tests.hub":
        for inner in started_by(shlex.join(rest), folder):
            check(inner, folder, monkeypatch)
    elif any(ELIDED.search(word) for word in rest):
        assert all(word in help_of(module, monkeypatch) for word in rest if word.startswith("--"))
    elif hasattr(module, "argparse"):
        understand(module, rest, monkeypatch)
    else:
        assert not rest and callable(module.main)


def understand(module, arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the arguments to the parser that the module's `main` makes. Raises SystemExit when it refuses."""
    parse = argparse.ArgumentParser.parse_args

    def parse_and_stop(self, args=None, namespace=None):
        parse(self, args, namespace)
        raise Understood

    with monkeypatch.context() as patch, contextlib.suppress(Understood):
        patch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)
        patch.setattr(sys, "argv", [module.__name__, *arguments])
        exit_code = module.main()
        raise AssertionError(f"{module.__name__} does not understand {arguments}: {exit_code}")


def help_of(module, monkeypatch: pytest.MonkeyPatch) -> str:
    told: list[str] = []
    with monkeypatch.context() as patch, contextlib.suppress(SystemExit):
        patch.setattr(argparse.ArgumentParser, "print_help", lambda self, *_: told.append(self.format_help()))
        patch.setattr(sys, "argv", [module.__name__, "--help"])
        module.main()
    return "".join(told)


@pytest.mark.parametrize("block", SCRIPTS, ids=str)
def test_every_command_of_a_script_is_understood(block, tmp_path, monkeypatch):
    commands = started_by(block.text, tmp_path)
    assert commands
    home = ROOT / "space" if block.document == "space/README.md" else ROOT
    for command in commands:
        check(command, tmp_path, monkeypatch, home)


@pytest.mark.parametrize(("document", "span"), SPANS, ids=lambda value: value[:60])
def test_every_command_in_the_text_is_understood(document, span, tmp_path, monkeypatch):
    words = shlex.split(re.sub(r"\[[^]]*\]", "", span))
    check(tuple(words), tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("make tset", "No rule"),
        ("make run PROT=8000", "takes no PROT="),
        ("python -m unmask check clip.mp4 --jsno", "does not understand"),
        ("python -m training.train no-such-model clips --data D --out O", ""),
        ("python -m training.evaluate --models M --set a=b --out O", ""),
        ("python -m training.train --no-such-flag …", ""),
        ("python -m training.no_such", "no_such"),
        ("python no-such.py", "no-such.py"),
        ("no-such-program", "not found"),
        ("node --test tests/extension/no.test.js", "no.test.js"),
        ("python -m tests.hub python -m training.publish --no-such-flag", ""),
    ],
)
def test_a_stale_command_is_noticed(command, why, tmp_path, monkeypatch):
    def check_all():
        for started in started_by(command, tmp_path):
            check(started, tmp_path, monkeypatch)

    with pytest.raises((AssertionError, ImportError, SystemExit)) as caught:
        check_all()
    assert why in str(caught.value)


# --- what is run


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    clip = make("short.mp4", tmp_path_factory.mktemp("clip")).read_bytes()
    with Site({"/clip.mp4": in_parts(clip)}) as running:
        yield running


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("space"), UNMASK_CACHE_SECONDS="0") as running:  # each is a check
        yield running


@pytest.fixture
def here(tmp_path: Path, media: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with the files that the examples name."""
    write_video(tmp_path / "clip.mp4", glide(60))
    shutil.copy(media("picture.jpg"), tmp_path / "frame.jpg")
    (tmp_path / "folder").mkdir()
    shutil.copy(media("short.mp4"), tmp_path / "folder")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_line_does_what_the_readme_shows(here, site, monkeypatch, capsys):
    monkeypatch.setenv("UNMASK_ALLOW_PRIVATE", "1")
    script = next(block for block in SCRIPTS if "unmask check" in block.text and block.document == "README.md")
    commands = started_by(EXAMPLE_LINKS.sub(site.url("/clip.mp4"), script.text), here)
    assert [command[3] for command in commands] == ["check", "check", "check", "scan", "models"]
    said = []
    for _, _, _, *arguments in commands:
        assert unmask(arguments) == 0, capsys.readouterr().err
        said.append(capsys.readouterr().out)
    assert "probability of a deepfake" in said[0]
    assert json.loads(said[1])["source"]["kind"] == "url"
    assert (here / "report.html").read_text().startswith("<!doctype html>")
    assert (here / "marked.mp4").stat().st_size
    assert len((here / "reports.jsonl").read_text().splitlines()) == 1
    assert "mobilenet-gru" in said[4]


def example(document: str, language: str, space: Served, site: Site) -> str:
    """All blocks of a language that call the API, one after the other, at this Space and this site."""
    text = "\n".join(b.text for b in EXAMPLES if (b.document, b.language) == (document, language))
    assert EXAMPLE_SPACE in text and EXAMPLE_LINKS.search(text)
    return EXAMPLE_LINKS.sub(site.url("/clip.mp4"), text.replace(EXAMPLE_SPACE, space.url))


def run(command: Sequence[str], folder: Path, space: Served) -> str:
    """What a program prints; it knows no other server than the Space and the site."""
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=90)
    assert ran.returncode == 0, ran.stderr + space.log.read_text()
    return ran.stdout


LABELS = {"fake", "real", "uncertain", "no_face"}


def test_python_of_the_readme_prints_a_verdict(here, space, site):
    code = example("README.md", "python", space, site)
    assert "From " in run([sys.executable, "-c", code], here, space)


def test_curl_of_the_readme_ends_with_a_report(here, space, site):
    said = run([str(BASH), "-euc", example("README.md", "sh", space, site)], here, space)
    assert said.rstrip().rpartition("event: ")[2].startswith("complete")
    assert '"status": "ok"' in said


def test_python_of_the_space_follows_a_stream_and_a_job(here, space, site):
    code = example("space/README.md", "python", space, site)
    code += "\nprint(report['source']['kind'], report['status'], state['state'])"
    *progress, told, last = run([sys.executable, "-c", code], here, space).splitlines()
    assert any(re.match(r" ?\d+% ", line) or line.startswith("100%") for line in progress), progress
    assert LABELS & {*progress, told}
    assert last == "file ok done"


def test_curl_of_the_space_checks_links_files_frames_and_jobs(here, space, site):
    said = run([str(BASH), "-euc", example("space/README.md", "sh", space, site)], here, space)
    kinds = re.findall(r'"status": "ok", "source": \{"kind": "(\w+)"', said)
    assert {"url", "file", "frames"} <= set(kinds), said[:2000]
    assert '"error"' not in said
    assert re.search(r'"state": "(queued|running|done)"', said) and '{"cancelled": ' in said
    assert '"headline"' in said


@pytest.mark.skipif(NODE is None, reason="needs Node.js")
def test_javascript_of_the_space_runs_in_node(here, space, site):
    (here / "example.mjs").write_text(example("space/README.md", "js", space, site))
    *progress, label = run([str(NODE), "example.mjs"], here, space).splitlines()
    assert progress and all(re.match(r"\d+ % ", line) for line in progress)
    assert label in LABELS


@pytest.mark.browser
def test_javascript_of_the_space_runs_in_a_page(space, site):
    code = example("space/README.md", "js", space, site)
    site.routes["/example.js"] = content(code.encode(), "text/javascript")
    site.routes["/page"] = html('<script type="module" src="/example.js"></script>')
    with sync_playwright() as playwright:
        path = str(INSTALLED) if INSTALLED.exists() else None
        page = playwright.chromium.launch(executable_path=path, args=ARGUMENTS).new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        with page.expect_console_message(lambda message: message.text in LABELS):
            page.goto(site.url("/page"))
    assert any(re.match(r"\d+ % ", line) for line in said), said


def test_the_table_of_endpoints_is_what_the_space_has(space):
    rows = re.findall(r"^\| `/(\w+)` \| (.*?) \|", read("space/README.md"), re.MULTILINE)
    told = {name: re.findall(r"`(\w+)`", arguments) for name, arguments in rows}
    told["submit"] = told["check_url"]  # "the arguments of"
    named = httpx.get(f"{space.url}/gradio_api/info", timeout=30).json()["named_endpoints"]
    there = {
        name[1:]: [parameter["parameter_name"] for parameter in endpoint["parameters"]]
        for name, endpoint in named.items()
    }
    assert told == there


# --- what must agree


@pytest.mark.parametrize("document", [*DOCUMENTS, *LINKED_TOO])
def test_every_link_leads_to_something(document):
    text = re.sub(r"`[^`\n]*`", "", FENCED.sub("", read(document)))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, part = target.partition("#")
        if "://" in path or path.startswith("mailto:"):
            continue
        assert not path or (ROOT / document).parent.joinpath(path).exists(), target
        if part and (not path or path.endswith(".md")):
            there = (ROOT / document).parent.joinpath(path) if path else ROOT / document
            assert part in anchors(there.read_text(encoding="utf-8")), target


def anchors(text: str) -> set[str]:
    """The names that GitHub gives to headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


SETTING = re.compile(r"UNMASK_[A-Z_]*[A-Z]")


def settings_in(*folders: str) -> set[str]:
    """Variables that the code of some folders speaks of."""
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.[pj][ys]")]
    own = [path for path in files if not {"vendor", "node_modules"} & set(path.parts)]
    return {name for path in own for name in SETTING.findall(path.read_text(encoding="utf-8"))}


def test_the_settings_of_the_code_are_those_of_the_table():
    listed = re.findall(r"^\| `(UNMASK_\w+)` \|", read("space/README.md"), re.MULTILINE)
    assert sorted(listed) == sorted(settings_in("space", "extension"))


def test_what_training_reads_on_top_stands_in_its_readme():
    assert settings_in("training") - settings_in("space") <= set(SETTING.findall(read("training/README.md")))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_document_names_a_setting_that_is_not_there(document):
    assert set(SETTING.findall(read(document))) <= settings_in("space", "training", "extension", "tests")


def test_the_codes_of_the_api_are_those_of_the_errors():
    (section,) = re.findall(r"The\s+codes: (.*?)\. ", read("space/README.md"), re.DOTALL)
    kinds = errors.UnmaskError.__subclasses__()
    assert sorted(re.findall(r"`(\w+)`", section)) == sorted(kind.code for kind in kinds)


def test_every_folder_of_the_code_stands_in_the_layout():
    listed = set(re.findall(r"\]\(\.\./([\w/]+?)/?\)", read(".github/CONTRIBUTING.md")))
    there = {path.parent.relative_to(ROOT).parts[:2] for path in (ROOT / "space").glob("*/*.py")}
    there |= {(name,) for name in ("extension", "training", "tests")}
    assert {"/".join(parts) for parts in there} <= listed


def test_the_verbs_of_the_readme_are_those_of_make_help():
    helped = re.findall(r"^\t@echo 'make ([\w-]+)", read("Makefile"), re.MULTILINE)
    listed = re.findall(r"^\| `make ([\w-]+)", read("README.md"), re.MULTILINE)
    assert sorted(listed) == sorted(helped)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_runs_verbs_that_there_are_and_may_only_read(path):
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["cancel-in-progress"]
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            assert re.fullmatch(r"[\w./-]+@v\d+", step.get("uses", "a/b@v1")), step["uses"]
            for name in verbs(step.get("run", ""), job):
                check_make([name])


def verbs(script: str, job: dict[str, Any]) -> list[str]:
    """Targets of make in a step; `${{ matrix.… }}` stands for each of its values."""
    rows = job.get("strategy", {}).get("matrix", {}).get("include", [{}])
    filled = [re.sub(r"\$\{\{ matrix\.(\w+) \}\}", functools.partial(_cell, row), script) for row in rows]
    lines = [line for text in filled for line in re.findall(r"\bmake (.+)", text)]
    return [word for line in lines for word in shlex.split(line) if "=" not in word]


def _cell(row: dict[str, Any], found: re.Match[str]) -> str:
    return str(row[found[1]])


def test_the_readme_can_be_read_in_five_minutes():
    text = re.sub(r"<!-- evaluation -->.*?<!-- /evaluation -->", "", FENCED.sub("", read("README.md")), flags=re.S)
    words = re.findall(r"\w[^\s|]*", re.sub(r"!\[.*?\]|\]\([^)]*\)", "", text, flags=re.S))
    assert len(words) <= 5 * WORDS_A_MINUTE
