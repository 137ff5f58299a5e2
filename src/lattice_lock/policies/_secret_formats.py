"""The formats of keys and tokens that issuers have given a prefix, a structure or a checksum.

A format begins at one of its anchors, or a bounded number of characters before it. The pattern has
to match there; the check tells a real value from one that only stands for it. Prefixes and lengths
follow the issuers' documentation, most of which is gathered at
https://docs.github.com/en/code-security/secret-scanning/introduction/supported-secret-scanning-patterns
"""

# ruff: noqa: PLR2004  # each number is a fact of one format, used once

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

from lattice_lock.policies._secret_values import is_generated, is_password, is_placeholder

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FORMATS", "Format", "opens"]

_PREFIX = re.compile(r"\A(?:[A-Za-z]{1,9}\d{0,2}[-_.:]){1,3}+")
_BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class Format(NamedTuple):
    """One form of secret.

    Attributes:
        anchors: literal texts, one of which every such secret contains.
        pattern: matches from the beginning; group `v`, if it has one, is the secret part.
        back: characters of the secret that may stand before the anchor, all of class `behind`.
        check: whether a match is real.
    """

    rule: str
    anchors: tuple[str, ...]
    pattern: re.Pattern[str]
    check: Callable[[str], bool]
    back: int = 0
    behind: str = ""
    label: str = "API_KEY"


def _drawn(token: str) -> bool:
    """Whether the part after a token's prefix is no placeholder and does not read as words."""
    if len(set(token)) < 9:
        return False
    return is_generated(_PREFIX.sub("", token[:64]), at_least=8)


def _loosely(token: str) -> bool:
    """Whether `token` is no placeholder; its prefix and length already say what it is."""
    return (
        not is_placeholder(token) and len(set(token)) >= 9 and any(s.isdigit() for s in token[3:])
    )


def _github(token: str) -> bool:
    """Whether the checksum holds, or the text looks drawn: a token may have been altered.

    Source: https://github.blog/2021-04-05-behind-githubs-new-authentication-token-formats/
    """
    body = token.partition("_")[2]
    return _crc32_base62(body) or _drawn(token)


def _crc32_base62(body: str) -> bool:
    if len(body) != 36 or not body.isalnum():
        return False
    value = 0
    for sign in body[30:]:
        value = value * 62 + _BASE62.index(sign)
    return zlib.crc32(body[:30].encode()) == value


def _aws_id(token: str) -> bool:
    return not is_placeholder(token) and (
        any(sign.isdigit() for sign in token[4:]) or is_generated(token[4:].lower(), at_least=12)
    )


def _macaroon(token: str) -> bool:
    """Whether it is a macaroon of PyPI: version 2, then a field that says where it is from.

    Source: https://github.com/rescrv/libmacaroons (binary format, version 2)
    """
    raw = _unbase64(token[5:])
    return (raw is not None and raw[:2] == b"\x02\x01") or _drawn(token)


def _unbase64(text: str) -> bytes | None:
    text = text.rstrip("=").translate({45: "+", 95: "/"})
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None


def _jwt(token: str) -> bool:
    """Whether the header is JSON with an algorithm, and the token not the one of jwt.io."""
    begin = _unbase64(token[:24].partition(".")[0])
    if begin is None or not begin.isascii():
        return False
    parts = token.split(".")
    head = _unbase64(parts[0])
    if head is None or head[:1] != b"{":
        return False
    try:
        fields = json.loads(head)
    except (ValueError, RecursionError):
        return False
    if not isinstance(fields, dict) or not ("alg" in fields or "enc" in fields):
        return False
    body = _unbase64(parts[1])
    return (
        not (body and b"1234567890" in body and b"John Doe" in body)
        and body != b'{"some":"payload"}'
        and not is_placeholder(parts[-1])
    )


def opens(text: str) -> bool:
    """Whether `text` is base64 of a user and a password that is no placeholder."""
    raw = _unbase64(text)
    if raw is None or b":" not in raw:
        return False
    try:
        user, _, password = raw.decode().partition(":")
    except UnicodeDecodeError:
        return False
    if not user or not password or not (user + password).isprintable():
        return False
    return not is_placeholder(password) and password != "password"  # noqa: S105  # a placeholder


def _encoded_key(text: str) -> bool:
    raw = _unbase64(text[:60]) or b""
    return b"PRIVATE KEY" in raw or b"OPENSSH" in raw


def _hash(text: str) -> bool:
    return len(set(text)) >= 10 and not is_placeholder(text.rsplit("$", 1)[-1])


def _discord(token: str) -> bool:
    """Whether the first part is the number of an account, as base64."""
    raw = _unbase64(token.split(".", maxsplit=1)[0])
    return raw is not None and raw.isdigit() and 17 <= len(raw) <= 20


def _made(
    rule: str,
    anchors: str,
    pattern: str,
    check: Callable[[str], bool] = _drawn,
    *,
    back: int = 0,
    behind: str = "",
    label: str = "API_KEY",
) -> Format:
    return Format(rule, tuple(anchors.split()), re.compile(pattern), check, back, behind, label)


# Inside of a long run a short prefix is chance; a few glued letters must not hide a key.
_APART = r"(?<![A-Za-z0-9+/_-]{24})"
_W = r"[A-Za-z0-9_-]"
_N = r"[A-Za-z0-9]"
_X = r"[0-9a-f]"
_HEX_SIGNS = "0123456789abcdef"
_ALNUM = _BASE62

_TENS = [f"{a}{b}" for a in "MNO" for b in "DTjz"]

FORMATS: Final = (
    # Providers of models.
    _made("ai-provider-key", "sk-ant-", rf"sk-ant-[a-z]{{2,8}}\d\d-{_W}{{20,200}}+"),
    _made(
        "ai-provider-key",
        "sk-proj- sk-svcacct- sk-admin- sk-None-",
        rf"sk-(?:proj|svcacct|admin|None)-{_W}{{20,250}}+",
    ),
    _made(
        "ai-provider-key",
        "T3BlbkFJ",
        rf"(?:sk-)?{_N}{{20}}T3BlbkFJ{_N}{{20}}",
        back=23,
        behind=_ALNUM + "-",
    ),
    _made("ai-provider-key", "sk-or-v1-", rf"sk-or-v1-{_N}{{40,80}}+"),
    _made("ai-provider-key", "sk-lf-", r"sk-lf-[0-9a-f]{8}-[0-9a-f-]{27}", _loosely),
    _made(
        "ai-provider-key",
        "sk-",
        rf"(?<![A-Za-z0-9_-])sk-(?=[A-Za-z_-]{{0,60}}\d){_N}(?:{_N}|[-_](?={_N})){{19,100}}+",
    ),
    _made(
        "ai-provider-key",
        "sk-",
        rf"sk-(?=[a-z0-9]{{0,40}}[A-Z])(?=[A-Z0-9]{{0,40}}[a-z])(?=[A-Za-z]{{0,40}}\d){_N}{{32,64}}+",
    ),
    _made("ai-provider-key", "gsk_", rf"gsk_{_N}{{40,60}}+"),
    _made("ai-provider-key", "xai-", rf"xai-{_N}{{40,100}}+"),
    _made("ai-provider-key", "hf_ api_org_", rf"(?:hf_|api_org_){_N}{{30,40}}+"),
    _made("ai-provider-key", "r8_", rf"r8_{_N}{{36,42}}+"),
    _made("ai-provider-key", "pplx-", rf"pplx-{_N}{{40,60}}+"),
    _made("ai-provider-key", "fw_", rf"(?<![A-Za-z0-9_])fw_{_N}{{20,40}}+"),
    _made("ai-provider-key", "tgp_v1_", rf"tgp_v1_{_W}{{40,60}}+"),
    _made("ai-provider-key", "csk-", rf"csk-{_N}{{40,60}}+"),
    _made("ai-provider-key", "nvapi-", rf"nvapi-{_W}{{50,80}}+"),
    _made("ai-provider-key", "pcsk_", r"pcsk_[A-Za-z0-9_]{40,90}+"),
    _made("ai-provider-key", "lsv2_", r"lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}", _loosely),
    _made(
        "ai-provider-key",
        "tvly- jina_ pa-",
        rf"(?<![A-Za-z0-9_-])(?:tvly-(?:dev-)?|jina_|pa-){_W}{{30,80}}+",
    ),
    _made("ai-provider-key", "sk_", rf"(?<![A-Za-z0-9_])sk_{_X}{{48}}(?!{_N})"),
    _made("ai-provider-key", "JQQJ99", rf"{_N}{{52}}JQQJ99{_N}{{26}}", back=52, behind=_ALNUM),
    # Clouds.
    _made(
        "cloud-key", "AKIA ASIA ABIA ACCA", _APART + r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}", _aws_id
    ),
    _made(
        "cloud-key",
        "ABSK bedrock-api-key-",
        _APART + r"(?:ABSK|bedrock-api-key-)[A-Za-z0-9+/]{60,400}+={0,2}",
    ),
    _made("cloud-key", "AIza", _APART + rf"AIza{_W}{{35}}", _loosely),
    _made("cloud-key", "AQ.Ab", rf"AQ\.Ab{_W}{{36,80}}+"),
    _made("cloud-key", "GOCSPX-", rf"GOCSPX-{_W}{{24,32}}+"),
    _made("cloud-key", "ya29.", r"ya29\.[A-Za-z0-9_-]{30,600}+"),
    _made("cloud-key", "1//0", rf"1//0{_W}{{40,110}}+"),
    _made(
        "cloud-key",
        "7Q~ 8Q~",
        r"[A-Za-z0-9_.~-]{3}[78]Q~[A-Za-z0-9_.~-]{31,34}",
        back=3,
        behind=_ALNUM + "_.~-",
    ),
    _made(
        "cloud-key",
        "AccountKey= SharedAccessKey= SharedSecretKey=",
        r"(?:AccountKey|SharedAccessKey|SharedSecretKey)=(?P<v>[A-Za-z0-9+/]{40,100}+={0,2})",
    ),
    _made("cloud-key", "AZDO", rf"{_N}{{76}}AZDO{_N}{{4}}", back=76, behind=_ALNUM),
    _made(
        "cloud-key", "sig=", r"(?<=[?&;])sig=(?P<v>(?:[A-Za-z0-9+/]|%[0-9A-Fa-f]{2}){42,100}+=?)"
    ),
    _made("cloud-key", "dop_v1_ doo_v1_ dor_v1_", rf"do[opr]_v1_{_X}{{64}}"),
    _made("cloud-key", "v1.0-", rf"v1\.0-{_X}{{24}}-{_X}{{146}}", _loosely),
    _made("cloud-key", "LTAI", _APART + rf"LTAI{_N}{{12,24}}+"),
    _made("cloud-key", "AKID", _APART + rf"AKID{_N}{{28,36}}+"),
    _made("cloud-key", "HRKU-", rf"HRKU-{_W}{{36,70}}+"),
    _made(
        "cloud-key",
        "fm2_ fm1r_ fm1a_ fo1_",
        _APART + r"(?:fm2_|fm1[ar]_|fo1_)[A-Za-z0-9+/_-]{40,800}+={0,2}",
    ),
    _made("cloud-key", "SCW", r"(?<![A-Z])SCW[A-Z0-9]{17}(?![A-Z0-9])"),
    _made("cloud-key", "AQVN YCAJ", _APART + rf"(?:AQVN{_W}{{35}}|YCAJE{_W}{{20}})"),
    _made("cloud-key", "sbp_ sb_secret_", rf"(?:sbp_{_X}{{40}}|sb_secret_{_W}{{20,60}}+)"),
    _made("cloud-key", "pscale_", r"pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.-]{32,64}+"),
    _made("cloud-key", "nfp_ nfc_ nfo_ nfb_ nfu_", rf"nf[pcobu]_{_N}{{36,44}}+"),
    _made("cloud-key", "rnd_", rf"(?<![A-Za-z0-9_])rnd_{_N}{{28,40}}+"),
    # Where source, packages and builds are kept.
    _made(
        "source-host-token",
        "ghp_ gho_ ghu_ ghs_ ghr_",
        rf"gh[pousr]_{_N}{{36,255}}+",
        _github,
        label="TOKEN",
    ),
    _made("source-host-token", "github_pat_", r"github_pat_[A-Za-z0-9_]{36,255}+", label="TOKEN"),
    _made(
        "source-host-token",
        "glpat- gldt- glrt- glptt- glsoat- glft- glcbt- glimt- glagent- gloas- glffct- GR1348941",
        rf"(?:gl(?:pat|dt|rt|ptt|soat|ft|cbt|imt|agent|oas|ffct)-|GR1348941)(?:{_W}|\.(?={_N})){{20,120}}+",
        label="TOKEN",
    ),
    _made(
        "source-host-token", "ATBB", _APART + rf"ATBB{_N}{{28,36}}(?![A-Za-z0-9+/=])", label="TOKEN"
    ),
    _made(
        "source-host-token",
        "ATATT3 ATCTT3 ATSTT3",
        r"AT[ACS]TT3[A-Za-z0-9_=-]{50,400}+",
        label="TOKEN",
    ),
    _made("source-host-token", "npm_", rf"npm_{_N}{{36}}", _github, label="TOKEN"),
    _made("source-host-token", "pypi-Ag", rf"pypi-Ag{_W}{{50,400}}+", _macaroon, label="TOKEN"),
    _made("source-host-token", "rubygems_", rf"rubygems_{_X}{{48}}", label="TOKEN"),
    _made("source-host-token", "cio", rf"(?<!{_N})cio{_N}{{32}}(?!{_N})", label="TOKEN"),
    _made(
        "source-host-token", "oy2", r"(?<![A-Za-z0-9])oy2[a-z0-9]{43}(?![A-Za-z0-9])", label="TOKEN"
    ),
    _made(
        "source-host-token", "dckr_pat_ dckr_oat_", rf"dckr_[po]at_{_W}{{20,64}}+", label="TOKEN"
    ),
    _made("source-host-token", "CLOJARS_", r"CLOJARS_[a-z0-9]{60}", label="TOKEN"),
    _made("source-host-token", "AKCp", _APART + rf"AKCp{_N}{{60,80}}+", label="TOKEN"),
    _made("source-host-token", "cmVmdGtu", _APART + rf"cmVmdGtu{_N}{{50,60}}+", label="TOKEN"),
    _made(
        "source-host-token",
        "CCIPAT_ bkua_ sgp_ squ_ sqp_ sqa_",
        rf"(?:CCIPAT_|bkua_|sgp_|sq[upa]_){_N}{{20,40}}[A-Za-z0-9_]{{0,60}}+",
        label="TOKEN",
    ),
    # Chats.
    _made(
        "chat-token",
        "xoxb- xoxp- xoxa- xoxr- xoxs- xoxo- xoxe- xoxe. xoxc- xoxd- xapp-",
        r"(?:xox[a-e o-s]|xapp|xoxe\.xox[bp])[-.][A-Za-z0-9%-]{18,300}+",
        _loosely,
        label="TOKEN",
    ),
    _made(
        "chat-token",
        "hooks.slack.com/ hooks.slack-gov.com/",
        r"hooks\.slack(?:-gov)?\.com/(?P<v>(?:services|workflows|triggers)/[A-Za-z0-9]{8,14}/[A-Za-z0-9]{8,14}/[A-Za-z0-9/]{16,60}+)",
        _loosely,
        label="WEBHOOK",
    ),
    _made(
        "chat-token",
        "/api/webhooks/",
        rf"/api/webhooks/\d{{17,20}}/(?P<v>{_W}{{50,80}}+)",
        label="WEBHOOK",
    ),
    _made("chat-token", "/bot/v2/hook/", rf"/bot/v2/hook/(?P<v>{_W}{{32,40}}+)", label="WEBHOOK"),
    _made(
        "chat-token",
        "hooks.zapier.com/hooks/catch/",
        r"hooks\.zapier\.com/hooks/catch/(?P<v>\d{4,10}/[a-z0-9]{6,12})",
        _loosely,
        label="WEBHOOK",
    ),
    _made(
        "chat-token",
        "/IncomingWebhook/",
        r"/IncomingWebhook/(?P<v>[0-9a-f]{32}/[0-9a-f-]{36})",
        label="WEBHOOK",
    ),
    _made(
        "chat-token",
        ":AA",
        rf"\d{{8,10}}:AA{_W}{{33}}(?!{_W})",
        back=10,
        behind="0123456789",
        label="TOKEN",
    ),
    _made(
        "chat-token",
        " ".join(f"{ten}{unit}" for ten in _TENS for unit in "AEIMQUYcgk"),
        rf"(?<![A-Za-z0-9_.-])[MNO][A-Za-z0-9]{{22,27}}\.{_W}{{6}}\.{_W}{{27,40}}+",
        _discord,
        label="TOKEN",
    ),
    # Payments and shops.
    _made(
        "payment-key",
        "sk_live_ rk_live_ sk_test_ rk_test_ sk_org_ sk_prod_",
        rf"[sr]k_(?:live|test|org|prod)_{_N}{{16,250}}+",
    ),
    _made("payment-key", "whsec_", r"whsec_[A-Za-z0-9+/]{24,80}+={0,2}"),
    _made("payment-key", "sq0atp- sq0csp- sq0idp-", rf"sq0(?:atp-{_W}{{22}}|csp-{_W}{{43}})"),
    _made("payment-key", "EAAAE EAAAl", rf"(?<!{_N})EAAA[El]{_W}{{55,64}}+(?![A-Za-z0-9+/])"),
    _made(
        "payment-key",
        "access_token$",
        r"access_token\$(?:production|sandbox)\$[0-9a-z]{16}\$[0-9a-f]{32}",
        _loosely,
    ),
    _made("payment-key", "shpat_ shpca_ shppa_ shpss_", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    _made("payment-key", "rzp_live_ rzp_test_", rf"rzp_(?:live|test)_{_N}{{14,24}}+"),
    _made("payment-key", "FLWSECK", rf"FLWSECK(?:_TEST)?-{_N}{{12,40}}+"),
    _made(
        "payment-key",
        "access-production- access-sandbox- access-development-",
        r"access-(?:production|sandbox|development)-[0-9a-f]{8}-[0-9a-f-]{27}",
        _loosely,
    ),
    _made("payment-key", "EZAK EZTK", _APART + rf"EZ[AT]K{_N}{{54}}"),
    _made(
        "payment-key",
        "shippo_live_ shippo_test_ duffel_live_ duffel_test_",
        rf"(?:shippo|duffel)_(?:live|test)_{_W}{{40,44}}+",
    ),
    # Mail and messages.
    _made("mail-key", "SG.", rf"SG\.{_W}{{16,32}}\.{_W}{{30,64}}+"),
    _made("mail-key", "key-", rf"(?<![A-Za-z0-9_-])key-{_X}{{32}}(?![A-Za-z0-9_-])"),
    _made(
        "mail-key",
        "-us1 -us2 -us3 -us4 -us5 -us6 -us7 -us8 -us9",
        rf"{_X}{{32}}-us\d{{1,2}}(?![A-Za-z0-9])",
        _loosely,
        back=32,
        behind=_HEX_SIGNS,
    ),
    _made(
        "mail-key", "xkeysib- xsmtpsib-", rf"x(?:keysib|smtpsib)-{_X}{{64}}-{_N}{{16}}", _loosely
    ),
    _made("mail-key", "re_", rf"(?<![A-Za-z0-9_])re_{_N}{{8}}_{_N}{{20,30}}+"),
    _made(
        "mail-key", " ".join(f"SK{sign}" for sign in _HEX_SIGNS), rf"(?<!{_N})SK{_X}{{32}}(?!{_N})"
    ),
    _made(
        "mail-key",
        " ".join(f"AC{sign}" for sign in _HEX_SIGNS),
        rf"(?<!{_N})AC{_X}{{32}}[\"']?\)?\s{{0,3}}[,:]\s{{0,4}}[\"']?(?P<v>{_X}{{32}})(?!{_N})",
    ),
    # Services that run, watch and organise.
    _made("service-token", "hvs. hvb. hvr.", rf"hv[sbr]\.{_W}{{24,300}}+", label="TOKEN"),
    _made(
        "service-token",
        ".atlasv1.",
        rf"{_N}{{14}}\.atlasv1\.{_W}{{60,70}}+",
        back=14,
        behind=_ALNUM,
        label="TOKEN",
    ),
    _made(
        "service-token", "dapi dkea dsapi", rf"(?:dapi|dkea|dsapi){_X}{{32}}(?:-\d)?", label="TOKEN"
    ),
    _made(
        "service-token",
        "glsa_ glc_",
        r"(?:glsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}|glc_[A-Za-z0-9+/]{32,400}+={0,2})",
        label="TOKEN",
    ),
    _made("service-token", "eyJrIjoi", r"eyJrIjoi[A-Za-z0-9+/]{60,200}+={0,2}", label="TOKEN"),
    _made(
        "service-token",
        "NRAK- NRJS- NRAA- NRII- NRIQ-",
        rf"NR(?:AK|JS|AA|II|IQ)-{_W}{{19,40}}+",
        label="TOKEN",
    ),
    _made("service-token", "NRAL", rf"{_X}{{36}}NRAL", back=36, behind=_HEX_SIGNS, label="TOKEN"),
    _made(
        "service-token",
        "sntrys_ sntryu_ sntryi_",
        r"sntry[sui]_[A-Za-z0-9+/=_-]{40,300}+",
        label="TOKEN",
    ),
    _made(
        "service-token",
        "dt0c01. dt0s",
        r"dt0[a-z]\d\d\.[A-Z0-9]{8,24}\.[A-Z0-9]{64}",
        label="TOKEN",
    ),
    _made(
        "service-token",
        "dp.pt. dp.st. dp.ct. dp.sa. dp.scim. dp.audit.",
        rf"dp\.(?:pt|st|ct|sa|scim|audit)\.(?:[a-z0-9_-]{{2,35}}\.)?{_N}{{40,44}}+",
        label="TOKEN",
    ),
    _made(
        "service-token",
        "pul- ico-",
        rf"(?<![A-Za-z0-9_-])(?:pul-{_X}{{40}}|ico-{_N}{{32}})(?!{_N})",
        _loosely,
        label="TOKEN",
    ),
    _made(
        "service-token",
        "PMAK- PMAT-",
        rf"(?:PMAK-{_X}{{24}}-{_X}{{34}}|PMAT-[0-9A-Z]{{26}})",
        _loosely,
    ),
    _made("service-token", "lin_api_ lin_oauth_", rf"lin_(?:api|oauth)_{_N}{{32,70}}+"),
    _made(
        "service-token",
        "secret_ ntn_",
        rf"(?<![A-Za-z0-9_])(?:secret_{_N}{{43}}|ntn_{_N}{{40,50}}+)(?![A-Za-z0-9_])",
    ),
    _made(
        "service-token", "figd_ figu_ figo_ figuh_ figoh_", rf"fig(?:d|u|o|uh|oh)_{_W}{{36,50}}+"
    ),
    _made("service-token", "tskey-", rf"tskey-[a-z]{{2,8}}-{_W}{{20,80}}+"),
    _made(
        "service-token",
        "pat-na1- pat-eu1- pat-na2-",
        r"pat-(?:na|eu)\d-[0-9a-f]{8}-[0-9a-f-]{27}",
        _loosely,
    ),
    _made(
        "service-token",
        "CFPAT- tfp_ phx_ pnu_ rdme_ EAACEdEose0cBA EAAG hcaik_",
        rf"(?<!{_N})(?:CFPAT-|tfp_|phx_|pnu_|rdme_|EAACEdEose0cBA|EAAG|hcaik_){_W}{{32,200}}+",
    ),
    _made("service-token", "SSWS", rf"SSWS\s(?P<v>00{_W}{{38,42}}+)"),
    _made("service-token", "ops_eyJ sk.eyJ", r"(?:ops_|sk\.)eyJ[A-Za-z0-9_.+/=-]{60,1500}+"),
    # Keys and tokens that belong to no issuer.
    _made("private-key", "AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[0-9A-Z]{58}", label="PRIVATE_KEY"),
    _made(
        "private-key",
        "LS0tLS1CRUdJTiB",
        r"LS0tLS1CRUdJTiB(?:QUklW|S|P|F|E)[A-Za-z0-9+/]{40,16000}+={0,2}",
        _encoded_key,
        label="PRIVATE_KEY",
    ),
    _made("private-key", "xprv", rf"(?<!{_N})xprv{_N}{{107}}", label="PRIVATE_KEY"),
    _made("private-key", '"d":', rf'"d":\s{{0,2}}"(?P<v>{_W}{{40,700}}+)"', label="PRIVATE_KEY"),
    _made(
        "jwt",
        "eyJ",
        rf"eyJ{_W}{{8,300}}+\.{_W}{{0,8000}}+(?:\.{_W}{{0,4000}}+){{1,3}}+",
        _jwt,
        label="JWT",
    ),
    _made(
        "authorization",
        "Basic basic",
        r"[Bb]asic\s{1,3}(?P<v>[A-Za-z0-9+/]{8,400}+={0,2})(?![A-Za-z0-9+/=_-])",
        opens,
        label="CREDENTIALS",
    ),
    _made(
        "authorization",
        "Bearer bearer",
        r"[Bb]earer\s{1,3}(?P<v>[A-Za-z0-9_.~+/=-]{16,2000}+)",
        is_generated,
        label="TOKEN",
    ),
    _made(
        "connection-string",
        "@tcp( @unix(",
        r"[\w.-]{1,40}:(?P<v>[A-Za-z0-9_.!#$%^&*+=-]{3,80})@(?:tcp|unix)\(",
        lambda v: is_password(v.lower(), ["password"], quoted=True),
        back=120,
        behind=_ALNUM + "_.!#$%^&*+=-:",
        label="PASSWORD",
    ),
    # What systems store of passwords.
    _made(
        "password-hash",
        "$2a$ $2b$ $2y$ $2x$",
        r"\$2[abxy]\$\d\d\$(?P<v>[./A-Za-z0-9]{53})",
        _hash,
        label="PASSWORD_HASH",
    ),
    _made(
        "password-hash",
        "$1$ $5$ $6$ $apr1$ $y$ $gy$",
        r"\$(?P<v>(?:(?:1|apr1)\$[./A-Za-z0-9]{1,8}\$[./A-Za-z0-9]{22}|5\$(?:rounds=\d{1,9}\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{43}|6\$(?:rounds=\d{1,9}\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{86}|g?y\$[./A-Za-z0-9]{2,8}\$[./A-Za-z0-9]{1,86}\$[./A-Za-z0-9]{43}))(?![./A-Za-z0-9])",
        _hash,
        label="PASSWORD_HASH",
    ),
    _made(
        "password-hash",
        "$P$ $H$ $S$",
        r"\$[PHS]\$(?P<v>[./A-Za-z0-9]{31}|[./A-Za-z0-9]{52})(?![./A-Za-z0-9])",
        _hash,
        label="PASSWORD_HASH",
    ),
    _made(
        "password-hash",
        "$argon2",
        r"\$argon2(?:id?|d)\$(?:v=\d+\$)?[a-z0-9=,]{5,40}\$(?P<v>[A-Za-z0-9+/]{11,90}\$[A-Za-z0-9+/]{20,180})",
        _hash,
        label="PASSWORD_HASH",
    ),
    _made(
        "password-hash",
        "pbkdf2_sha256$ pbkdf2_sha1$ pbkdf2:sha256: pbkdf2-sha256$ pbkdf2-sha512$",
        r"pbkdf2[_:-]sha(?:1|256|512)[:$]\d{2,8}\$(?P<v>[A-Za-z0-9+/._=]{4,64}\$[A-Za-z0-9+/._=]{27,180}+)",
        _hash,
        label="PASSWORD_HASH",
    ),
    _made(
        "password-hash",
        "{SHA} {SSHA} {SMD5} {SHA512} {SSHA512} {CRYPT} {crypt} {SSHA256}",
        r"\{(?:S?SHA(?:256|512)?|SMD5|CRYPT|crypt)\}(?P<v>[A-Za-z0-9+/$.]{13,180}+={0,2})",
        _hash,
        label="PASSWORD_HASH",
    ),
)
