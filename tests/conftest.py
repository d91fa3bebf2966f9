"""Fixtures that every test may use."""

import functools
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from xdist.scheduler import LoadFileScheduling

from tests.media import QUICK_WORKER, make
from unmask.download import client

if TYPE_CHECKING:
    from tests.hub import Hub
    from tests.served import Served

# Workers and their Spaces share the cores; more threads would only wait for each other. Set before torch.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Files that start other processes, train, or look at many videos: `make test-quick` leaves them out.
SLOW = (
    "test_bad_inputs", "test_client", "test_decode_client", "test_evaluate", "test_evasion", "test_fuzz", "test_pack",
    "test_package", "test_parity", "test_byte_ranges", "test_pipeline", "test_prepare", "test_publish",
    "test_ray_map", "test_subgroups", "test_train", "test_train_autoencoder", "test_workers",
)  # fmt: skip
BROWSERS = 2  # that are tested at the same time: of three, on two cores, one lost a press now and then
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

# a busy machine takes long now and then
hypothesis.settings.register_profile("unmask", deadline=None)
hypothesis.settings.load_profile("unmask")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "space" in getattr(item, "fixturenames", ()):
            item.add_marker("server")
        if item.path.stem in SLOW or "tests/extension" in item.path.as_posix():
            item.add_marker("slow")
    # of those with a browser the longest first, of the others those that take long
    counts = Counter(item.path for item in items)
    items.sort(key=lambda item: (-counts[item.path] if has_browser(item.nodeid) else 0, item.path.stem not in SLOW))


def has_browser(nodeid: str) -> bool:
    return nodeid.startswith("tests/browser/")


class BrowserScheduling(LoadFileScheduling):  # type: ignore[misc]
    """Give browsers to two workers at most: they wait much of the time, in which a third one computes."""

    def _assign_work_unit(self, node: Any) -> None:
        self.workqueue.move_to_end(self._next_file(node), last=False)
        super()._assign_work_unit(node)

    def _reschedule(self, node: Any) -> None:
        if self.workqueue and not node.shutting_down and self._next_file(node) is None:
            node.shutdown()
        else:
            super()._reschedule(node)

    def _next_file(self, node: Any) -> str | None:
        others = [files.items() for other, files in self.assigned_work.items() if other is not node]
        busy = sum(any(has_browser(file) and not all(done.values()) for file, done in files) for files in others)
        if busy < BROWSERS:
            return max(self.workqueue, key=has_browser)  # the first of them, else the first of all
        return next((file for file in self.workqueue if not has_browser(file)), None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> BrowserScheduling:
    return BrowserScheduling(config, log)


@functools.cache
def step_back() -> None:
    """Let browsers go first, where a press that comes late is another one."""
    if int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > BROWSERS and hasattr(os, "nice"):
        os.nice(5)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if not has_browser(item.nodeid):
        step_back()
    if item.get_closest_marker("shared") and not SHARED_DATA.is_dir():
        pytest.skip(f"the research data is not at {SHARED_DATA}")


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """The command line, called in this process, sets how much is logged; the next test hears as before."""
    root = logging.getLogger()
    level, disabled = root.level, root.manager.disable
    yield
    root.setLevel(level)
    logging.disable(disabled)


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Path of a made file, by its name in `tests.media.RECIPES`: `media("h264.mp4")`. Read it only."""
    folder = tmp_path_factory.mktemp("media")
    return lambda name: make(name, folder)


@pytest.fixture(scope="session")
def clip(media: Callable[[str], Path]) -> bytes:
    """A video of six seconds with a face."""
    return media("h264.mp4").read_bytes()


@pytest.fixture(scope="module")
def quick_worker() -> Iterator[None]:
    """Fetch in this process without asking 1,700 sites whether a link is theirs, which takes longest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "WORKER", QUICK_WORKER)
        yield


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a small model with random weights, as `--model` takes it. Read it only."""
    from tests.untrained import untrained_model

    return str(untrained_model(tmp_path_factory.mktemp("untrained")))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["Hub"]:
    """A Hub on this machine, the only one that this process knows."""
    from tests.hub import TOKEN, Hub

    with Hub() as running:
        constants = {
            "ENDPOINT": running.url,
            "HF_HUB_CACHE": str(tmp_path / "cache"),
            "HF_HUB_DISABLE_XET": True,
            "HUGGINGFACE_CO_URL_TEMPLATE": f"{running.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}",
        }
        for name, value in constants.items():
            monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield running


@pytest.fixture(scope="session")
def of_all_workers(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all workers of the run share."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def untrained_space(of_all_workers: Path) -> Iterator["Served"]:
    """The one Space of the whole run, shared by all workers: for tests that need no settings of their own."""
    from tests.served import SECRET, SHARED_MAX_BYTES, shared  # and torch with it, after the variable above

    settings = {"UNMASK_MAX_BYTES": str(SHARED_MAX_BYTES), "UNMASK_TOKENS": SECRET, "HF_TOKEN": SECRET}
    with shared(of_all_workers / "space", **settings) as running:
        yield running


@pytest.fixture(scope="session")
def space(untrained_space: "Served") -> "Served":
    return untrained_space


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of research data beside the checkout; without it the test is skipped."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the research data is not at {SHARED_DATA}")
    return SHARED_DATA
