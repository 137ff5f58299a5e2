"""A system call filter, assembled by hand, that a process puts on itself and can never take off.

Source: https://www.kernel.org/doc/html/latest/userspace-api/seccomp_filter.html
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from typing import Final

from lattice_lock.gauntlet._syscalls import FATAL, NEEDED, numbers

__all__ = ["build_filter", "install_filter", "is_supported"]

_AUDIT_ARCH: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT: Final = 0x40000000

_PR_GET_SECCOMP: Final = 21
_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2

_ALLOW: Final = 0x7FFF0000
_KILL_PROCESS: Final = 0x80000000
_ENOSYS: Final = 0x00050000 | errno.ENOSYS

_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP_EQUAL: Final = 0x15
_JUMP_AT_LEAST: Final = 0x35
_JUMP_ANY_BIT: Final = 0x45
_RETURN: Final = 0x06

# Offsets into `struct seccomp_data`; arguments are 64 bits wide and little-endian on both machines.
_NUMBER: Final = 0
_ARCH: Final = 4
_ARGUMENTS: Final = 16

_CLONE_THREAD: Final = 0x00010000
_PR_SET_NAME: Final = 15
_PR_GET_NAME: Final = 16
_PR_SET_VMA: Final = 0x53564D41
# F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC; F_SETOWN could aim a signal.
_FCNTLS: Final = (0, 1, 2, 3, 4, 1030)
# TCGETS (which `isatty` asks), FIONCLEX, FIOCLEX, FIONBIO, FIONREAD.
_IOCTLS: Final = (0x5401, 0x5450, 0x5451, 0x5421, 0x541B)


def _instruction(code: int, k: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, k)


def _when_number(number: int, body: bytes) -> bytes:
    """Run `body`, which ends in a return, for one system call; it must fit into a short jump."""
    return _instruction(_JUMP_EQUAL, number, 0, len(body) // 8) + body


def _only_with(argument: int, values: tuple[int, ...], otherwise: int) -> bytes:
    """Allow when the low half of an argument is one of `values`."""
    body = _instruction(_LOAD, _ARGUMENTS + 8 * argument)
    for value in values:
        body += _instruction(_JUMP_EQUAL, value, 0, 1) + _instruction(_RETURN, _ALLOW)
    return body + _instruction(_RETURN, otherwise)


def _restricted(pid: int) -> dict[str, bytes]:
    own_process = _only_with(0, (pid,), _KILL_PROCESS)
    return {
        "clone": _instruction(_LOAD, _ARGUMENTS)
        + _instruction(_JUMP_ANY_BIT, _CLONE_THREAD, 0, 1)
        + _instruction(_RETURN, _ALLOW)
        + _instruction(_RETURN, _KILL_PROCESS),
        "kill": own_process,
        "tgkill": own_process,
        "prctl": _only_with(0, (_PR_SET_NAME, _PR_GET_NAME, _PR_SET_VMA), _ENOSYS),
        "ioctl": _only_with(1, _IOCTLS, _ENOSYS),
        "fcntl": _only_with(1, _FCNTLS, _ENOSYS),
        "prlimit64": _only_with(0, (0, pid), _KILL_PROCESS),
    }


def build_filter(machine: str, pid: int) -> bytes:
    """Assemble the BPF program for a machine, as an array of `struct sock_filter`.

    Needed calls pass, those that betray an attack kill the process, the rest get `ENOSYS`
    (so `clone3` falls back to `clone`, whose flags can be inspected).

    Args:
        machine: `x86_64` or `aarch64`.
        pid: the process that the filter is for; it may signal itself only.

    Raises:
        KeyError: another machine.
    """
    program = _instruction(_LOAD, _ARCH)
    program += _instruction(_JUMP_EQUAL, _AUDIT_ARCH[machine], 1, 0)
    program += _instruction(_RETURN, _KILL_PROCESS)
    program += _instruction(_LOAD, _NUMBER)
    if machine == "x86_64":
        program += _instruction(_JUMP_AT_LEAST, _X32_BIT, 0, 1)
        program += _instruction(_RETURN, _KILL_PROCESS)
    restricted = _restricted(pid)
    allowed = _instruction(_RETURN, _ALLOW)
    for name, number in numbers(NEEDED, machine).items():
        program += _when_number(number, restricted.get(name, allowed))
    for number in numbers(FATAL, machine).values():
        program += _when_number(number, _instruction(_RETURN, _KILL_PROCESS))
    return program + _instruction(_RETURN, _ENOSYS)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def is_supported() -> bool:
    """Whether this kernel and machine can filter system calls."""
    if sys.platform != "linux" or platform.machine() not in _AUDIT_ARCH:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0)


def install_filter() -> None:
    """Put the filter on this process; `no_new_privs` must be set and only one thread be running.

    Raises:
        OSError: the kernel refused.
    """
    code = build_filter(platform.machine(), os.getpid())
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"seccomp: {os.strerror(number)}")
