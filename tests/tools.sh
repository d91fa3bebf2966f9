#!/usr/bin/env bash
# tools.sh browser|node: make sure that a tool from outside Python is there.
# As root on a system with apt it is installed (elsewhere Playwright's own browser is); where that fails, a
# sentence says what to install.
set -euo pipefail

have_browser() {
    [[ -x /usr/bin/chromium ]] || python -c '
import sys
from pathlib import Path
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    sys.exit(not Path(playwright.chromium.executable_path).exists())' 2>/dev/null
}

have_firefox() {
    [[ -x /usr/bin/firefox-esr || -x /usr/bin/firefox ]]
}

# without it Firefox plays no H.264, in which most of the web's videos are; on Debian it only recommends it
have_codecs() {
    ! command -v ldconfig >/dev/null || ldconfig -p | grep libavcodec >/dev/null
}

have_node() {
    command -v npm >/dev/null && node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)'
}

apt_install() {
    [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null || return 0
    echo "Installing $* with apt-get …"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update &&
        apt-get -qq install --yes --no-install-recommends "$@" >/dev/null || true
}

playwright_install() {
    echo "Fetching a Chromium with Playwright …"
    python -m playwright install chromium >/dev/null 2>&1 || true
}

python() {
    "$(dirname "${BASH_SOURCE[0]}")/../.venv/bin/python" "$@"
}

case "${1:-}" in
browser)
    have_browser || apt_install chromium
    have_browser || playwright_install
    have_firefox && have_codecs || apt_install firefox-esr libavcodec-extra
    have_firefox || echo "Without Firefox its tests of the extension are skipped (Debian: apt-get install firefox-esr)."
    have_browser && exit
    echo "The tests of the page need Chromium: install it (Debian: apt-get install chromium; elsewhere:" \
        ".venv/bin/python -m playwright install chromium) and run the command again."
    ;;
node)
    have_node || apt_install nodejs npm
    have_node && exit
    echo "Checking the JavaScript needs Node.js 18 or newer with npm: install them (Debian: apt-get install" \
        "nodejs npm; macOS: brew install node) and run the command again."
    ;;
*) echo "usage: tools.sh browser|node" ;;
esac >&2
exit 1
