"""Whether a text looks like a secret: generated, chosen as a password, or standing for one."""

# ruff: noqa: PLR2004  # the thresholds were found by measuring, each is used once

from __future__ import annotations

import math
import re
from collections import Counter
from functools import cache, lru_cache
from itertools import pairwise
from typing import Final

import ahocorasick_rs

from lattice_lock.policies._secret_words import words_in

__all__ = ["is_generated", "is_password", "is_placeholder", "is_strong", "is_uuid", "words_of"]

# Bits of surprise in hexadecimal that the column's letter follows the row's, a to z each; counted
# over the words of documentation and source comments.
_SURPRISE: Final = words_in(
    """
    854497585a6343a5a343667768 3656377736837737a44638c859 396637835b447827a46359aa7c
    4675267928858647854658897c 574365697a8453757234867579 4866437a2c947637a4544a986c
    487727543ca46447a34647aa89 288729993c866737956469985c 5545555b9c844235954395b6b6
    276526cc5c786c35c83c365c7c 4675165837758556c635586c6c 3875277929748736b855579a4b
    257629893a855843985758aa6c 4843353848668647983366aa79 6644865968644254a344455799
    386738754c73883593545a8959 78c786788cc367888546158c8c 375527693a665636a544578b5c
    594737743b657744674248796a 386726842a967846a345587959 5456465c4b944364b33399b8a9
    276817893c9a7748c7778ac98a 388637833c768437c446997c9c 564636c63cc55652776287965c
    5756565859844452c634866867 388717c73c876c47c65668cc66
    """
)
_MOST_PER_PAIR: Final = 5.0

_PIECES = re.compile(r"[A-Z]+(?![^\W\d_A-Z])|[A-Z]?[^\W\d_A-Z]+|[0-9]+")
_RUN = re.compile(r"[A-Za-z]+|[0-9]+")

# What people write where a secret would stand.
_STANDS_FOR = re.compile(
    r"(?i)example|place.?holder|change[-_ ]?(?:me|this|it)"
    r"|(?:\b|_)your(?:[-_ .]|[a-z]*(?:key|token|secret|pass|pw))"
    r"|dummy|redacted|(?:\b|_)insert|replace[-_ ]?(?:me|this|with)|todo|fixme|xxx"
    r"|\bfake|(?:\b|_)mock"
    r"|(?:\b|_)sample|foo[-_ ]?bar|\bfoo\b|\bbar\b|lorem|not[-_ ]?a[-_ ]?real|not[-_ ]real|\.\.\.|…"
    r"|[-_ ]here\b|put[-_ ]your|paste[-_ ]|fill[-_ ]in|omitted|removed|masked|censored"
    r"|truncated|unspecified|not[-_ ]set|deadbeef|some[-_ ](?:secret|pass|key|token|value|random)"
    r"|^my[-_ ]?(?:secret|pass\w*|token|api|key|super)[-_ a-z]*$|\*{3}|•|●|^-+$|(?:^|[-_ ])invalid"
    r"|\\[wWdDsSbB]|\[\^|a-z|A-Z|0-9|\.\*|\(\?[:=!<]|^[a-z]{2,12}(?:pass|pwd|pswd|password|passwd|secret|token)$"
    r"|^(?:test|testing|tests|unit[-_ ]?test)[-_ ]?"
    r"(?:key|token|secret|pass\w*|api\w*|value)?\d{0,1}$"
)
# One of these is in whatever the pattern above can match; looking for them first is faster.
_TRIGGERS: Final = words_in(
    """
    example place change your dummy redact insert replac todo fixme xxx fake mock sample foo bar
    lorem not ... here put paste fill omit remov mask censor trunc unspec deadbeef some my ***
    invalid \\ [^ a-z 0-9 .* (? test unit pass pwd pswd secret token … • ●
    """
)
# A reference to a value that is somewhere else; anywhere in the text.
_REFERS_INSIDE = re.compile(
    r"\$\{|\$\(|#\{|\{\{|\}\}|<%|%>|%\(|\{[\w.:!\[\]-]{0,40}\}|%[sdv](?![A-Za-z0-9])"
)
_REFERS = re.compile(
    r"<[^>]*>?$|\$[A-Za-z_]\w*$|\$[A-Z_]{3,}(?![a-z0-9])|\$[0-9@*#?]$|%[A-Za-z_]\w*%$|\[[^\]]*\]?$|__\w+__$|@[\w.-]*@$"
    r"|\{[^}]*\}?$|(?:env|file|vault|ssm|aws-sm|op|secret|secretref|keyring|keyvault|awskms|gcpkms|pass|sm|ref"
    r"|secretsmanager|ENV)(?::|://)|arn:|projects/|ENC\[|ENC\(|!\w+|\$ANSIBLE_VAULT|https?://\S+$"
    r"|(?:[A-Za-z]:[\\/]|~?/|\.{1,2}/)[\w .@/\\-]*$|data:"
    r"|[\w./\\-]+\.(?:json|pem|key|ya?ml|txt|crt|cer|p12|pfx|jks"
    r"|env|conf|ini|js|ts|py|rb|go|java|php|html?|md|gpg|asc|pub|sh|properties|xml|csv|log|cfg|toml|svg|png|tsx)$"
    r"|process\.env|os\.environ|System\.|ENV\[|env\.|config\.|settings\.|self\.|this\.|secrets\.|vars?\.|data\."
    r"|module\.|local\.|params\.|args\.|req\.|request\.|options\.|opts\."
)
_MAY_REFER = re.compile(r"[$#{}<%]")
_DOTTED_NAME = re.compile(
    r"[A-Za-z_][A-Za-z_]*[0-9]{0,2}(?:(?:\.|::|->|\?\.|/|:)[A-Za-z_]+[0-9]{0,2})+$"
)
_UUID = re.compile(r"\{?[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\}?$")
_HEX = re.compile(r"(?:0x)?[0-9a-fA-F]+$")
_VERSION = re.compile(r"[v^~>=<]*\d+(?:\.\d+|\.[x*])+(?:[-+.]\w+)*$")
_DATE = re.compile(r"\d{4}-\d\d-\d\d|\d{1,2}[:/.]\d\d(?:[:/.]\d{2,4})?")
_SEQUENCES: Final = (
    "0123456789012345678901234567890",
    "abcdefghijklmnopqrstuvwxyzabcdef",
    "qwertyuiopasdfghjklzxcvbnm",
)
_SEQUENCE_CHARS = 6

# Words that say what a value is, not what it is: names of secrets, of types, of forms and messages.
_SPEAKING: Final = frozenset(
    words_in(
        """
    a about above access account action actions active add admin after again agree algorithm
    alias all allow allowed already an and any api app application apply are argument arguments
    array as ask at attribute auth authenticate authentication authorization auto base64 basic
    bcrypt be bearer been begin below blank bool boolean both browser bytes button by bypass
    call callback camel can cancel cannot case change changed char character characters check
    choose class clear client code column command config configuration confirm confirmation
    confirmed contain contains continue cookie copy correct could create created credential
    credentials csrf current custom data database date decrypt default delete denied description
    digest digits disable disabled do does done double edit either email empty enable enabled
    encode encoded encrypt encrypted enter entered entry env environment error event example
    exist exists expected expire expired expires export external fail failed failure false field
    fields file filled find first for forgot forgotten form format found from function generate
    generated get given global go group has hash hashed have header headers help hidden hide
    hint hmac host how http https id if ignore import in incorrect index info input insert int
    integer invalid is issue it its jwt key keys keyword kind label last least length less
    letters level like line link list load local login logout long lost lower main mandatory
    manual match matches max maximum md5 message method min minimum minute mismatch missing mode
    modify more must my name names need needs files short new next no none normal not null
    number object of off ok old on one only open option optional or other out output page param
    parameter parse pass passcode passed passphrase password passwords passwd path pattern
    pending permission pin plain plaintext please plugin policy port prefix primary private
    profile prompt property protected provide provided provider public pwd query random read
    readonly receive recover redirect refresh regex register remember remove repeat replace
    request require required requirement reset response result retry retype return role root
    rule salt same save scope scram search second secret secrets section secure security select
    send server service session set setting settings setup sha sha1 sha256 sha512 shadow shared
    should show sign signature signin signup size skip special start state static status step
    store strategy str string strong submit success super system tag target temp temporary term
    test text than that the their them then this time title to token tokens too true try two
    type types undefined unique unknown unlock unset update updated upper url use used user
    username users using valid validate validation value values vault verify version view
    visible void want was way weak web what when where which will with without word write wrong
    yes you your yourself passwort passworte kennwort benutzer benutzername anmelden geben
    eingeben bitte ihr ihre neues altes falsch falsches vergessen mot de passe motdepasse
    contrasena contraseña clave usuario nueva senha nova wachtwoord lösenord hasło haslo heslo
    salasana jelszó jelszo parola şifre sifre adgangskode passord lozinka sandi kata geslo
    parole parool slaptazodis пароль 密码 口令 パスワード 비밀번호
    varchar nvarchar longtext tinytext uint8 uint32 byte bytea securestring
    secretstr secretstring nil nan na tbd abc unused redacted
    password1 mypassword mypass secretkey apikey mysecret mytoken mykey testpass testpassword
    testtoken testkey testsecret passw0rd yourpassword somepassword thepassword userpassword
    newpassword oldpassword somesecret sometoken oauth oauth2 saml ldap kerberos ntlm negotiate
    gssapi sasl crypt argon2 argon2id pbkdf2 scrypt peer trust ident anonymous interactive
    keychain keyring keyfile stdin stdout textbox checkbox inputtype textfield passwordfield
    dialog modal icon lock eye toggle caps csv json xml yaml html cell span div block inline
    flex absolute relative important inherit initial transparent regexp comma colon semicolon
    identifier literal operator whitespace newline eof punctuation comment symbol delimiter
    bracket paren brace variable builtin constant rbracket lbracket lparen rparen assign foo bar
    baz qux foobar quux bob alice carol dave mallory
    """
    )
)


def words_of(name: str) -> list[str]:
    """The words of an identifier: of `DB_PASSWORD`, `dbPassword` and `db-password` the same."""
    return [piece.lower() for piece in _PIECES.findall(name)]


@cache
def _finder(of: str) -> ahocorasick_rs.AhoCorasick:
    """What finds the triggers, or the places where a text counts up."""
    if of == "triggers":
        return ahocorasick_rs.AhoCorasick(_TRIGGERS)
    return ahocorasick_rs.AhoCorasick(
        sorted(
            {
                one[at : at + _SEQUENCE_CHARS]
                for one in _SEQUENCES
                for at in range(len(one) - _SEQUENCE_CHARS + 1)
            }
        )
    )


def is_placeholder(value: str) -> bool:
    """Whether `value` stands for a secret or says where one is, instead of being one."""
    if len(set(value)) <= max(2, min(4, len(value) // 5)):
        return True
    lower = value.lower()
    if _finder("triggers").find_matches_as_indexes(lower) and _STANDS_FOR.search(value):
        return True
    if _REFERS.match(value) is not None:
        return True
    if _MAY_REFER.search(value) is not None and _REFERS_INSIDE.search(value) is not None:
        return True
    return _is_sequence(lower)


def _is_sequence(lower: str) -> bool:
    """Whether half of the text counts up the alphabet, the digits or the keyboard."""
    if len(lower) < 2 * _SEQUENCE_CHARS:
        return False
    steps = _finder("sequences").find_matches_as_indexes(lower, overlapping=True)
    covered = end = 0
    for _, begin, stop in steps:
        covered += stop - max(begin, end)
        end = stop
    return covered * 2 > len(lower)


@lru_cache(maxsize=4096)
def _reads(piece: str) -> bool:
    """Whether a run of letters could be a word or begin one."""
    letters = piece.lower()
    if not letters.isalpha():
        return False
    if not letters.isascii():
        return True
    if letters in _SPEAKING:
        return True
    if len(letters) < 3:
        return False
    pairs = len(letters) - 1
    surprise = sum(
        int(_SURPRISE[ord(one) - 97][ord(other) - 97], 16) for one, other in pairwise(letters)
    )
    # Three letters say little, so they have to be usual ones.
    return surprise <= pairs * (_MOST_PER_PAIR if pairs > 3 else 4.7)


def _share_read(value: str) -> float:
    """The share of letters and digits of `value` that read as words, or as a short number."""
    total = read = 0
    for piece in _PIECES.findall(value):
        total += len(piece)
        if piece.isdigit():
            continue
        if len(piece) >= 3 and _reads(piece):
            read += len(piece)
    return read / total if total else 1.0


def _entropy_bits(value: str) -> float:
    size = len(value)
    return -sum(n / size * math.log2(n / size) for n in Counter(value).values())


def is_generated(value: str, *, at_least: int = 16) -> bool:
    """Whether `value` looks as if a machine had drawn it: many signs, evenly used, no words."""
    size = len(value)
    if size < at_least or is_placeholder(value) or " " in value:
        return False
    if _UUID.match(value):
        return True
    bits = _entropy_bits(value)
    if _HEX.match(value):
        digits = sum(sign.isdigit() for sign in value)
        return size >= 16 and 0 < digits < size and bits >= 2.7 and len(set(value)) >= 7
    if bits < min(3.9, math.log2(size) * 0.78) or len(set(value)) < min(8, size - 3):
        return False
    has_digit = any(sign.isdigit() for sign in value)
    has_upper = any(sign.isupper() for sign in value)
    has_lower = any(sign.islower() for sign in value)
    if not has_digit and not (has_upper and has_lower) and not _mostly_unread(value, 0.25):
        return False
    if _DOTTED_NAME.match(value) or _VERSION.match(value) or _is_slug(value):
        return False
    return _mostly_unread(value, 0.5)


def is_uuid(value: str) -> bool:
    """Whether `value` is a UUID, which more often names something than opens it."""
    return _UUID.match(value) is not None


def _mostly_unread(value: str, most_read: float) -> bool:
    return _share_read(value) <= most_read


def _is_slug(value: str) -> bool:
    """Whether `value` is words joined by signs, perhaps with short numbers: a path, a name."""
    parts = re.split(r"[-_./:\\ +]", value)
    if len(parts) < 2:
        return False
    fine = sum(
        1 for part in parts if not part or (part.isdigit() and len(part) < 5) or _is_words(part)
    )
    return fine >= len(parts) * 0.75


def _is_words(part: str) -> bool:
    pieces = _PIECES.findall(part)
    return sum(len(piece) for piece in pieces if _reads(piece) or len(piece) < 3) >= 0.7 * len(
        part
    ) and (len(pieces) <= 1 + len(part) / 3)


def is_password(value: str, name: list[str], *, quoted: bool) -> bool:
    """Whether `value` can be a password that a person chose, given to something called `name`."""
    size = len(value)
    if size < 4 or size > 200 or is_placeholder(value):
        return False
    if _DOTTED_NAME.match(value) or _VERSION.match(value) or _DATE.match(value):
        return False
    if _says_what(value, name):
        return False
    if any(sign.isspace() for sign in value):
        return _is_passphrase(value, name)
    letters = any(sign.isalpha() for sign in value)
    digits = any(sign.isdigit() for sign in value)
    signs = any(not sign.isalnum() for sign in value)
    if letters and digits and size >= 5:
        return quoted or not re.fullmatch(r"[A-Za-z_]{1,3}\d", value)
    if signs and letters and size >= 6:
        return not _is_phrase_of_names(value) and not value.endswith((":", "?", ".", "…"))
    if digits and not letters:
        return (size >= 4 and not re.fullmatch(r"[\d.,]+|0x\d+", value)) or (
            value.isdigit() and size >= 5
        )
    return letters and not signs and size >= 5 and value.isascii() and _is_one_case(value)


def is_strong(value: str, name: list[str]) -> bool:
    """Whether `value` is a password even where names and numbers are more likely."""
    if not is_password(value, name, quoted=False) or len(value) < 6 or " " in value:
        return False
    if is_generated(value, at_least=10):
        return True
    kinds = sum(
        (
            any(sign.islower() for sign in value),
            any(sign.isupper() for sign in value),
            any(sign.isdigit() for sign in value),
            any(not sign.isalnum() and sign not in "_-./:" for sign in value),
        )
    )
    pieces = _RUN.findall(value)
    return (kinds >= 3 and len(pieces) > 1) or (
        kinds == 2 and len(value) >= 7 and bool(re.search(r"[A-Za-z]\d{2,}|\d[A-Za-z]", value))
    )


def _is_one_case(value: str) -> bool:
    return value.islower() or (value.isupper() is False and not value[1:].islower())


def _is_phrase_of_names(value: str) -> bool:
    """Whether signs only join words: `forgot-password`, `user_pass`, `a|b`, `required,min`."""
    parts = [part for part in re.split(r"[-_.:|,/+&=]", value) if part]
    return all(part.isalpha() and (_reads(part) or len(part) < 3) for part in parts)


def _says_what(value: str, name: list[str]) -> bool:
    """Whether every word of `value` is one of the name's, or says what a value is."""
    pieces = words_of(value)
    if not pieces:
        return not any(sign.isalnum() for sign in value) and len(value) < 6
    spoken = {"".join(name), *name}
    whole = "".join(piece for piece in pieces if not piece.isdigit())
    if not whole:
        return False
    if whole in spoken or whole in _SPEAKING:
        return len(value) - len(whole) <= 2
    return all(
        piece in spoken or piece in _SPEAKING for piece in pieces if not piece.isdigit()
    ) and (len(value) - len(whole) <= 1 + len(pieces))


def _is_passphrase(value: str, name: list[str]) -> bool:
    """Whether a text with spaces is a secret; words and sentences are labels and messages."""
    parts = value.split()
    if 2 <= len(parts) <= 6 and len(value) >= 10 and parts[-1].isdigit():
        words = [piece for piece in words_of(value) if not piece.isdigit()]
        return bool(words) and not any(word in _SPEAKING or word in name for word in words)
    plain = sum(1 for part in parts if part.strip(".,:;!?()'\"").isalpha())
    if plain * 2 >= len(parts):
        return False
    return len(value) >= 16 and _entropy_bits(value) >= 3.6 and _share_read(value) < 0.5
