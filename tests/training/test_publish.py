"""Publishing to a Hub on this machine over real HTTP, and reading back from it and from a mirror of it."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests import hub as served_hub
from tests.hub import Hub
from tests.untrained import untrained_model
from training.publish import MODEL_FILES, SPACE, main, tracked
from training.release.card import read_folder

pytestmark = pytest.mark.timeout(400)  # several processes that import torch, one after another
ROOT = Path(__file__).resolve().parents[2]
OLAH = "olah==0.5.4"
# its dependencies and ours exclude each other, so it lives in a virtual environment of its own, made once
OLAH_HOME = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "unmask-tests" / OLAH
VERIFY = """
import sys, pathlib
from training.publish import verify
verify(pathlib.Path(sys.argv[1]), sys.argv[2])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model folder whose card is of its weights."""
    made = untrained_model(tmp_path_factory.mktemp("models") / "small", "small")
    (made / "README.md").write_text(
        f"---\nlicense: other\n---\n\n# small\n\nWeights: revision `{read_folder(made).revision}`.\n"
    )
    (made / "figures").mkdir()
    (made / "figures" / "roc.png").write_bytes(b"\x89PNG")
    return made


@pytest.fixture
def hub():
    with Hub() as started:
        yield started


def python(environment, *arguments):
    """Run Python in a process that knows only that Hub -> the finished process."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | environment | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def publish(hub, home, *arguments):
    return python(hub.environment(home), "-m", "training.publish", *arguments)


def test_a_model_goes_up_in_one_commit_with_its_tag_and_reads_back_equal(hub, folder, tmp_path):
    done = publish(hub, tmp_path, "--model-folder", folder, "--repo", "me/small", "--private", "--tag", "v1")
    assert done.returncode == 0, done.stderr
    repository = hub.repositories["model/me/small"]
    assert [commit.title for commit in repository.commits[1:]] == [f"small {read_folder(folder).revision}"]
    assert repository.private
    assert repository.tags == {"v1": repository.head.id}
    names = [*MODEL_FILES, "figures/roc.png"]
    assert {name: repository.head.files[name] for name in names} == {
        name: (folder / name).read_bytes() for name in names
    }
    assert f"commit {repository.head.id}; read back, the logits are equal" in done.stdout
    assert any(call.startswith("GET /me/small/resolve/") and "safetensors" in call for call in hub.calls)


def test_publishing_again_is_one_more_commit_without_what_is_gone(hub, folder, tmp_path):
    hub.repositories.clear()
    assert publish(hub, tmp_path, "--model-folder", folder, "--repo", "me/small").returncode == 0
    repository = hub.repositories["model/me/small"]
    repository.add("by hand", {**repository.head.files, "old.bin": b"old"})
    assert publish(hub, tmp_path, "--model-folder", folder, "--repo", "me/small").returncode == 0
    assert len(repository.commits) == 4
    assert set(repository.head.files) == {*MODEL_FILES, "figures/roc.png", ".gitattributes"}


def test_damage_on_the_way_is_noticed(hub, folder, tmp_path, monkeypatch):
    resolve = served_hub.resolve

    def damaged(asked, kind, name, revision, path):
        said = resolve(asked, kind, name, revision, path)
        if path.endswith("config.json"):
            return served_hub.Download(said.data.replace(b'"side_px": 64', b'"side_px": 96'), said.headers)
        return said

    monkeypatch.setattr(served_hub, "resolve", damaged)
    done = publish(hub, tmp_path, "--model-folder", folder, "--repo", "me/small")
    assert done.returncode == 1
    assert "other logits" in done.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda made: (made / "README.md").unlink(), "has no README.md"),
        (lambda made: (made / "README.md").write_text("# by hand\n"), "run python -m training.release.card"),
    ],
    ids=["no card", "a card of other weights"],
)
def test_weights_without_their_card_are_not_published(hub, tmp_path, change, said):
    made = untrained_model(tmp_path / "small", "small")
    (made / "README.md").write_text(f"Weights: revision `{read_folder(made).revision}`.\n")
    change(made)
    done = publish(hub, tmp_path / "home", "--model-folder", made, "--repo", "me/small")
    assert done.returncode == 1
    assert said in done.stderr
    assert hub.repositories == {}


def test_the_space_is_the_folder_as_git_knows_it(hub, tmp_path):
    done = publish(hub, tmp_path, "--space", "me/unmask")
    assert done.returncode == 0, done.stderr
    space = hub.repositories["space/me/unmask"]
    assert space.sdk == "gradio"
    assert len(space.commits) == 2
    expected = {path.relative_to(SPACE).as_posix(): path.read_bytes() for path in tracked(SPACE)}
    assert {name: data for name, data in space.head.files.items() if name != ".gitattributes"} == expected
    assert {
        "README.md",
        "app.py",
        "unmask/pipeline.py",
        "unmask/models/weights/mobilenet-gru/model.safetensors",
    } <= set(expected)
    assert not any("__pycache__" in name for name in expected)


@pytest.mark.parametrize("arguments", [[], ["--repo", "me/x"], ["--model-folder", "x"]])
def test_half_an_order_is_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert "give --model-folder with --repo" in capsys.readouterr().err


def test_a_mirror_of_the_hub_gives_the_same_model(hub, folder, tmp_path):
    """`olah`, written by others, asks our Hub as it asks the real one, and serves `unmask` from its cache."""
    mirror = olah()
    assert publish(hub, tmp_path / "a", "--model-folder", folder, "--repo", "me/small").returncode == 0
    commit = hub.repositories["model/me/small"].head.id
    port = free_port()
    process = subprocess.Popen(
        [
            *(str(mirror), "--host", "127.0.0.1", "--port", str(port)),
            *("--hf-scheme", "http", "--hf-netloc", hub.url.removeprefix("http://")),
            *("--hf-lfs-netloc", hub.url.removeprefix("http://")),
            *("--mirror-netloc", f"127.0.0.1:{port}", "--mirror-lfs-netloc", f"127.0.0.1:{port}"),
            *("--repos-path", str(tmp_path / "repos"), "--log-path", str(tmp_path / "logs")),
        ],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}", process)
        environment = hub.environment(tmp_path / "b", endpoint=f"http://127.0.0.1:{port}")
        for name in (f"me/small@{commit}", "me/small"):
            done = python(environment, "-c", VERIFY, folder, name)
            assert done.returncode == 0, done.stderr
    finally:
        process.terminate()
        process.wait(10)
    cached = [path for path in (tmp_path / "repos").rglob("*") if path.is_file()]
    assert cached


def olah() -> Path:
    """The mirror's program; skips the test when it cannot be installed."""
    program = OLAH_HOME / "bin" / "olah-cli"
    if not program.exists():
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(OLAH_HOME)],
            [str(OLAH_HOME / "bin" / "pip"), "install", "--quiet", OLAH],
        ):
            made = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
            if made.returncode:
                pytest.skip(f"{OLAH} cannot be installed: {made.stderr.strip().splitlines()[-1:]}")
    return program


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(url, process, seconds=60):
    """Until something answers, whatever it says."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, "the mirror ended"
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError("the mirror does not answer")
