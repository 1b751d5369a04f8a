"""A written text becomes one that a voice can read: numbers, dates, times, abbreviations; pure.

Vietnamese is written out in words; of other languages only the characters are put in order (NFC, no control
characters), for their voices know their numbers. Words that a site adds (`speech.words`) are exchanged in all.

Rules kept: nothing that is written is left out, but decoration; where it is not sure what a sign means, it is read as
it stands (a fraction, never a date that was not called one); no engine's markup comes through; steps go in the order of
`_STEPS`, and each sees what those before it left.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Final

from controller.programmes.abbreviations import ABBREVIATIONS, ISSUERS, KINDS_OF_DOCUMENT, LETTERS, UNITS
from controller.programmes.spoken_numbers import (
    number_of_roman,
    words_of_amount,
    words_of_digits,
    words_of_number,
)

VIETNAMESE: Final = "vi"
_MONTHS: Final = {4: "tư"}
_HOURS, _MINUTES, _DAYS, _MONTHS_MAX = 24, 60, 31, 12
_Match = re.Match[str]
_ENGINE_MARKUP: Final = re.compile(r"\[\[|\]\]")
"""espeak-ng takes what stands between as its own phonemes."""
_NOT_HEARD: Final = re.compile(r"[\*_#~^|<>{}\\`•●■◆★☆→⇒✓✔\u200b-\u200f\ufeff]+")
_SPACES: Final = re.compile(r"[^\S\n]+")
_WORD: Final = r"(?<![\w])"
_END: Final = r"(?![\w])"


def spoken(text: str, *, language: str, words: Mapping[str, str] | None = None) -> str:
    """What a voice of this language is given."""
    plain = _plain(text)
    if words:
        plain = _exchanged(plain, tuple(words.items()))
    if language.partition("-")[0] == VIETNAMESE:
        for step in _STEPS:
            plain = step(plain)
    lines = (_SPACES.sub(" ", line).strip() for line in plain.split("\n"))
    return "\n".join(line for line in lines if any(each.isalnum() for each in line))


def _plain(text: str) -> str:
    """NFC (a letter is one character), line breaks as line feeds, nothing that is not seen."""
    composed = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    clean = "".join(each if each == "\n" or unicodedata.category(each)[0] != "C" else " " for each in composed)
    return _SPACES.sub(" ", _NOT_HEARD.sub(" ", _ENGINE_MARKUP.sub(" ", clean)))


@functools.lru_cache(maxsize=16)
def _pattern_of(names: tuple[str, ...]) -> re.Pattern[str]:
    """Whole words, the longest first."""
    listed = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.compile(rf"{_WORD}({listed}){_END}")


def _exchanged(text: str, words: tuple[tuple[str, str], ...]) -> str:
    meant = {unicodedata.normalize("NFC", name): value for name, value in words}
    return _pattern_of(tuple(meant)).sub(lambda found: meant[found[1]], text)


def _documents(text: str) -> str:
    """NĐ-CP, QĐ-UBND: what kind of paper, and whose."""

    def read(found: _Match) -> str:
        issuer = found[2]
        return f" {KINDS_OF_DOCUMENT[found[1]]} {ISSUERS.get(issuer) or ABBREVIATIONS.get(issuer) or _letters(issuer)}"

    return _DOCUMENT.sub(read, text)


def _abbreviations(text: str) -> str:
    text = _POINTED.sub(lambda found: f"{ABBREVIATIONS[found[1]]} ", text)
    return _pattern_of(tuple(ABBREVIATIONS)).sub(lambda found: ABBREVIATIONS[found[1]], text)


def _places(text: str) -> str:
    """Q.1, P. 5: only before a number."""
    return _PLACE.sub(lambda found: {"Q": "quận ", "P": "phường ", "H": "huyện ", "X": "xã "}[found[1]], text)


def _romans(text: str) -> str:
    """Only after a word that calls for a number."""

    def read(found: _Match) -> str:
        number = number_of_roman(found[2])
        return f"{found[1]} {words_of_number(number)}" if number else found[0]

    return _ROMAN.sub(read, text)


def _full_dates(text: str) -> str:
    def read(found: _Match) -> str:
        day, month, year = int(found[2]), int(found[3]), int(found[4])
        if not (1 <= day <= _DAYS and 1 <= month <= _MONTHS_MAX):
            return found[0]
        return f"ngày {_day(day)} tháng {_month(month)} năm {words_of_number(year)}"

    return _FULL_DATE.sub(read, text)


def _days(text: str) -> str:
    """12/5 is a date where it is called one; else it stays a fraction."""

    def read(found: _Match) -> str:
        day, month = int(found[2]), int(found[3])
        if not (1 <= day <= _DAYS and 1 <= month <= _MONTHS_MAX):
            return found[0]
        return f"{found[1]} {_day(day)} tháng {_month(month)}"

    return _DAY.sub(read, text)


def _months(text: str) -> str:
    def read(found: _Match) -> str:
        month = int(found[2])
        if not 1 <= month <= _MONTHS_MAX:
            return found[0]
        year = f" năm {words_of_number(int(found[3]))}" if found[3] else ""
        return f"{found[1]} {_month(month)}{year}"

    return _MONTH.sub(read, text)


def _times(text: str) -> str:
    def read(found: _Match) -> str:
        hour, minute = int(found[1]), int(found[2] or 0)
        if hour > _HOURS or minute >= _MINUTES:
            return found[0]
        return f"{words_of_number(hour)} giờ" + (f" {words_of_number(minute)} phút" if minute else "")

    return _CLOCK.sub(read, _HOUR.sub(read, text))


def _telephones(text: str) -> str:
    """Digit by digit, in the groups in which they are written."""

    def read(found: _Match) -> str:
        groups = [words_of_digits(each) for each in re.split(r"\D+", found[0]) if each]
        return ", ".join(groups)

    text = _TELEPHONE.sub(read, text)
    return _SHORT_NUMBER.sub(lambda found: f"{found[1]} {words_of_digits(found[2])}", text)


def _ranges(text: str) -> str:
    return _RANGE.sub(r"\1 đến ", text)


def _minus(text: str) -> str:
    return _MINUS.sub("âm ", text)


def _amounts(text: str) -> str:
    """Numbers with thousands' points, a decimal comma, and what they count."""

    def read(found: _Match) -> str:
        whole, decimals, after_point, unit = found[1].replace(".", ""), found[2] or "", found[3] or "", found[4] or ""
        read = words_of_amount(whole, decimals) + (f" chấm {words_of_amount(after_point)}" if after_point else "")
        return f"{read} {UNITS[unit]}" if unit else read

    return _NUMBER.sub(lambda found: words_of_amount(found[0]), _AMOUNT.sub(read, text))


def _signs(text: str) -> str:
    for sign, word in (("&", " và "), ("@", " a còng "), ("+", " cộng "), ("=", " bằng "), ("%", " phần trăm ")):
        text = text.replace(sign, word)
    return _SLASH.sub(" trên ", text)


def _unsayable(text: str) -> str:
    """Capitals without a vowel, letter by letter; other words in capitals are words."""

    def read(found: _Match) -> str:
        word = found[0]
        if not word.isupper():
            return word
        return _letters(word) if all(each in LETTERS for each in word) else word.lower()

    return _CAPITALS.sub(read, text)


def _letters(word: str) -> str:
    return " ".join(LETTERS.get(each, each) for each in word.upper())


def _day(day: int) -> str:
    return words_of_number(day)


def _month(month: int) -> str:
    return _MONTHS.get(month) or words_of_number(month)


def _alternatives(names: Mapping[str, str]) -> str:
    return "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))


_DOCUMENT: Final = re.compile(rf"/?{_WORD}({_alternatives(KINDS_OF_DOCUMENT)})-([A-ZĐĂÂÊÔƠƯ]{{2,9}}|TTg){_END}")
_PLACE: Final = re.compile(rf"{_WORD}([QPHX])\.\s?(?=\d)")
_ROMAN: Final = re.compile(
    rf"\b(thứ|quý|khóa|khoá|kỳ|thế kỷ|hạng|cấp|loại|lần)\s+([IVXLC]{{1,7}}){_END}", re.IGNORECASE
)
_FULL_DATE: Final = re.compile(rf"{_WORD}(ngày\s+)?(\d{{1,2}})[/.-](\d{{1,2}})[/.-](\d{{4}}){_END}", re.IGNORECASE)
_DAY: Final = re.compile(
    rf"\b(ngày|mùng|mồng|rằm|sáng|trưa|chiều|tối|đêm|hôm|đến|từ)\s+(\d{{1,2}})/(\d{{1,2}}){_END}(?!/)", re.IGNORECASE
)
_MONTH: Final = re.compile(rf"\b(tháng)\s+(\d{{1,2}})(?:/(\d{{4}}))?{_END}(?![/.,]\d)", re.IGNORECASE)
_HOUR: Final = re.compile(rf"{_WORD}(\d{{1,2}})\s?[hg](\d{{2}})?(?:['p]|ph)?{_END}")
_CLOCK: Final = re.compile(rf"{_WORD}(\d{{1,2}}):(\d{{2}}){_END}(?!:)")
_TELEPHONE: Final = re.compile(rf"(?<![\w.,])(?:\+84|0)\d{{1,4}}(?:[ .-]?\d{{3,4}}){{2,3}}{_END}(?![.,]\d)")
_SHORT_NUMBER: Final = re.compile(
    rf"\b(gọi|số máy|đường dây nóng|điện thoại|tổng đài)\s*:?\s*(\d{{3,8}}){_END}(?![.,]\d)", re.IGNORECASE
)
_POINTED: Final = re.compile(rf"{_WORD}(TP|TX|ThS|TS|GS|BS)\.\s?(?=[^\W_])(?!HCM)")
_DASH: Final = r"[-\u2013\u2014]"
_RANGE: Final = re.compile(
    rf"(?<!\d-)\b(\d+(?:[.,]\d+)?(?:[hg]\d{{0,2}}|:\d{{2}})?)\s?{_DASH}\s?(?=\d)(?!\d+\s?{_DASH}\s?\d)"
)
_MINUS: Final = re.compile(r"(?:(?<=\s)|^)[-\u2212](?=\d)", re.MULTILINE)
_AMOUNT: Final = re.compile(
    rf"(?<![\w.,])(\d{{1,3}}(?:\.\d{{3}})+|\d+)(?:,(\d{{1,9}})|\.(\d{{1,2}})(?![.\d]))?(?:\s?({_alternatives(UNITS)})(?![\w²³]))?(?!\d)"
)
_NUMBER: Final = re.compile(r"\d+")
_SLASH: Final = re.compile(r"(?<=\w)\s?/\s?(?=\w)")
_CAPITALS: Final = re.compile(r"(?<!\w)[^\W\d_]{2,}(?!\w)")
_STEPS: Final[tuple[Callable[[str], str], ...]] = (
    _documents,
    _abbreviations,
    _places,
    _romans,
    _full_dates,
    _telephones,
    _ranges,
    _days,
    _months,
    _times,
    _minus,
    _amounts,
    _signs,
    _unsayable,
)
