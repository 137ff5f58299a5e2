"""Files that only their user can have written."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from lattice_lock.core.seals import load_seal_key, replace_file, seal, unseal

if TYPE_CHECKING:
    from pathlib import Path

KEY = bytes(range(32))


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    """The first use makes 32 random bytes with mode 0600, which stay."""
    folder = tmp_path / "data" / "lattice-lock"
    key = load_seal_key(folder)
    assert key is not None
    assert (len(key), load_seal_key(folder)) == (32, key)
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load_seal_key(tmp_path / "other") != key


def test_all_who_make_the_key_at_once_get_the_same(tmp_path: Path) -> None:
    """Whoever is first wins, and nobody leaves a file behind."""
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(load_seal_key, [tmp_path] * 64))
    assert len(keys) == 1
    assert None not in keys
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("spoil", ["others may read it", "link", "short", "folder"])
def test_a_key_that_may_be_known_is_not_used(spoil: str, tmp_path: Path) -> None:
    """A key of doubtful origin is as good as none, and is not replaced either."""
    load_seal_key(tmp_path)
    (file,) = tmp_path.iterdir()
    match spoil:
        case "others may read it":
            file.chmod(0o640)
        case "link":
            os.replace(file, tmp_path / "elsewhere")  # noqa: PTH105  # one line, like the others
            file.symlink_to(tmp_path / "elsewhere")
        case "short":
            file.write_bytes(KEY[:-1])
        case _:
            file.unlink()
            file.mkdir()
    assert load_seal_key(tmp_path) is None
    assert load_seal_key(tmp_path) is None


def test_where_no_key_can_be_made_there_is_none(tmp_path: Path) -> None:
    """A folder that cannot be is no error."""
    (tmp_path / "file").touch()
    assert load_seal_key(tmp_path / "file" / "below") is None


def test_only_what_was_sealed_is_unsealed() -> None:
    """Another key, another purpose, and every changed, missing or added byte is noticed."""
    sealed = seal(b"passed", KEY, purpose="a")
    assert unseal(sealed, KEY, purpose="a") == b"passed"
    assert unseal(sealed, KEY[::-1], purpose="a") is None
    assert unseal(sealed, KEY, purpose="b") is None
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        assert unseal(bytes(changed), KEY, purpose="a") is None
        assert unseal(sealed[:position], KEY, purpose="a") is None
    assert unseal(sealed + b"!", KEY, purpose="a") is None
    assert unseal(b"passed", b"", purpose="a") is None


def test_a_file_is_replaced_at_once(tmp_path: Path) -> None:
    """It is its owner's alone, and a failure leaves the old content and nothing else."""
    file = tmp_path / "folder" / "file"
    replace_file(file, b"old")
    replace_file(file, b"new")
    assert file.read_bytes() == b"new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    target = tmp_path / "folder" / "taken"
    target.mkdir()
    with pytest.raises(OSError, match="directory"):
        replace_file(target, b"new")
    assert sorted(each.name for each in file.parent.iterdir()) == ["file", "taken"]
