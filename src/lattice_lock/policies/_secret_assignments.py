"""Values that are given to names which mean a secret, in the syntaxes in which people do that.

Every form is judged by itself, from the name's end to the value's, so that what is found does not
depend on where a scan began. A span whose end is None is still open: more text may change it.
"""

# ruff: noqa: PLR2004  # each number is a fact of one format, used once

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from lattice_lock.policies._secret_formats import opens
from lattice_lock.policies._secret_values import (
    is_generated,
    is_password,
    is_strong,
    is_uuid,
    words_of,
)
from lattice_lock.policies._secret_words import words_in

__all__ = ["NAME_ANCHORS", "REACH", "Look", "Span", "named_values"]

REACH: Final = 200
"""Most characters from the beginning of a name's anchor to the value."""

_LEFT: Final = 96
_MOST_SPACED: Final = 300
_MOST_JUDGED: Final = 160
_MOST_BARE: Final = 256
_MOST_QUOTED: Final = 4000
_LONGEST_TAIL: Final = 40
_LONGEST_NAME: Final = 80
_SHORTEST_WORD: Final = 5

_STEMS: Final = words_in(
    """
    pass pw psw secret token key auth cred salt bearer kennwort senha contrase clave parola
    wachtwoord psk hasło haslo heslo salasana jelsz sifre şifre lösenord losenord
    密码 密碼 口令 パスワード
    비밀번호 パスフレーズ пароль
    """
)
NAME_ANCHORS: Final = tuple(
    sorted(
        {form for stem in _STEMS for form in (stem, stem.capitalize(), stem.upper())}
        | {"IDENTIFIED BY"}
    )
)


class Span(NamedTuple):
    """Where a value stands; `end` is None while it is open."""

    start: int
    end: int | None
    rule: str = ""


Look: TypeAlias = Callable[[str, int, int, bool, "str | None"], list[Span]]
"""What looks around an anchor: text, its beginning and end, whether the text is whole, the path."""

_NAME_SIGNS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-$@"
_TAIL = re.compile(r"(?:\w|-(?=\w)){0,40}+")
_BLANKS = r"[ \t]{0,24}+"
_TO_VALUE = r"(?:\s{0,40}+(?=\\{0,2}[\"'`])|[ \t]{0,24}+)"
_QUOTE_END = r"(?:\\{0,2}[\"'`])"

_ASSIGN = re.compile(
    rf"{_QUOTE_END}?+\]?\)?(?:\*\*)?+{_BLANKS}"
    r"(?P<op>=>|:=|<-|\?\?=|\|\|=|\?=|\+=|!==?|={1,3}+|[:\uff1a](?!:))"
    rf"(?:\*\*)?+{_TO_VALUE}"
)
_PAIRED = re.compile(
    rf"{_QUOTE_END}?+(?:,\s{{0,40}}+|(?:\s?\{{)?\s{{1,40}}+)"
    r"[\"']?(?:value|Value|VALUE|val|content|default|defaultValue)[\"']?"
    rf"\s{{0,3}}[:=]{_TO_VALUE}"
)
_CALL = re.compile(r"\(\s{0,4}+(?=[\"'`])")
_TUPLE = re.compile(r"[\"'`]\]?\s{0,3}+,\s{0,8}+(?=[\"'`])")
_ANNOTATED = re.compile(
    r"(?:\[\w{0,12}\]|\s?:\s?[A-Za-z_&][\w.\[\]<>?|&' ]{0,40}?|\s[Aa]s\s\w{1,20}|\s[a-z]\w{0,20})"
    r"\s{0,4}:?=\s{0,4}+(?=[A-Za-z@]{0,2}[\"'`])"
)
_ELEMENT = re.compile(r"[\"']?[^<>\n=]{0,24}(?:=[\"'][^<>\n\"']{0,40}[\"'])?\s?>(?:<!\[CDATA\[)?")
_CLOSED_ELEMENT = re.compile(r"</[\w:-]{1,24}>\s{0,24}+<[\w:-]{0,16}(?:value|string|data)>")
_COUNTED = re.compile(r"\r?\nV \d{1,4}\r?\n")
_SPACED_QUOTE = re.compile(r"[ \t]{1,16}+(?=[\"'])")
_SPACED = re.compile(r"[ \t]{1,16}+(?:[057][ \t]+)?(?=[^\s=:|\"'`])")
_NATURAL = re.compile(
    r"[ \t]{1,3}(?:is|was|to|ist|lautet|auf|est|es|è|é|are)[ \t]{0,3}:?[ \t]{1,3}(?=[^\s:=])"
)
_TABLE = re.compile(r"[`*]{0,2}\s?[ \t]{0,20}+\|[ \t]{0,20}+`?(?=[^\s|`-])")

_BARE = re.compile(r"[^\s\"'`<>\u2e80-\U0010ffff]{1,256}+")
_REST = re.compile(r"[^\s\"'`<>\u2e80-\U0010ffff]{0,4096}+")
_OPENING = re.compile(
    r"(?:(?:[\w.]{0,20}(?:Secret(?:Str|String)?|SecureString|Some|[Ss]tring|str|bytes|from|of)"
    r"|new String)\()?[bBrRuUfFLN@]{0,2}(?P<q>\\{0,2}(?:\"\"\"|'''|[\"'`]))"
)
_IN_QUOTES: Final = {
    sign: re.compile(rf"(?:[^{sign}\\\n]|\\[^\n]){{0,4096}}+") for sign in ("'", '"', "`")
}
_IN_ESCAPED: Final = {sign: re.compile(rf"[^{sign}\\\n]{{0,4096}}+") for sign in ("'", '"', "`")}
_BLANKS_ONLY = re.compile(r"[ \t]{0,8}+")
_IN_TAG = re.compile(r"<[\w:.-]*$|=[\"'][\w.-]*$|<[^<>\n]{0,60}=[\"']?[\w.-]*$")
_DEFINE = re.compile(r"define\(\s?[\"']$")
_ELEMENT_TEXT = re.compile(r"[^<>\n]{1,300}+")
_TRAILING: Final = ".,;)]}\\|"
_NEXT_FIELD = re.compile(r"\\[nrt]|[;,&]\s?[A-Za-z][\w .-]{0,30}[=:]|[;,](?=\s|$)")
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+$")
_IDENTIFIER = re.compile(r"\$?[A-Za-z_][A-Za-z0-9_]*$")
_REFERENCE = re.compile(
    r"--|\d+/[a-z]+$|[&*$@!]?\$?[A-Za-z_][\w.:]*(?:\(|\[|\{|->|::|\?\.)"
    r"|[\[({|>&*]|\$[\w{(]|@[A-Za-z]|!\w"
)
_LINE_START = re.compile(
    r"[ \t]{0,96}+(?:[-*>#;]{1,3}[ \t]+|//[ \t]*|#+)?+"
    r"(?:(?:export|set|setx|define|declare|local|ENV|ARG|SET|readonly)[ \t]+(?:-\w+[ \t]+)?)?+"
    r"[\"'\[*]{0,3}+\Z"
)
_NETRC = re.compile(r"(?:login|user|account)\s+\S+\s+$|machine\s+\S+\s+$")
# What stands before a password in a file of settings, and not in a program.
_SETTINGS = re.compile(
    r"(?m)^\[[\w .:@/-]+\]\s*$"
    r"|^[\w.-]*(?:user|host|login|server|port|email)[\w.-]*\s?[=:]\s?[^\s()\"']+$"
)
_OWNER = re.compile(r"\b(?:user|login)(?:[Nn]ame)?=[\"'][\w.@-]{1,40}[\"']")
_CODE = re.compile(
    r"\.(?:pyi?|[mc]?jsx?|tsx?|java|go|rb|php|cs|cc?|cpp|h|hpp|rs|kt|swift|scala|m|dart|exs?|vue"
    r"|svelte)$"
)

_PASSWORD_ENDS: Final = words_in(
    """
    password passwd passphrase passcode passwort passord kennwort contrasena contraseña senha
    parola wachtwoord hasło haslo heslo salasana jelszó jelszo şifre sifre lösenord losenord
    пароль 密码 密碼 口令 パスワード 비밀번호 passwrd pswd paswd
    """
)
_PASSWORD_WORDS: Final = frozenset(
    words_in(
        """
    psk pass pwd pw psw clave passe dentified identified by pswd passkey
    """
    )
)
_ENDS_IN_PASS: Final = frozenset(
    words_in(
        """
    bypass minipass compass trespass underpass overpass surpass encompass onepass twopass multipass
    singlepass firstpass secondpass postpass prepass subpass renderpass lowpass highpass
    bandpass allpass outpass nopass
    """
    )
)
_OWNERS: Final = frozenset(
    words_in(
        "db database root admin smtp mail imap ftp sftp mysql postgres redis mongo ldap ssh wifi"
    )
)
_NOT_TOKEN: Final = frozenset(
    words_in(
        """
    next page continuation sync cancellation pagination max min eos bos unk mask sep cls pad
    special stop start end csrf xsrf middleware authenticity verification requestverification
    num total prompt completion input output cancel current prev previous new_line close open
    count by per first last n request_verification design css color theme syntax lexer ast
    parser
    """
    )
)
_KEY_QUALIFIERS: Final = frozenset(
    words_in(
        """
    api secret access private auth app application encryption encrypt decryption signing sign
    master account client consumer license licence service deploy deployment shared subscription
    admin write ingest cipher aes hmac jwt cookie webhook openai anthropic gemini google aws
    azure stripe mailgun sendgrid twilio groq mistral cohere xai deepseek openrouter replicate
    perplexity together fireworks cerebras huggingface hf sas host nonce in secure user security
    server maps rsa ssh pgp gpg session crypt storage root tls ssl integration algolia datadog
    dd newrelic pusher firebase vault wireguard preshared psk recovery backup network bot bunny
    voyage jina pinecone elastic kibana grafana rollbar sentry bugsnag honeybadger pagerduty
    opsgenie logger heroku do cf cloudflare digitalocean linode vultr hetzner
    """
    )
)
_NOT_KEY: Final = frozenset(
    words_in(
        """
    public primary foreign sort partition cache lookup translation i18n unique index map object
    row column group json dict parent hot site publishable idempotency routing message shift
    ctrl arrow enter locale label msg text hash range order item field property query
    storage_key react selection composite natural candidate pub registry keyboard tab escape
    meta alt function modifier sorting data config option setting value type id widget menu
    """
    )
)
_SUFFIXES: Final = frozenset(
    words_in(
        """
    value val string str plain plaintext cleartext prod production dev development staging live
    sandbox default old new current base base64 b64 hex raw here 1 2 3 encoded env local qa uat
    override
    """
    )
)
_SECRET_ENDS: Final = words_in(
    """
    secret secretkey apikey apisecret authkey accesskey privatekey accesstoken authtoken
    apitoken appkey appsecret clientsecret masterkey secrettoken signingkey encryptionkey
    accountkey refreshtoken bottoken usertoken oauthtoken sharedkey licensekey secretaccesskey
    authsecret jwtsecret sessionsecret sharedsecret consumersecret presharedkey tokensecret
    idtoken sessiontoken bearertoken personaltoken deploykey webhooksecret
    """
)
_NOT_VALUES: Final = frozenset(
    words_in("no is has show forgot reset hide toggle need needs require num")
)
_SECRET_WORDS: Final = frozenset(
    words_in("secrets credential credentials creds cred bearer salt authorization")
)
_SCHEMES: Final = ("Basic ", "Bearer ", "bearer ", "basic ", "token ", "Token ")


@lru_cache(maxsize=4096)
def _kind(name: str) -> str:
    """What a value given to `name` would be: `password`, `secret`, `login`, `weak` or nothing.

    A login is base64 of a user and a password; what is weak may be a secret, and seldom is one.
    """
    words = words_of(name)
    while len(words) > 1 and (words[-1] in _SUFFIXES or words[-1].isdigit()):
        words.pop()
    last, before = ("", "", *words)[-1], ("", "", *words)[-2]
    if not last or before in _NOT_VALUES:
        return ""
    if _is_password_word(last, before):
        return "password"
    if last in {"key", "keys"}:
        return "" if before in _NOT_KEY else "secret" if before in _KEY_QUALIFIERS else "weak"
    if last == "token" or (last == "tokens" and before in {"api", "access", "auth"}):
        return "" if before in _NOT_TOKEN else "secret"
    if last in {"auth", "basicauth"}:
        return "login"
    return "secret" if last in _SECRET_WORDS or last.endswith(_SECRET_ENDS) else ""


def _is_password_word(last: str, before: str) -> bool:
    if last.endswith(_PASSWORD_ENDS) or (last in {"phrase", "word"} and before == "pass"):
        return True
    if last in _PASSWORD_WORDS:
        return before not in {"css", "by"}
    return last.endswith(("pass", "pwd", "pw", "passw")) and last not in _ENDS_IN_PASS


def named_values(
    text: str,
    at: int,
    anchor_end: int,
    final: bool,  # noqa: FBT001  # the signature of what looks
    path: str | None,
) -> list[Span]:
    """The values given to the name around an anchor that begins at `at`."""
    tail = _TAIL.match(text, anchor_end)
    end = tail.end() if tail else anchor_end
    forms = _FORMS.get(text[end]) if end < len(text) else None
    if forms is None or end - anchor_end >= _LONGEST_TAIL:
        return []
    left = text[max(0, at - _LEFT) : at]
    stem = left.rstrip(_NAME_SIGNS)
    name = left[len(stem) :] + text[at:end]
    kind, words = _named(name, stem) if len(name) <= _LONGEST_NAME else ("", [])
    if not kind:
        return []
    found: list[Span] = []
    for form, pattern in forms:
        match = pattern.match(text, end)
        if match is None or match.end() == len(text) or match.end() - at > REACH:
            continue
        if form == "spaced" and not (name[0] == "-" or _begins_line(stem) or _is_netrc(name, stem)):
            continue
        if form == "natural" and words == ["pass"]:
            continue  # to pass something to something
        one = _Look(text, match.end(), kind, words, name, stem, form, match, final, path).value()
        if one is not None:
            found.append(one)
    return found


def _named(name: str, stem: str) -> tuple[str, list[str]]:
    """What `name` means and its words; the word before it may qualify it, as in `API key`."""
    kind = _kind(name)
    if not kind:
        return "", []
    words = words_of(name)
    if len(words) == 1 and stem.endswith((" ", "\t")) and kind in {"weak", "secret"}:
        previous = words_of(stem[-24:].rpartition("\n")[2])[-1:]
        if previous and (previous[0] in _KEY_QUALIFIERS or previous[0] in _NOT_KEY):
            return _kind(f"{previous[0]}_{name}"), previous + words
    return kind, words


class _Look(NamedTuple):
    """One form at one place; `value` is what stands there, if that is a secret."""

    text: str
    begin: int
    kind: str
    words: list[str]
    name: str
    stem: str
    form: str
    match: re.Match[str]
    final: bool
    path: str | None

    def value(self) -> Span | None:
        """The value, open if it may go on; None if there is no secret."""
        if self.form in {"element", "closed-element"}:
            return self._element()
        if self.form == "annotated" and self.stem.endswith("<"):
            return None
        opening = _OPENING.match(self.text, self.begin)
        if opening is not None:
            return self._quoted(opening)
        if self.form in {"call", "tuple", "annotated", "spaced-quote"}:
            return None
        return self._bare()

    def _quoted(self, opening: re.Match[str]) -> Span | None:
        text, start = self.text, opening.end()
        quote = opening["q"]
        inside = (_IN_ESCAPED if quote[0] == "\\" else _IN_QUOTES)[quote[-1]].match(text, start)
        end = inside.end() if inside else start
        value = text[start:end]
        spaced = any(sign.isspace() for sign in value)
        if len(value) > (_MOST_SPACED if spaced else _MOST_QUOTED):
            return None
        if end == len(text) or (text[end] == "\\" and end + 1 == len(text)):
            if not self.final:
                return Span(start, None)
        elif text[end] != quote[0]:
            return None  # the line ends before the quotation does
        return self._judged(start, end, value, plain=False) if value else None

    def _element(self) -> Span | None:
        before = self.stem + self.name[: -len(self.words[-1])]
        if self.form == "element" and not _IN_TAG.search(before):
            return None
        inside = _ELEMENT_TEXT.match(self.text, self.begin)
        if inside is None:
            return None
        end = inside.end()
        if end == len(self.text):
            return None if self.final else Span(self.begin, None)
        value = inside[0].removesuffix("]]")
        if self.text[end] != (">" if value != inside[0] else "<"):
            return None
        start = self.begin + len(value) - len(value.lstrip())
        value = value.strip()
        return self._judged(start, start + len(value), value, plain=False) if value else None

    def _bare(self) -> Span | None:
        """A value without quotation marks; of a very long one the beginning decides."""
        match = _BARE.match(self.text, self.begin)
        if match is None:
            return None
        end = match.end()
        if end == len(self.text) and not self.final:
            return Span(self.begin, None)
        value, cut = self._trimmed(match[0])
        if not value or _REFERENCE.match(value):
            return None
        if self.form == "spaced":
            fits = self._fits_after_space(value, end)
        elif self.form in {"natural", "table"}:
            value = value.rstrip(".!?:")
            fits = is_strong(value, self.words)
        else:
            fits = self._fits_after_sign(value, end, cut=cut)
        if fits is None:
            return Span(self.begin, None)
        if not fits:
            return None
        end = self.begin + len(value)
        span = self._judged(self.begin, end, value, plain=_IDENTIFIER.match(value) is not None)
        if span is not None and len(value) == _MOST_BARE:
            rest = _REST.match(self.text, end)
            end = rest.end() if rest is not None else end
            if end == len(self.text) and not self.final:
                return Span(self.begin, None)
            return Span(span.start, end, span.rule)
        return span

    def _trimmed(self, value: str) -> tuple[str, bool]:
        """A bare value without what follows it in its line, and whether there was anything."""
        short = value
        if self._is_parameter or "?" in self.stem[-40:]:
            short = re.split(r"[&#]", short, maxsplit=1)[0]
        following = _NEXT_FIELD.search(short)
        if following is not None:
            short = short[: following.start()]
        short = short.rstrip(_TRAILING)
        return short, short != value

    @property
    def _is_parameter(self) -> bool:
        return self.stem.endswith(("?", "&", ";")) or self.name.startswith("--")

    def _ends_line(self, end: int) -> bool | None:
        """Whether the line, or what counts of it, ends at `end`; None if that is open."""
        after = _BLANKS_ONLY.match(self.text, end)
        at = after.end() if after is not None else end
        if at == len(self.text):
            return True if self.final else None
        return self.text[at] in "\r\n#"

    def _fits_after_space(self, value: str, end: int) -> bool | None:
        """Whether a name and a value that only a space parts are a setting, a flag or a login."""
        if _is_netrc(self.name, self.stem):
            return True
        strong = is_strong(value, self.words)
        if self.kind != "password" and not is_generated(value, at_least=12):
            return False
        if self.name.startswith("-"):
            return strong
        if not strong and (value.isalpha() or self.kind != "password"):
            return False
        return self._ends_line(end)

    def _fits_after_sign(self, value: str, end: int, *, cut: bool) -> bool | None:
        """Whether a bare word can be a value, and is not a name in a program or a word of prose."""
        parameter = self._is_parameter
        strong = is_strong(value, self.words)
        if self.words[-1] == "pass" and len(self.words) == 1 and not parameter and not strong:
            return False
        if _DOTTED.match(value) and not is_generated(value.partition(".")[0], at_least=8):
            return False
        plain = _IDENTIFIER.match(value) is not None
        spaced = self.form == "assign" and "=" in self.match["op"] and self.match[0][-1].isspace()
        if self.path is not None and not parameter and _CODE.search(self.path):
            return (
                strong
                and ")" not in value
                and not (plain and (spaced or cut or ":" in self.match[0]))
            )
        starts = _begins_line(self.stem)
        if plain and value.isalpha():
            if cut or not (starts or parameter or self.form == "paired"):
                return False
            if spaced and _SETTINGS.search(self.stem) is None:
                return False
            return parameter or (len(value) >= _SHORTEST_WORD and self._ends_line(end))
        return not plain or starts or parameter or strong

    def _judged(self, start: int, end: int, value: str, *, plain: bool) -> Span | None:
        value = value[:_MOST_JUDGED].replace("\\/", "/")
        if self.kind == "password":
            if self._is_certain:
                fits = is_password(value, self.words, quoted=not plain) or (
                    self._has_owner and is_password(value.lower(), self.words, quoted=not plain)
                )
            else:
                fits = is_strong(value, self.words)
            return Span(start, end, "assigned-password") if fits else None
        if value.startswith(_SCHEMES):
            head = value.index(" ") + 1
            start, fits = start + head, is_generated(value[head:])
        elif self.kind == "login":
            fits = is_generated(value, at_least=20) or opens(value)
        elif self.kind == "secret":
            fits = _is_secret(value) and not (self.words[-1] == "token" and is_uuid(value))
            if self.words[-1] == "secret" and len(self.words) > 1:
                fits = fits or (self._is_certain and not plain and is_strong(value, self.words))
        else:
            fits = _mixed(value) and is_generated(value, at_least=20)
        return Span(start, end, "assigned-secret") if fits else None

    @property
    def _has_owner(self) -> bool:
        """Whether it is known whose password this is, so that a capital makes it no label."""
        return bool(_OWNERS.intersection(self.words)) or _OWNER.search(self.stem) is not None

    @property
    def _is_certain(self) -> bool:
        """Whether the form gives a value to a name, and nothing else."""
        if self.form == "tuple":
            return _DEFINE.search(self.stem) is not None
        if self.form == "call":
            return self.words[0] in {"set", "with"}
        if self.form == "element":
            return self.stem.endswith("<")
        if self.form == "spaced-quote":
            return self.words[-1] == "by" or (_begins_line(self.stem) and self.words != ["pass"])
        return True


def _is_netrc(name: str, stem: str) -> bool:
    return name == "password" and _NETRC.search(stem) is not None


def _begins_line(stem: str) -> bool:
    line = stem[max(stem.rfind("\n"), stem.rfind("\\n") + 1) + 1 :]
    return _LINE_START.match(line) is not None


def _is_secret(value: str) -> bool:
    if " " in value:
        return is_password(value, ["secret"], quoted=True)
    if is_generated(value, at_least=10 if _mixed(value) else 12):
        return True
    return (
        len(value) >= 8
        and any(sign.isdigit() for sign in value)
        and any(not sign.isalnum() and sign not in "-_./:%" for sign in value)
        and is_strong(value, ["secret"])
    )


def _mixed(value: str) -> bool:
    return (
        any(sign.isdigit() for sign in value)
        and any(sign.isupper() for sign in value)
        and any(sign.islower() for sign in value)
    )


_A = ("assign", _ASSIGN)
_P = ("paired", _PAIRED)
_FORMS: Final = {
    " ": (
        _A,
        ("annotated", _ANNOTATED),
        ("spaced-quote", _SPACED_QUOTE),
        ("spaced", _SPACED),
        ("natural", _NATURAL),
        ("table", _TABLE),
        ("element", _ELEMENT),
    ),
    "\t": (_A, ("spaced-quote", _SPACED_QUOTE), ("spaced", _SPACED)),
    **dict.fromkeys("\r\n", (_P, ("counted", _COUNTED))),
    **dict.fromkeys("\"'", (_A, _P, ("tuple", _TUPLE), ("element", _ELEMENT))),
    "`": (_A, ("tuple", _TUPLE), ("table", _TABLE)),
    "\\": (_A,),
    **dict.fromkeys("=)]?|+!\uff1a", (_A,)),
    "*": (_A, ("table", _TABLE)),
    ":": (_A, ("annotated", _ANNOTATED)),
    "<": (_A, ("closed-element", _CLOSED_ELEMENT)),
    "(": (("call", _CALL),),
    "[": (("annotated", _ANNOTATED),),
    ">": (("element", _ELEMENT),),
    ",": (_P,),
}
