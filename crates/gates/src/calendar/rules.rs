//! Rule 7.2 of the New York Stock Exchange, as it was applied since 2000.

use jiff::civil::{Date, Weekday, date};

/// Juneteenth is a holiday of the exchange from this year on.
const JUNETEENTH_SINCE: i16 = 2022;

/// From this year on a Wednesday before Independence Day closes early too; 2002-07-03 was a full session.
const WEDNESDAY_BEFORE_INDEPENDENCE_DAY_SINCE: i16 = 2013;

/// The holiday on which the exchange is closed all day, on a weekday.
pub(super) fn holiday(day: Date) -> Option<&'static str> {
    let (year, month) = (day.year(), day.month());
    let nth = |n, weekday| day == day.nth_weekday_of_month(n, weekday).unwrap_or(Date::MIN);
    let fixed = |month, of_month| observed(date(year, month, of_month)) == day;
    match month {
        // On a Saturday it is not observed: the Friday before belongs to the old year's accounts.
        1 if fixed(1, 1) => Some("New Year's Day"),
        1 if nth(3, Weekday::Monday) => Some("Martin Luther King Jr. Day"),
        2 if nth(3, Weekday::Monday) => Some("Washington's Birthday"),
        3 | 4 if good_friday(year) == day => Some("Good Friday"),
        5 if nth(-1, Weekday::Monday) => Some("Memorial Day"),
        6 if year >= JUNETEENTH_SINCE && fixed(6, 19) => Some("Juneteenth"),
        7 if fixed(7, 4) => Some("Independence Day"),
        9 if nth(1, Weekday::Monday) => Some("Labor Day"),
        11 if nth(4, Weekday::Thursday) => Some("Thanksgiving Day"),
        12 if fixed(12, 25) => Some("Christmas Day"),
        _ => None,
    }
}

/// Why a session ends at 13:00. Asked only of days that are no holiday.
pub(super) fn early_close(day: Date) -> Option<&'static str> {
    let (month, of_month, weekday) = (day.month(), day.day(), day.weekday());
    let monday_to_thursday = !matches!(weekday, Weekday::Friday | Weekday::Saturday | Weekday::Sunday);
    // The fourth Thursday is at the earliest the 22nd.
    let after_thanksgiving = month == 11 && weekday == Weekday::Friday && (23..=29).contains(&of_month);
    let wednesday_counts = day.year() >= WEDNESDAY_BEFORE_INDEPENDENCE_DAY_SINCE;
    match (month, of_month) {
        (11, _) if after_thanksgiving => Some("day after Thanksgiving"),
        (12, 24) if monday_to_thursday => Some("Christmas Eve"),
        (7, 3) if monday_to_thursday && (weekday != Weekday::Wednesday || wednesday_counts) => {
            Some("day before Independence Day")
        }
        _ => None,
    }
}

/// The weekday on which a fixed holiday is kept: Saturday's on Friday, Sunday's on Monday.
fn observed(day: Date) -> Date {
    let moved = match day.weekday() {
        Weekday::Saturday => day.yesterday(),
        Weekday::Sunday => day.tomorrow(),
        _ => Ok(day),
    };
    // Only the calendar's own first and last day have no neighbour.
    moved.unwrap_or(day)
}

/// Two days before Easter of the Gregorian calendar, by the algorithm of Meeus, Jones and Butcher.
fn good_friday(year: i16) -> Date {
    let year = i32::from(year);
    let golden = year % 19;
    let (century, of_century) = (year / 100, year % 100);
    let corrected = century - (century + 8) / 25 + 1;
    let epact = (19 * golden + century - century / 4 - corrected / 3 + 15) % 30;
    let weekday = (32 + 2 * (century % 4) + 2 * (of_century / 4) - epact - of_century % 4) % 7;
    let late = (golden + 11 * epact + 22 * weekday) / 451;
    let shifted = epact + weekday - 7 * late + 114;
    let narrow = |number: i32| i8::try_from(number).unwrap_or(1);
    let easter =
        Date::new(i16::try_from(year).unwrap_or(i16::MAX), narrow(shifted / 31), narrow(shifted % 31 + 1));
    easter.and_then(|easter| easter.checked_sub(jiff::Span::new().days(2))).unwrap_or(Date::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holidays_on_weekends_are_kept_on_the_weekday_beside_them_but_for_new_years_day_on_a_saturday() {
        for (day, expected) in [
            (date(2022, 12, 26), Some("Christmas Day")),
            (date(2023, 1, 2), Some("New Year's Day")),
            (date(2021, 12, 31), None),
            (date(2027, 12, 31), None),
            (date(2020, 7, 3), Some("Independence Day")),
            (date(2027, 6, 18), Some("Juneteenth")),
            (date(2021, 6, 18), None),
            (date(2027, 7, 5), Some("Independence Day")),
            (date(2026, 4, 3), Some("Good Friday")),
            (date(2000, 4, 21), Some("Good Friday")),
            (date(2019, 4, 19), Some("Good Friday")),
            (date(2026, 10, 12), None),
            (date(2026, 11, 11), None),
            (date(2026, 11, 3), None),
        ] {
            assert_eq!(holiday(day), expected, "{day}");
        }
    }

    #[test]
    fn sessions_end_at_one_on_three_days_a_year_at_most() {
        for (day, expected) in [
            (date(2026, 11, 27), Some("day after Thanksgiving")),
            (date(2024, 11, 29), Some("day after Thanksgiving")),
            (date(2024, 11, 22), None),
            (date(2026, 12, 24), Some("Christmas Eve")),
            (date(2027, 12, 24), None),
            (date(2026, 7, 2), None),
            (date(2026, 7, 3), None),
            (date(2002, 7, 3), None),
            (date(2013, 7, 3), Some("day before Independence Day")),
            (date(2028, 7, 3), Some("day before Independence Day")),
        ] {
            assert_eq!(early_close(day), expected, "{day}");
        }
    }
}
