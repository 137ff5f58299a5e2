"""`license`: licence headers of others in code."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from lattice_lock.policies._code_blocks import code_in, settled_code
from lattice_lock.policies.base import (
    Case,
    Context,
    Finding,
    Hold,
    Policy,
    Scan,
    Severity,
    Subject,
    Window,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["License"]

_GAP = r"[\s#*/;%!-]{1,12}"


def _words(text: str) -> str:
    """An expression for words with comment marks and line ends between them."""
    return _GAP.join(re.escape(word) for word in text.split())


# What stands in headers, by SPDX identifier, most particular first.
# Source: https://spdx.org/licenses/
_HEADERS: tuple[tuple[str, str], ...] = (
    ("AGPL", _words("GNU Affero General Public License")),
    ("LGPL", rf"{_words('GNU Lesser General Public License')}|{_words('GNU Library General')}"),
    ("GPL", _words("GNU General Public License")),
    (
        "Apache-2.0",
        rf"{_words('Licensed under the Apache License')}|{_words('Apache License, Version 2.0')}",
    ),
    ("MPL-2.0", _words("Mozilla Public License")),
    ("EPL", _words("Eclipse Public License")),
    ("EUPL", _words("European Union Public Licence")),
    ("CDDL", _words("Common Development and Distribution License")),
    ("SSPL", _words("Server Side Public License")),
    ("BUSL", _words("Business Source License")),
    ("MIT", _words("Permission is hereby granted, free of charge, to any person obtaining a copy")),
    ("BSD", _words("Redistribution and use in source and binary forms")),
    ("ISC", _words("Permission to use, copy, modify, and/or distribute this software")),
    ("BSL-1.0", _words("Boost Software License")),
    ("Unlicense", _words("This is free and unencumbered software released into the public domain")),
    ("CC", rf"{_words('Creative Commons')}{_GAP}(?:Attribution|Zero|Public)"),
    ("proprietary", rf"{_words('All rights reserved')}|{_words('Proprietary and confidential')}"),
)
_SPDX = re.compile(r"SPDX-License-Identifier:[ \t]{0,9}(?P<id>[\w.+-]{1,60})")
_ANY = re.compile(
    "|".join(f"(?P<L{index}>{pattern})" for index, (_, pattern) in enumerate(_HEADERS)),
    re.IGNORECASE,
)
_MAY = re.compile(
    r"licen[sc]e|permission|redistribution|rights|proprietary|public domain|creative|SPDX",
    re.IGNORECASE,
)


class License(Policy, frozen=True, kw_only=True):
    """Refuses code that carries a licence header: a model may have learnt it by heart.

    Of answers, blocks of code in any marked language are looked at.

    Attributes:
        allow: identifiers that may occur, with `*`, such as `MIT` or `BSD*`.
        allow_in: patterns of files in which every header may stand.
    """

    name: ClassVar[str] = "license"
    subjects: ClassVar[tuple[Subject, ...]] = (Subject.CODE, Subject.RESPONSE)
    defaults: ClassVar[tuple[Subject, ...]] = (Subject.CODE, Subject.RESPONSE)
    holds: ClassVar[Hold] = Hold.BLOCK
    look_behind: ClassVar[int] = 1
    rules: ClassVar[dict[str, str]] = {
        "header": "the wording of a known licence",
        "spdx": "an SPDX identifier of a licence that is not allowed",
    }
    limits: ClassVar[tuple[str, ...]] = (
        "Code without a header may be anybody's: nothing is compared with published code.",
        f"Known are {', '.join(name for name, _ in _HEADERS)}.",
    )
    sample: ClassVar[dict[str, object]] = {"allow": ["MIT", "Apache-*"]}
    cases: ClassVar[tuple[Case, ...]] = (
        Case(text="LICENSE: str = 'read the file'\n", subject=Subject.CODE),
        Case(text="# SPDX-License-Identifier: MIT\n", subject=Subject.CODE),
        Case(
            text="# This program is free software under the GNU General\n# Public License.\n",
            subject=Subject.CODE,
            rules=("header",),
        ),
        Case(
            text="// SPDX-License-Identifier: GPL-3.0-or-later\n",
            subject=Subject.CODE,
            rules=("spdx",),
        ),
        Case(text="It is under the GNU General Public License."),
        Case(
            text="```c\n/* Copyright X. All rights\n * reserved. */\nint a;\n```\n",
            rules=("header",),
        ),
    )

    allow: tuple[str, ...] = ()
    allow_in: tuple[str, ...] = ()

    @override
    def scan(self, window: Window, context: Context) -> Scan:
        settled = settled_code(window, context)
        if context.path and any(fnmatchcase(context.path, one) for one in self.allow_in):
            return Scan((), settled)
        found: set[Finding] = set()
        for code in code_in(window, context):
            if not _MAY.search(code.text):
                continue
            for start, end, rule, name in self._headers(code.text):
                whole = code.offset is None
                place = (code.start, code.end) if whole else (start, end)
                found.add(_finding(*place, rule, name))
        return Scan(tuple(sorted(found)), settled)

    def _headers(self, text: str) -> Iterable[tuple[int, int, str, str]]:
        for match in _SPDX.finditer(text):
            if not self._allows(match["id"]):
                yield match.start(), match.end(), "spdx", match["id"]
        seen: set[str] = set()
        for match in _ANY.finditer(text):
            name = _HEADERS[int(str(match.lastgroup)[1:])][0]
            if name not in seen and not self._allows(name):
                seen.add(name)  # a licence names itself many times
                yield match.start(), match.end(), "header", name

    def _allows(self, name: str) -> bool:
        return any(fnmatchcase(name.lower(), one.lower()) for one in self.allow)

    @override
    def contradictions(self, others: Iterable[Policy]) -> Iterator[str]:
        for other in others:
            if isinstance(other, License) and set(self.allow) - set(other.allow):
                yield "`license` is declared twice, and one refuses what the other allows."
                return


def _finding(start: int, end: int, rule: str, name: str) -> Finding:
    return Finding(
        start=start,
        end=end,
        rule=rule,
        message=f"it carries a header of the licence `{name}`.",
        severity=Severity.MEDIUM,
        label="CODE",
        fix="Write it anew, or allow the licence.",
    )
