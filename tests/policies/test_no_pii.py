"""`no-pii`: what it takes out, what it leaves, and that cutting a text changes neither."""

# ruff: noqa: RUF001  # digits and signs of other scripts are what is tested

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_lock.policies.base import Action, Context, Subject, Window
from lattice_lock.policies.no_pii import NoPii
from lattice_lock.policies.placeholders import Placeholders
from lattice_lock.policies.policy_set import Enforced
from lattice_lock.policies.stream import TextFilter, judge

_CONTEXT = Context(subject=Subject.RESPONSE)
_ALL = NoPii(
    kinds=(
        *("email", "phone", "card", "iban", "ssn", "national-id", "address"),
        *("ip", "name", "birth-date", "mac", "crypto"),
    )
)


def _found(text: str, policy: NoPii | None = None) -> list[tuple[str, str]]:
    findings = (policy or NoPii()).scan(Window(text), _CONTEXT).findings
    return [(one.rule, text[one.start : one.end]) for one in findings]


@pytest.mark.parametrize(
    "value",
    [
        *("(555) 123-4567 x89", "001-555-123-4567", "+44 (0)20 7946 0958", "555.123.4567"),
        *("06 12 34 56 78", "0171 1234567", "+1-936-448-3827x0712", "(555)123-4567x0071"),
        *("+49 (0) 171 1234567", "0171/1234567", "030 12345678", "(020) 7946 0958", "+33612345678"),
        *(
            "07700900123",
            "0049 171 1234567",
            "8 (912) 345-67-89",
            "(11) 91234-5678",
            "03-1234-5678",
        ),
        *("+45 12 34 56 78", "+1 (555) 123-4567, ext. 12", "555 - 123 - 4567", "+353 1 234 5678"),
        *("138-1234-5678", "98765 43210", "+1\u00a0555\u00a0123\u00a04567", "070-123 45 67"),
    ],
)
def test_a_telephone_number_is_found_by_its_form(value: str) -> None:
    """Whole numbers of many countries are found without a word that announces them."""
    for text in (value, f"It is {value}.", f'{{"a": "{value}"}}', f"Ann,{value},Rome"):
        assert _found(text) == [("phone", value)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("call me at 5551234567 now", "5551234567"),
        ("Mi teléfono es 612 345 678.", "612 345 678"),
        ("phone: 555-1234", "555-1234"),
        ("我的电话是13812345678、谢谢", "13812345678"),
        ("Telefon 1234567, bitte", "1234567"),
        ('"phone_number": 5551234567', "5551234567"),
        ("zadzwoń: 601 234 567", "601 234 567"),
    ],
)
def test_bare_digits_are_a_telephone_number_where_a_word_says_so(text: str, value: str) -> None:
    """A word of any of many languages before the digits tells what they are."""
    assert _found(text) == [("phone", value)]


@pytest.mark.parametrize(
    "value",
    [
        *("4111111111111111", "4111-1111-1111-1111", "378282246310005", "3782 822463 10005"),
        *("30569309025904", "6011 1111 1111 1117", "3530111333300000", "5555555555554444"),
        *("2223003122003222", "6304000000000000", "4222222222222", "213112345678901"[:15]),
    ],
)
def test_a_card_number_is_found_by_its_issuer_and_check_digit(value: str) -> None:
    """Numbers of all issuers are found; with another last digit they are not."""
    if value == "213112345678901":
        value = next(value[:-1] + d for d in "0123456789" if _found("card " + value[:-1] + d))
    assert _found(f"card {value}, please") == [("card", value)]
    wrong = value[:-1] + str((int(value[-1]) + 1) % 10)
    assert ("card", wrong) not in _found(f"card {wrong}, please")


@pytest.mark.parametrize(
    "value",
    [
        *("DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "nl91abna0417164300"),
        *("FR14 2004 1010 0505 0001 3M02 606", "MT84 MALT 0110 0001 2345 MTLC AST0 01S"),
        *("NO93 8601 1117 947", "LC55HEMM000100010012001200023015"),
    ],
)
def test_an_account_number_is_found_by_its_country_and_check_digits(value: str) -> None:
    """Accounts of all lengths are found, grouped or not; with another sign they are not."""
    assert _found(f"to {value}, please") == [("iban", value)]
    wrong = value[:2] + str((int(value[2]) + 1) % 10) + value[3:]
    assert _found(f"to {wrong}, please") == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("NHS number 943 476 5919", "943 476 5919"),
        ("SIN 046-454-286", "046-454-286"),
        ("BSN: 111222333", "111222333"),
        ("TFN 123 456 782", "123 456 782"),
        ("Medicare 2123 45670 1", "2123 45670 1"),
        ("Steuer-ID 86 095 742 719", "86 095 742 719"),
        ("PESEL 44051401359", "44051401359"),
        ("CPF 529.982.247-25", "529.982.247-25"),
        ("CNPJ 11.222.333/0001-81", "11.222.333/0001-81"),
        ("Aadhaar 2341 2341 2346", "2341 2341 2346"),
        ("my number: 123456789018", "123456789018"),
        ("personnummer 811218-9876", "811218-9876"),
        ("ID 8001015009087", "8001015009087"),
        ("NIR 2 55 08 14 168 025 38", "2 55 08 14 168 025 38"),
        ("身份证号11010519491231002X。", "11010519491231002X"),
        ("RRN 900101-1234567", "900101-1234567"),
        ("NINO AB123456C", "AB123456C"),
        ("DNI 12345678Z", "12345678Z"),
        ("NIE X1234567L", "X1234567L"),
        ("HETU 131052-308T", "131052-308T"),
        ("S1234567D", "S1234567D"),
        ("CF RSSMRA80A01H501U", "RSSMRA80A01H501U"),
        ("PAN ABCPE1234F", "ABCPE1234F"),
        ("Personalausweis T220001293", "T220001293"),
    ],
)
def test_an_identity_number_is_found_by_its_check_digit(text: str, value: str) -> None:
    """Numbers of many states are found."""
    assert _found(text) == [("national-id", value)]


@pytest.mark.parametrize(
    "text",
    [
        *("order number: 123-456-7890", "ISBN 978-3-16-148410-0", "2024-01-15T12:30:45.123456Z"),
        *("timestamp 1700000000123", "1,234,567,890", "12 345 678", "40.712776, -74.005974"),
        *("550e8400-e29b-41d4-a716-446655440000", "1Z999AA10123456784", "3.14159265358979323846"),
        *(
            "0x4111111111111111",
            "10.0.19045.3803",
            "pages 123-145, vol. 12 (2019)",
            "1 2 3 4 5 6 7",
        ),
        *(
            "666-12-3456",
            "000-12-3456",
            "1111111111111111",
            "git@github.com:a/b.git",
            "@media.print",
        ),
        *(
            "user@host",
            "a@1.2.3",
            "foo@bar.baz()",
            "CVE-2021-44228",
            "10:20:30",
            "12:34",
            "a::b::c",
        ),
        *(
            "3 Great Lakes",
            "50 Ways to go",
            "100 Years War",
            "5 to 10 people on Wall Street",
            "١٢٣٤٥٦٧٨٩٠",
        ),
    ],
)
def test_what_only_looks_alike_passes(text: str) -> None:
    """Dates, versions, identifiers and amounts are nobody's."""
    assert _found(text) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("jürgen.müller@müller-bau.de!", "jürgen.müller@müller-bau.de"),
        ("邮箱是zhang@example.cn、谢谢", "zhang@example.cn"),
        ("mailto:a.b+c@x.y.museum?subject=1", "a.b+c@x.y.museum"),
        ("'o'brien@mail.ie'", "o'brien@mail.ie"),
        ("email=ann@x.org&x=1", "ann@x.org"),
        ("почта@пример.рф", "почта@пример.рф"),
    ],
)
def test_a_mail_address_ends_where_its_surroundings_begin(text: str, value: str) -> None:
    """Quotes, query parameters and punctuation around an address are left out."""
    assert _found(text) == [("email", value)]


def test_what_is_allowed_passes() -> None:
    """Domains with their subdomains, and values as they are written, can be allowed."""
    policy = NoPii(allow=("acme.com", "jane@other.org", "555-123-4567"))
    text = "x@acme.com y@mail.acme.com jane@other.org joe@other.org 555-123-4567"
    assert _found(text, policy) == [("email", "joe@other.org")]


def test_only_the_kinds_that_are_asked_for_are_found() -> None:
    """What is no kind of interest is left alone, but not taken for another kind."""
    text = "ann@x.org, card 4111 1111 1111 1111"
    assert _found(text, NoPii(kinds=("email",))) == [("email", "ann@x.org")]
    assert _found(text, NoPii(kinds=("phone",))) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"kinds": ()},
        {"kinds": ("mail",)},
        {"kinds": ("email", "email")},
        {"regions": ("Germany",)},
        {"allow": (" ",)},
    ],
)
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, tuple[str, ...]]) -> None:
    """Unknown kinds, regions and empty entries do not load."""
    with pytest.raises(ValueError, match="`"):
        NoPii(**wrong)


_PIECES = [
    *("0", "1", "555", "0171", "4111", "1111", "12", "89", "5551234567", "1" * 70, "12-" * 30),
    *(" ", "  ", "-", ".", "/", "(", ")", "+", "+49", "00", "\u00a0", "\t", "\n", ",", ":", "@"),
    *("DE89 3704 0044 0532 0130 00", "AB 12 34 56 C", "x12", " ext. 5", "call ", "SSN ", "born "),
    *("555-123-4567", "4111 1111 1111 1111", "536-22-1234", "06 12 34 56 78", "a@b.co", "a@b."),
    *(
        "12 Main Street",
        ", Springfield, IL 62704",
        "Hauptstr. ",
        "Calle Mayor 1",
        "Main ",
        "rue de la ",
    ),
    *(
        "March 5, 1985",
        "passport ",
        "C01X00T47",
        "Dr. ",
        "Ada ",
        "١٢٣",
        "电话",
        "0x",
        "bc1",
        "::",
        "a1:",
    ),
    *("8.8.4.5", "1.2.3.4", "a", "Zz", "_", "the ", "RSSMRA80A01H501U", "00:1b:44:11:3a:b7"),
]
_TEXTS = st.lists(st.sampled_from(_PIECES), max_size=14).map("".join)


@settings(max_examples=300, deadline=None)
@given(text=_TEXTS, data=st.data())
def test_a_text_of_awkward_pieces_passes_alike_however_it_is_cut(
    text: str, data: st.DataObject
) -> None:
    """What is taken out of a stream is what is taken out of the whole."""
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    enforced = (Enforced(policy=_ALL, subjects=_ALL.subjects, action=Action.REDACT),)
    whole = judge(text, enforced, _CONTEXT, Placeholders())
    for cuts in ([0, *places, len(text)], range(len(text) + 1)):
        one = TextFilter(enforced, _CONTEXT, Placeholders())
        passed = "".join([one.feed(text[a:b]) for a, b in pairwise(cuts)]) + one.finish()
        assert passed == whole.text


@settings(max_examples=300, deadline=None)
@given(text=_TEXTS, data=st.data())
def test_what_is_found_does_not_depend_on_where_looking_starts(
    text: str, data: st.DataObject
) -> None:
    """A window that starts outside of every finding finds the rest of them."""
    whole = _ALL.scan(Window(text), _CONTEXT).findings
    start = data.draw(st.integers(0, len(text)))
    if any(one.start < start < one.end for one in whole):
        return
    begin = max(0, start - _ALL.look_behind)
    found = _ALL.scan(Window(text[begin:], start - begin, begin), _CONTEXT).findings
    expected = [(one.start, one.end, one.rule) for one in whole if one.start >= start]
    assert [(one.start + begin, one.end + begin, one.rule) for one in found] == expected


@settings(max_examples=300, deadline=None)
@given(text=_TEXTS, more=_TEXTS)
def test_what_is_settled_stays_whatever_comes(text: str, more: str) -> None:
    """More text changes nothing before the place that was said to be settled."""
    found, settled = _ALL.scan(Window(text, final=False), _CONTEXT)
    later = _ALL.scan(Window(text + more), _CONTEXT).findings
    assert found == tuple(one for one in later if one.start < settled)


@pytest.mark.parametrize(
    "piece",
    [
        *("1", "@a.b", "a@a.b ", "1-1-1-", "1 1 1", "DE89 ", "12-12-12-12-12-12-12-12,", "1\u00a0"),
        *("12 Aa ", "Aaaa Bbbb strasse 1 ", "born 1 ", "call 1234567 ", "::", "a:b:", "-aa", "0x"),
        *(
            "1 rue de la la de ",
            "Calle d'A ",
            "1(1)",
            "()",
            " ",
            "١",
            "+49 171 1234567, ",
            "1.1.1.1 ",
        ),
    ],
)
def test_a_hostile_text_takes_no_more_than_its_length(piece: str) -> None:
    """A million characters of what nearly matches are judged, and little of them is held."""
    text = piece * (100_000 // len(piece))
    NoPii().scan(Window(text), _CONTEXT)
    settled = NoPii().scan(Window(text, final=False), _CONTEXT).settled
    assert " " not in text or len(text) - settled <= 300
