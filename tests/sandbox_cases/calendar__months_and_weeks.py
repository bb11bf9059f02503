import calendar
from datetime import date

print(calendar.TextCalendar(firstweekday=calendar.MONDAY).formatmonth(2024, 2))
weeks = calendar.Calendar(calendar.SUNDAY).monthdayscalendar(2024, 9)
fridays_13 = [
    date(year, month, 13).isoformat()
    for year in (2023, 2024)
    for month in range(1, 13)
    if calendar.weekday(year, month, 13) == calendar.FRIDAY
]
third_thursdays = [[week[3] for week in calendar.monthcalendar(2024, m) if week[3]][2] for m in (1, 2, 3)]
print(weeks[0], int(calendar.monthrange(2023, 2)[0]), calendar.month_name[3], calendar.day_abbr[6])
[
    fridays_13,
    third_thursdays,
    calendar.isleap(1900),
    calendar.leapdays(2000, 2025),
    calendar.timegm((2024, 1, 1, 0, 0, 0)),
]
