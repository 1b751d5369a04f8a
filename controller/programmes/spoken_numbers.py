"""Vietnamese words for numbers, as an announcer of the North reads them; pure.

Rules kept: 21 is "hai mươi mốt", 24 "hai mươi tư", 25 "hai mươi lăm", 105 "một trăm linh năm"; a group that is not the
first one is read with its hundreds ("một nghìn không trăm linh năm"), so that nothing can be heard as another number.
"""

from __future__ import annotations

from typing import Final

DIGITS: Final = ("không", "một", "hai", "ba", "bốn", "năm", "sáu", "bảy", "tám", "chín")
READ_AS_NUMBER_DIGITS_MAX: Final = 15
"""Longer rows of digits are no amounts (accounts, serial numbers): they are read digit by digit."""
_DECIMALS_AS_NUMBER_MAX: Final = 2
_BILLION: Final = 10**9
_MILLION: Final = 10**6
_THOUSAND: Final = 1000
_ROMAN: Final = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}


def words_of_number(number: int) -> str:
    """A whole number from 0 on."""
    if number == 0:
        return DIGITS[0]
    return " ".join(_words(number, is_first=True))


def words_of_digits(digits: str) -> str:
    """A row of digits, each by itself; other characters are left out."""
    return " ".join(DIGITS[int(each)] for each in digits if each.isdecimal())


def words_of_amount(whole: str, decimals: str = "") -> str:
    """Digits before and after the comma."""
    if len(whole) > READ_AS_NUMBER_DIGITS_MAX or (len(whole) > 1 and whole.startswith("0")):
        read = words_of_digits(whole)
    else:
        read = words_of_number(int(whole))
    if not decimals:
        return read
    as_number = len(decimals) <= _DECIMALS_AS_NUMBER_MAX and not decimals.startswith("0")
    return f"{read} phẩy {words_of_number(int(decimals)) if as_number else words_of_digits(decimals)}"


def number_of_roman(text: str) -> int:
    """The value of a Roman number of the letters I, V, X, L, C; 0 where it is none."""
    values = [_ROMAN.get(each, 0) for each in text]
    if not values or 0 in values:
        return 0
    following = [*values[1:], 0]
    number = sum(-one if one < after else one for one, after in zip(values, following, strict=True))
    return number if _roman_of(number) == text else 0


def _roman_of(number: int) -> str:
    steps = ((100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"))
    made = ""
    for value, letters in steps:
        while number >= value:
            made, number = made + letters, number - value
    return made


def _words(number: int, *, is_first: bool) -> list[str]:
    """Billions, millions, thousands and the rest; a zero gives nothing."""
    for value, name in ((_BILLION, "tỷ"), (_MILLION, "triệu"), (_THOUSAND, "nghìn")):
        if number >= value:
            above, below = divmod(number, value)
            rest = _words(below, is_first=False) if below else []
            return [*_words(above, is_first=is_first), name, *rest]
    return _below_thousand(number, is_first=is_first)


def _below_thousand(number: int, *, is_first: bool) -> list[str]:
    hundreds, rest = divmod(number, 100)
    made = [DIGITS[hundreds], "trăm"] if hundreds or not is_first else []
    tens, ones = divmod(rest, 10)
    if not tens:
        if not ones:
            return made
        return [*made, "linh", DIGITS[ones]] if made else [DIGITS[ones]]
    made += ["mười"] if tens == 1 else [DIGITS[tens], "mươi"]
    if ones:
        made.append(_ones_after_ten(tens, ones))
    return made


def _ones_after_ten(tens: int, ones: int) -> str:
    changed = {5: "lăm"} if tens == 1 else {1: "mốt", 4: "tư", 5: "lăm"}
    return changed.get(ones, DIGITS[ones])
