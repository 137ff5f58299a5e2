"""Secrets that only their surroundings give away: key blocks, addresses, command lines, calls."""

# ruff: noqa: PLR2004  # each number is a fact of one format, used once

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from lattice_lock.policies._secret_assignments import REACH, Look, Span
from lattice_lock.policies._secret_values import (
    is_generated,
    is_password,
    is_placeholder,
    is_strong,
)
from lattice_lock.policies._secret_words import words_in

__all__ = ["CONTEXTS"]


_MOST_KEY_CHARS: Final = 16_384

_GAP = r"(?:\s|\\{1,3}[nrt]|[\"'+,;>|#*\\.()]){1,60}+"
_BLOCK_HEAD = re.compile(
    r"-{4,5} ?BEGIN (?:OpenVPN )?(?:[A-Z0-9]{2,12} ){0,3}"
    r"(?:PRIVATE KEY(?: BLOCK)?|Static key V1) ?-{4,5}"
    r"(?:\s|\\{1,3}[nrt]|[\"'+,;>|#*\\()]){0,60}+"
    r"(?:(?:Proc-Type|DEK-Info|Version|Comment|Hash|Charset)(?::|%3A)[^\n\\]{0,80}"
    r"(?:\s|\\{1,3}[nrt]|[\"'+,]){1,20}+){0,3}+"
)
_PUTTY_HEAD = re.compile(r"Private-Lines:\s{0,3}\d{1,3}(?:\r?\n|\\n)")
_RUN = r"[A-Za-z0-9+/]{16,}+={0,2}+"
_BLOCK_BODY = re.compile(
    rf"(?:{_RUN}{_GAP}(?=[A-Za-z0-9+/=]{{16}})){{0,400}}+{_RUN}"
    rf"(?:{_GAP}(?:[A-Za-z0-9+/]{{1,64}}={{0,2}}(?={_GAP}-{{4}})|[A-Za-z0-9+/]{{1,63}}={{1,2}}|=[A-Za-z0-9+/]{{4}})){{0,2}}"
)

_LOGIN_IN_URL = re.compile(
    r"://(?P<user>[^\s:/@\"'<>{}$\[\]|`]{0,80}+):(?P<v>[^\s/\"'<>`|\u2e80-\U0010ffff]{1,150})@"
    r"(?=[A-Za-z0-9\[.$<{%_-])"
)
_WORDS = r"(?:[ \t]{1,16}+[^\s|;]{1,60}+){0,8}?[ \t]{1,16}+"
_SIGNS = r"[^\s\"'`]"
_PASSWORD_FLAG: Final = {
    "mysql": re.compile(
        rf"mysql(?:dump|admin|import|show|check)?(?:\.exe)?{_WORDS}-p(?P<v>[^\s\"'|;&<>`-][^\s\"'|;&<>`]{{2,80}}+)"
    ),
    "sshpass": re.compile(rf"sshpass[ \t]{{1,4}}+-p[ \t]{{0,2}}[\"']?(?P<v>{_SIGNS}{{2,80}}+)"),
    "curl": re.compile(
        rf"curl(?:\.exe)?{_WORDS}(?:-u|--user|-U|--proxy-user)[ \t=]{{0,2}}"
        rf"[\"']?[^\s:\"'$<{{]{{1,60}}:(?P<v>{_SIGNS}{{3,80}}+)"
    ),
    "redis-cli": re.compile(rf"redis-cli{_WORDS}-a[ \t]{{1,2}}[\"']?(?P<v>{_SIGNS}{{4,80}}+)"),
    "smbclient": re.compile(
        rf"smbclient{_WORDS}-U[ \t]{{0,2}}[\"']?[^\s%\"']{{1,40}}%(?P<v>{_SIGNS}{{3,80}}+)"
    ),
    "ldap": re.compile(
        rf"ldap(?:search|modify|add|delete|whoami){_WORDS}"
        rf"-w[ \t]{{1,2}}[\"']?(?P<v>{_SIGNS}{{4,80}}+)"
    ),
    "docker login": re.compile(
        rf"docker login{_WORDS}-p[ \t=]{{0,2}}[\"']?(?P<v>{_SIGNS}{{4,80}}+)"
    ),
    "net use": re.compile(
        rf"net use{_WORDS}/user:[^\s]{{1,40}}[ \t]{{1,4}}[\"']?(?P<v>[^\s\"'`/*][^\s\"'`]{{3,80}}+)"
    ),
    "lftp ": re.compile(rf"lftp{_WORDS}-u[ \t]{{1,2}}[\w.@-]{{1,40}},(?P<v>{_SIGNS}{{3,80}}+)"),
    "open -u ": re.compile(rf"open -u [\w.@-]{{1,40}},(?P<v>{_SIGNS}{{3,80}}+)"),
    "ConvertTo-SecureString": re.compile(
        r"ConvertTo-SecureString[ \t]{1,4}(?:-String[ \t]{1,4})?[\"'](?P<v>[^\s\"'$]{3,80}+)"
    ),
    ":5432:": re.compile(r":5432:[\w*.-]{1,64}:[\w*.@-]{1,64}:(?P<v>[^\s:\"'/]{3,100}+)"),
    ":*:": re.compile(r":\*:[\w*.-]{1,64}:[\w*.@-]{1,64}:(?P<v>[^\s:\"'/]{3,100}+)"),
    "identify ": re.compile(rf"identify[ \t]{{1,4}}(?P<v>{_SIGNS}{{4,60}}+)"),
    "dentify ": re.compile(
        rf"dentify[ \t]{{1,4}}[A-Za-z][\w|^-]{{1,20}}[ \t]{{1,4}}(?P<v>{_SIGNS}{{4,60}}+)"
    ),
}
_WEAK: Final = frozenset({"identify ", "dentify ", "mysql"})
_STRING = r"[\"'](?P<user>[^\"'\n]{0,80})[\"']"
_OTHER = r"[\"'][^\"'\n]{0,80}[\"']"
_SECOND: Final = re.compile(
    rf"\s{{0,8}}{_STRING}\s{{0,3}},\s{{0,20}}(?P<q>[\"'])(?P<v>[^\"'\n\s]{{3,100}}+)"
)
_THIRD: Final = re.compile(
    rf"\s{{0,8}}{_OTHER}\s{{0,3}},\s{{0,20}}{_STRING}\s{{0,3}},\s{{0,20}}(?P<q>[\"'])(?P<v>[^\"'\n\s]{{3,100}}+)"
)


def _key_block(text: str, at: int, _anchor_end: int, final: bool, _path: str | None) -> list[Span]:  # noqa: FBT001  # the signature of what looks
    """The body of a private key; what stands around it stays readable."""
    head = (_PUTTY_HEAD if text[at] == "P" else _BLOCK_HEAD).match(text, at)
    if head is None or head.end() == len(text) or head.end() - at > REACH:
        return []
    start = head.end()
    limit = min(len(text), start + _MOST_KEY_CHARS)
    body = _BLOCK_BODY.match(text, start, limit)
    open_end = limit == len(text) and not final
    if body is None:
        return [Span(start, None)] if open_end and _may_begin(text, start, limit) else []
    if open_end and body.end() + 400 > limit and _may_go_on(text, body.end(), limit):
        return [Span(start, None)]
    drawn = body[0]
    first = drawn[:200]
    if len(drawn) < 40 or len(set(first)) < 14 or is_placeholder(first[4:60]):
        return []
    return [Span(start, body.end(), "private-key")]


_BEGINNING = re.compile(r"[A-Za-z0-9+/=]{0,16}+")
_GOING_ON = re.compile(rf"(?:{_GAP}|[A-Za-z0-9+/=-]{{1,70}}+){{0,6}}+")


def _may_begin(text: str, start: int, limit: int) -> bool:
    m = _BEGINNING.match(text, start, limit)
    return m is not None and m.end() == limit


def _may_go_on(text: str, at: int, limit: int) -> bool:
    m = _GOING_ON.match(text, at, limit)
    return m is not None and m.end() == limit


def _in_url(text: str, at: int, _anchor_end: int, final: bool, _path: str | None) -> list[Span]:  # noqa: FBT001  # the signature of what looks
    """The password of an address with a login."""
    if at == 0 or not text[at - 1].isalnum():
        return []
    m = _LOGIN_IN_URL.match(text, at)
    if m is None:
        return []
    value, start = m["v"], m.start("v")
    if start - at > REACH or (m.end() == len(text) and not final):
        return []
    user = m["user"].lower()
    if is_placeholder(value) or value.lower() in _DOCUMENTED or value[0] in "$%<{[" or "{" in value:
        return []
    if (value.lower() == user and len(value) < 6) or (value.isalpha() and value.isupper()):
        return []
    if len(value) < 3 or (value.isdigit() and len(value) < 5) or value.startswith("pserver:"):
        return []
    if (user, value) in {("scott", "tiger"), ("abc", "xyz")}:
        return []
    plain = unquote(value)
    if _EXAMPLE_HOST.match(text, m.end()) and not is_strong(plain, ["password"]):
        return []
    return [Span(start, m.end("v"), "connection-string")]


_EXAMPLE_HOST = re.compile(
    r"(?:[\w-]{1,30}\.){0,3}(?:example|test|host|hostname|server|servername|proxy|domain|yourhost|myhost|ip|address)"
    r"(?:\.(?:com|org|net|local))?(?![\w.-])"
)
_DOCUMENTED: Final = frozenset(
    words_in(
        """
    password pass passwd pwd secret pw token user username key mypassword yourpassword xxx
    x-oauth-basic p
    """
    )
)


_ONLY = re.compile(r"\s{0,8}[\"'](?P<v>[A-Za-z0-9_-]{32,80}+)(?P<end>[\"'])?")


def _for_client(text: str, _at: int, anchor_end: int, final: bool, _path: str | None) -> list[Span]:  # noqa: FBT001  # the signature of what looks
    """The key with which a client is made, where it is the first argument and looks drawn."""
    del final  # the key has no space, so a stream holds it with its word
    m = _ONLY.match(text, anchor_end)
    if m is None or m["end"] is None or not is_generated(m["v"], at_least=32):
        return []
    return [Span(m.start("v"), m.end("v"), "login-call")]


def _on_command_line(key: str) -> Look:
    pattern = _PASSWORD_FLAG[key]

    def look(text: str, at: int, _anchor_end: int, final: bool, _path: str | None) -> list[Span]:  # noqa: FBT001  # the signature of what looks
        m = pattern.match(text, at)
        if m is None:
            return []
        start, end = m.span("v")
        if start - at > REACH:
            return []
        if end == len(text) and not final:
            return [Span(start, None)]
        value = m["v"]
        if key in _WEAK:
            fits = is_strong(value, ["password"])
        else:
            fits = is_password(value, ["password"], quoted=True)
        return [Span(start, end, "command-line-password")] if fits else []

    return look


def _argument(pattern: re.Pattern[str]) -> Look:
    def look(text: str, at: int, anchor_end: int, final: bool, _path: str | None) -> list[Span]:  # noqa: FBT001  # the signature of what looks
        m = pattern.match(text, anchor_end)
        if m is None or m.start("v") - at > REACH:
            return []
        start, end = m.span("v")
        if end == len(text):
            return [] if final else [Span(start, None)]
        value = m["v"]
        if text[end] != m["q"] or not is_password(value.lower(), ["password"], quoted=True):
            return []
        fits = "@" in m["user"] or is_strong(value, ["password"]) or is_generated(value)
        return [Span(start, end, "login-call")] if fits else []

    return look


_SECOND_OF: Final = words_in(
    """
    login authenticate signIn signInWithEmailAndPassword auth HTTPBasicAuth BasicAuth basicAuth
    setBasicAuth NetworkCredential UsernamePasswordCredentials
    UsernamePasswordAuthenticationToken PasswordAuthentication setCredentials set_credentials
    setAuth BasicAWSCredentials Credentials
    """
)
_THIRD_OF: Final = [
    "mysql_connect",
    "mysqli",
    "mysqli_connect",
    "mysql_pconnect",
    "PDO",
    "getConnection",
    "ftp_login",
    "connect",
    "PlainAuth",
    "Sequelize",
]

CONTEXTS: Final[dict[str, Look]] = {
    "-----BEGIN ": _key_block,
    "---- BEGIN ": _key_block,
    "Private-Lines:": _key_block,
    "://": _in_url,
    "Client(": _for_client,
    **{key: _on_command_line(key) for key in _PASSWORD_FLAG if key != "ldap"},
    **{
        f"ldap{verb}": _on_command_line("ldap")
        for verb in ("search", "modify", "add", "delete", "whoami")
    },
    **{f"{name}(": _argument(_SECOND) for name in (*_SECOND_OF, "auth=", "auth = ")},
    **{f"{name}(": _argument(_THIRD) for name in _THIRD_OF},
}
