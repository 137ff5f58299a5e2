"""What stands for what was taken out, and how it comes back."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from lattice_lock.policies.placeholders import Placeholders, Restoring

LONGEST = f"[{'A' * 40}_123456789]"


def hiding(*values: tuple[str, str]) -> Placeholders:
    """Placeholders that stand for each label and value, and can be restored."""
    placeholders = Placeholders()
    for label, value in values:
        placeholders.hide(label, value, restore=True)
    return placeholders


def restored(placeholders: Placeholders, pieces: list[str]) -> str:
    """What a stream of `pieces` becomes."""
    stream = Restoring(placeholders)
    return "".join([stream.feed(piece) for piece in pieces]) + stream.finish()


def test_one_value_has_one_name() -> None:
    """The same value of the same label keeps its name; another value or label gets another."""
    placeholders = Placeholders()
    assert placeholders.hide("EMAIL", "ann@example.org") == "[EMAIL_1]"
    assert placeholders.hide("EMAIL", "bob@example.org") == "[EMAIL_2]"
    assert placeholders.hide("NAME", "ann@example.org") == "[NAME_1]"
    assert placeholders.hide("EMAIL", "ann@example.org") == "[EMAIL_1]"


def test_a_name_that_a_text_has_already_is_not_given_out() -> None:
    """What the caller wrote like a placeholder stays theirs, and is not restored to a value."""
    placeholders = Placeholders()
    placeholders.avoid("no brackets")
    placeholders.avoid("as [EMAIL_1] and [EMAIL_3] said in [email_2] and [EMAIL_02]")
    names = [placeholders.hide("EMAIL", value, restore=True) for value in ("a", "b", "c")]
    assert names == ["[EMAIL_2]", "[EMAIL_4]", "[EMAIL_5]"]
    assert placeholders.restore("[EMAIL_1] [EMAIL_2]") == "[EMAIL_1] a"


def test_only_what_is_to_be_restored_comes_back() -> None:
    """A value that was hidden for good stays hidden, until it is hidden to be restored too."""
    placeholders = Placeholders()
    placeholders.hide("KEY", "secret")
    assert not placeholders.restores
    assert placeholders.restore("[KEY_1]") == "[KEY_1]"
    placeholders.hide("EMAIL", "ann", restore=True)
    assert placeholders.restores
    assert placeholders.restore("[KEY_1] of [EMAIL_1], [EMAIL_1]") == "[KEY_1] of ann, ann"
    placeholders.hide("KEY", "secret", restore=True)
    placeholders.hide("KEY", "secret")
    assert placeholders.restore("[KEY_1]") == "secret"


def test_a_restored_value_is_not_read_again() -> None:
    """A value that looks like a placeholder of another is passed on as it is."""
    placeholders = hiding(("A", "[B_1]"), ("B", "value"))
    assert placeholders.restore("[A_1] [B_1]") == "[B_1] value"
    assert restored(placeholders, ["[A", "_1] [", "B_1]"]) == "[B_1] value"


def test_a_stream_is_restored_however_it_is_cut() -> None:
    """Every cut in two and single characters give what the whole text gives."""
    placeholders = hiding(("EMAIL", "ann@example.org"), ("A" * 40, "long"))
    text = "[[EMAIL_1]] [x](EMAIL_1) [EMAIL_2] [EMAIL_1][EMAIL_1 [ [EMAIL_1] [" + "A" * 50
    expected = placeholders.restore(text)
    assert expected.count("ann@example.org") == 3
    for at in range(len(text) + 1):
        assert restored(placeholders, [text[:at], text[at:]]) == expected
    assert restored(placeholders, list(text)) == expected


def test_the_longest_name_comes_back_over_every_cut() -> None:
    """No prefix of a placeholder is passed on before it is known not to be one."""
    placeholders = Placeholders()
    placeholders._values[LONGEST] = "value"  # hiding 123,456,789 values takes long
    for at in range(len(LONGEST) + 1):
        assert restored(placeholders, [LONGEST[:at], LONGEST[at:]]) == "value"
    assert restored(placeholders, list(f"[A{LONGEST}")) == "[Avalue"


def test_what_is_no_placeholder_is_held_no_longer_than_it_may_be_one() -> None:
    """Ordinary text passes at once, a bracket waits, and waits no longer than a name is long."""
    stream = Restoring(hiding(("EMAIL", "ann")))
    assert stream.feed("text") == "text"
    assert stream.feed("a [") == "a "
    assert stream.feed("link](x)") == "[link](x)"
    assert stream.feed("[" + "A" * 51) == ""
    assert stream.feed("A") == "[" + "A" * 52
    assert stream.finish() == ""


@given(
    st.lists(
        st.sampled_from(["[", "]", "[EMAIL_1]", "[EMAIL_", "1", "0", "_", "KEY_2]", "é", " "]),
        max_size=12,
    ),
    st.lists(st.integers(0, 60), max_size=6),
)
def test_any_text_is_restored_alike_in_pieces(parts: list[str], places: list[int]) -> None:
    """Whatever the text and the cuts, a stream restores what `restore` does."""
    placeholders = hiding(("EMAIL", "ann"), ("KEY", "one"), ("KEY", "two"))
    text = "".join(parts)
    cuts = [0, *sorted(min(place, len(text)) for place in places), len(text)]
    pieces = [text[begin:end] for begin, end in pairwise(cuts)]
    assert restored(placeholders, pieces) == placeholders.restore(text)
