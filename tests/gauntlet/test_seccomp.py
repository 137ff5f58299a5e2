"""The system call filter, run by a small interpreter of its instructions."""

from __future__ import annotations

import errno
import re
import struct
from pathlib import Path

import pytest

from lattice_lock.gauntlet._syscalls import FATAL, NEEDED, numbers
from lattice_lock.gauntlet.seccomp import build_filter

ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOW, KILL, ENOSYS = 0x7FFF0000, 0x80000000, 0x00050000 | errno.ENOSYS
PID = 4711
RESTRICTED = {"clone", "fcntl", "ioctl", "kill", "prctl", "prlimit64", "tgkill"}

MACHINES = pytest.mark.parametrize("machine", list(ARCH))


def _decide(machine: str, number: int, *arguments: int, arch: int | None = None) -> int:
    """What the filter answers to a system call."""
    six = (*arguments, *[0] * 6)[:6]
    data = struct.pack("<IIQ6Q", number, arch or ARCH[machine], 0, *six)
    program = list(struct.iter_unpack("=HBBI", build_filter(machine, PID)))
    position = accumulator = 0
    while True:
        code, if_true, if_false, k = program[position]
        position += 1
        if code == 0x06:
            return int(k)
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, k)
            continue
        holds = {0x15: accumulator == k, 0x35: accumulator >= k, 0x45: bool(accumulator & k)}[code]
        position += if_true if holds else if_false


@MACHINES
def test_needed_calls_pass_and_fatal_ones_kill(machine: str) -> None:
    """Both tables are obeyed on both machines."""
    needed, fatal = numbers(NEEDED, machine), numbers(FATAL, machine)
    assert not set(needed) & set(fatal)
    passing = {n for n, k in needed.items() if _decide(machine, k) == ALLOW}
    assert passing >= set(needed) - RESTRICTED
    assert {_decide(machine, number) for number in fatal.values()} == {KILL}
    assert {"socket", "execve", "ptrace", "bpf"} <= set(fatal)


@MACHINES
@pytest.mark.parametrize("number", [435, 437, 999, 0x3FFFFFFF])
def test_unknown_calls_do_not_exist(machine: str, number: int) -> None:
    """`clone3`, `openat2` and whatever is invented later answer `ENOSYS`."""
    assert _decide(machine, number) == ENOSYS


@MACHINES
def test_other_calling_conventions_kill(machine: str) -> None:
    """A call through another architecture's table, or x32, is an attack."""
    assert _decide(machine, 0, arch=0x40000003) == KILL
    if machine == "x86_64":
        assert _decide(machine, 0x40000000) == KILL


@MACHINES
def test_some_calls_depend_on_their_arguments(machine: str) -> None:
    """Threads yes, processes no; signals and limits for oneself only; few `prctl` and `ioctl`."""
    call = numbers(NEEDED, machine)
    assert _decide(machine, call["clone"], 0x3D0F00) == ALLOW
    assert _decide(machine, call["clone"], 0x1200011) == KILL
    for name in ("kill", "tgkill"):
        assert _decide(machine, call[name], PID) == ALLOW
        assert _decide(machine, call[name], PID - 1) == KILL
        assert _decide(machine, call[name], 0xFFFFFFFF) == KILL
    assert _decide(machine, call["prlimit64"], 0) == ALLOW
    assert _decide(machine, call["prlimit64"], 1) == KILL
    assert _decide(machine, call["prctl"], 15) == ALLOW
    assert _decide(machine, call["prctl"], 1) == ENOSYS
    assert _decide(machine, call["ioctl"], 0, 0x5401) == ALLOW
    assert _decide(machine, call["ioctl"], 0, 0x5412) == ENOSYS
    assert _decide(machine, call["fcntl"], 0, 3) == ALLOW
    assert _decide(machine, call["fcntl"], 0, 8) == ENOSYS


@pytest.mark.parametrize(
    ("machine", "header"),
    [
        ("x86_64", "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
        ("aarch64", "/usr/include/asm-generic/unistd.h"),
    ],
)
def test_numbers_agree_with_the_kernel_headers(machine: str, header: str) -> None:
    """Every number is the one in the headers, where they are installed."""
    if not Path(header).is_file():
        pytest.skip(f"no {header}")
    text = Path(header).read_text(encoding="utf-8")
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)
    official = {name: int(number) for name, number in found}
    official["newfstatat"] = official.get("newfstatat", official.get("fstatat", 0))
    table = numbers(NEEDED + FATAL, machine)
    assert {name: official.get(name) for name in table} == table
