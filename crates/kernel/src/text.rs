//! Texts that people write and people read.

use crate::Invalid;
use std::borrow::Cow;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark, is_nfc};
use unicode_segmentation::UnicodeSegmentation;

/// How many code points one character may be made of on average. The longest that people write are emoji of families
/// and flags of regions, with 7 to 14.
const MAX_POINTS: usize = 10;

/// A text as it is kept: normalized (NFC) and without space around it. Refused if it is not 1 to `most` characters, as
/// people count them (UAX #29), or holds anything that makes it look like another text.
///
/// ```
/// # use kernel::text::clean;
/// assert_eq!(clean("title", " 러스트 입문 ", 200).unwrap(), "러스트 입문");
/// assert!(clean("title", "\u{200b}", 200).is_err());
/// ```
pub fn clean(field: &'static str, raw: &str, most: usize) -> Result<String, Invalid> {
    let refuse = || {
        let problem = format!("must be 1 to {most} characters that can be seen, without control characters");
        Invalid::new(field, problem)
    };
    let trimmed = raw.trim();
    // Counted before anything is made of it, so that a megabyte costs nothing.
    if trimmed.chars().nth(most.saturating_mul(MAX_POINTS)).is_some() {
        return Err(refuse());
    }
    let text: String = if is_nfc(trimmed) { trimmed.to_owned() } else { trimmed.nfc().collect() };
    let count = text.graphemes(true).count();
    if deceives(&text) || !text.chars().any(is_seen) || count > most {
        return Err(refuse());
    }
    Ok(text)
}

/// Whether a character leaves something to be seen by itself. A mark needs another one that it is set on.
fn is_seen(c: char) -> bool {
    let is_empty = c.is_whitespace() || c.is_control() || is_ignorable(c) || is_blank(c);
    !is_empty && !is_noncharacter(c) && !is_combining_mark(c)
}

/// What is empty though its properties do not say so: the blank of Braille, what joins hieroglyphs, and the musical
/// note without a head.
const fn is_blank(c: char) -> bool {
    matches!(c, '\u{2800}' | '\u{13430}'..='\u{1343f}' | '\u{1d159}')
}

/// What is for use within a program only, and no text to be exchanged (RFC 7493, section 2.1).
const fn is_noncharacter(c: char) -> bool {
    matches!(c, '\u{fdd0}'..='\u{fdef}') || c as u32 & 0xfffe == 0xfffe
}

/// What is not shown where it is not supported, and hardly ever where it is (Unicode's `Default_Ignorable_Code_Point`).
const fn is_ignorable(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Whether there is a control character, a noncharacter, or one that is not seen and has no use in a line of text: it
/// would turn the line around, break it, or make it look like another one.
fn deceives(text: &str) -> bool {
    let mut flag = false;
    text.chars().any(|c| {
        // A region's flag is a black flag with the region's code in tags.
        flag = c == '\u{1f3f4}' || flag && matches!(c, '\u{e0020}'..='\u{e007f}');
        match c {
            '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}' => true,
            // What writing needs: joiners, marks of direction, fillers of old Hangul, and selectors of a glyph.
            '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180b}'..='\u{180d}' | '\u{180f}' => false,
            '\u{200c}'..='\u{200f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => false,
            _ => c.is_control() || is_noncharacter(c) || is_ignorable(c) && !flag,
        }
    })
}

/// A text for a cell of a CSV file: with an apostrophe before each place where a spreadsheet could see a formula begin
/// (OWASP, CSV injection). Such a place is the beginning, and whatever follows a character at which a spreadsheet may
/// divide a line: which one that is depends on where it is opened, and quotes hold it off only where they open a cell.
/// Quotes, commas and line breaks within the text are for the CSV writer.
///
/// ```
/// # use kernel::text::spreadsheet_safe;
/// assert_eq!(spreadsheet_safe("＝1+1"), "'＝1+1");
/// assert_eq!(spreadsheet_safe("a;=1"), "a;'=1");
/// ```
pub fn spreadsheet_safe(text: &str) -> Cow<'_, str> {
    let mut safe = String::new();
    let mut written = 0;
    let starts = text.match_indices(divides_cells).map(|(at, separator)| at + separator.len());
    for start in std::iter::once(0).chain(starts) {
        let (before, cell) = text.split_at(start);
        if begins_a_formula(cell) || start == 0 && cell.starts_with(['\t', '\r', '\n']) {
            safe.extend([before.get(written..).unwrap_or_default(), "'"]);
            written = start;
        }
    }
    if safe.is_empty() {
        return Cow::Borrowed(text);
    }
    safe.push_str(text.get(written..).unwrap_or_default());
    Cow::Owned(safe)
}

/// Whether a spreadsheet may divide a line here, somewhere: where the comma is the decimal sign it does so at a
/// semicolon, in Persian at one of its own, and in pasted text at a tab.
const fn divides_cells(c: char) -> bool {
    matches!(c, ';' | '\u{61b}' | '|' | '\t' | '\r' | '\n')
}

/// Whether the cell that begins with this text could be taken for a formula.
fn begins_a_formula(cell: &str) -> bool {
    // Some spreadsheets drop space, quotes, and what is not seen, before they look.
    let skipped = |c: char| !is_seen(c) || matches!(c, '"' | '\'');
    let cell = cell.split(divides_cells).next().unwrap_or_default();
    let first = cell.trim_start_matches(skipped).chars().next();
    // As typed, as wide as a Korean letter, as small forms, and the minus sign.
    first.is_some_and(|c| {
        matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠' | '﹦' | '﹢' | '﹣' | '﹫' | '−')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title(raw: &str) -> Option<String> {
        clean("title", raw, 5).ok()
    }

    #[test]
    fn a_text_is_as_long_as_people_count() {
        for (raw, kept) in [
            ("수강신청법", "수강신청법"),
            ("  a\u{3000}", "a"),
            ("한국어로\u{1112}\u{1161}\u{11ab}", "한국어로한"),
            ("cafe\u{301}s", "cafés"),
            ("👨‍👩‍👧‍👦❤️🇰🇷👍🏽a", "👨‍👩‍👧‍👦❤️🇰🇷👍🏽a"),
            (
                "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
                "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
            ),
            ("नमस्ते", "नमस्ते"),
            ("می\u{200c}خو", "می\u{200c}خو"),
        ] {
            assert_eq!(title(raw).as_deref(), Some(kept), "{raw:?}");
        }
        assert_eq!(title("수강신청법1"), None);
        assert_eq!(title(&format!("a{}", "\u{301}".repeat(50))), None);
        assert_eq!(title(&"a".repeat(1_000_000)), None);
    }

    #[test]
    fn what_nobody_sees_is_empty() {
        for raw in [
            "",
            " \u{a0}\u{3000}",
            "\u{200b}",
            "\u{feff}",
            "\u{200d}\u{fe0f}",
            "\u{3164}",
            "\u{ffa0}",
            "\u{115f}\u{1160}",
            "\u{2800}",
            "\u{ad}",
            "\u{e0061}",
            "\u{200e}",
            "\u{13430}",
            "\u{16fe4}",
            "\u{1d159}",
            "\u{338}",
            " \u{301}\u{20dd}",
            "\u{93f}",
        ] {
            assert_eq!(title(raw), None, "{raw:?}");
        }
    }

    #[test]
    fn a_text_looks_like_what_it_is() {
        for hidden in [
            "\n",
            "\t",
            "\0",
            "\u{7f}",
            "\u{85}",
            "\u{202e}",
            "\u{2066}",
            "\u{2028}",
            "\u{200b}",
            "\u{2060}",
            "\u{feff}",
            "\u{ad}",
            "\u{3164}",
            "\u{e0061}",
            "\u{fffa}",
            "\u{180e}",
            "\u{fffe}",
            "\u{ffff}",
            "\u{fdd0}",
            "\u{fdef}",
            "\u{1fffe}",
            "\u{10ffff}",
        ] {
            assert_eq!(title(&format!("a{hidden}b")), None, "{hidden:?}");
        }
    }

    #[test]
    fn no_cell_is_a_formula() {
        for formula in [
            "=HYPERLINK(1)",
            "@sum",
            "+1",
            "-1",
            "＝1",
            "＋1",
            "－1",
            "＠a",
            "﹦1",
            "−1",
            " =1",
            "\u{a0}=1",
            "\"=1",
            "\u{200b}=1",
            "\u{feff} =1",
            "\u{2800}=1",
            "\u{301}=1",
            "\u{16fe4}=1",
            "\u{13430}=1",
            "\u{1d159}=1",
            "\u{fdd0}=1",
            "\u{ffff}=1",
            "\0=1",
            "'=1",
            "\t1",
            "\r1",
            "\n1",
        ] {
            assert_eq!(spreadsheet_safe(formula), format!("'{formula}"));
        }
        for (formulas, safe) in [
            ("a;=1", "a;'=1"),
            (";=1", ";'=1"),
            ("a; \"=1", "a;' \"=1"),
            ("a\t=1", "a\t'=1"),
            ("a|@b", "a|'@b"),
            ("a\r\n-1", "a\r\n'-1"),
            ("a\u{61b}+1", "a\u{61b}'+1"),
            ("=1;x;=2;;=3", "'=1;x;'=2;;'=3"),
        ] {
            assert_eq!(spreadsheet_safe(formulas), safe);
        }
        for text in ["", "러스트 = 재미", "a-b", "1+1", " a", "a;b", "a; b=1", "1;2|3", "a, b", ";", "a|"]
        {
            assert_eq!(spreadsheet_safe(text), text);
        }
    }
}
