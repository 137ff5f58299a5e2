"""Drafts from OpenAPI."""

# ruff: noqa: E501  # one description on few lines

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from lattice_lock.core.importers.drafting import draft_lattice
from lattice_lock.core.importers.openapi import draft_openapi
from lattice_lock.exceptions import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from lattice_lock.core.importers.draft import Draft
    from lattice_lock.core.importers.drafting import DraftedLattice

PETS = """\
openapi: 3.0.3
info: {title: Pet shop, version: 1.0.0}
servers: [{url: https://example.org}]
tags: [{name: pets, description: Everything about pets.}]
paths:
  /pets:
    get:
      operationId: listPets
      tags: [pets]
      summary: All pets
      parameters:
        - {name: limit, in: query, schema: {type: integer, maximum: 100, default: 20}}
        - {name: X-Trace, in: header, schema: {type: string, format: uuid}}
        - $ref: '#/components/parameters/Kind'
      responses:
        200:
          $ref: '#/components/responses/Pets'
        default: {description: wrong, content: {application/json: {schema: {$ref: '#/components/schemas/Error'}}}}
    post:
      operationId: createPet
      tags: [pets, admin]
      security: [{key: []}]
      requestBody: {$ref: '#/components/requestBodies/NewPet'}
      responses:
        "201": {description: made, content: {application/json: {schema: {$ref: '#/components/schemas/Pet'}}}}
  /pets/{pet_id}:
    parameters: [{name: pet_id, in: path, required: true, schema: {type: integer, enum: [1, 2]}}]
    delete:
      responses: {"204": {description: gone}}
components:
  parameters:
    Kind: {name: kind, in: query, description: Only these., schema: {$ref: '#/components/schemas/Kind'}}
  responses:
    Pets:
      description: The pets
      content: {application/json: {schema: {type: array, items: {$ref: '#/components/schemas/Pet'}}}}
  requestBodies:
    NewPet: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/NewPet'}}}}
  securitySchemes: {key: {type: apiKey, name: k, in: header}}
  schemas:
    Kind: {type: string, enum: [cat, dog]}
    Error: {type: object, required: [code], properties: {code: {type: integer}, text: {type: string, nullable: true}}}
    NewPet:
      type: object
      required: [name]
      properties:
        name: {type: string, minLength: 1}
        price: {type: number, multipleOf: 0.01, minimum: 0, exclusiveMinimum: true}
        owner: {type: object, properties: {class: {type: string}}}
    Pet:
      allOf:
        - $ref: '#/components/schemas/NewPet'
        - {type: object, required: [id], properties: {id: {type: integer}, mother: {$ref: '#/components/schemas/Pet'}}}
"""


def _drafted(path: Path) -> DraftedLattice:
    def fill(draft: Draft) -> None:
        draft_openapi(path, draft)

    return draft_lattice(fill, source="`pets.yaml`")


def test_schemas_become_entities_and_operations_methods(tmp_path: Path) -> None:
    """An API with references becomes a lattice; what HTTP alone knows is listed with its place."""
    path = tmp_path / "pets.yaml"
    path.write_text(PETS)
    drafted = _drafted(path)
    assert drafted.text.partition("generated_module: types_v1\n")[2] == (
        "entities:\n"
        "  Error:\n"
        "    fields:\n"
        "      code: int\n"
        "      text: {type: str | null, default: null}\n"
        "  NewPet:\n"
        "    fields:\n"
        "      name: {type: str, min_length: 1}\n"
        "      price: {type: decimal | null, gt: 0, multiple_of: 0.01, default: null}\n"
        "      owner: {type: NewPetOwner | null, default: null}\n"
        "  Pet:\n"
        "    fields:\n"
        "      name: {type: str, min_length: 1}\n"
        "      price: {type: decimal | null, gt: 0, multiple_of: 0.01, default: null}\n"
        "      owner: {type: NewPetOwner | null, default: null}\n"
        "      id: int\n"
        "      mother: {type: Pet | null, default: null}\n"
        "  NewPetOwner:\n"
        "    fields:\n"
        "      class_: {type: str | null, default: null}\n"
        "interfaces:\n"
        "  IPets:\n"
        "    description: Everything about pets.\n"
        "    file: src/services/pets.py\n"
        "    methods:\n"
        "      list_pets:\n"
        "        description: |-\n"
        "          All pets\n"
        "          GET /pets\n"
        "        params:\n"
        "          limit: {type: int | null, le: 100}\n"
        "          X_Trace: uuid | null\n"
        "          kind: {type: enum | null, enum: [cat, dog], description: Only these.}\n"
        '        returns: {type: "list[Pet]", description: The pets}\n'
        "      create_pet:\n"
        "        description: POST /pets\n"
        "        params:\n"
        "          new_pet: NewPet\n"
        "        returns: {type: Pet, description: made}\n"
        "  IPetShop:\n"
        "    file: src/services/pet_shop.py\n"
        "    methods:\n"
        "      delete_pets_pet_id:\n"
        '        description: "DELETE /pets/{pet_id}"\n'
        "        params:\n"
        "          pet_id: int\n"
        "        returns: null\n"
        "        requires:\n"
        '          - "pet_id in [1, 2]"\n'
    )
    places = {one.what: one.place.removeprefix(f"{path}:") for one in drafted.left_behind}
    assert places == {
        "default of `limit`": "12:36",
        "response default": "18:9",
        "tag `admin`": "19:5",
        "`security: [{'key': []}]`": "22:7",
        "components `securitySchemes`": "39:3",
        "`servers`": "3:1",
    }
    assert {one.what for one in drafted.renamed} == {"`class`", "`X-Trace`"}


def test_version_3_1_reads_json_schema_as_it_is(tmp_path: Path) -> None:
    """In 3.1 null is a type, and keywords beside a reference count."""
    path = tmp_path / "api.json"
    path.write_text(
        '{"openapi": "3.1.0", "components": {"schemas": {"Short": {"type": "string"}, "T":'
        ' {"required": ["a", "b"], "properties": {"a": {"type": ["integer", "null"]},'
        ' "b": {"$ref": "#/components/schemas/Short", "maxLength": 3}}}}}}'
    )
    drafted = _drafted(path)
    assert "      a: int | null\n      b: {type: str, max_length: 3}\n" in drafted.text
    assert drafted.left_behind == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('swagger: "2.0"\n', "pets.yaml:1:1`: this is Swagger 2.0"),
        ("info: {}\nopenapi: 3.1\n", "pets.yaml:2:1`: OpenAPI `3.1` is not read"),
        ("openapi: 4.0.0\n", "OpenAPI `4.0.0` is not read"),
        ("type: object\n", "is not an OpenAPI description"),
        ("openapi: 3.1.0\npaths: {}\n", "nothing was found"),
        ("openapi: 3.1.0\npaths: {/a: [\n", "this is not YAML"),
    ],
)
def test_another_kind_of_file_is_refused(text: str, message: str, tmp_path: Path) -> None:
    """What is no OpenAPI 3 says what it is, where, and what to do."""
    path = tmp_path / "pets.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=re.escape(message)):
        _drafted(path)


ODD = """\
openapi: 3.1.0
info: {title: 7}
paths:
  x-paths: {}
  /loop: {$ref: '#/components/pathItems/A'}
  /gone: {$ref: '#/components/pathItems/None'}
  /odd:
    x-item: 1
    servers: []
    post:
      operationId: post-odd thing
      parameters:
        - {in: query, schema: {type: integer}}
        - {name: result, in: query, x-style: form, schema: {type: integer}}
        - {name: self, in: query}
        - {name: filter, in: query, content: {application/json: {schema: {type: string}}, text/xml: {}}}
      requestBody: {content: {text/plain: {schema: {type: string}}}}
      responses:
        "200":
          description: Fine.
          headers: {X: {}}
          content: {application/json: {schema: {type: integer, default: 3}}, text/csv: {}}
        "201": {description: also fine}
        x-more: {}
    put:
      requestBody: {$ref: '#/components/requestBodies/None'}
      responses: {"200": {description: raw, content: {application/json: {}}}}
components:
  pathItems:
    A: {$ref: '#/components/pathItems/B'}
    B: {$ref: '#/components/pathItems/A'}
"""


def test_what_an_api_says_beyond_a_method_is_listed(tmp_path: Path) -> None:
    """References that lead nowhere, second forms, headers and defaults each have their line."""
    file = tmp_path / "odd.yaml"
    file.write_text(ODD)
    found = draft_lattice(lambda draft: draft_openapi(file, draft), source="odd")
    (interface,) = found.lattice.interfaces.values()
    post, put = (interface.methods[name] for name in ("post_odd_thing", "put_odd"))
    assert len(post.params) == 3
    assert str(post.returns.type) == "int"
    assert list(put.params) == []
    listed = " | ".join(f"{one.what}: {one.why}" for one in found.left_behind)
    for words in (
        "`x-paths`: a lattice has no form",
        "it leads back to itself",
        "`servers`: a lattice has no form",
        "parameter: it has no name",
        "`x-style` of `result`",
        "`text/xml` of the parameter `filter`",
        "`text/plain` of the request body",
        "`headers` of a response",
        "default of a result",
        "response 201: a method has one result",
        "response x-more",
    ):
        assert words in listed, words
