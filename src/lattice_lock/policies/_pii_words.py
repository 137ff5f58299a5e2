"""Personal data that is written in words: addresses, names, and what a word announces."""

# ruff: noqa: E501, SIM905, RUF001  # patterns and lists of words, which read better unbroken

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from lattice_lock.policies._pii_context import Names
from lattice_lock.policies._pii_numbers import Found

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "ANNOUNCED",
    "CONNECTORS",
    "LONGEST_ADDRESS",
    "LONGEST_ANNOUNCED",
    "NUMBERED_START",
    "STREET_START",
    "STREET_WORDS",
    "announced",
    "numbered_street",
    "street_with_number",
    "street_word",
    "words_of",
]

LONGEST_ADDRESS: Final = 120
LONGEST_ANNOUNCED: Final = 64
_BEFORE_NUMBER: Final = 48

_UP: Final = "A-Z\u00c0-\u00d6\u00d8-\u00de\u0141\u015a\u0160\u017b\u017d"
_LET: Final = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f"
_W: Final = rf"[{_UP}][{_LET}'\u2019.-]{{0,24}}"
_SEP: Final = r"(?:,[ \n]{0,2}|[ \n]|\\n)"

_SUFFIXES: Final = (
    "Street|St|Avenue|Ave|Av|Road|Rd|Lane|Ln|Drive|Dr|Boulevard|Blvd|Court|Ct|Way|Place|Pl|Terrace|Ter|Highway|Hwy"
    "|Parkway|Pkwy|Square|Sq|Circle|Cir|Trail|Trl|Close|Crescent|Cres|Gardens|Mews|Grove|Row|Alley|Broadway|Turnpike"
)
# Source: https://pe.usps.com/text/pub28/28apc_002.htm
_RARE_SUFFIXES: Final = (
    "Annex|Arcade|Bayou|Beach|Bend|Bluffs?|Bottom|Branch|Bridge|Brooks?|Burgs?|Bypass|Camp|Canyon|Cape|Causeway|Centers?"
    "|Circles|Cliffs?|Club|Common|Corners?|Course|Courts|Coves?|Creek|Crest|Crossing|Crossroad|Curve|Dale|Dam|Divide|Drives"
    "|Estates?|Expressway|Extensions?|Falls?|Ferry|Fields?|Flats?|Fords?|Forest|Forges?|Forks?|Fort|Freeway|Garden|Gateway"
    "|Glens?|Greens?|Groves|Harbors?|Haven|Heights|Hills?|Hollow|Inlet|Islands?|Isle|Junctions?|Keys?|Knolls?|Lakes?|Land"
    "|Landing|Lights?|Loaf|Locks?|Lodge|Loop|Mall|Manors?|Meadows?|Mills?|Mission|Motorway|Mountains?|Mount|Neck|Orchard"
    "|Oval|Overpass|Parks?|Parkways|Pass|Passage|Path|Pike|Pines?|Plains?|Plaza|Points?|Ports?|Prairie|Radial|Ramp|Ranch"
    "|Rapids?|Rest|Ridges?|River|Roads|Route|Run|Shoals?|Shores?|Skyway|Springs?|Spurs?|Squares|Station|Stravenue|Stream"
    "|Streets|Summit|Throughway|Trace|Track|Trafficway|Tunnel|Underpass|Unions?|Valleys?|Via|Viaduct|Views?|Villages?|Ville"
    "|Vista|Walks?|Wall|Ways|Wells?|Drove|View|End|Hill"
)
_STATES: Final = (
    "A[LKZRAEPS]|C[AOT]|D[CE]|F[LM]|G[AU]|HI|I[ADLN]|K[SY]|LA|M[ADEHINOPST]|N[CDEHJMVY]|O[HKR]|P[ARW]|RI|S[CD]|T[NX]|UT|V[AIT]|W[AIVY]"
    "|Alabama|Alaska|Arizona|Arkansas|California|Colorado|Connecticut|Delaware|Florida|Georgia|Hawaii|Idaho|Illinois|Indiana|Iowa"
    "|Kansas|Kentucky|Louisiana|Maine|Maryland|Massachusetts|Michigan|Minnesota|Mississippi|Missouri|Montana|Nebraska|Nevada"
    "|New (?:Hampshire|Jersey|Mexico|York)|(?:North|South) (?:Carolina|Dakota)|Ohio|Oklahoma|Oregon|Pennsylvania|Rhode Island"
    "|Tennessee|Texas|Utah|Vermont|Virginia|Washington|West Virginia|Wisconsin|Wyoming|NSW|VIC|QLD|ACT|TAS|ON|QC|BC|AB|MB|SK|NS|NB|NL"
)
_UK_CODE: Final = r"[A-Z]{1,2}[0-9][0-9A-Z]? ?[0-9][A-Z]{2}(?![A-Za-z0-9])"
_CA_CODE: Final = r"[A-Z][0-9][A-Z] ?[0-9][A-Z][0-9](?![A-Za-z0-9])"
_ZIP: Final = rf"(?:[0-9]{{5}}(?:-[0-9]{{4}})?(?![0-9A-Za-z])|[0-9]{{4}}(?![0-9A-Za-z])|{_CA_CODE})"
_TOWN: Final = rf"{_W}(?: {_W}){{0,3}}"
_UNIT: Final = rf"(?:{_SEP}(?:Apt|Apartment|Suite|Ste|Unit|Floor|Fl|Room|Rm|Bldg|Flat|No)\.? ?#?[A-Za-z0-9-]{{1,6}}|{_SEP}#[ ]?[A-Za-z0-9-]{{1,6}})"
_CITY_US: Final = rf"{_SEP}{_TOWN},? (?:{_STATES})\.?,? {_ZIP}"
_CITY_UK: Final = rf"(?:{_SEP}{_TOWN}){{0,3}}?{_SEP}{_UK_CODE}"
_COUNTRY: Final = (
    r"(?:, (?:USA|U\.S\.A\.|United States|UK|United Kingdom|England|Canada|Australia))?"
)
_CITY: Final = rf"(?:{_CITY_US}|{_CITY_UK}){_COUNTRY}"
_DIRECTION: Final = r"(?: (?:[NSEW]|[NS][EW]|North|South|East|West)(?![A-Za-z])\.?)"
_NUMBER: Final = r"[0-9]{0,5}[A-Za-z]?(?:[-/][0-9]{1,4}[A-Za-z]?)?"
_NAME_OF_STREET: Final = rf"(?:{_W}|[0-9]{{1,3}}(?:st|nd|rd|th)) (?:(?:{_W}|of|the) ){{0,3}}?"
_FRENCH: Final = (
    r"(?:rue|avenue|av\.|boulevard|bd\.?|place|chemin|all\u00e9es?|impasse|quai|cours|route|square|passage|faubourg"
    r"|Rue|Avenue|Boulevard|Place|Chemin|All\u00e9e|Impasse|Quai|Cours|Route)"
)
_FRENCH_NAME: Final = rf"(?: (?:de|du|des|la|le|les|l['\u2019]|d['\u2019]|et|sur|en)){{0,3}} ?(?:[dl]['\u2019])?{_W}(?:[ -](?:(?:de|du|des|la|le) )?{_W}){{0,3}}"
_FRENCH_CITY: Final = rf"(?:{_SEP}[0-9]{{5}} {_TOWN}(?: [0-9]{{1,2}}e(?:r|me)?)?)"
_END: Final = rf"(?![{_LET}0-9_])"

# The number comes first: 12 Main Street, 12 rue de la Paix.
NUMBERED_STREET: Final = re.compile(
    r"[0-9](?<![\w.,#$%&*/\\\u20ac\u00a3+=-].)(?:"
    rf"{_NUMBER},? (?:bis |ter )?{_FRENCH}{_FRENCH_NAME}{_END}{_FRENCH_CITY}?"
    rf"|{_NUMBER},? (?:[NSEW]\.? )?(?:"
    rf"{_NAME_OF_STREET}(?P<usual>{_SUFFIXES}){_END}\.?{_DIRECTION}?{_UNIT}?(?P<city>{_CITY})?"
    rf"|{_NAME_OF_STREET}(?:{_RARE_SUFFIXES}){_END}{_DIRECTION}?(?P<rare>{_UNIT}?{_CITY}|{_UNIT})?"
    rf"|Broadway{_END}{_UNIT}?(?:{_CITY})?"
    "))"
)
_RARE_END = re.compile(rf"(?:{_RARE_SUFFIXES})\Z")
NUMBERED_START: Final = rf"(?<![\w.,#$%&*/\\\u20ac\u00a3+=-].)(?={_NUMBER},? (?:bis |ter )?(?:[{_UP}0-9]|[a-e]|[ipqr]|fa))"


def numbered_street(text: str, start: int) -> Found | None:
    """The address whose house number begins at `start`."""
    match = NUMBERED_STREET.match(text, start, start + LONGEST_ADDRESS)
    if match is None:
        return None
    if (
        match["usual"] is None
        and match["rare"] is None
        and _RARE_END.search(match[0])
        and Names(text, start).last("lives") < 0
    ):
        return None
    return Found(start, match.end(), "address")


# The number comes after a word that means street.
_SURE: Final = "stra\u00dfe|Stra\u00dfe|strasse|Strasse|str.|Str.|straat|gracht|laan|gatan|v\u00e4gen|gade|gasse|katu|veien"
_UNSURE: Final = "weg|Weg|platz|Platz|allee|Allee|ring|Ring|damm|ufer|vej|gate|plein|kade|singel|steig|Gasse|Damm|Ufer|tie"
STREET_START: Final = (
    "(?<=[a-z.] .)(?:"
    + "|".join(f"(?<={re.escape(one)} .)" for one in f"{_SURE}|{_UNSURE}".split("|"))
    + ")"
)
STREET_NUMBER: Final = re.compile(
    rf"[0-9]{STREET_START}[0-9]{{0,3}}(?: ?[a-zA-Z](?![A-Za-z]))?(?:[-/][0-9]{{1,4}}[a-z]?)?(?![0-9A-Za-z_]|[.,][0-9])"
    rf"(?P<city>{_SEP}(?:D-|A-|CH-)?[0-9]{{4,5}}(?: ?[A-Z]{{2}}(?![A-Za-z]))? {_TOWN}|{_SEP}[0-9]{{3}} [0-9]{{2}} {_TOWN})?"
)
_STREET_BEFORE = re.compile(
    rf"(?<![{_LET}0-9_])(?:(?:{_W}|Am|An|In) (?:(?:der|den|dem|de|van|von) )?){{0,3}}[{_UP}][{_LET}.'-]{{0,40}}\Z"
)
_SURE_END = re.compile(f"(?:{_SURE.replace('.', chr(92) + '.')}) \\Z")


def street_with_number(text: str, start: int) -> Found | None:
    """The address whose house number, after a word that means street, begins at `start`."""
    match = STREET_NUMBER.match(text, start, start + LONGEST_ADDRESS - _BEFORE_NUMBER)
    if match is None:
        return None
    before = _STREET_BEFORE.search(text, max(0, start - _BEFORE_NUMBER), start - 1)
    if before is None:
        return None
    if match["city"] is None and _SURE_END.search(text, max(0, start - 9), start) is None:
        return None
    return Found(before.start(), match.end(), "address")


# The word that means street comes first, the number last.
STREET_WORDS: Final = (
    *(
        "Calle ",
        "C/ ",
        "Avenida ",
        "Avda. ",
        "Paseo ",
        "Plaza ",
        "Via ",
        "Viale ",
        "Piazza ",
        "Corso ",
        "Rua ",
    ),
    *(
        "Travessa ",
        "ul. ",
        "Ul. ",
        "al. ",
        "os. ",
        "Aleja ",
        "P.O. Box ",
        "PO Box ",
        "Postfach ",
        "Vicolo ",
        "Strada ",
    ),
    *("Ronda ", "Camino ", "Carrer ", "Pasaje ", "Largo ", "Postbus ", "Bo\u00eete postale "),
)
_STREET_WORD = re.compile(
    rf"(?:(?:(?:de|del|della|delle|dei|di|da|das|dos|do|la|las|los|el|d['\u2019]|dell['\u2019]) ?){{0,3}}{_W} ?){{1,5}}?(?<! )"
    r"(?:,? ?n\.?[\u00ba\u00b0o]?\.?)?,? [0-9]{1,4}(?: ?[a-zA-Z](?![A-Za-z]))?(?:/[0-9]{1,4})?(?![0-9A-Za-z_]|[.,][0-9])"
    rf"(?:{_SEP}(?:[0-9][\u00ba\u00b0] ?[A-Z]?{_SEP}|piso [0-9]{_SEP})?(?:[0-9]{{5}}(?:-[0-9]{{3}})?|[0-9]{{2}}-[0-9]{{3}}|[0-9]{{4}}-[0-9]{{3}}) {_TOWN}(?: \([A-Z]{{2}}\))?)?"
)
_BOX = re.compile(
    rf"[0-9]{{1,6}}(?: ?[0-9]{{2}}){{0,2}}(?![0-9A-Za-z_])(?:{_CITY}|{_SEP}[0-9]{{4,5}} {_TOWN})?"
)


def street_word(text: str, start: int, end: int) -> Found | None:
    """The address that begins with the word between `start` and `end`, which means street."""
    if start and (text[start - 1].isalnum() or text[start - 1] == "_"):
        return None
    box = text[start:end].startswith(("P.O", "PO ", "Post", "Bo\u00eete"))
    match = (_BOX if box else _STREET_WORD).match(text, end, start + LONGEST_ADDRESS)
    return None if match is None else Found(start, match.end(), "address")


CONNECTORS: Final = frozenset(
    (
        "of the de du des la le les l' l’ d' d’ dell' el del della delle dei di da das dos do las "
        "los et sur en der den dem van von bis ter rue avenue av boulevard bd place chemin allée "
        "allées impasse quai cours route square passage faubourg ul al os n nº n° n.º n.° n.o no "
        "ext extn extension x poste durchwahl dw int interno ramal toestel anexo wew доб piso #"
    ).split()
)

_MONTHS: Final = (
    r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|M\u00e4r|Mai|Okt|Dez|janv|f\u00e9vr|mars|avr|mai|juin|juil|ao\u00fbt|sept|oct|nov|d\u00e9c"
    r"|ene|feb|mar|abr|may|jun|jul|ago|sep|oct|nov|dic|gen|mag|giu|lug|set|ott|jan|apr|aug|okt|dec|maj|mei|fev|mai|out|dez"
    r"|\u044f\u043d\u0432|\u0444\u0435\u0432|\u043c\u0430\u0440|\u0430\u043f\u0440|\u043c\u0430\u044f|\u0438\u044e\u043d|\u0438\u044e\u043b|\u0430\u0432\u0433|\u0441\u0435\u043d|\u043e\u043a\u0442|\u043d\u043e\u044f|\u0434\u0435\u043a)[a-z\u00c0-\u024f\u0430-\u044f]{0,8}\.?"
)
_YEAR: Final = "(?:18|19|20)[0-9]{2}"
_DAY: Final = r"(?:0?[1-9]|[12][0-9]|3[01])"
_MONTH: Final = "(?:0?[1-9]|1[0-2])"
_DATE: Final = (
    rf"(?:{_YEAR}(?P<s>[-./]) ?{_MONTH}(?P=s) ?{_DAY}(?:T00:00:00(?:\.0+)?Z?)?"
    rf"|{_DAY}(?P<t>[-./]) ?{_DAY}(?P=t) ?(?:{_YEAR}|[0-9]{{2}})"
    rf"|{_DAY}(?:\.|st|nd|rd|th|er|\u00ba)?[ -](?:of |de )?(?i:{_MONTHS})(?: de| del)?,?[ -](?:{_YEAR}|'?[0-9]{{2}}(?= ?\W))"
    rf"|(?i:{_MONTHS})[ -]{_DAY}(?:st|nd|rd|th)?,?[ -]{_YEAR}"
    rf"|{_YEAR}[ -](?i:{_MONTHS})[ -]{_DAY}"
    rf"|{_YEAR} ?\u5e74 ?{_MONTH} ?\u6708 ?{_DAY} ?\u65e5|{_YEAR}\ub144 ?{_MONTH}\uc6d4 ?{_DAY}\uc77c)"
)
_BIRTH = re.compile(rf"[^0-9\n]{{0,32}}?(?<![0-9{_LET}])(?P<v>{_DATE})(?![0-9A-Za-z_])")
_PASSPORT = re.compile(
    r"[^\n]{0,30}?(?<![A-Za-z0-9_-])(?P<v>[A-Z]{0,2}[0-9]{6,9}[A-Z]?|(?=(?:[A-Z]{0,3}[0-9]){4})[A-Z0-9]{8,9})(?![A-Za-z0-9_-])"
)
_LICENCE = re.compile(
    r"[^\n]{0,30}?(?<![A-Za-z0-9_-])(?P<v>[A-Z]{0,3}[0-9]{6,14}[A-Z]{0,2}|[A-Z][0-9]{3,4}-[0-9]{3,4}-[0-9]{2,4}(?:-[0-9]{2,4}){0,2}"
    r"|(?=(?:[A-Z]{0,6}[0-9]){4})[A-Z0-9]{8,16})(?![A-Za-z0-9_-])"
)
_CARD_ID = re.compile(
    r"[^\n]{0,30}?(?<![A-Za-z0-9_-])(?P<v>[CFGHJKLMNPRTVWXYZ][0-9CFGHJKLMNPRTVWXYZ]{8}[0-9]?|[0-9]{9})(?![A-Za-z0-9_-])"
)
_N: Final = rf"[{_UP}][{_LET}'\u2019]{{1,20}}(?:-[{_UP}][{_LET}'\u2019]{{1,20}})?"
_NAME = re.compile(
    rf"[ :\"'=\t]{{1,4}}(?P<v>(?:{_N}|[{_UP}]\.)(?: (?:(?:de|van|von|der|den|del|da|di|la|bin|al|el) ){{0,2}}(?:{_N}|[{_UP}]\.)){{0,3}})"
)
_TITLED = re.compile(
    rf"\.? (?P<v>(?:{_N}|[{_UP}]\.)(?: (?:(?:de|van|von|der|den|del|da|di|la|bin|al|el) ){{0,2}}(?:{_N}|[{_UP}]\.)){{0,3}})"
)


def _forms(*words: str) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(form for word in words for form in (word, word.capitalize(), word.upper()))
    )


ANNOUNCED: Final[dict[str, tuple[tuple[tuple[str, ...], re.Pattern[str]], ...]]] = {
    "birth-date": (
        (
            (
                *("dateOfBirth", "birthDate", "DateOfBirth", "BirthDate"),
                *("Date of Birth", "Date Of Birth", "Birth Date"),
                *_forms(
                    *(
                        "born",
                        "dob",
                        "d.o.b",
                        "birthday",
                        "birth_date",
                        "birthdate",
                        "date of birth",
                        "date_of_birth",
                        "dateofbirth",
                    ),
                    *(
                        "birth date",
                        "geboren",
                        "geburtsdatum",
                        "geburtstag",
                        "geb.",
                        "n\u00e9 le",
                        "n\u00e9e le",
                        "n\u00e9(e) le",
                        "date de naissance",
                    ),
                    *(
                        "nacido",
                        "nacida",
                        "naci\u00f3",
                        "nac\u00ed",
                        "fecha de nacimiento",
                        "nato il",
                        "nata il",
                        "nato a",
                        "data di nascita",
                    ),
                    *(
                        "geboortedatum",
                        "data de nascimento",
                        "nascido",
                        "nascida",
                        "nasceu",
                        "data urodzenia",
                        "urodzony",
                        "urodzona",
                        "ur.",
                    ),
                    *(
                        "f\u00f6dd",
                        "f\u00f6delsedatum",
                        "f\u00f8dt",
                        "f\u00f8dselsdato",
                        "syntynyt",
                        "\u0440\u043e\u0434\u0438\u043b",
                        "\u0440\u043e\u0436\u0434\u0435\u043d\u0438\u044f",
                    ),
                    *(
                        "\u51fa\u751f",
                        "\u751f\u5e74\u6708\u65e5",
                        "\uc0dd\ub144\uc6d4\uc77c",
                        "naissance",
                    ),
                ),
            ),
            _BIRTH,
        ),
    ),
    "national-id": (
        (
            _forms(
                "passport",
                "reisepass",
                "passeport",
                "pasaporte",
                "passaporto",
                "passaporte",
                "paspoort",
                "\u62a4\u7167",
            ),
            _PASSPORT,
        ),
        (
            (
                *_forms(
                    "driver's license",
                    "driver's licence",
                    "drivers license",
                    "driver license",
                    "driving licence",
                    "driving license",
                ),
                *_forms(
                    "driver_license",
                    "drivers_license",
                    "f\u00fchrerschein",
                    "driver\u2019s license",
                    "drivers licence",
                    "dl number",
                    "licence number",
                ),
                *(
                    "Driver's License",
                    "Driver License",
                    "Drivers License",
                    "Driving Licence",
                    "DL #",
                    "DL#",
                ),
            ),
            _LICENCE,
        ),
        (_forms("personalausweis", "ausweisnummer", "identity card number", "perso-nr"), _CARD_ID),
    ),
    "name": (
        (
            (
                *(
                    "Mr",
                    "Mrs",
                    "Ms",
                    "Miss",
                    "Dr",
                    "Prof",
                    "Herr",
                    "Herrn",
                    "Frau",
                    "Mme",
                    "Monsieur",
                    "Madame",
                    "Mlle",
                    "Se\u00f1or",
                    "Se\u00f1ora",
                ),
                *(
                    "Sr",
                    "Sra",
                    "Signor",
                    "Signora",
                    "Sig",
                    "Sig.ra",
                    "Senhor",
                    "Senhora",
                    "Mevrouw",
                    "Meneer",
                    "Pan",
                    "Pani",
                    "Dear",
                    "Liebe",
                    "Lieber",
                    "Cher",
                    "Ch\u00e8re",
                ),
            ),
            _TITLED,
        ),
        (
            (
                *_forms(
                    "my name is",
                    "name is",
                    "name:",
                    "full name:",
                    "full_name",
                    "ich hei\u00dfe",
                    "mein name ist",
                    "je m'appelle",
                    "me llamo",
                    "mi nombre es",
                ),
                *_forms(
                    "mi chiamo",
                    "meu nome \u00e9",
                    "mijn naam is",
                    "nom :",
                    "nom:",
                    "nombre:",
                    "nome:",
                    "customer:",
                    "patient:",
                    "nazywam si\u0119",
                    'name"',
                    "i'm called",
                ),
                *("First name:", "Last name:", "Full Name:", "Patient Name:", "My name is"),
            ),
            _NAME,
        ),
    ),
}


_DIGIT = re.compile("[0-9]")


def announced(text: str, start: int, end: int, kind: str, pattern: re.Pattern[str]) -> Found | None:
    """What the word between `start` and `end` announces."""
    if start and text[start - 1].isalpha() and text[start].isascii():
        return None
    if kind != "name" and text[end : end + 1].isalpha() and text[end - 1].isascii():
        return None
    if kind != "name" and _DIGIT.search(text, end, end + LONGEST_ANNOUNCED) is None:
        return None
    match = pattern.match(text, end, end + LONGEST_ANNOUNCED)
    return None if match is None else Found(*match.span("v"), kind)


def words_of(kinds: frozenset[str]) -> Iterator[tuple[str, str, re.Pattern[str] | None]]:
    """Every word to look for, with the kind that it announces and how that looks."""
    for kind in sorted(kinds & ANNOUNCED.keys()):
        for words, pattern in ANNOUNCED[kind]:
            for word in words:
                yield word, kind, pattern
    if "address" in kinds:
        for word in STREET_WORDS:
            yield word, "address", None
