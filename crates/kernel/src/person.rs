//! What is known of a person: a name, a telephone number, an e-mail address.
//!
//! None of them shows itself to `{:?}`, so that no log line has a person in it by accident.

use crate::{Invalid, text};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The longest name, in characters as people count them.
const LONGEST_NAME: usize = 50;

/// The longest e-mail address that mail servers take, in bytes (RFC 5321 §4.5.3.1).
const LONGEST_EMAIL: usize = 254;

/// The longest part before the `@`, in bytes.
const LONGEST_LOCAL_PART: usize = 64;

/// What a telephone number may be written with, besides digits and a `+` at the beginning.
const SEPARATORS: [char; 5] = [' ', '-', '.', '(', ')'];

/// How Korean mobile numbers begin once the `0` is left out: the present `10`, and those given out until 2004.
const MOBILE: [&str; 6] = ["10", "11", "16", "17", "18", "19"];

macro_rules! text_of_a_person {
    ($name:ident) => {
        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).finish_non_exhaustive()
            }
        }

        impl std::str::FromStr for $name {
            type Err = Invalid;

            fn from_str(raw: &str) -> Result<Self, Invalid> {
                Self::parse(raw)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Invalid;

            fn try_from(raw: String) -> Result<Self, Invalid> {
                Self::parse(&raw)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    };
}

/// A telephone number that messages can be sent to, as E.164 has it: `+821012345678`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Phone(String);

text_of_a_person!(Phone);

impl Phone {
    /// A Korean mobile number as people write it (`010-1234-5678`), or any number with its country (`+82 10 1234 5678`).
    /// Of Korea only mobile numbers are taken: nothing can be sent to the others.
    pub fn parse(raw: &str) -> Result<Self, Invalid> {
        let wrong = || {
            Invalid::new(
                "phone",
                "must be a Korean mobile number (`010-1234-5678`) or a number with its country (`+82 10 1234 5678`)",
            )
        };
        // Counted before anything is made of it, so that a megabyte costs nothing.
        if raw.len() > 40 {
            return Err(wrong());
        }
        let compact = raw.trim().replace(SEPARATORS, "");
        let (international, digits) = match compact.strip_prefix('+') {
            Some(digits) => (true, digits),
            None => (false, compact.as_str()),
        };
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let korean = match (international, digits.strip_prefix("82")) {
            // Some write the `0` all the same: +82 (0)10.
            (true, Some(national)) => national.strip_prefix('0').unwrap_or(national),
            (true, None) => {
                let fits = (8..=15).contains(&digits.len()) && !digits.starts_with('0');
                return if fits { Ok(Self(format!("+{digits}"))) } else { Err(wrong()) };
            }
            (false, _) => digits.strip_prefix('0').ok_or_else(wrong)?,
        };
        let length = if korean.starts_with("10") { 10..=10 } else { 9..=10 };
        let is_mobile = MOBILE.iter().any(|begins| korean.starts_with(begins));
        if is_mobile && length.contains(&korean.len()) {
            Ok(Self(format!("+82{korean}")))
        } else {
            Err(wrong())
        }
    }

    /// What may be shown to others: `010-****-5678`, and of other countries `+****4567`.
    pub fn masked(&self) -> String {
        let last4 = self.0.get(self.0.len().saturating_sub(4)..).unwrap_or_default();
        match self.0.strip_prefix("+82").and_then(|national| national.get(..2)) {
            Some(begins) => format!("0{begins}-****-{last4}"),
            None => format!("+****{last4}"),
        }
    }
}

/// A name as people give it: 1 to 50 characters as people count them, in one spelling (NFC), with something to be seen.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PersonName(String);

text_of_a_person!(PersonName);

impl PersonName {
    /// The name, without white space around it.
    pub fn parse(raw: &str) -> Result<Self, Invalid> {
        text::clean("name", raw, LONGEST_NAME).map(Self)
    }
}

/// An e-mail address. Whether anybody reads what is sent there only a message can tell, so it is looked at no closer than
/// that there is one `@` with something before it and a domain behind it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email(String);

text_of_a_person!(Email);

impl Email {
    /// The address, without white space around it.
    pub fn parse(raw: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::new("email", "must be an e-mail address of at most 254 characters");
        let address = raw.trim();
        if address.len() > LONGEST_EMAIL {
            return Err(wrong());
        }
        let (local, domain) = address.rsplit_once('@').ok_or_else(wrong)?;
        let is_odd =
            |c: char| c.is_whitespace() || c.is_control() || matches!(c, '@' | '<' | '>' | ',' | ';' | '"');
        let labels_fit = domain.split('.').all(|label| !label.is_empty() && !label.starts_with('-'));
        let fits = (1..=LONGEST_LOCAL_PART).contains(&local.len())
            && domain.contains('.')
            && labels_fit
            && !address.replacen('@', "", 1).contains(is_odd);
        if fits {
            Ok(Self(text::clean("email", address, LONGEST_EMAIL).map_err(|_| wrong())?))
        } else {
            Err(wrong())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_same_however_it_is_written() {
        for raw in [
            "010-1234-5678",
            "01012345678",
            "+82 10 1234 5678",
            "+82-10-1234-5678",
            "+821012345678",
            "+82 (0)10 1234 5678",
            " 010.1234.5678 ",
        ] {
            assert_eq!(Phone::parse(raw).unwrap().as_str(), "+821012345678", "{raw}");
        }
        assert_eq!(Phone::parse("011-234-5678").unwrap().as_str(), "+82112345678");
        assert_eq!(Phone::parse("+1 (415) 555-2671").unwrap().as_str(), "+14155552671");
    }

    #[test]
    fn what_no_message_can_be_sent_to_is_refused() {
        for raw in [
            "",
            "+",
            "02-123-4567",
            "+82 2 123 4567",
            "010-1234-567",
            "010-1234-56789",
            "1012345678",
            "+0123456789",
            "+1234567",
            "+1234567890123456",
            "010-1234-567a",
            "０１０１２３４５６７８",
            "++821012345678",
            "+82+1012345678",
            &"1".repeat(1_000_000),
        ] {
            assert!(Phone::parse(raw).is_err(), "{} was taken", raw.get(..20).unwrap_or(raw));
        }
    }

    #[test]
    fn others_see_no_more_of_a_number_than_its_end() {
        assert_eq!(Phone::parse("010-1234-5678").unwrap().masked(), "010-****-5678");
        assert_eq!(Phone::parse("011-234-5678").unwrap().masked(), "011-****-5678");
        assert_eq!(Phone::parse("+14155552671").unwrap().masked(), "+****2671");
    }

    #[test]
    fn a_name_is_one_to_fifty_characters_that_can_be_seen() {
        assert_eq!(PersonName::parse(" 홍길동 ").unwrap().as_str(), "홍길동");
        assert_eq!(PersonName::parse("\u{1112}\u{1161}\u{11ab}").unwrap(), PersonName::parse("한").unwrap());
        assert!(PersonName::parse(&"가".repeat(50)).is_ok());
        for raw in ["", "\u{200b}", "\u{3164}", "a\nb", &"가".repeat(51)] {
            assert!(PersonName::parse(raw).is_err(), "{raw:?} was taken");
        }
    }

    #[test]
    fn an_address_has_one_at_and_a_domain() {
        for raw in ["a@b.kr", "gil.dong+sugang@example.co.kr", " a@b.kr ", "길동@한국.kr"] {
            assert_eq!(Email::parse(raw).unwrap().as_str(), raw.trim());
        }
        let long = format!("{}@b.kr", "a".repeat(65));
        for raw in [
            "",
            "a",
            "@b.kr",
            "a@",
            "a@b",
            "a@@b.kr",
            "a b@c.kr",
            "a@b..kr",
            "a@b.kr\n<x>",
            "a,b@c.kr",
            &long,
        ] {
            assert!(Email::parse(raw).is_err(), "{raw:?} was taken");
        }
    }

    #[test]
    fn no_log_line_has_a_person_in_it_by_accident() {
        let shown = format!(
            "{:?} {:?} {:?}",
            Phone::parse("010-1234-5678").unwrap(),
            PersonName::parse("홍길동").unwrap(),
            Email::parse("gil@example.com").unwrap()
        );
        assert_eq!(shown, "Phone(..) PersonName(..) Email(..)");
    }

    #[test]
    fn what_is_stored_reads_back() {
        let phone = Phone::parse("010-1234-5678").unwrap();
        assert_eq!(serde_json::to_string(&phone).unwrap(), r#""+821012345678""#);
        assert_eq!(serde_json::from_str::<Phone>(r#""+821012345678""#).unwrap(), phone);
    }
}
