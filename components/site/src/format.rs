//! Money, days and hours as they are written in each language. Hours are Seoul's, where the courses are.

use kernel::{Language, Timestamp};
use time::{OffsetDateTime, UtcOffset};

/// Korea has no summer time.
const SEOUL: i8 = 9;
/// A space at which no line is broken.
const NO_BREAK: char = '\u{a0}';

/// `1234567` as `1,234,567`.
pub(crate) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// An amount in won.
pub(crate) fn won(amount: u64, language: Language) -> String {
    match language {
        Language::Ko => format!("{}원", number(amount)),
        Language::En => format!("₩{}", number(amount)),
    }
}

fn in_seoul(at: Timestamp) -> OffsetDateTime {
    let utc = OffsetDateTime::from_unix_timestamp(at.millis().div_euclid(1000));
    let offset = UtcOffset::from_hms(SEOUL, 0, 0).unwrap_or(UtcOffset::UTC);
    let utc = utc.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    utc.checked_to_offset(offset).unwrap_or(utc)
}

/// A day: `2026년 11월 22일 (일)`, `Sun 22 Nov 2026`. No line is broken within it.
pub(crate) fn date(at: Timestamp, language: Language) -> String {
    let year = in_seoul(at).year();
    let day = day_of_year(at, language);
    match language {
        Language::Ko => format!("{year}년{NO_BREAK}{day}"),
        Language::En => format!("{day}{NO_BREAK}{year}"),
    }
}

/// A day of a year that is known: `11월 22일 (일)`, `Sun 22 Nov`.
fn day_of_year(at: Timestamp, language: Language) -> String {
    let at = in_seoul(at);
    let (month, day) = (at.month(), at.day());
    match language {
        Language::Ko => {
            let weekday = match at.weekday().number_from_monday() {
                1 => '월',
                2 => '화',
                3 => '수',
                4 => '목',
                5 => '금',
                6 => '토',
                _ => '일',
            };
            format!("{}월{NO_BREAK}{day}일{NO_BREAK}({weekday})", u8::from(month))
        }
        Language::En => {
            let (weekday, month) = (at.weekday().to_string(), month.to_string());
            format!("{}{NO_BREAK}{day}{NO_BREAK}{}", short(&weekday), short(&month))
        }
    }
}

/// An hour: `오후 6:05`, `18:05`.
pub(crate) fn hour(at: Timestamp, language: Language) -> String {
    let at = in_seoul(at);
    let (hour, minute) = (at.hour(), at.minute());
    match language {
        Language::Ko => {
            let half = if hour < 12 { "오전" } else { "오후" };
            format!("{half}{NO_BREAK}{}:{minute:02}", if hour % 12 == 0 { 12 } else { hour % 12 })
        }
        Language::En => format!("{hour:02}:{minute:02}"),
    }
}

/// A day and an hour.
pub(crate) fn moment(at: Timestamp, language: Language) -> String {
    format!("{} {}", date(at, language), hour(at, language))
}

/// From when to when; a day or a year that is the same is said once.
pub(crate) fn period(from: Timestamp, to: Timestamp, language: Language) -> String {
    let (first, last) = (in_seoul(from).date(), in_seoul(to).date());
    let end = if first == last {
        hour(to, language)
    } else if first.year() == last.year() {
        format!("{} {}", day_of_year(to, language), hour(to, language))
    } else {
        moment(to, language)
    };
    format!("{} – {end}", moment(from, language))
}

/// A day as forms have it: `2026-11-22`.
pub(crate) fn day(at: Timestamp) -> String {
    let (year, month, day) = in_seoul(at).to_calendar_date();
    format!("{year:04}-{:02}-{day:02}", u8::from(month))
}

/// A day and an hour as forms have it: `2026-11-22T18:05`.
pub(crate) fn local(at: Timestamp) -> String {
    let seoul = in_seoul(at);
    format!("{}T{:02}:{:02}", day(at), seoul.hour(), seoul.minute())
}

/// What a form says, as the API takes it; as it is where it is none, for the API to refuse.
pub(crate) fn from_local(text: &str) -> String {
    match text.len() {
        16 => format!("{text}:00+09:00"),
        19 => format!("{text}+09:00"),
        _ => text.to_owned(),
    }
}

/// As calendar files have it (RFC 5545 §3.3.5): `20261122T090500Z`.
pub(crate) fn calendar(at: Timestamp) -> String {
    let text = at.to_string();
    let seconds = text.split('.').next().unwrap_or_default();
    seconds.replace(['-', ':'], "") + "Z"
}

/// A Korean mobile number as people write it, however it came; any other as it is.
pub(crate) fn phone(number: &str) -> String {
    let local = number.strip_prefix("+82").map_or_else(|| number.to_owned(), |rest| format!("0{rest}"));
    if local.len() != 11 || !local.is_ascii() || !local.starts_with("01") {
        return number.to_owned();
    }
    let (first, rest) = local.split_at(3);
    let (middle, last) = rest.split_at(4);
    format!("{first}-{middle}-{last}")
}

fn short(name: &str) -> &str {
    name.get(..3).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (value, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(number(value), text);
        }
        assert_eq!(
            (won(120_000, Language::Ko).as_str(), won(120_000, Language::En).as_str()),
            ("120,000원", "₩120,000")
        );
    }

    #[test]
    fn a_period_says_once_what_is_the_same_at_its_end() {
        let from = at("2026-11-22T15:05:00Z");
        for (to, korean, english) in [
            ("2026-11-22T17:00:00Z", "오전 2:00", "02:00"),
            ("2026-11-24T17:00:00Z", "11월 25일 (수) 오전 2:00", "Wed 25 Nov 02:00"),
            ("2027-01-04T17:00:00Z", "2027년 1월 5일 (화) 오전 2:00", "Tue 5 Jan 2027 02:00"),
        ] {
            for (language, end) in [(Language::Ko, korean), (Language::En, english)] {
                let said = period(from, at(to), language).replace(NO_BREAK, " ");
                assert_eq!(said.split_once(" – ").map(|(_, end)| end), Some(end));
            }
        }
    }

    #[test]
    fn a_line_is_broken_between_a_day_and_its_hour_and_nowhere_else() {
        let late = at("2026-11-22T15:05:00Z");
        for language in [Language::Ko, Language::En] {
            assert_eq!(moment(late, language).split(' ').count(), 2);
        }
    }

    #[test]
    fn a_number_is_written_as_people_write_it() {
        assert_eq!(phone("+821012345678"), "010-1234-5678");
        assert_eq!(phone("01012345678"), "010-1234-5678");
        assert_eq!(phone("+14155550100"), "+14155550100");
    }

    #[test]
    fn days_and_hours_are_those_of_seoul() {
        let late = at("2026-11-22T15:05:00Z");
        let said = |text: String| text.replace(NO_BREAK, " ");
        assert_eq!(said(moment(late, Language::Ko)), "2026년 11월 23일 (월) 오전 12:05");
        assert_eq!(said(moment(late, Language::En)), "Mon 23 Nov 2026 00:05");
        assert_eq!(said(hour(at("2026-11-22T03:30:00Z"), Language::Ko)), "오후 12:30");
        assert_eq!(local(late), "2026-11-23T00:05");
        assert_eq!(at(&from_local("2026-11-23T00:05")), late);
        assert_eq!(from_local("tomorrow"), "tomorrow");
        assert_eq!(calendar(late), "20261122T150500Z");
    }
}
