"""Fixtures that every test may use."""

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from tests.media import make

if TYPE_CHECKING:
    from tests.served import Served

# Workers and their Spaces share the cores; more threads would only wait for each other. Set before torch.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Files that start other processes, train, or look at many videos: `make test-quick` leaves them out.
SLOW = (
    "test_bad_inputs", "test_client", "test_decode_client", "test_evaluate", "test_evasion", "test_fuzz", "test_pack",
    "test_package", "test_parity", "test_partial_file", "test_pipeline", "test_prepare", "test_publish",
    "test_ray_map", "test_subgroups", "test_train", "test_train_autoencoder", "test_workers",
)  # fmt: skip
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
    # files that wait for a browser, the longest first, are spread among those that compute: workers share the cores
    counts = Counter(item.path for item in items)
    waiting = sorted((path for path in counts if path.parent.name == "browser"), key=counts.__getitem__, reverse=True)
    computing = [path for path in counts if path.parent.name != "browser"]
    place = {path: index / len(files) for files in (waiting, computing) for index, path in enumerate(files)}
    items.sort(key=lambda item: place[item.path])


def pytest_runtest_setup(item: pytest.Item) -> None:
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
def untrained(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a small model with random weights, as `--model` takes it. Read it only."""
    from tests.untrained import untrained_model

    return str(untrained_model(tmp_path_factory.mktemp("untrained")))


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
