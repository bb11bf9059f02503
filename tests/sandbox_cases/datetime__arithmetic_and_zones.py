import datetime as dt

day = dt.datetime(2024, 2, 28, 23, 30, tzinfo=dt.UTC)
later = day + dt.timedelta(days=1, hours=1)
print(later.isoformat(), later.strftime("%A"))
[later.toordinal(), (later - day).total_seconds()]
