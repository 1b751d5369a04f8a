"""The lunisolar calendar from the sky: new moons and solar terms by `ephem` (VSOP87), months by the calendar's rules.

Independent of the product's data: nothing here knows any of them.
"""

from __future__ import annotations

import bisect
import datetime as dt
import itertools
import math
from collections.abc import Iterator

import ephem  # type: ignore[import-untyped]  # publishes no types

TERM_DEGREES = 30
"""Between two major solar terms."""
SOLSTICE_DEGREES = 270

Month = tuple[dt.date, int, int, bool]
"""First day, lunar year, number, whether it is a leap month."""


def meridian(at: dt.datetime) -> dt.timedelta:
    """By which time the calendars of the country were made: Beijing's own, UTC+8 since 1929, UTC+7 since 1968."""
    if at < dt.datetime(1928, 12, 31, 16):  # noqa: DTZ001 - all instants here are UTC
        return dt.timedelta(hours=7, minutes=45, seconds=40)
    return dt.timedelta(hours=8 if at < dt.datetime(1967, 12, 31, 16) else 7)  # noqa: DTZ001 - as above


def months_between(first_year: int, last_year: int) -> Iterator[Month]:
    """The months from the solstice of one year to that of another."""
    moons = [_day(at) for at in new_moons(first_year - 1, last_year + 1)]
    terms = [(_day(at), degrees) for at, degrees in solar_terms(first_year - 1, last_year + 1)]
    term_days = [day for day, _ in terms]
    solstices = [day for day, degrees in terms if degrees == SOLSTICE_DEGREES and first_year <= day.year <= last_year]
    for solstice, next_solstice in itertools.pairwise(solstices):
        year, begin, end = solstice.year, *(bisect.bisect_right(moons, day) - 1 for day in (solstice, next_solstice))
        number, is_leap_needed = 10, end - begin == 13
        for place in range(begin, end):
            has_term = bisect.bisect_left(term_days, moons[place]) < bisect.bisect_left(term_days, moons[place + 1])
            is_leap = is_leap_needed and not has_term
            is_leap_needed = is_leap_needed and not is_leap
            if not is_leap:
                number += 1
                if number == 13:
                    number, year = 1, year + 1
            yield moons[place], year, number, is_leap


def new_moons(first_year: int, last_year: int) -> Iterator[dt.datetime]:
    """New moons of some years, UTC."""
    at = ephem.Date(f"{first_year}/1/1")
    while True:
        at = ephem.next_new_moon(at)
        if at.datetime().year > last_year:
            return
        yield at.datetime()
        at = ephem.Date(at + 20)


def solar_terms(first_year: int, last_year: int) -> Iterator[tuple[dt.datetime, int]]:
    """When the sun stood at multiples of 30 degrees, UTC."""
    early = dt.datetime(first_year, 1, 1)  # noqa: DTZ001 - UTC
    before = _longitude(early)
    while early.year <= last_year:
        late = early + dt.timedelta(days=10)
        after = _longitude(late)
        degrees = math.ceil(before / TERM_DEGREES) * TERM_DEGREES
        if before <= degrees < after + (360 if after < before else 0):
            yield _reached(degrees, early), degrees % 360
        early, before = late, after


def _reached(degrees: int, near: dt.datetime) -> dt.datetime:
    """The instant by Newton's steps; the sun goes round in a year."""
    for _ in range(4):
        missing = (degrees - _longitude(near) + 180) % 360 - 180
        near += dt.timedelta(days=missing / 360 * 365.2422)
    return near


def _longitude(at: dt.datetime) -> float:
    """The sun's apparent longitude in degrees, by the equinox of the day."""
    sun = ephem.Sun()
    sun.compute(ephem.Date(at), epoch=ephem.Date(at))
    place = ephem.Ecliptic(ephem.Equatorial(sun.g_ra, sun.g_dec, epoch=ephem.Date(at)))
    return math.degrees(float(place.lon)) % 360


def _day(at: dt.datetime) -> dt.date:
    return (at + meridian(at)).date()
