"""What no longer agrees: lattice, lock, generated files and accepted bodies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from lattice_lock.core import python_types
from lattice_lock.core.bodies import BodyState, find_body
from lattice_lock.core.elements import contract_digest, describe_elements
from lattice_lock.core.lockfile import Acceptance, LockFile, dump_lock, parse_lock, text_digest
from lattice_lock.core.migrations import plan_migration
from lattice_lock.core.project import LOCK_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lattice_lock.core.compiler import Compilation
    from lattice_lock.core.project import Project
    from lattice_lock.core.schema import Lattice

__all__ = ["Drift", "DriftKind", "find_drift", "load_lock", "plan_files"]


class DriftKind(StrEnum):
    """What kind of thing no longer agrees with the lock."""

    LOCK = "lock"
    LATTICE = "lattice"
    GENERATED = "generated"
    BODY = "body"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One disagreement.

    Attributes:
        subject: what drifted: a lattice element, a path, or `Interface.method`.
        path: the file to look into, relative to the project.
    """

    kind: DriftKind
    subject: str
    path: str
    message: str
    hint: str


def load_lock(project: Project) -> LockFile | None:
    """The project's lock, None where there is none yet.

    Raises:
        LockfileError: it is there but unreadable.
    """
    if not project.lock_path.exists():
        return None
    return parse_lock(project.read_text(LOCK_NAME) or "", file=LOCK_NAME)


def plan_files(
    project: Project,
    lattice: Lattice,
    compilation: Compilation,
    lock: LockFile | None,
    *,
    accepted: Mapping[str, Acceptance] | None = None,
    allow_drop: bool = False,
) -> dict[str, str | None]:
    """Every file that compiling writes, for `Project.write_files`; the lock comes last.

    Scaffolds are included only where there is no file. Files generated earlier and no longer part
    of the lattice are deleted, except old versions of the shared modules, which stay importable,
    and migrations, which databases have run.

    Args:
        accepted: acceptances to add to those already recorded.
        allow_drop: whether a migration may drop what holds data.

    Raises:
        CompileError: the next migration cannot be written; see `migrations.plan_migration`.
    """
    migration = plan_migration(
        project, lattice, compilation.tables or (), lock, allow_drop=allow_drop
    )
    files: dict[str, str | None] = {**compilation.generated, **migration.files}
    digests = {path: text_digest(text) for path, text in compilation.generated.items()}
    digests |= migration.digests
    former = lock.migrations.folder if lock and lock.migrations else None
    shared = f"{lattice.config.source_root}/{python_types.SHARED_PACKAGE}/"
    for path, digest in (lock.generated if lock else {}).items():
        if path in digests or not (project.root / path).exists():
            continue
        if former is not None and path.startswith(f"{former}/"):
            continue  # left to whoever no longer wants migrations, or moved the folder
        if path.startswith(shared):
            digests[path] = digest
        elif text_digest(project.read_text(path) or "") == digest:
            files[path] = None
    files.update(
        (path, text)
        for path, text in compilation.scaffolds.items()
        if not (project.root / path).exists()
    )
    known = {
        name: one
        for name, one in {**(lock.accepted if lock else {}), **(accepted or {})}.items()
        if _is_declared(name, lattice)
    }
    new = LockFile(
        lattice_digest=lattice.digest,
        elements=describe_elements(lattice),
        generated=digests,
        accepted=known,
        migrations=migration.record,
    )
    files[LOCK_NAME] = dump_lock(new)
    return files


def _is_declared(name: str, lattice: Lattice) -> bool:
    interface, _, method = name.partition(".")
    return interface in lattice.interfaces and method in lattice.interfaces[interface].methods


def find_drift(
    project: Project, lattice: Lattice, compilation: Compilation, lock: LockFile | None
) -> tuple[Drift, ...]:
    """Everything that no longer agrees, lattice first."""
    if lock is None:
        return (
            Drift(
                kind=DriftKind.LOCK,
                subject=LOCK_NAME,
                path=LOCK_NAME,
                message=f"there is no `{LOCK_NAME}`",
                hint="Run `lattice-lock compile`.",
            ),
        )
    return (
        *_lattice_drift(lattice, lock),
        *_generated_drift(project, lattice, compilation, lock),
        *_body_drift(project, lattice, lock),
    )


def _lattice_drift(lattice: Lattice, lock: LockFile) -> Iterator[Drift]:
    now = describe_elements(lattice)
    for subject in sorted({*now, *lock.elements}):
        old, new = lock.elements.get(subject), now.get(subject)
        if old == new:
            continue
        if old is None:
            message = f"`{subject}` is new: `{new}`"
        elif new is None:
            message = f"`{subject}` is gone; it was `{old}`"
        else:
            message = f"`{subject}` changed from `{old}` to `{new}`"
        yield Drift(
            kind=DriftKind.LATTICE,
            subject=subject,
            path=lattice.file,
            message=f"{message} since the lattice was compiled",
            hint="Run `lattice-lock compile`, then `lattice-lock check`.",
        )


def _generated_drift(
    project: Project, lattice: Lattice, compilation: Compilation, lock: LockFile
) -> Iterator[Drift]:
    expected = {path: text_digest(text) for path, text in compilation.generated.items()}
    changed_lattice = lattice.digest != lock.lattice_digest
    for path, digest in sorted({**lock.generated, **expected}.items()):
        text = project.read_text(path)
        recorded = lock.generated.get(path)
        actual = None if text is None else text_digest(text)
        if actual == digest and recorded == digest:
            continue
        if actual is None:
            message = f"generated file `{path}` is missing"
        elif actual not in (recorded, digest):
            message = f"generated file `{path}` was edited"
        elif changed_lattice:
            continue  # it will be rewritten; the lattice's own drift says why
        else:
            message = f"generated file `{path}` is not what this version generates"
        yield Drift(
            kind=DriftKind.GENERATED,
            subject=path,
            path=path,
            message=message,
            hint="Change the lattice instead, and run `lattice-lock compile` to restore the file."
            if path in expected
            else "Restore it from version control: only its digest is known here.",
        )


def _body_drift(project: Project, lattice: Lattice, lock: LockFile) -> Iterator[Drift]:
    for name, record in sorted(lock.accepted.items()):
        interface_name, _, method = name.partition(".")
        if not _is_declared(name, lattice):
            yield _body(name, record, f"`{name}` was accepted but is not in the lattice any more")
            continue
        interface = lattice.interfaces[interface_name]
        body = find_body(project.read_text(interface.file), interface.class_name, method)
        moved = replace(record, file=interface.file)
        if body.state is not BodyState.WRITTEN:
            yield _body(name, moved, f"the accepted body of `{name}` is gone")
        elif body.digest != record.body_digest:
            writer = record.model or "a person"
            yield _body(
                name, moved, f"the body of `{name}`, accepted from {writer}, was edited since"
            )
        elif contract_digest(lattice, interface_name, method) != record.contract_digest:
            yield _body(
                name, moved, f"the contract of `{name}` changed since its body was accepted"
            )


def _body(name: str, record: Acceptance, message: str) -> Drift:
    return Drift(
        kind=DriftKind.BODY,
        subject=name,
        path=record.file,
        message=message,
        hint=f"Run `lattice-lock accept -m {name}` to verify and record it as it is now,"
        " or restore it from version control.",
    )
