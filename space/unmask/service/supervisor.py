"""Keeps a program alive: starts it, and starts it anew when it was killed or crashed.

    python -m unmask.service.supervisor app.py

A program that ends by itself, well or with an error, stays ended, and the keeper ends with its status.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from types import FrameType

from unmask.sandbox.rlimits import PR_SET_PDEATHSIG

FIRST_PAUSE_SECONDS = 1.0  # doubled every time,
LONGEST_PAUSE_SECONDS = 60.0
STEADY_SECONDS = 120.0  # until the program has lived so long


class Keeper:
    """One program, over all of its lives."""

    def __init__(self, arguments: list[str]) -> None:
        self._command = [sys.executable, *arguments]
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = False

    def run(self) -> int:
        """Until the program ends by itself or we are told to stop. Its exit status."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)
        pause_seconds = FIRST_PAUSE_SECONDS
        while True:
            began = time.monotonic()
            status = self._live()
            if status >= 0 or self._stopping:
                return max(status, 0)
            if time.monotonic() - began > STEADY_SECONDS:
                pause_seconds = FIRST_PAUSE_SECONDS
            name = signal.Signals(-status).name
            print(f"unmask: ended by {name}; starting anew in {pause_seconds:g} s", file=sys.stderr, flush=True)
            time.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)
            if self._stopping:
                return 0

    def _live(self) -> int:
        # a session of its own: Ctrl-C comes to the keeper alone, which passes it on once
        self._process = subprocess.Popen(
            self._command, start_new_session=True, preexec_fn=_die_with_keeper if _LIBC else None
        )
        if self._stopping:
            self._process.terminate()
        return self._process.wait()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True
        if self._process is not None:
            self._process.terminate()


_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def _die_with_keeper() -> None:
    assert _LIBC is not None
    _LIBC.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGTERM), 0, 0, 0)


def main() -> None:
    if os.name != "posix":
        sys.exit(subprocess.call([sys.executable, *sys.argv[1:]]))
    sys.exit(Keeper(sys.argv[1:]).run())


if __name__ == "__main__":
    main()
