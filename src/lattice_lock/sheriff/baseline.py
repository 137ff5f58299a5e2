"""The baseline: violations that were there when a project adopted Sheriff, held back since.

    {
      "version": 1,
      "files": {
        "src/shop.py": {                  relative to the project, with forward slashes
          "forbidden-import": {           name of the rule
            "5f0c3b6ee1a04d27": 2         digest of the line's text: how many violations
          }
        }
      }
    }

A violation is recognised by its file, its rule and the text of its line, however far the line has
moved. What no comment may ignore, no baseline holds back.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec

from lattice_lock.exceptions import SheriffError
from lattice_lock.sheriff.file_names import printable_name
from lattice_lock.sheriff.fingerprints import line_digest
from lattice_lock.sheriff.registry import load_rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from lattice_lock.sheriff.checker import SheriffReport
    from lattice_lock.sheriff.rule import Violation

__all__ = ["BASELINE_NAME", "Baseline", "HeldBack", "Obsolete", "load_baseline"]

BASELINE_NAME: Final = ".lattice-baseline.json"

_Count = Annotated[int, msgspec.Meta(ge=1)]


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    version: Literal[1]
    files: dict[str, dict[str, dict[str, _Count]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Obsolete:
    """Violations of one rule in one file that the baseline holds and that are gone."""

    file: str
    rule: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBack:
    """What a baseline kept out of a report.

    Attributes:
        count: number of violations held back.
        obsolete: what the baseline holds although it is gone, ordered by file and rule.
    """

    count: int = 0
    obsolete: tuple[Obsolete, ...] = ()


class Baseline:
    """How many violations are held back, by file, rule and digest of the line's text."""

    def __init__(self, counts: Mapping[tuple[str, str, str], int]) -> None:
        self._counts: Final = Counter(counts)

    @classmethod
    def of(cls, violations: Iterable[Violation]) -> Baseline:
        """The baseline that holds back these violations, as far as one may."""
        suppressible = _suppressible()
        return cls(Counter(_key(each) for each in violations if each.rule in suppressible))

    def apply(self, report: SheriffReport, *, whole: bool) -> tuple[SheriffReport, HeldBack]:
        """The report without what is held back, and what that is.

        Args:
            report: all that was found.
            whole: whether the whole project was checked; only then is it known what is obsolete.
        """
        suppressible = _suppressible()
        left = self._counts.copy()
        remaining: list[Violation] = []
        for violation in report.violations:
            key = _key(violation)
            if violation.rule in suppressible and left[key] > 0:
                left[key] -= 1
            else:
                remaining.append(violation)
        gone: Counter[tuple[str, str]] = Counter()
        for (file, rule, _), count in left.items():
            gone[file, rule] += count
        obsolete = tuple(
            Obsolete(file=file, rule=rule, count=count)
            for (file, rule), count in sorted(gone.items())
            if whole and count
        )
        held_back = HeldBack(count=len(report.violations) - len(remaining), obsolete=obsolete)
        return dataclasses.replace(report, violations=tuple(remaining)), held_back

    def encode(self) -> str:
        """The text of the file; the same for the same violations, in whatever order."""
        files: dict[str, dict[str, dict[str, int]]] = {}
        for (file, rule, digest), count in self._counts.items():
            files.setdefault(file, {}).setdefault(rule, {})[digest] = count
        data = msgspec.json.encode(_Document(version=1, files=files), order="deterministic")
        return msgspec.json.format(data, indent=2).decode() + "\n"


def load_baseline(root: Path) -> Baseline:
    """The baseline of the project in `root`, which holds nothing where there is no file.

    Raises:
        SheriffError: the file cannot be read, or is not what `Baseline.encode` writes.
    """
    try:
        data = (root / BASELINE_NAME).read_bytes()
    except FileNotFoundError:
        return Baseline({})
    except OSError as error:
        raise SheriffError(
            f"`{BASELINE_NAME}` cannot be read: {error.strerror}.", hint="Make it readable."
        ) from error
    try:
        document = msgspec.json.decode(data, type=_Document)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SheriffError(
            f"`{BASELINE_NAME}` is not a baseline: {error}.",
            hint="Restore it, or write a new one with `lattice-lock sheriff --write-baseline`.",
        ) from error
    return Baseline(
        {
            (file, rule, digest): count
            for file, rules in document.files.items()
            for rule, digests in rules.items()
            for digest, count in digests.items()
        }
    )


def _key(violation: Violation) -> tuple[str, str, str]:
    return printable_name(violation.file), violation.rule, line_digest(violation)


def _suppressible() -> frozenset[str]:
    return frozenset(rule.name for rule in load_rules() if rule.suppressible)
