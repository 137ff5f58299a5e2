"""Landlock: a process gives up files, TCP and signals for good, without any privilege.

Source: https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import ctypes
import os
import stat
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["abi_version", "restrict_to_reading"]

# The three system calls have the same number on every machine.
_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_QUERY_VERSION: Final = 1
_PATH_BENEATH: Final = 1

_READ_FILE: Final = 1 << 2
_READ_DIR: Final = 1 << 3

# Accesses that each version of the interface can forbid; a kernel refuses bits it does not know.
_FILE_ACCESSES: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_TCP_ACCESSES: Final = {4: 0b11}  # bind, connect
_SCOPES: Final = {6: 0b11}  # abstract UNIX sockets, signals to processes outside


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"  # what `_pack_` means; Python 3.14 wants it said
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def _known(accesses: dict[int, int], abi: int) -> int:
    return max((bits for since, bits in accesses.items() if since <= abi), default=0)


def _call(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result = int(libc.syscall(number, *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock: {os.strerror(code)}")
    return result


def abi_version() -> int:
    """Version of the kernel's Landlock interface, counted from 1; 0 where there is none."""
    if sys.platform != "linux":
        return 0
    try:
        return _call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_QUERY_VERSION))
    except OSError:
        return 0


def restrict_to_reading(paths: Iterable[str], *, abi: int) -> None:
    """Let this process, for good, read below `paths` and nothing else.

    Everything that version `abi` can forbid is forbidden: writing, executing, other files, TCP,
    signals to processes outside. Paths that do not exist are passed over. Whether a file exists
    stays visible: Landlock does not cover `stat`.

    Args:
        paths: files and folders; those below a folder are included.
        abi: what `abi_version` returned, at least 1.

    Raises:
        OSError: the kernel refused; `no_new_privs` must be set before.
    """
    rules = _Ruleset(_known(_FILE_ACCESSES, abi), _known(_TCP_ACCESSES, abi), _known(_SCOPES, abi))
    fields = 3 if rules.scoped else 2 if rules.handled_access_net else 1
    ruleset = _call(
        _CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(8 * fields), ctypes.c_uint32(0)
    )
    try:
        for path in paths:
            _allow_reading(ruleset, path)
        _call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)


def _allow_reading(ruleset: int, path: str) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        rule = _PathBeneath(_READ_FILE | _READ_DIR if is_folder else _READ_FILE, descriptor)
        _call(
            _ADD_RULE,
            ctypes.c_int(ruleset),
            ctypes.c_int(_PATH_BENEATH),
            ctypes.byref(rule),
            ctypes.c_uint32(0),
        )
    finally:
        os.close(descriptor)
