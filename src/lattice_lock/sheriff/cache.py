"""What earlier checks of a project found, kept in a file for the next.

An entry counts only for the content that it was made from, and the file only for the same lattice,
generated files, rules, Python and version of Lattice Lock. A file that cannot be read, or does not
hold what it should, counts as empty.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
import time
from hmac import compare_digest
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import msgspec

import lattice_lock
from lattice_lock.sheriff.examination import Examination, FileReport
from lattice_lock.sheriff.file_names import printable_name
from lattice_lock.sheriff.files import FileState
from lattice_lock.sheriff.rule import Violation
from lattice_lock.sheriff.suppressions import Suppression

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lattice_lock.sheriff.context import SheriffContext

__all__ = ["Entry", "ReportCache", "content_digest"]

_FILE: Final = "sheriff.msgpack"
_DIGEST_BYTES: Final = 16

_FRESH_NS: Final = 2_000_000_000
"""A file changed this shortly before a check may change again within one tick of its clock."""

_MAX_BYTES: Final = 256 * 1024 * 1024
"""Largest cache that is read."""


class Entry(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What was found in a file, and the content that it was found in."""

    state: FileState
    digest: bytes
    violations: tuple[Violation, ...]
    suppressions: tuple[Suppression, ...]
    links: bytes | None
    hands_on: bool

    @property
    def examination(self) -> Examination:
        """What was found."""
        report = FileReport(violations=self.violations, suppressions=self.suppressions)
        return Examination(report, self.links, self.hands_on)


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    """The cache file: what it counts for, when it was made, and per section the entries."""

    key: bytes
    saved_ns: int
    sections: dict[str, dict[str, Entry]]


_DECODER: Final = msgspec.msgpack.Decoder(_Stored)


class ReportCache:
    """The results of one project; sections differ in what was known about other files."""

    def __init__(
        self,
        file: Path | None,
        key: bytes,
        stored: _Stored,
        *,
        section: str = "",
        is_whole: bool = True,
        seal_key: bytes = b"",
    ) -> None:
        self._file: Final = file
        self._key: Final = key
        self._stored: Final = stored
        self._section: Final = section
        self._entries: Final = stored.sections.get(section, {})
        self._is_whole: Final = is_whole
        self._seal_key: Final = seal_key
        kept = {} if is_whole else stored.sections
        self._current: Final = {name: dict(entries) for name, entries in kept.items()}
        self._current.setdefault(section, {})
        self._started_ns: Final = time.time_ns()
        self._is_changed = False

    @classmethod
    @contextlib.contextmanager
    def open(
        cls,
        folder: Path | None,
        context: SheriffContext,
        *,
        is_whole: bool,
        seal_key: bytes = b"",
    ) -> Iterator[Self]:
        """The cache in `folder`, written back at the end; None keeps nothing.

        Args:
            is_whole: whether what is not looked up until then is gone from the project.
            seal_key: whoever does not have it can make no file that is read.
        """
        key = _key(context) if folder is not None else b""
        file = folder / _FILE if folder is not None else None
        stored = _load(file, key, seal_key)
        cache = cls(file, key, stored, is_whole=is_whole, seal_key=seal_key)
        yield cache
        cache._save()

    def informed_by(self, *knowledge: object) -> ReportCache:
        """The section for checks that know something of other files; saved with this one."""
        if self._file is None:
            return self
        section = _digest(msgspec.msgpack.encode(knowledge, order="deterministic")).hex()
        other = ReportCache(None, self._key, self._stored, section=section, is_whole=self._is_whole)
        self._current[section] = other._current[section]
        self._is_changed |= section not in self._stored.sections
        return other

    def find(self, path: str, state: FileState) -> Entry | None:
        """The entry for a file in this state, if that is enough to know that it is unchanged."""
        entry = self._entries.get(path)
        if entry is None or entry.state != state:
            return None
        if max(state.modified_ns, state.changed_ns) > self._stored.saved_ns - _FRESH_NS:
            return None
        self._current[self._section][path] = entry
        return entry

    def holds(self, path: str) -> bool:
        """Whether there is an entry for a file of this path, whatever its content."""
        return path in self._entries

    def find_content(self, path: str, state: FileState, digest: bytes) -> Entry | None:
        """The entry for a file with this content."""
        entry = self._entries.get(path)
        if entry is None or entry.digest != digest:
            return None
        entry = msgspec.structs.replace(entry, state=state)
        self.keep(path, entry)
        return entry

    def keep(self, path: str, entry: Entry) -> None:
        """Keep an entry for the next check, unless its path cannot be written down."""
        if printable_name(path) != path:
            return
        self._current[self._section][path] = entry
        self._is_changed = True

    def _save(self) -> None:
        if self._file is None:
            return
        self._is_changed |= any(
            entries.keys() - self._current.get(section, {}).keys()
            for section, entries in self._stored.sections.items()
        )
        if not self._is_changed:
            return
        data = msgspec.msgpack.encode(_Stored(self._key, self._started_ns, self._current))
        # Where nothing can be written, the next check is merely slower.
        with contextlib.suppress(OSError):
            _write(self._file, _digest(data, self._seal_key) + data)


def content_digest(data: bytes) -> bytes:
    """What identifies the content of a file."""
    return _digest(data)


def _digest(data: bytes, key: bytes = b"") -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES, key=key).digest()


def _load(file: Path | None, key: bytes, seal_key: bytes) -> _Stored:
    nothing = _Stored(key, 0, {})
    if file is None:
        return nothing
    try:
        if file.stat().st_size > _MAX_BYTES:
            return nothing
        content = file.read_bytes()
        data = content[_DIGEST_BYTES:]
        if not compare_digest(_digest(data, seal_key), content[:_DIGEST_BYTES]):
            return nothing
        stored = _DECODER.decode(data)
    except (OSError, msgspec.MsgspecError, RecursionError):
        return nothing
    return stored if stored.key == key else nothing


def _write(file: Path, content: bytes) -> None:
    """Replace a file at once, in a folder that git leaves alone."""
    file.parent.mkdir(parents=True, exist_ok=True)
    ignored = file.parent / ".gitignore"
    if not ignored.exists():
        ignored.write_text("*\n", encoding="utf-8")
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f"{_FILE}.")
    try:
        with os.fdopen(descriptor, "wb") as written:
            written.write(content)
        Path(name).replace(file)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def _key(context: SheriffContext) -> bytes:
    """What all results depend on besides the file that they are about."""
    seen = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    parts: list[bytes] = [lattice_lock.__version__.encode(), sys.version.encode()]
    parts.append(context.lattice.digest.encode())
    parts += [path.read_bytes() for path in context.lattice.policy_files if path.is_file()]
    for path, text in sorted(context.generated.items()):
        parts += [path.encode(), text.encode("utf-8", "replace")]
    for name, content in sorted(_rule_sources().items()):
        parts += [name.encode(), content]
    for part in parts:
        seen.update(len(part).to_bytes(8, "big") + part)
    return seen.digest()


def _rule_sources() -> Mapping[str, bytes]:
    """The code that makes the results, in which a rule may have been added or changed."""
    package = Path(__file__).parent.parent
    return {
        str(file.relative_to(package)): file.read_bytes()
        for folder in (package / "sheriff", package / "policies")
        for file in folder.rglob("*")
        if file.suffix in {".py", ".txt"}
    }
