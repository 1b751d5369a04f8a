"""What a voice is given to read: numbers as an announcer says them, and nothing that an engine takes as its own."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.programmes.speech_text import spoken
from controller.programmes.spoken_numbers import number_of_roman, words_of_amount, words_of_digits, words_of_number

GROWTH_MAX = 16
VALUES = {
    "không": 0,
    "một": 1,
    "mốt": 1,
    "hai": 2,
    "ba": 3,
    "bốn": 4,
    "tư": 4,
    "năm": 5,
    "lăm": 5,
    "sáu": 6,
    "bảy": 7,
    "tám": 8,
    "chín": 9,
}
GROUPS = {"tỷ": 10**9, "triệu": 10**6, "nghìn": 1000}


def heard_number(words: str) -> int:
    """What somebody who hears the words writes down."""
    total, group, pending = 0, 0, 0
    for word in words.split():
        if word in GROUPS:
            if word == "tỷ":
                total, group, pending = (total + group + pending) * GROUPS[word], 0, 0
            else:
                total, group, pending = total + (group + pending) * GROUPS[word], 0, 0
        elif word == "trăm":
            group, pending = group + pending * 100, 0
        elif word == "mươi":
            group, pending = group + pending * 10, 0
        elif word == "mười":
            group += 10
        elif word != "linh":
            pending = VALUES[word]
    return total + group + pending


@given(st.integers(0, 10**15 - 1))
def test_a_number_is_heard_as_itself(number: int) -> None:
    words = words_of_number(number)
    # Millions and thousands of billions are groups of their own.
    above, _, below = words.rpartition(" tỷ")
    assert (heard_number(above) * 10**9 + heard_number(below) if above else heard_number(words)) == number


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "không"),
        (15, "mười lăm"),
        (21, "hai mươi mốt"),
        (24, "hai mươi tư"),
        (105, "một trăm linh năm"),
        (1005, "một nghìn không trăm linh năm"),
        (2026, "hai nghìn không trăm hai mươi sáu"),
        (1_000_005_000, "một tỷ không trăm linh năm nghìn"),
    ],
)
def test_numbers_as_an_announcer_reads_them(number: int, words: str) -> None:
    assert words_of_number(number) == words


def test_amounts_digits_and_roman_numbers() -> None:
    assert words_of_amount("12", "5") == "mười hai phẩy năm"
    assert words_of_amount("0", "05") == "không phẩy không năm"
    assert words_of_amount("007") == "không không bảy"
    assert words_of_digits("114") == "một một bốn"
    assert [number_of_roman(each) for each in ("IV", "XIX", "XLII", "IIII", "VX", "", "A")] == [4, 19, 42, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Họp lúc 17h30 ngày 22/11/2026", "Họp lúc mười bảy giờ ba mươi phút ngày hai mươi hai tháng mười một năm"),
        ("từ 12-15/5, 10h-11h30", "từ mười hai đến mười lăm tháng năm, mười giờ đến mười một giờ ba mươi phút"),
        ("tháng 4/2026", "tháng tư năm hai nghìn không trăm hai mươi sáu"),
        ("phục vụ 24/24 giờ", "phục vụ hai mươi tư trên hai mươi tư giờ"),
        ("mưa 100-200mm, 25°C, -5 độ", "mưa một trăm đến hai trăm mi li mét, hai mươi lăm độ xê, âm năm độ"),
        ("1.234.567đ, giảm 12,5%", "một triệu hai trăm ba mươi tư nghìn năm trăm sáu mươi bảy đồng, giảm"),
        ("gọi 114 hoặc 0912.345.678", "gọi một một bốn hoặc không chín một hai, ba bốn năm, sáu bảy tám"),
        ("Nghị định số 49/2024/NĐ-CP", "Nghị định số bốn mươi chín trên hai nghìn không trăm hai mươi tư nghị định"),
        ("UBND P.5, Q.1, TP.HCM", "Ủy ban nhân dân phường năm, quận một, Thành phố Hồ Chí Minh"),
        ("TP. Hà Nội, BS. Lan", "thành phố Hà Nội, bác sĩ Lan"),
        ("gió cấp IX, quý IV", "gió cấp chín, quý bốn"),
        ("THÔNG BÁO của BVĐK", "thông báo của bê vê đê ca"),
        ("31/2 số nhà, 25:00", "ba mươi mốt trên hai số nhà, hai mươi lăm:không không"),
    ],
)
def test_papers_of_a_commune_are_read_as_they_are_meant(written: str, read: str) -> None:
    assert spoken(written, language="vi").startswith(read)
    assert spoken(unicodedata.normalize("NFD", written), language="vi-VN").startswith(read)


def test_a_site_has_words_of_its_own() -> None:
    words = {"XBM": "xã Bình Minh", "UBND": "Ủy ban"}
    assert spoken("UBND XBM", language="vi", words=words) == "Ủy ban xã Bình Minh"
    assert spoken("Welcome to XBM, 5 km", language="en", words=words) == "Welcome to xã Bình Minh, 5 km"


def test_an_engine_gets_no_orders() -> None:
    assert spoken("a [[h@l'oU]] b\x00\x1b[2J <speak>*c*", language="en") == "a h@l'oU b [2J speak c"
    assert spoken(" *** \n\n dòng một \r\n dòng hai", language="vi") == "dòng một\ndòng hai"
    assert not spoken("*** --- ...", language="vi")


@given(st.text(max_size=300), st.sampled_from(["vi", "en"]))
def test_whatever_is_written_is_bounded_and_clean(text: str, language: str) -> None:
    made = spoken(text, language=language)
    assert len(made) <= GROWTH_MAX * len(text) + GROWTH_MAX
    assert "[[" not in made
    assert not any(unicodedata.category(each) == "Cc" and each != "\n" for each in made)
    if language == "vi":
        assert not re.search(r"\d", made)
