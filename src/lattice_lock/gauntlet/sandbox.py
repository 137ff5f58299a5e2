"""What confines untrusted code on this machine, tried out before it is promised.

Two fences can hold the file system: bubblewrap, which gives the process an empty world with a few
read-only folders in it, and Landlock, with which the process gives up everything else. At least one
must hold; both together are used where they work. A system call filter, resource limits and an
empty environment always come on top.
"""

from __future__ import annotations

import functools
import json
import os
import secrets
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zoneinfo
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lattice_lock.exceptions import SandboxUnavailableError
from lattice_lock.gauntlet import landlock, seccomp
from lattice_lock.gauntlet._confine import Confinement

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Sandbox",
    "bootstrap",
    "detect_sandbox",
    "ensure_sandbox",
    "home_folder",
    "readable_paths",
    "worker_command",
]

_PROBE_TIMEOUT_S: Final = 20.0
_SYSTEM_PATHS: Final = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/nix/store",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/dev/null",
    "/dev/urandom",
)
_PACKAGE_ROOT: Final = str(Path(__file__).parents[2])
_BOOTSTRAP: Final = """
import importlib.util, sys
sys.path.append({root!r})
file = {root!r} + "/lattice_lock/__init__.py"
spec = importlib.util.spec_from_file_location("lattice_lock", file)
sys.modules["lattice_lock"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["lattice_lock"])
from lattice_lock.gauntlet.{module} import main
main()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """What confines untrusted code here; every layer named has been seen to hold.

    Attributes:
        name: short name for reports, such as `bubblewrap+landlock+seccomp`; `none` without any.
        layers: one sentence for each layer in use.
        missing: one sentence for each layer that is not, with the reason.
        bubblewrap: path of the program, None when it is not used.
        landlock_abi: version of the Landlock interface, 0 when it is not used.
        seccomp: whether system calls are filtered.
    """

    name: str
    layers: tuple[str, ...]
    missing: tuple[str, ...]
    bubblewrap: str | None = None
    landlock_abi: int = 0
    seccomp: bool = False

    @property
    def confines(self) -> bool:
        """Whether untrusted code may run in it."""
        return self.seccomp and (self.bubblewrap is not None or self.landlock_abi > 0)


def ensure_sandbox(source_root: Path, *, allow_unsandboxed: bool = False) -> Sandbox:
    """The sandbox of this machine for a project, or none if the caller accepts that.

    Raises:
        SandboxUnavailableError: nothing here confines untrusted code, or `source_root` contains
            the home folder, so that reading the sources would mean reading everything.
    """
    if home_folder().resolve().is_relative_to(source_root.resolve()):
        raise SandboxUnavailableError(
            f"the source root `{source_root}` contains the home folder, which untrusted code must "
            "not read.",
            hint="Move the project's sources into a folder of their own.",
        )
    sandbox = detect_sandbox()
    if not sandbox.confines and not allow_unsandboxed:
        raise SandboxUnavailableError(
            f"nothing on this machine can confine untrusted code: {'; '.join(sandbox.missing)}.",
            hint="Use Linux 5.13 or newer, install bubblewrap, or pass `--no-sandbox` to run the "
            "code with your own rights.",
        )
    return sandbox


def detect_sandbox() -> Sandbox:
    """Find out which layers hold here by attacking them from inside; cached for this process."""
    return _detect(shutil.which("bwrap"))


@functools.cache
def _detect(bubblewrap: str | None) -> Sandbox:
    missing: list[str] = []
    if not seccomp.is_supported():
        missing.append("seccomp: this kernel or machine cannot filter system calls")
        return _without_sandbox(missing)
    abi = landlock.abi_version()
    if not abi:
        missing.append("Landlock: not enabled in this kernel")
    if bubblewrap is None:
        missing.append("bubblewrap: `bwrap` is not installed")
    for candidate in _candidates(bubblewrap, abi):
        holes = _probe(candidate)
        if not holes:
            return _describe(candidate, missing)
        missing.append(f"{candidate.name}: {holes}")
    return _without_sandbox(missing)


def _without_sandbox(missing: Sequence[str]) -> Sandbox:
    return Sandbox(name="none", layers=(), missing=tuple(missing))


def _candidates(bubblewrap: str | None, abi: int) -> list[Sandbox]:
    def make(program: str | None, version: int) -> Sandbox:
        parts = ["bubblewrap"] * bool(program) + ["landlock"] * bool(version) + ["seccomp"]
        return Sandbox(
            name="+".join(parts),
            layers=(),
            missing=(),
            bubblewrap=program,
            landlock_abi=version,
            seccomp=True,
        )

    pairs = [(bubblewrap, abi), (None, abi), (bubblewrap, 0)]
    usable = dict.fromkeys(pair for pair in pairs if any(pair))
    return [make(program, version) for program, version in usable]


def _describe(candidate: Sandbox, missing: Sequence[str]) -> Sandbox:
    layers = ["seccomp: no network, no new process, no signal to others, no tracing"]
    if candidate.landlock_abi:
        layers.insert(
            0, f"Landlock, version {candidate.landlock_abi}: reads libraries and sources only"
        )
    if candidate.bubblewrap:
        layers.insert(0, "bubblewrap: namespaces of its own, read-only files")
    layers.append("resource limits: memory, processor time, open files, no file written")
    return Sandbox(
        name=candidate.name,
        layers=tuple(layers),
        missing=tuple(missing),
        bubblewrap=candidate.bubblewrap,
        landlock_abi=candidate.landlock_abi,
        seccomp=True,
    )


def home_folder() -> Path:
    """The user's home folder, or one that does not exist for a user without."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/nonexistent")


def readable_paths(
    source_root: Path | None, *, home: Path, import_path: Sequence[str] = ()
) -> tuple[str, ...]:
    """Files and folders that the worker must read: interpreter, libraries, time zones, sources.

    Args:
        source_root: the project's import root, None for no project.
        home: the user's home folder; nothing that contains it is included.
        import_path: `sys.path` of an interpreter that was started like the worker.
    """
    home = home.resolve()
    wanted = {Path(path) for path in (*import_path, *zoneinfo.TZPATH, *_SYSTEM_PATHS) if path}
    wanted |= {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
    wanted |= {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")}
    wanted |= {Path(sys.prefix, "pyvenv.cfg"), Path(_PACKAGE_ROOT)}
    wanted |= {Path(folder) for folder in [sysconfig.get_config_var("LIBDIR")] if folder}
    if source_root is not None:
        wanted.add(source_root.absolute())
    found = (path for path in wanted if path.is_absolute() and path.exists())
    return tuple(sorted(str(path) for path in found if not home.is_relative_to(path.resolve())))


def worker_command(
    sandbox: Sandbox, arguments: Sequence[str], readable: Sequence[str]
) -> list[str]:
    """Command line of a fresh interpreter, wrapped into bubblewrap where that is in use.

    Args:
        sandbox: as detected.
        arguments: for the interpreter, from `-c` or `-m` on.
        readable: what `readable_paths` returned.
    """
    # Not `-I`: that would also ignore the hash seed, which repeats a run.
    interpreter = [sys.executable, "-s", "-P", "-X", "utf8", *arguments]
    if sandbox.bubblewrap is None:
        return interpreter
    command = [sandbox.bubblewrap, "--unshare-all", "--die-with-parent", "--cap-drop", "ALL"]
    for path in sorted({*readable, sys.executable}):
        kind = "--dev-bind" if path.startswith("/dev/") else "--ro-bind"
        command += [kind, path, path]
    return [*command, "--chdir", "/", "--", *interpreter]


def _probe(candidate: Sandbox) -> str:
    """What is wrong with a sandbox, found by attacking it; empty when it holds."""
    with tempfile.TemporaryDirectory(prefix="lattice-lock-probe-") as folder:
        secret = Path(folder) / "secret"
        secret.write_text(secrets.token_hex(), encoding="ascii")
        readable = readable_paths(None, home=home_folder())
        order = {
            "secret": str(secret),
            "pid": os.getpid(),
            "confinement": asdict(
                Confinement(
                    readable=readable,
                    landlock_abi=candidate.landlock_abi,
                    seccomp=True,
                    memory_mib=1024,
                    cpu_s=10,
                )
            ),
        }
        try:
            done = subprocess.run(  # noqa: S603  # our own interpreter
                worker_command(candidate, ["-c", bootstrap("_probe")], readable),
                input=json.dumps(order),
                capture_output=True,
                text=True,
                timeout=_PROBE_TIMEOUT_S,
                env={},
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"does not start ({error})"
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        return f"does not work here ({reason[0]})"
    holes: list[str] = json.loads(done.stdout)
    return f"does not hold ({', '.join(holes)})" if holes else ""


def bootstrap(module: str) -> str:
    """Program text that runs `main` of a module of this package in a fresh interpreter.

    It imports the very package that is running here. Others are found beside it too, as after an
    installation for one user only.
    """
    return _BOOTSTRAP.format(root=_PACKAGE_ROOT, module=module)
