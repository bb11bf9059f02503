"""Everyday work on dates and times: differences, sums, working days, time zones, calendars."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from toolweft_catalog.ingest.python import tool

_LONGEST = 366 * 400
"""Days that are walked one by one at most."""


# Not `calendar.day_name`: that one speaks the language of the machine.
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


@dataclass(frozen=True)
class Difference:
    days: int
    """Negative when the second date is the earlier one."""
    weeks: float
    working_days: int
    """Mondays to Fridays from the first date on, without the second."""


@dataclass(frozen=True)
class Described:
    weekday: str
    iso_week: int
    day_of_year: int
    quarter: int
    leap_year: bool


@tool(read_only=True, idempotent=True)
def between(start: date, end: date) -> Difference:
    """Count the days, weeks and working days between two dates.

    Args:
        start: First date, as YYYY-MM-DD.
        end: Second date, as YYYY-MM-DD.

    """
    days = (end - start).days
    first, last = min(start, end), max(start, end)
    whole, rest = divmod(abs(days), 7)
    extra = sum((first + timedelta(n)).weekday() < 5 for n in range(rest)) if last > first else 0
    working = whole * 5 + extra
    return Difference(days, round(days / 7, 2), working if days >= 0 else -working)


@tool(read_only=True, idempotent=True)
def add(start: date, amount: int, unit: Literal["days", "working_days", "weeks", "months", "years"] = "days") -> date:
    """Add days, working days, weeks, months or years to a date; a negative amount goes back.

    The 31st plus one month is the last day of the next month.

    Args:
        start: The date to start from, as YYYY-MM-DD.
        amount: How many units.
        unit: What is counted.

    """
    if unit == "working_days":
        return _add_working_days(start, amount)
    if unit in ("days", "weeks"):
        return start + timedelta(days=amount * (7 if unit == "weeks" else 1))
    months = start.year * 12 + start.month - 1 + amount * (12 if unit == "years" else 1)
    year, month = divmod(months, 12)
    if not 1 <= year <= 9999:
        raise ValueError(f"the year {year} is outside 1 to 9999")
    return date(year, month + 1, min(start.day, calendar.monthrange(year, month + 1)[1]))


def _add_working_days(start: date, amount: int) -> date:
    if abs(amount) > _LONGEST:
        raise ValueError(f"{amount} working days are too many; the most is {_LONGEST}")
    step = timedelta(1 if amount >= 0 else -1)
    found = start
    for _ in range(abs(amount)):
        found += step
        while found.weekday() >= 5:
            found += step
    return found


@tool(read_only=True, idempotent=True)
def describe(day: date) -> Described:
    """Describe a date: its weekday, ISO week, day of the year, quarter, and whether the year is a leap year.

    Args:
        day: The date, as YYYY-MM-DD.

    """
    return Described(
        weekday=_WEEKDAYS[day.weekday()].capitalize(),
        iso_week=day.isocalendar().week,
        day_of_year=day.timetuple().tm_yday,
        quarter=(day.month + 2) // 3,
        leap_year=calendar.isleap(day.year),
    )


@tool(read_only=True, idempotent=True)
def convert_zone(moment: datetime, to: str, source: str = "UTC") -> datetime:
    """Convert a date and time from one time zone to another.

    Args:
        moment: The moment, in ISO format. An offset in it wins over `source`.
        to: IANA name of the wanted time zone, such as "Europe/Berlin".
        source: IANA name of the zone of a moment without an offset.

    """
    known = moment if moment.tzinfo is not None else moment.replace(tzinfo=_zone(source))
    return known.astimezone(_zone(to))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {name!r}; use an IANA name such as 'Europe/Berlin'") from None


@tool(read_only=True)
def now(zone: str = "UTC") -> datetime:
    """Tell the present date and time in a time zone.

    Args:
        zone: IANA name of the time zone, such as "America/New_York".

    """
    return datetime.now(_zone(zone)).replace(microsecond=0)


@tool(read_only=True, idempotent=True)
def occurrences(start: date, end: date, weekday: Weekday) -> list[date]:
    """List every date between two dates, both included, that falls on a weekday.

    Args:
        start: First date, as YYYY-MM-DD.
        end: Last date, as YYYY-MM-DD.
        weekday: Which day of the week.

    """
    if (end - start).days > _LONGEST:
        raise ValueError(f"from {start} to {end} is too long; the most is {_LONGEST} days")
    wanted = _WEEKDAYS.index(weekday)
    first = start + timedelta((wanted - start.weekday()) % 7)
    return [first + timedelta(days=n) for n in range(0, (end - first).days + 1, 7)]
