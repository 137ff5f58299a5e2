"""What the words before a number call it."""

# ruff: noqa: E501  # lists of words

from __future__ import annotations

from functools import cache
from typing import Final

from ahocorasick_rs import AhoCorasick, Implementation

__all__ = ["CONTEXT", "Names"]

CONTEXT: Final = 48

# Words by what they announce, one list for all languages; a star stands for any further letters.
_WORDS: Final = {
    "phone": (
        "my|number meine|nummer mon|numéro mi|número mio|numero mijn|nummer mitt|nummer mój|numer "
        "meu|número "
        "tel phone* telephone* téléphone telefon* telefoon* teléfono* telefone* telefono* "
        "telefax fax facsimile call calls called calling callback mobile mobiles mobil* cell "
        "cellphone cellular* ph tlf tfno dial dialed dialing ring rings text texted texting "
        "sms whatsapp hotline helpline voicemail contact* reach reached reaching landline "
        "pager signal telegram viber portable appel* joindre joignable fixe ruf rufen anruf* "
        "handy* festnetz* erreich* rückruf* melden durchwahl móvil movil celular* llám* llam* "
        "fijo cel chiam* cellulare recapito bel bellen gebeld mobiel* ligu* ligar fone zap "
        "ringa ringer dzwo* komórk* kom zadzwo* puhelin* puh soita cep mob тел телефон* "
        "мобил* звон* позвон* 电话 電話 手机 手機 携帯 联系 聯絡 連絡 전화* 휴대폰 연락처 τηλ* هاتف फोन"
    ),
    "other": (
        "order orders bestell* invoice* rechnung* tracking ticket case ref reference isbn "
        "issn ean gtin upc sku barcode serial account acct konto* cuenta compte conto part "
        "item model product article artikel* patent version ver build release id uuid guid "
        "hash sha checksum timestamp epoch unix commit revision rev policy claim transaction "
        "txn batch lot po doi arxiv pmid port pid iban blz routing vat zip plz page pages pp "
        "vol size bytes coordinates lat latitude lon longitude price total amount population "
        "customer member record row line seed imei commande facture pedido factura ordine "
        "fattura zam* seri* shipment parcel container meter job run request session orderid "
        "userid 订单 注文 주문"
    ),
    "ssn": "ssn ss# ssnum social soc|sec itin tin taxpayer* tax|id*",
    "card": (
        "card* credit debit visa mastercard master|card maestro amex american|express diners* "
        "discover jcb karte* kreditkart* carte tarjeta carta cartão cartao kart* kaart pan cc "
        "payment* pay 卡号 信用卡 カード"
    ),
    "nhs": "nhs* health*",
    "sin": "sin social|insurance nas assurance|sociale canad*",
    "bsn": "bsn burgerservice* sofi* persoons*",
    "tfn": "tfn tax*",
    "medicare": "medicare",
    "steuer": "steuer* idnr identifikation* tin tax*",
    "pesel": "pesel",
    "cpf": "cpf documento* tax*",
    "cnpj": "cnpj tax*",
    "aadhaar": "aadhaar aadhar uid uidai आधार",
    "my-number": "my|number mynumber individual|number マイナンバー 個人番号",
    "personnummer": "personnum* personal|number personal|identity personal|code personal|id swedish*",
    "south-african": "rsa sa|id south|african passport",
    "identity": "national id identi* citizen* idno",
    "ausweis": "ausweis* personalausweis* reisepass passport id",
    "ip": "ip ips ipv4 host* addr* server* client* from remote* dns ping ssh gateway* login*",
    "lives": (
        "address addr street live lives lived living resid* located ship ships shipped "
        "shipping deliver* mail mailed mailing home house moved visit send adresse* wohn* "
        "habite"
    ),
}


class Names:
    """Where the nearest word of each kind before a number ends; -1 if there is none."""

    def __init__(self, text: str, begin: int) -> None:
        self._text = text
        self._begin = begin
        self._places: dict[str, int] | None = None

    def last(self, *kinds: str) -> int:
        """The nearest of the words of `kinds`."""
        if self._places is None:
            self._places = _places(self._text, self._begin)
        if not self._places:
            return -1
        return max([self._places.get(kind, -1) for kind in kinds])

    @property
    def phone(self) -> bool:
        """Whether the nearest word speaks of a telephone."""
        place = self.last("phone")
        return place >= 0 and place > self.last("other") and place >= self.last("ssn")

    @property
    def other(self) -> bool:
        """Whether the nearest word speaks of a number of something else."""
        return self.last("other") > self.last("phone")

    @property
    def card(self) -> bool:
        """Whether a word speaks of a payment card."""
        return self.last("card") >= 0

    @property
    def ssn(self) -> bool:
        """Whether a word speaks of social security, and none after it of a telephone."""
        return self.last("ssn") >= max(0, self.last("phone"))


def _places(text: str, begin: int) -> dict[str, int]:
    finder, rows = _finder()
    before = text[max(0, begin - CONTEXT) : begin].lower()
    cut = begin > CONTEXT and text[begin - CONTEXT - 1].isalpha()
    places: dict[str, int] = {}
    for index, first, last in finder.find_matches_as_indexes(before, overlapping=True):
        kinds, bounded, whole = rows[index]
        if bounded and (before[first - 1].isalpha() if first else cut):
            continue
        if whole and last < len(before) and before[last].isalpha() and before[last] < "\u2e80":
            continue
        for kind in kinds:
            places[kind] = max(last, places.get(kind, -1))
    return places


@cache
def _finder() -> tuple[AhoCorasick, tuple[tuple[tuple[str, ...], bool, bool], ...]]:
    kinds: dict[str, list[str]] = {}
    for kind, words in _WORDS.items():
        for word in words.split():
            kinds.setdefault(word.replace("|", " "), []).append(kind)
    finder = AhoCorasick(
        [word.rstrip("*") for word in kinds], implementation=Implementation.ContiguousNFA
    )
    return finder, tuple(
        (tuple(names), word < "\u2e80", word < "\u2e80" and not word.endswith(("*", "#")))
        for word, names in kinds.items()
    )
