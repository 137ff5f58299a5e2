"""Which natural language a text is in, by its script, its letters and its commonest words."""

# ruff: noqa: RUF001  # the letters of other alphabets are meant

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["find_language"]

_CHARS: Final = 400  # enough to know; what follows may be material in another language
_N_WORDS: Final = 120

_SCRIPTS: Final = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("zh", re.compile(r"[\u3400-\u9fff]")),
    ("ko", re.compile(r"[\uac00-\ud7af]")),
    ("ar", re.compile(r"[\u0620-\u06ff]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
    ("cyrillic", re.compile(r"[\u0400-\u04ff]")),
    ("latin", re.compile(r"[a-zA-Z\u00c0-\u024f]")),
)

# Letters that, among these languages, hardly any other has.
_LETTERS: Final = (
    ("es", "ñ¿¡"),
    ("de", "ßäÄ"),
    ("pt", "ãõÃÕ"),
    ("pl", "łąężźśćńŁŻŚ"),
    ("tr", "ğışİŞĞ"),
    ("fr", "êèœùûëÊÈ"),
    ("it", "ìò"),
)

# Without accents, as `fold` leaves words.
_WORDS: Final = {
    "en": (
        "a about all an and any are at be between but can code could do does each explain "
        "following for from function give had has have hello hi how i if in into is it list "
        "make my need not of on or our out please sentence should so some story text than "
        "thanks that the their them then there this to up us was we what which who with would "
        "write you your"
    ),
    "de": (
        "aber alle als auf aus bei bitte danke das dass dem den der die diesen ein eine einem "
        "einen einer eines es folgenden funktion fur gibt hallo hat ich ihr im ins ist kann "
        "mir mit nach nicht noch oder satz schreib schreibe sich sie sind text uber und von "
        "wann warum was welche wer wie wir wird wo wurde zu zum zur"
    ),
    "fr": (
        "au aux avec bonjour ce ces cet cette combien comment dans des dont du ecris elle en "
        "entre est et etre fais fonction il ils je la le les leur ma merci mes moi mon nous "
        "ont ou pas peut peux phrase plus pour que quel quelle quels qui sa sans ses son sont "
        "suivant suivante sur texte un une vous"
    ),
    "es": (
        "al codigo como con cual cuales cuanto cuantos de del donde el en entre es escribe "
        "esta este esto frase fue funcion gracias hay haz hola la las lista lo los mas me mi "
        "muy nos para pero por puedo que quien se sea siguiente sin sobre son su sus texto un "
        "una y"
    ),
    "it": (
        "alla anche che chi ciao codice come con cosa dal dalla degli dei del della delle di "
        "dove e fai fra frase funzione gli grazie ha ho il le lista lo ma mi mio nel nella "
        "non per piu puoi quale quanti questa questi questo scrivi seguente si sono su testo "
        "tra un una"
    ),
    "pt": (
        "abaixo ao aos as codigo com como crie da das de do dos e eles em entre escreva esta "
        "este faca foi frase funcao isso lista mais meu na nao nas no nos o obrigado ola os "
        "para pela pelo por quais qual quantos que quem seguinte sem ser seu sobre sua texto "
        "um uma uns voce"
    ),
    "nl": (
        "alles als bij dat de der deze dit een en er functie geen goed heeft het hoe hoi ik "
        "in is je kan maar met mij mijn naar niet nog om ook op over schrijf te tekst tot "
        "twee uit van volgende voor waar waarom wat wel wie wordt zijn zin zinnen zo"
    ),
    "pl": (
        "aby ale byl bylo co czesc czy dla do funkcje funkcji gdzie i ile jak jaka jaki jakie "
        "jego jej jest kiedy kto ktora ktore ktory ktorym lista lub mam mi moje na napisz nie "
        "od oraz po ponizszy prosze przed przez przy sa sie tego tej tekst ten to tym w z za "
        "zdanie"
    ),
    "tr": (
        "asagidaki bana bir bu cok cumle cumleyi da daha de dir eden fonksiyon gibi hangi her "
        "icin ile kac kadar kim liste merhaba metin mi misin musun nasil ne nedir neler "
        "nerede niye olan olarak once sonra sorun su ve yaz yazin"
    ),
    "ru": (
        "а без бы в все вы где для до его ее если же и из или их к как какая какои код "
        "которая которое которые которыи кратко кто мне мы на напиши не нет но объясни он она "
        "от переведи по под почему при привет расскажи с сделаи сколько следующии список так "
        "текст функцию что чтобы эта это этот я"
    ),
    "uk": (
        "або але без би буде в ви від де для до дякую з зроби и иого мені ми моя на напиши не "
        "ні переклади поясни при привіт під речення скільки список та текст у функцію це цеи "
        "ця чи чому що щоб я як яка яке якии якщо які є і іи іх іі"
    ),
}
_SETS: Final = {language: frozenset(words.split()) for language, words in _WORDS.items()}
_LATIN: Final = ("en", "de", "fr", "es", "it", "pt", "nl", "pl", "tr")


def find_language(text: str, words: Sequence[str]) -> str | None:
    """ISO 639-1 code of the language of `text`, None where it is not clear.

    Args:
        words: the words of the text's beginning, folded.
    """
    head = text[:_CHARS]
    counts = Counter({name: len(letters.findall(head)) for name, letters in _SCRIPTS})
    if counts["ja"]:
        counts["ja"] += counts["zh"]
        counts["zh"] = 0
    for name in ("ja", "zh", "ko"):
        counts[name] *= 3  # a character says as much as a word's half
    script, found = counts.most_common(1)[0]
    if not found:
        return None
    if script == "latin":
        return _best(head, words, _LATIN)
    if script == "cyrillic":
        only_ukrainian = sum(head.count(letter) for letter in "іїєґІЇЄҐ")
        only_russian = sum(head.count(letter) for letter in "ыэъёЫЭЪЁ")
        if only_ukrainian != only_russian:
            return "uk" if only_ukrainian > only_russian else "ru"
        return _best(head, words, ("ru", "uk"))
    return script


def _best(head: str, words: Sequence[str], languages: Sequence[str]) -> str | None:
    scores = dict.fromkeys(languages, 0)
    for name in languages:
        scores[name] += sum(word in _SETS[name] for word in words[:_N_WORDS])
    for name, letters in _LETTERS:
        if name in scores:
            scores[name] += min(3, sum(head.count(letter) for letter in letters))
    first, second, *_ = sorted(scores.values(), reverse=True)
    if first in {0, second}:
        return None
    return max(scores, key=lambda name: scores[name])
