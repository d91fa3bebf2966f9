"""What a child gives up before it touches strangers' bytes. The kernel holds it to that. POSIX only.

`guard` says which addresses Python code may dial; here are the limits that also hold native code.
"""

import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38  # linux/prctl.h
NOBODY = 65534
GRACE_SECONDS = 5  # between the signal that says that time is up and the one that ends


@dataclass(frozen=True)
class Bounds:
    """What one child may take of the machine."""

    memory_bytes: int  # its own, shared libraries not counted
    cpu_seconds: float  # of all of its threads
    wall_seconds: float
    file_bytes: int  # of the largest file that it may write
    open_files: int


def confine(bounds: Bounds) -> None:
    """From now on this process and what it starts keep to `bounds`, get no new rights, and die with us."""
    if os.name != "posix":
        return
    import resource

    # to fail is to run on unguarded, so nothing here is suppressed
    signal.alarm(max(1, min(int(bounds.wall_seconds), 10**6)))
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_DATA, bounds.memory_bytes),
        (resource.RLIMIT_FSIZE, bounds.file_bytes),
        (resource.RLIMIT_NOFILE, bounds.open_files),
    ):
        _limit(kind, most, most)
    cpu_seconds = max(1, int(min(bounds.cpu_seconds, 10**6)))
    _limit(resource.RLIMIT_CPU, cpu_seconds, cpu_seconds + GRACE_SECONDS)
    if sys.platform == "linux":
        _prctl(PR_SET_NO_NEW_PRIVS, 1)
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # had we died before, the pipe to us would be broken


def close_doors() -> None:
    """From now on this process can open nothing: no file, no socket, no pipe; what is open stays open.

    A program that it might start could not even load its libraries. Root, who could take the limit back,
    becomes nobody.
    """
    if os.name != "posix":
        return
    import resource

    if sys.platform == "linux" and os.geteuid() == 0:
        _become_nobody()
    _limit(resource.RLIMIT_NOFILE, 0, 0)


def _become_nobody() -> None:
    with suppress(OSError):  # a container that knows no such user, or root without the right to change
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # changing the user forgets it


def _limit(kind: int, soft: int, hard: int) -> None:
    import resource

    most = resource.getrlimit(kind)[1]
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    resource.setrlimit(kind, (soft, hard))


def _prctl(option: int, value: int) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option} was refused")
