"""Write a generated file, or with `--check` only say whether it is current."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["ROOT", "write_or_check"]

ROOT = Path(__file__).resolve().parent.parent


def write_or_check(path: str, text: str, *, description: str | None) -> int:
    """Do what the command line says with the file `path` of the repository; 1 when it is stale."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when stale")
    target = ROOT / path
    if parser.parse_args().check:
        if target.exists() and target.read_text(encoding="utf-8") == text:
            return 0
        print(f"{path} is stale; run `make generate`.")
        return 1
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return 0
