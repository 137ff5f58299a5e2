"""The program that imports a project's code, or reads a database, and writes what it found.

It runs in the project's own interpreter, where Lattice Lock need not be installed, so that it
imports nothing of it and is written for Python 3.9. What it is to do comes as JSON on standard
input. What goes wrong ends it with a traceback, which `child` reads.
"""

# ruff: noqa: ANN401  # objects of any project, whose libraries may be absent

# objects of any project

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import warnings
from pathlib import Path
from typing import Any

__all__ = ["load_source", "main", "run"]


def load_source(source: str) -> tuple[Any, str | None]:
    """The module of `package.module` or `path.py`, and the name behind a colon."""
    location, _, name = source.partition(":")
    for folder in ("src", ""):
        path = Path(folder).absolute()
        if path.is_dir() and str(path) not in sys.path:
            sys.path.insert(0, str(path))
    if not location.endswith(".py"):
        return importlib.import_module(location), name or None
    file = Path(location).absolute()
    if not file.is_file():
        raise FileNotFoundError(f"there is no file `{location}`")
    parts, home = [file.stem], file.parent
    while (home / "__init__.py").is_file():
        parts.insert(0, home.name)
        home = home.parent
    sys.path.insert(0, str(home))
    return importlib.import_module(".".join(parts)), name or None


def run(task: dict[str, Any], models: Any, tables: Any) -> dict[str, Any]:
    """What the task asks for."""
    if task["kind"] == "database":
        return dict(tables.describe_database(task["url"], models))
    module, name = load_source(task["source"])
    if task["kind"] == "sqlalchemy":
        return dict(tables.describe_module(module, name, models))
    classes = models.found_in(module, name, models.is_model)
    wrong = [one for one in classes if not models.is_model(one)]
    if wrong:
        raise TypeError(f"`{name}` is not a Pydantic model")
    return dict(models.describe_models(classes))


def _sibling(name: str) -> Any:
    path = Path(__file__).with_name(name + ".py")
    spec = importlib.util.spec_from_file_location("lattice_lock.core.importers." + name, path)
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Do what standard input says."""
    sys.path.pop(0)  # the folder of this file, whose modules are no business of the project
    warnings.simplefilter("ignore")
    task = json.load(sys.stdin)
    found = run(task, _sibling("_describe_models"), _sibling("_describe_tables"))
    part = Path(task["target"] + ".part")
    part.write_text(json.dumps(found), encoding="utf-8")
    part.replace(task["target"])


if __name__ == "__main__":
    main()
