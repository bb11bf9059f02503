from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

berlin = ZoneInfo("Europe/Berlin")
autumn = datetime(2023, 10, 29, 2, 30, tzinfo=berlin)
print(autumn.isoformat(), autumn.replace(fold=1).isoformat(), autumn.tzname(), autumn.dst())
start = datetime(2023, 3, 25, 12, tzinfo=berlin)
wall = start + timedelta(days=1)
absolute = (start.astimezone(timezone.utc) + timedelta(days=1)).astimezone(berlin)
print(wall.isoformat(), absolute.isoformat(), wall == absolute)
meeting = datetime(2024, 1, 15, 9, tzinfo=ZoneInfo("America/New_York"))
print({name: meeting.astimezone(ZoneInfo(name)).strftime("%H:%M %d") for name in ("Asia/Tokyo", "UTC", "Asia/Kolkata")})
try:
    ZoneInfo("Mars/Olympus")
except ZoneInfoNotFoundError as error:
    missing = type(error).__name__
fixed = timezone(timedelta(hours=-3, minutes=-30), "odd")
[
    missing,
    berlin.key,
    ZoneInfo("Europe/Berlin") is berlin,
    datetime(2024, 1, 1, tzinfo=fixed).isoformat(),
    fixed.tzname(None),
]
