"""Pack the extension for the two kinds of stores; equal sources give equal bytes.

python extension/pack.py dist        # dist/unmask-chromium-0.1.0.zip, dist/unmask-firefox-0.1.0.zip
"""

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# each store gets its own manifest
LEFT_OUT = {"manifest.json", "pack.py", "README.md", "icons/icon.svg", "package.json", "package-lock.json"}
ONLY_CHROMIUM = {"minimum_chrome_version", "cross_origin_embedder_policy", "cross_origin_opener_policy"}
OLDEST = (1980, 1, 1, 0, 0, 0)  # time that a zip can hold

Manifest = dict[str, Any]


def pack(out: Path) -> list[Path]:
    """Write both zips into the folder `out` -> their paths."""
    manifest = json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))
    out.mkdir(parents=True, exist_ok=True)
    stores = {"chromium": for_chromium(manifest), "firefox": for_firefox(manifest)}
    paths = [out / f"unmask-{store}-{manifest['version']}.zip" for store in stores]
    for path, own in zip(paths, stores.values(), strict=True):
        write(path, own)
    return paths


def for_chromium(manifest: Manifest) -> Manifest:
    """Drop what only Firefox reads."""
    background = {key: value for key, value in manifest["background"].items() if key != "scripts"}
    kept = {key: value for key, value in manifest.items() if key != "browser_specific_settings"}
    return kept | {"background": background}


def for_firefox(manifest: Manifest) -> Manifest:
    """Drop what only Chromium reads: Firefox runs the same file as an event page."""
    background = {key: value for key, value in manifest["background"].items() if key != "service_worker"}
    kept = {key: value for key, value in manifest.items() if key not in ONLY_CHROMIUM}
    permissions = [name for name in manifest["permissions"] if name != "offscreen"]
    return kept | {"background": background, "permissions": permissions}


def write(path: Path, manifest: Manifest) -> None:
    """Write a zip."""
    files = {name: (HERE / name).read_bytes() for name in sorted(shipped())}
    files["manifest.json"] = json.dumps(manifest, ensure_ascii=False, indent=2).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(name, OLDEST)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            entry.create_system = 3  # Unix, wherever it is written
            archive.writestr(entry, data)


def shipped() -> list[str]:
    """List the files that go into a zip, the manifest aside."""
    found = (path.relative_to(HERE) for path in HERE.rglob("*") if path.is_file())
    visible = (path for path in found if not any(p.startswith((".", "__")) for p in path.parts))
    return [path.as_posix() for path in visible if path.as_posix() not in LEFT_OUT]


if __name__ == "__main__":
    for written in pack(Path(sys.argv[1] if len(sys.argv) > 1 else "dist")):
        print(f"{written}  {written.stat().st_size / 1024:.0f} KB")
