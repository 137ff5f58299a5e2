"""Makes the certain fixes in the files of a project."""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from lattice_lock.sheriff.checker import SheriffReport
from lattice_lock.sheriff.examination import examine_data
from lattice_lock.sheriff.files import ProjectFiles
from lattice_lock.sheriff.fixes import apply_fixes
from lattice_lock.sheriff.registry import load_rules
from lattice_lock.sheriff.rule import UnparsableFileRule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from lattice_lock.core.project import Project
    from lattice_lock.sheriff.context import SheriffContext
    from lattice_lock.sheriff.fixes import Fix
    from lattice_lock.sheriff.rule import Violation

__all__ = ["Repair", "Written", "mend_content", "plan_repairs", "unified_diff", "write_repairs"]

_MAX_ROUNDS: Final = 50
"""Most times that one file is looked at again because fixes overlapped."""

_BOM: Final = b"\xef\xbb\xbf"
_LINE: Final = re.compile(rb"[^\n]*\n|[^\n]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """One file before and after its certain fixes.

    Attributes:
        path: relative to the project, with forward slashes; of a link, the file it leads to.
        mended: number of violations that were mended.
    """

    path: str
    before: bytes
    after: bytes
    mended: int


class Written(NamedTuple):
    """What became of repairs: those in place, and paths of files that had changed meanwhile."""

    repairs: tuple[Repair, ...]
    changed: tuple[str, ...]


def plan_repairs(
    project: Project,
    context: SheriffContext,
    report: SheriffReport,
    reported: Callable[[SheriffReport], SheriffReport],
) -> tuple[Repair, ...]:
    """What the certain fixes make of each file; nothing is written.

    Args:
        project: the project that was checked.
        context: what it was checked against; `reexports` must be those of the whole project, as
            a comment may be needed for what another file hands on.
        report: what was found, from which only file names are taken: fixes are made for what the
            files hold now.
        reported: leaves in a report only what is reported, as a baseline may hold back some.
    """
    files = ProjectFiles(project.root, source_root=context.lattice.config.source_root)
    paths = dict.fromkeys(each.file for each in report.violations if _is_certain(each))
    repairs: dict[str, Repair] = {}
    for path in paths:
        before = files.read(path)
        target = os.path.realpath(project.root / path)
        real = os.path.relpath(target, project.root).replace(os.sep, "/")
        if isinstance(before, bytes) and real not in repairs:
            after, mended = mend_content(path, before, context, reported)
            if after != before:
                repairs[real] = Repair(path=real, before=before, after=after, mended=mended)
    return tuple(repairs.values())


def _is_certain(violation: Violation) -> bool:
    return violation.fix is not None and violation.fix.certain


def mend_content(
    path: str,
    data: bytes,
    context: SheriffContext,
    reported: Callable[[SheriffReport], SheriffReport] = lambda report: report,
) -> tuple[bytes, int]:
    """The content of a file after every certain fix, and the number of violations mended.

    See `plan_repairs` for the arguments.
    """
    mended = 0
    seen = {data}
    fixes = _certain_fixes(path, data, context, reported)
    while fixes and len(seen) < _MAX_ROUNDS:
        bom, content = (_BOM, data[len(_BOM) :]) if data.startswith(_BOM) else (b"", data)
        text, count = apply_fixes(content.decode("utf-8"), fixes)
        changed = bom + text.encode("utf-8")
        fixes = _certain_fixes(path, changed, context, reported)
        # A fix that broke the file or undid another is a defect; what was before it stays.
        if fixes is None or changed in seen:
            break
        seen.add(changed)
        data, mended = changed, mended + count
    return data, mended


def _certain_fixes(
    path: str,
    data: bytes,
    context: SheriffContext,
    reported: Callable[[SheriffReport], SheriffReport],
) -> list[Fix] | None:
    """The fixes to make in a file, None where it cannot be examined."""
    found = examine_data(path, data, context).report
    unparsable = {rule.id for rule in load_rules() if isinstance(rule, UnparsableFileRule)}
    if any(each.id in unparsable for each in found.violations):
        return None
    report = SheriffReport(
        violations=found.violations, suppressions=found.suppressions, files_checked=1
    )
    return [each.fix for each in reported(report).violations if each.fix and each.fix.certain]


def write_repairs(project: Project, repairs: Iterable[Repair]) -> Written:
    """Write the repaired files, all or none; those that have changed meanwhile are left alone.

    Raises:
        ProjectWriteError: the system refused to write.
    """
    current: list[Repair] = []
    changed: list[str] = []
    for repair in repairs:
        if _is_unchanged(project, repair):
            current.append(repair)
        else:
            changed.append(repair.path)
    project.write_files({each.path: each.after.decode("utf-8") for each in current})
    return Written(tuple(current), tuple(changed))


def _is_unchanged(project: Project, repair: Repair) -> bool:
    try:
        return (project.root / repair.path).read_bytes() == repair.before
    except OSError:
        return False


def unified_diff(repairs: Sequence[Repair]) -> bytes:
    """The repairs as `patch -p1` and `git apply` take them; empty where there are none."""
    return b"".join(line for repair in repairs for line in _diff(repair))


def _diff(repair: Repair) -> Iterator[bytes]:
    name = os.fsencode(repair.path)
    before, after = (_LINE.findall(data) for data in (repair.before, repair.after))
    lines = difflib.diff_bytes(
        difflib.unified_diff, before, after, b"a/" + name, b"b/" + name, lineterm=b"\n"
    )
    for line in lines:
        yield line if line.endswith(b"\n") else line + b"\n\\ No newline at end of file\n"
