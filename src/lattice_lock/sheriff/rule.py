"""What a rule is, and what it reports."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, TypeAlias

from lattice_lock.sheriff.file_names import printable_name
from lattice_lock.sheriff.fixes import Fix  # noqa: TC001  # read when the cache is decoded

if TYPE_CHECKING:
    import ast
    from collections.abc import Iterable, Sequence

    from lattice_lock.sheriff.context import SheriffContext, SourceFile
    from lattice_lock.sheriff.module import Module, Span, Unparsable
    from lattice_lock.sheriff.outline import Outline

__all__ = [
    "Complaint",
    "GeneratedFileRule",
    "MissingFileRule",
    "ModuleRule",
    "OutlineRule",
    "Rule",
    "Severity",
    "SuppressionRule",
    "UnparsableFileRule",
    "Violation",
]

Severity: TypeAlias = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One breach of one rule, at one place.

    Attributes:
        rule: name of the rule, such as `forbidden-import`.
        id: its stable identifier, such as `LLS001`.
        file: path relative to the project, with forward slashes.
        line: counts from 1, as does `column`; columns count characters.
        end_column: the column after the last character, on `end_line`.
        message: what is wrong, as a sentence.
        hint: what to do about it, None where the message says so already.
        excerpt: the text of `line`, empty where the file could not be read.
        fix: a change of `file` that mends it, None where none is known.
    """

    rule: str
    id: str
    file: str
    line: int
    column: int
    end_line: int
    end_column: int
    message: str
    hint: str | None = None
    severity: Severity = "error"
    excerpt: str = ""
    fix: Fix | None = None

    def to_dict(self) -> dict[str, object]:
        """The fields as plain JSON values."""
        fields = asdict(self) | {"file": printable_name(self.file)}
        if self.fix is not None:
            fields["fix"]["edits"] = [asdict(edit) for edit in self.fix.edits]
        return fields

    @property
    def sort_key(self) -> tuple[str, int, int, str, str]:
        """Order of reports: by place, then by rule."""
        return self.file, self.line, self.column, self.id, self.message


class Complaint(NamedTuple):
    """Why a suppression comment, or one rule name in it, does not count."""

    span: Span
    message: str
    hint: str
    fix: Fix | None = None


class Rule:
    """Base of every rule: facts as class variables; the subclasses below say what it looks at.

    A rule is one file in `sheriff/rules`, found by its being there. It keeps no state and knows no
    other rule. Its docstring says what it reports, why that matters and what to do instead; the
    reference page is made from it.

    Attributes:
        id: stable identifier, never given to another rule.
        name: the pattern that it reports, so that "ignore forbidden-import" reads well.
        suppressible: whether `# lattice:ignore[...]` may silence it.
    """

    id: ClassVar[str]
    name: ClassVar[str]
    suppressible: ClassVar[bool] = True

    def violation(
        self,
        module: Module,
        span: Span,
        message: str,
        *,
        hint: str | None = None,
        fix: Fix | None = None,
    ) -> Violation:
        """A violation of this rule in a parsed file."""
        excerpt = module.excerpt(span.line)
        return self.violation_at(
            module.source.path, span, message, hint=hint, excerpt=excerpt, fix=fix
        )

    def violation_at(
        self,
        file: str,
        span: Span,
        message: str,
        *,
        hint: str | None = None,
        excerpt: str = "",
        fix: Fix | None = None,
    ) -> Violation:
        """A violation of this rule in a file that was not parsed."""
        return Violation(
            rule=self.name,
            id=self.id,
            file=file,
            line=span.line,
            column=span.column,
            end_line=span.end_line,
            end_column=span.end_column,
            message=message,
            hint=hint,
            excerpt=excerpt,
            fix=fix,
        )


class ModuleRule(Rule, ABC):
    """Looks at parsed files that people or models write.

    Attributes:
        node_types: the syntax that `check_module` asks `Module.nodes` for.
    """

    node_types: ClassVar[frozenset[type[ast.AST]]] = frozenset()

    def wanted(self, source: SourceFile, context: SheriffContext) -> frozenset[type[ast.AST]]:
        """The part of `node_types` that this file needs; every expression type costs a deep walk.

        A rule that narrows it looks at the text alone, and never leaves out what it would report.
        A file in which every rule wants nothing is only parsed.
        """
        del source, context
        return self.node_types

    @abstractmethod
    def check_module(self, module: Module, context: SheriffContext) -> Iterable[Violation]:
        """Violations in one file."""


class OutlineRule(ModuleRule, ABC):
    """A module rule that can often tell without the tree of a file that it reports nothing."""

    @abstractmethod
    def is_clean(self, outline: Outline, context: SheriffContext) -> bool:
        """Whether it certainly reports nothing in a file; False where only the tree can tell."""


class UnparsableFileRule(Rule, ABC):
    """Looks at files that could not be parsed."""

    @abstractmethod
    def check_unparsable(self, file: str, problem: Unparsable, excerpt: str) -> Iterable[Violation]:
        """Violations for one such file; `excerpt` is the line of the problem, if known."""


class GeneratedFileRule(Rule, ABC):
    """Looks at files that the compiler owns."""

    @abstractmethod
    def check_generated(self, file: str, actual: bytes, expected: str) -> Iterable[Violation]:
        """Violations for one such file that exists."""


class MissingFileRule(Rule, ABC):
    """Looks at files that the lattice promises and that are not there."""

    @abstractmethod
    def check_missing(self, file: str, context: SheriffContext) -> Iterable[Violation]:
        """Violations for one such file."""


class SuppressionRule(Rule, ABC):
    """Looks at suppression comments that do not count."""

    @abstractmethod
    def check_suppressions(
        self, module: Module, complaints: Sequence[Complaint]
    ) -> Iterable[Violation]:
        """Violations for the complaints about the comments of one file."""
