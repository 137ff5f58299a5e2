"""Confine this very process, before it runs a line that nobody has vouched for."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from dataclasses import dataclass
from typing import Final

from lattice_lock.gauntlet import landlock, seccomp

__all__ = ["Confinement", "confine_process"]

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38

_CAPABILITY_VERSION_3: Final = 0x20080522
_CAP_DAC_READ_SEARCH: Final = 1 << 2
_MAX_OPEN_FILES: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """What this process may still do afterwards.

    There is no limit on the number of processes: the kernel counts them per user, not per
    process, and the system call filter already kills whoever forks.

    Attributes:
        readable: files and folders that may be read.
        landlock_abi: version of the interface to use, 0 to do without.
        seccomp: whether to filter system calls.
        memory_mib: address space, in MiB.
        cpu_s: processor time, in whole seconds.
    """

    readable: tuple[str, ...]
    landlock_abi: int
    seccomp: bool
    memory_mib: int
    cpu_s: int


def confine_process(confinement: Confinement) -> None:
    """Apply every layer to this process; none can be taken off again.

    Raises:
        OSError: a layer could not be applied; the process must then end without running anything.
    """
    os.chdir("/")
    _limit(resource.RLIMIT_AS, confinement.memory_mib * 1024 * 1024)
    _limit(resource.RLIMIT_CPU, confinement.cpu_s)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, _MAX_OPEN_FILES)
    _limit(resource.RLIMIT_CORE, 0)
    if sys.platform != "linux":
        return
    _control(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _control(_PR_SET_DUMPABLE, 0)
    _control(_PR_SET_NO_NEW_PRIVS, 1)
    _drop_capabilities()
    if confinement.landlock_abi:
        landlock.restrict_to_reading(confinement.readable, abi=confinement.landlock_abi)
    if confinement.seccomp:
        seccomp.install_filter()


def _limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (ceiling, ceiling))


def _control(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        _fail("prctl")


def _drop_capabilities() -> None:
    """Keep at most the right to read files of other users, which Landlock narrows down."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    held = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then the upper halves
    if libc.capget(header, held) != 0:
        _fail("capget")
    kept = held[1] & _CAP_DAC_READ_SEARCH
    if libc.capset(header, (ctypes.c_uint32 * 6)(kept, kept, 0, 0, 0, 0)) != 0:
        _fail("capset")


def _fail(name: str) -> None:
    code = ctypes.get_errno()
    raise OSError(code, f"{name}: {os.strerror(code)}")
