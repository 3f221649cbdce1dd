#!/usr/bin/env python3
"""Writes the oracles of tests/it/calendar.rs from two packages of PyPI, neither of which is ours:

    pip install exchange_calendars==4.13.2 pandas_market_calendars==5.5.0
    python3 golden.py exchange_calendars > xnys.csv
    python3 golden.py pandas_market_calendars > nyse.csv

Columns: date, status, open and close in New York's local time. Only what is not an ordinary day is listed:
weekdays that are closed, and sessions that are not 09:30 to 16:00. Every weekday that is not listed was, or
will be, an ordinary session; every weekend is closed, which the script makes sure of.

exchange_calendars has nominal hours, pandas_market_calendars the hours at which the exchange did open and
close. What either has ad hoc (mourning, weather) ends at its release; later days are by its rules.
"""

import sys
from datetime import date, timedelta
from importlib import import_module

FIRST, LAST, ORDINARY = "2000-01-01", "2028-12-31", ("09:30", "16:00")


def sessions(package):
    """(date, open, close) of every session."""
    if package.__name__ == "exchange_calendars":
        calendar = package.get_calendar("XNYS", start=FIRST, end=LAST)
        rows, names = calendar.schedule, ("open", "close")
    else:
        rows = package.get_calendar("NYSE").schedule(FIRST, LAST)
        names = ("market_open", "market_close")
    for session, row in rows.iterrows():
        hours = (row[name].tz_convert("America/New_York").strftime("%H:%M") for name in names)
        yield session.date(), tuple(hours)


package = import_module(sys.argv[1])
schedule = dict(sessions(package))
print(f"# {package.__name__} {package.__version__} from PyPI, {FIRST} to {LAST}, written by golden.py")
print("date,status,open,close")
day = date.fromisoformat(FIRST)
while day <= date.fromisoformat(LAST):
    hours, weekend = schedule.get(day), day.weekday() >= 5
    assert not (weekend and hours), f"a session on a weekend: {day}"
    if hours is None and not weekend:
        print(f"{day},closed,,")
    elif hours is not None and hours != ORDINARY:
        print(f"{day},open,{hours[0]},{hours[1]}")
    day += timedelta(days=1)
