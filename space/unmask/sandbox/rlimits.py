"""Limits by the kernel on what a worker process may do, native code included. POSIX only.

See `address_policy` for the addresses that Python code may connect to.
"""

import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38  # linux/prctl.h
NOBODY_ID = 65534  # of the user and the group without rights
GRACE_SECONDS = 5  # from SIGXCPU to SIGKILL


@dataclass(frozen=True)
class ResourceLimits:
    """What one worker process may take of the machine."""

    memory_bytes: int  # its own, shared libraries not counted
    cpu_seconds: float  # of all of its threads
    wall_seconds: float
    file_bytes: int  # of the largest file that it may write
    open_files: int


def apply_rlimits(limits: ResourceLimits) -> None:
    """Hold this process and what it starts to `limits`, without new rights, and end it with its parent."""
    if os.name != "posix":
        return
    import resource

    # to fail is to run on unguarded, so nothing here is suppressed
    signal.alarm(max(1, min(int(limits.wall_seconds), 10**6)))
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_DATA, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_NOFILE, limits.open_files),
    ):
        _limit(kind, most, most)
    cpu_seconds = max(1, int(min(limits.cpu_seconds, 10**6)))
    _limit(resource.RLIMIT_CPU, cpu_seconds, cpu_seconds + GRACE_SECONDS)
    if sys.platform == "linux":
        _prctl(PR_SET_NO_NEW_PRIVS, 1)
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # had we died before, the pipe to us would be broken


def forbid_new_descriptors() -> None:
    """Let this process open nothing more: no file, no socket, no pipe; what is open stays open.

    A program that it might start could not even load its libraries. Root, who could take the limit back, is given up.
    """
    if os.name != "posix":
        return
    import resource

    if sys.platform == "linux" and os.geteuid() == 0:
        _drop_root()
    _limit(resource.RLIMIT_NOFILE, 0, 0)


def _drop_root() -> None:
    with suppress(OSError):  # a container that knows no such user, or root without the right to change
        os.setgroups([])
        os.setresgid(NOBODY_ID, NOBODY_ID, NOBODY_ID)
        os.setresuid(NOBODY_ID, NOBODY_ID, NOBODY_ID)
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
