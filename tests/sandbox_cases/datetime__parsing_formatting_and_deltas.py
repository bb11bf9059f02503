from datetime import date, datetime, time, timedelta, timezone

moment = datetime.strptime("06/May/2024:13:05:09 +0200", "%d/%b/%Y:%H:%M:%S %z")
print(moment.isoformat(), moment.astimezone(timezone.utc), moment.strftime("%a %j %I:%M %p week %V"))
parsed = datetime.fromisoformat("2024-02-29T23:59:59.123456")
delta = parsed - datetime(2023, 12, 31)
print(
    delta,
    delta.days,
    delta // timedelta(hours=1),
    delta % timedelta(days=1),
    divmod(timedelta(minutes=150), timedelta(hours=1)),
)
leap = date(2024, 2, 29)
try:
    leap.replace(year=2023)
except ValueError as error:
    print("replace:", type(error).__name__)
try:
    datetime(2024, 1, 1) < datetime(2024, 1, 1, tzinfo=timezone.utc)
except TypeError as error:
    print(error)
due = [leap + timedelta(weeks=n) for n in range(3)]
[
    [d.isoformat() for d in due],
    leap.isocalendar().week,
    leap.weekday(),
    date.fromordinal(738000).isoformat(),
    time(9, 5).isoformat("minutes"),
    datetime.combine(leap, time.max).microsecond,
    timedelta(seconds=-1).days,
    repr(timedelta(milliseconds=1500)),
    moment.timestamp(),
    datetime.fromtimestamp(0, timezone.utc).isoformat(),
    date.fromisocalendar(2024, 1, 1).isoformat(),
    str(timedelta.max)[:9],
]
