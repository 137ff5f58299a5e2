"""One small interface for which bodies are proposed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lattice_lock.core.loader import parse_lattice

if TYPE_CHECKING:
    from lattice_lock.core.schema import Interface, Lattice, Method

LATTICE = """
version: v1.0
generated_module: types_v1
entities:
  Size:
    fields:
      width: {type: int, ge: 1}
      unit: {enum: [cm, inch]}
  Parcel:
    fields:
      size: Size
      label: {type: "str | null"}
interfaces:
  IScale:
    file: src/services/scale.py
    methods:
      weigh:
        params: {parcel: Parcel}
        returns: int
        ensures: ["result == parcel.size.width"]
  IPricing:
    file: src/services/pricing.py
    methods:
      line_total:
        description: Price of one line.
        params:
          price: {type: decimal, ge: 0, scale: 2, description: price of one piece}
          quantity: {type: int, ge: 1}
        returns: {type: decimal, ge: 0}
        requires: ["quantity < 1000"]
        ensures:
          - {name: product, condition: "result == price * quantity", description: exact}
        raises: {ValueError: "price > 500"}
        examples: [{args: {price: "2.50", quantity: 2}, returns: "5.00"}]
      reset:
        params: {quantity: int}
        ensures: ["quantity == old(quantity)"]
  IPost:
    file: src/services/post.py
    depends_on: [IScale]
    methods:
      postage:
        params: {parcel: Parcel}
        returns: int
        ensures: ["result == parcel.size.width * 2"]
"""


@pytest.fixture(scope="session")
def lattice() -> Lattice:
    """The lattice that these tests share."""
    return parse_lattice(LATTICE, file="lattice.yaml")


@pytest.fixture(scope="session")
def pricing(lattice: Lattice) -> Interface:
    """Its interface without dependencies."""
    return lattice.interfaces["IPricing"]


@pytest.fixture(scope="session")
def line_total(pricing: Interface) -> Method:
    """A method with two parameters."""
    return pricing.methods["line_total"]
