"""Each bound refuses on its far side only, with a code, and with words in both languages."""

from __future__ import annotations

import msgspec
import pytest

from controller.media.judgement import Limits, Loudness, Measured, judge, too_long
from controller.media.refusal import RefusalCode, refusal

GOOD = Measured(
    duration_ms=60_000,
    loudness=Loudness(integrated_lufs=-23.0, range_lu=5.0, true_peak_dbtp=-2.0),
    quiet_share=0.2,
    clipped_share=0.01,
    cancelled_db=3.0,
)


def loud(lufs: float) -> Measured:
    return msgspec.structs.replace(GOOD, loudness=Loudness(integrated_lufs=lufs, range_lu=5.0, true_peak_dbtp=-2.0))


@pytest.mark.parametrize(
    ("taken", "refused", "code"),
    [
        ({"duration_ms": 400}, {"duration_ms": 399}, RefusalCode.TOO_SHORT),
        ({"quiet_share": 0.7}, {"quiet_share": 0.71}, RefusalCode.MOSTLY_SILENT),
        ({"clipped_share": 0.4}, {"clipped_share": 0.41}, RefusalCode.CLIPPED),
        ({"cancelled_db": 12.0}, {"cancelled_db": 12.1}, RefusalCode.OUT_OF_PHASE),
    ],
)
def test_each_bound(taken: dict[str, float], refused: dict[str, float], code: RefusalCode) -> None:
    assert judge(msgspec.structs.replace(GOOD, **taken), Limits()) is None
    found = judge(msgspec.structs.replace(GOOD, **refused), Limits())
    assert found is not None
    assert found.code is code


def test_silence_has_a_bound() -> None:
    assert judge(loud(-49.9), Limits()) is None
    found = judge(loud(-50.0), Limits())
    assert found is not None
    assert (found.code, found.en) == (
        RefusalCode.SILENT,
        "it is silent (-50 LUFS, more than -50 is needed); record it again, louder",
    )


def test_the_longest_is_said_in_minutes() -> None:
    assert too_long(Limits(duration_s_max=5400)).vi == "dài hơn 90 phút; hãy cắt thành nhiều phần"


@pytest.mark.parametrize("code", RefusalCode)
def test_every_reason_has_its_words(code: RefusalCode) -> None:
    told = refusal(code, found="FOUND", limit="LIMIT")
    assert told.vi
    assert told.en
    assert "{" not in str(told)
