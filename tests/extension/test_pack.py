"""The zips for the stores."""

import json
import subprocess
import zipfile
from pathlib import Path

import pytest

from extension.pack import HERE, pack

WEB_EXT = Path(__file__).resolve().parents[1] / "node_modules" / ".bin" / "web-ext"
MADE = ("models", "vendor")  # by `make extension`


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """Pack both zips -> {"chromium": path, "firefox": path}."""
    return {path.name.split("-")[1]: path for path in pack(tmp_path_factory.mktemp("dist"))}


def manifest(path):
    return json.loads(zipfile.ZipFile(path).read("manifest.json"))


def test_equal_sources_give_equal_bytes(packed, tmp_path):
    for path in pack(tmp_path):
        assert path.read_bytes() == packed[path.name.split("-")[1]].read_bytes()


@pytest.mark.parametrize("store", ["chromium", "firefox"])
def test_it_holds_what_runs_and_no_file_for_developers(packed, store):
    names = set(zipfile.ZipFile(packed[store]).namelist())
    assert {"manifest.json", "background/service-worker.js", "page/main.js", "_locales/ar/messages.json"} <= names
    kinds = {Path(name).suffix for name in names - {"NOTICE.txt"} if name.partition("/")[0] not in MADE}
    assert kinds == {".json", ".js", ".html", ".css", ".png"}
    assert not names & {"package.json", "package-lock.json", "tsconfig.json"}


@pytest.mark.parametrize("store", ["chromium", "firefox"])
@pytest.mark.skipif(not (HERE / "models" / "model.onnx").exists(), reason="make extension has not added it")
def test_with_the_detector_it_is_at_most_30_megabytes(packed, store):
    names = zipfile.ZipFile(packed[store]).namelist()
    runtimes = {f"vendor/ort-wasm-simd-threaded{build}.wasm" for build in ("", ".asyncify")}
    assert {"models/model.onnx", "models/heat.onnx", "models/appearance.bin"} | runtimes <= set(names)
    assert packed[store].stat().st_size < 30_000_000


@pytest.mark.parametrize("store", ["chromium", "firefox"])
def test_it_names_the_licence_of_each_part_and_every_file_that_the_manifest_names_is_there(packed, store):
    archive = zipfile.ZipFile(packed[store])
    notice = archive.read("NOTICE.txt").decode()
    for part in (
        "Permission is hereby granted",
        "vendor/",
        "models/model.onnx",
        "models/pnet.onnx",
        "models/appearance.bin",
    ):
        assert part in notice
    own = manifest(packed[store])
    named = [*own["icons"].values(), own["action"]["default_popup"], own["options_ui"]["page"]]
    named += [own["background"].get("service_worker") or own["background"]["scripts"][0]]
    named += [name for entry in own["web_accessible_resources"] for name in entry["resources"] if "*" not in name]
    assert set(named) <= set(archive.namelist())


def test_each_store_gets_the_keys_that_it_knows(packed):
    chromium, firefox = manifest(packed["chromium"]), manifest(packed["firefox"])
    assert chromium["background"] == {"service_worker": "background/service-worker.js", "type": "module"}
    assert firefox["background"] == {"scripts": ["background/service-worker.js"], "type": "module"}
    assert "browser_specific_settings" not in chromium and "minimum_chrome_version" not in firefox
    assert chromium["cross_origin_opener_policy"] and not any("cross_origin" in key for key in firefox)
    source = json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))
    assert chromium["permissions"] == source["permissions"] == [*firefox["permissions"], "offscreen"]
    assert set(firefox["permissions"]) == {"activeTab", "scripting", "storage", "contextMenus"}


@pytest.mark.timeout(300)
def test_web_ext_lint_is_clean(packed):
    theirs = ["--ignore-files", "vendor/*.mjs"]  # of ONNX Runtime, which imports by a variable
    command = [WEB_EXT, "lint", "--output", "json", *theirs, "--source-dir", packed["firefox"]]
    said = json.loads(subprocess.run(command, capture_output=True, check=False).stdout)
    assert said["summary"] == {"errors": 0, "notices": 0, "warnings": 0}, said
