"""The models and aliases that a lattice adds."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from lattice_lock.core.elements import describe_elements
from lattice_lock.core.loader import parse_lattice
from lattice_lock.core.project_models import load_models
from lattice_lock.exceptions import LatticeSchemaError, LatticeSyntaxError, ProjectNotFoundError

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "version: v1.0\ngenerated_module: types_v1\n"
MODELS = """\
models:
  - {provider: local, name: qwen3-coder, can: [tools], prices: [{input: 0.10, output: 1}]}
aliases:
  fast: openai/gpt-6-luna
"""


def test_entries_are_plain_values_with_their_places() -> None:
    """Numbers are exact, and every value knows where it stands."""
    models = parse_lattice(HEAD + MODELS, file="lattice.yaml").models
    (declared,) = models.models
    assert declared.fields["can"] == ["tools"]
    assert declared.fields["prices"] == [{"input": Decimal("0.10"), "output": 1}]
    assert str(declared.places["$.prices[0].input"]) == "lattice.yaml:4:73"
    assert str(declared.places["$"]) == "lattice.yaml:4:5"
    assert models.aliases["fast"].model == "openai/gpt-6-luna"


def test_a_lattice_without_models_has_none() -> None:
    """Both keys may be absent or empty."""
    for text in (HEAD, f"{HEAD}models:\naliases:\n"):
        models = parse_lattice(text, file="lattice.yaml").models
        assert (models.models, models.aliases) == ((), {})


def test_models_change_nothing_that_is_generated() -> None:
    """They are no elements of the lattice, so that adding one is no drift."""
    without, with_ = (parse_lattice(text, file="x") for text in (HEAD, HEAD + MODELS))
    assert describe_elements(without) == describe_elements(with_)


def test_models_are_read_while_the_rest_is_wrong(tmp_path: Path) -> None:
    """A model can be asked in a project whose entities are being written."""
    path = tmp_path / "lattice.yaml"
    path.write_text(f"entities: [nonsense]\ncolour: red\n{MODELS}")
    assert set(load_models(path).aliases) == {"fast"}
    path.write_text("- a list\n")
    assert load_models(path).models == ()


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("models: {a: b}", "3:9", "`models` must be a list"),
        ("models: [x]", "3:10", "a model must be a mapping"),
        ("models: [{name: a}]", "3:10", "a model has no `provider`"),
        ("models: [{provider: a}]", "3:10", "a model has no `name`"),
        ("models: [{provider: a, name: 1}]", "3:30", "`name` of a model must be text"),
        ("aliases: [a]", "3:10", "`aliases` must be a mapping"),
        ("aliases: {a/b: c/d}", "3:11", "cannot be an alias"),
        ("aliases: {a: b}", "3:14", "The alias `a` names no model"),
        ("aliases: {a: [b/c]}", "3:14", "The alias `a` names no model, it is a list"),
    ],
)
def test_a_wrong_shape_is_refused_with_its_place(
    tmp_path: Path, text: str, place: str, words: str
) -> None:
    """Compiling and asking refuse it alike, at file, line and column."""
    path = tmp_path / "lattice.yaml"
    path.write_text(HEAD + text)
    with pytest.raises(LatticeSchemaError) as caught:
        load_models(path)
    assert f"{path}:{place}: " in str(caught.value)
    assert words.lower() in str(caught.value).lower()
    with pytest.raises(LatticeSchemaError) as compiled:
        parse_lattice(HEAD + text, file=str(path))
    assert str(compiled.value) == str(caught.value)


def test_what_is_no_yaml_is_refused(tmp_path: Path) -> None:
    """A file that cannot be read says so, as everywhere else."""
    path = tmp_path / "lattice.yaml"
    with pytest.raises(ProjectNotFoundError):
        load_models(path)
    path.write_text("models: [")
    with pytest.raises(LatticeSyntaxError):
        load_models(path)
