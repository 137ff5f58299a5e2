"""Whether a text is a statement of SQL, and not a sentence that begins like one."""

from __future__ import annotations

import logging
import re
from functools import lru_cache

__all__ = ["is_statement", "may_be_statement"]

_LONGEST = 20_000
_LEAD = r"(?:\s|\(|--[^\n]{0,200}\n|/\*.{0,200}?\*/){0,20}"
_VERB = re.compile(
    _LEAD + r"(?P<verb>SELECT|INSERT|UPDATE|DELETE|CREATE|DROP|ALTER|TRUNCATE|MERGE|REPLACE|WITH"
    r"|GRANT|REVOKE|UPSERT|PRAGMA)\b",
    re.IGNORECASE | re.DOTALL,
)
_SECOND = re.compile(
    r"\b(?:FROM|INTO|SET|TABLE|INDEX|VIEW|DATABASE|SCHEMA|VALUES|AS|ON|TO|TRIGGER|FUNCTION"
    r"|SEQUENCE|USER|ROLE|EXTENSION|foreign_keys|journal_mode|user_version)\b",
    re.IGNORECASE,
)
_SQL_LIKE = re.compile(
    r"[*=();?]|%s|%\(|:\w|\bWHERE\b|\bJOIN\b|\bVALUES\b|\bGROUP BY\b|\bORDER BY\b|\bTABLE\b"
)
_PROSE = re.compile(
    r"\b(?:the|an|your|you|this|that|these|those|one|what|which|all|any|our|their)\b", re.IGNORECASE
)
_PLACEHOLDER = re.compile(r"%\(\w{1,40}\)s|%[sdr]|\{[^{}]{0,80}\}|\$\{?\w{1,40}\}?|:\w{1,40}|\?")
_ANYWHERE = re.compile(
    r"\b(?:SELECT|INSERT|UPDATE|DELETE|CREATE|DROP|ALTER|TRUNCATE|MERGE|REPLACE|WITH|GRANT|REVOKE"
    r"|UPSERT|PRAGMA)\s",
    re.IGNORECASE,
)


def may_be_statement(text: str) -> bool:
    """Whether there is any word in `text` that a statement begins with."""
    return _ANYWHERE.search(text) is not None


def is_statement(text: str, *, certain: bool) -> bool:
    """Whether `text` is a statement.

    Args:
        certain: it stands where SQL is expected, so that a sentence would be out of place.
    """
    found = _VERB.match(text)
    if found is None or _SECOND.search(text, found.end()) is None:
        return False
    verb = found["verb"]
    if not certain:
        if not verb.isupper() and not _SQL_LIKE.search(text):
            return False
        if _PROSE.search(text) and not (verb.isupper() and _SQL_LIKE.search(text)):
            return False
        if not verb.isupper() and not verb.islower():
            return False
    return len(text) <= _LONGEST and _parses(text.strip().lstrip("("))


@lru_cache(maxsize=512)
def _parses(text: str) -> bool:
    import sqlglot  # noqa: PLC0415  # only for what looks like SQL
    from sqlglot import exp  # noqa: PLC0415

    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)  # it warns of what it does not know
    statements = (
        *(exp.Select, exp.Insert, exp.Update, exp.Delete, exp.Create, exp.Drop, exp.Alter),
        *(exp.TruncateTable, exp.Merge, exp.Union, exp.Grant, exp.Pragma, exp.Revoke),
    )
    for form in (text, _PLACEHOLDER.sub("x", text)):
        for dialect in (None, "mysql", "postgres", "tsql"):
            try:
                parsed = sqlglot.parse(form, dialect=dialect)
            except (sqlglot.errors.SqlglotError, RecursionError, ValueError, TypeError):
                continue
            whole = [one for one in parsed if one is not None]
            if whole and isinstance(whole[0], statements):
                return _is_complete(whole[0])
    return False


def _is_complete(statement: object) -> bool:
    from sqlglot import exp  # noqa: PLC0415

    if isinstance(statement, exp.Select):
        return statement.find(exp.From) is not None
    return True
