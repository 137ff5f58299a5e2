"""The Markdown page about a lattice: what it shows, and that no text breaks it."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from lattice_lock.core.emitters.markdown_page import emit_markdown
from lattice_lock.core.loader import load_lattice, parse_lattice
from lattice_lock.exceptions import LatticeError

if TYPE_CHECKING:
    from markdown_it.token import Token

GOLDEN = Path(__file__).parent / "golden"

LATTICE = """\
version: v1.0
generated_module: types_v1
entities:
  Order:
    description: {text}
    fields:
      note: {{type: str, default: {text}, description: {text}}}
      state: {{enum: [{text}, end]}}
    transitions: {{state: {{{text}: [end]}}}}
    ensures: [{{name: one, condition: {clause}, description: {text}}}]
interfaces:
  IShop:
    description: {text}
    file: src/shop.py
    methods:
      sell:
        description: {text}
        params: {{order: {{type: Order, description: {text}}}}}
        returns: {{type: str, description: {text}}}
        requires: [{clause_of_order}]
"""
_HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_ANCHOR = re.compile(r'</a>|</?code>|<a id="[A-Za-z0-9_-]+">')


def page(text: str) -> list[Token]:
    """Tokens of the page of a lattice in which `text` stands wherever text may."""
    literal = "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
    lattice = LATTICE.format(
        text=json.dumps(text, ensure_ascii=False),
        clause=json.dumps(f"note != {literal}", ensure_ascii=False),
        clause_of_order=json.dumps(f"order.note != {literal}", ensure_ascii=False),
    )
    markdown = emit_markdown(parse_lattice(lattice, file="lattice.yaml"))
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)


@functools.cache
def _plain() -> list[Token]:
    return page("plain")


def shown(token: Token) -> str:
    """The text that a reader sees of an inline token."""
    return "".join(
        child.content for child in token.children or () if child.type in {"text", "code_inline"}
    )


NASTY = st.text(
    alphabet=st.one_of(
        st.sampled_from("\\`*_{}[]()<>#+-.!|&~$^=:@/\"' \n1a"), st.characters(codec="utf-8")
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=80, deadline=None)
@given(text=NASTY)
@example(text="# x\n\n---\n| a |\n```")
@example(text="<!-- --> <script>alert(1)</script> &amp; &#124;")
@example(text="`` ` | \\| ``")
@example(text="[a](javascript:b) ![c](d) <e@f.org> ~~g~~ **h**")
@example(text="1. one")
@example(text="\x1b[2J|\u202e")
def test_no_text_breaks_the_page(text: str) -> None:
    """Whatever a lattice says, the page has the same blocks, and readers see the text itself."""
    assume(text.strip())  # a blank description has no paragraph
    try:
        tokens = page(text)
    except LatticeError:
        assume(False)  # noqa: FBT003 -- not a text that a lattice can hold
    plain = _plain()
    assert [token.type for token in tokens] == [token.type for token in plain]
    told = _HIDDEN.sub(lambda found: ascii(found[0])[1:-1], " ".join(text.split()))
    for token, other in zip(tokens, plain, strict=True):
        kinds = [child.type for child in token.children or ()]
        html = [one.content for one in token.children or () if one.type == "html_inline"]
        assert all(_ANCHOR.fullmatch(one) for one in html)
        assert kinds.count("link_open") == [child.type for child in other.children or ()].count(
            "link_open"
        )
        if token.type == "inline" and shown(other) == "plain":
            assert shown(token) == told


def test_links_lead_to_anchors() -> None:
    """Every link of the page has its target on the page, once."""
    text = emit_markdown(load_lattice(GOLDEN / "lattice.yaml"))
    targets = re.findall(r'<a id="([^"]+)">', text)
    assert len(targets) == len(set(targets))
    links = re.findall(r"\]\(#([^)]+)\)", text)
    assert len(links) >= 4
    assert set(links) <= set(targets)


def test_the_diagram_shows_keys_and_relations() -> None:
    """Entities, their keys and how they refer to and hold each other."""
    text = emit_markdown(load_lattice(GOLDEN / "lattice.yaml"))
    [diagram] = re.findall(r"```mermaid\nerDiagram\n(.*?)```", text, re.DOTALL)
    assert "        uuid id PK\n" in diagram
    assert "        uuid customer FK\n" in diagram
    assert '    "Customer" ||--o| "Order" : "best"\n' in diagram
    assert '    "Order" }o--|| "Customer" : "customer"\n' in diagram


@pytest.mark.parametrize("name", ["PK", "FK", "UK"])
def test_a_field_that_mermaid_takes_for_a_key_is_marked(name: str) -> None:
    """`PK` cannot name an attribute of a diagram."""
    lattice = f"version: v1.0\ngenerated_module: t\nentities: {{E: {{fields: {{{name}: int}}}}}}\n"
    assert f"        int {name}_\n" in emit_markdown(parse_lattice(lattice, file="l"))


def test_a_lattice_without_entities_has_no_diagram() -> None:
    """What is not there has no heading."""
    lattice = (
        "version: v1.0\ngenerated_module: t\nentities: {}\n"
        "interfaces: {IShop: {file: src/shop.py, methods: {m: {returns: int}}}}\n"
    )
    text = emit_markdown(parse_lattice(lattice, file="l"))
    assert "mermaid" not in text
    assert "## Entities" not in text
    assert "## Interfaces" in text
