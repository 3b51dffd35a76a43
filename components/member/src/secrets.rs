//! Codes and tokens: how they are made, and what is kept of them.
//!
//! Nothing that is kept lets anybody in: of a token there is its SHA-256, of a code an HMAC under a salt of its own. (A code of
//! six digits could be found from that by trying all of them; by then its five minutes are over.)

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use kernel::{Phone, Unavailable};
use sha2::{Digest, Sha256};
use std::fmt;

/// How many different codes there are.
const CODES: u32 = 1_000_000;

/// How many digits a code has.
pub(crate) const DIGITS: usize = 6;

/// In bytes: what is random about a token.
const TOKEN: usize = 32;

/// In bytes: the salt of a code.
const SALT: usize = 16;

fn random<const N: usize>() -> Result<[u8; N], Unavailable> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Unavailable("there were no random bytes".to_owned()))?;
    Ok(bytes)
}

/// The code that somebody proves with that they have a telephone.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Code(String);

impl Code {
    /// A new one.
    pub(crate) fn random() -> Result<Self, Unavailable> {
        // Beyond the last whole round of codes the first ones would come more often than others.
        let fair = u32::MAX - u32::MAX % CODES;
        loop {
            let number = u32::from_le_bytes(random()?);
            if number < fair {
                return Ok(Self(format!("{:0DIGITS$}", number % CODES)));
            }
        }
    }

    /// What somebody typed, spaces left out; none where it can be no code.
    pub(crate) fn typed(raw: &str) -> Option<Self> {
        if raw.len() > 20 {
            return None;
        }
        let digits: String = raw.chars().filter(|c| !c.is_whitespace()).collect();
        (digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(Self(digits))
    }

    /// As it is read out.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn mac(&self, salt: &[u8], phone: &Phone) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(salt).ok()?;
        mac.update(phone.as_str().as_bytes());
        mac.update(b":");
        mac.update(self.0.as_bytes());
        Some(mac)
    }
}

/// No log line has a code in it by accident.
impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(..)")
    }
}

/// What is kept of a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeptCode {
    /// In hexadecimal digits.
    pub(crate) salt: String,
    /// In hexadecimal digits.
    pub(crate) mac: String,
}

impl KeptCode {
    /// Of a code that is sent to this number.
    pub(crate) fn of(code: &Code, phone: &Phone) -> Result<Self, Unavailable> {
        let salt = random::<SALT>()?;
        let mac = code.mac(&salt, phone).map(|mac| HEXLOWER.encode(&mac.finalize().into_bytes()));
        Ok(Self { salt: HEXLOWER.encode(&salt), mac: mac.unwrap_or_default() })
    }

    /// Whether it was kept of this code, in a time that does not tell how much of it is right.
    pub(crate) fn is(&self, code: &Code, phone: &Phone) -> bool {
        let decode = |hex: &str| HEXLOWER.decode(hex.as_bytes()).unwrap_or_default();
        let mac = code.mac(&decode(&self.salt), phone);
        mac.is_some_and(|mac| mac.verify_slice(&decode(&self.mac)).is_ok())
    }
}

/// A token that means nothing by itself: whoever has it may do what it was given out for.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

impl Token {
    /// A new one.
    pub(crate) fn random() -> Result<Self, Unavailable> {
        Ok(Self(BASE64URL_NOPAD.encode(&random::<TOKEN>()?)))
    }

    /// What a client shows.
    pub(crate) fn shown(raw: &str) -> Self {
        Self(raw.to_owned())
    }

    /// As it is given out.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub(crate) fn hash(&self) -> String {
        hash(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// A refresh token: `<family>.<token>`. The family is the session's for as long as it lasts, so that one that was replaced long
/// ago is known as that, and nothing has to be kept of each; nobody but those who had one of them knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefreshToken {
    family: Token,
    token: Token,
}

impl RefreshToken {
    /// The first of a new session.
    pub(crate) fn random() -> Result<Self, Unavailable> {
        Ok(Self { family: Token::random()?, token: Token::random()? })
    }

    /// The next of the same session.
    pub(crate) fn next(&self) -> Result<Self, Unavailable> {
        Ok(Self { family: self.family.clone(), token: Token::random()? })
    }

    /// What a client shows; none where it can be no such token.
    pub(crate) fn shown(raw: &str) -> Option<Self> {
        let (family, token) = raw.split_once('.')?;
        Some(Self { family: Token::shown(family), token: Token::shown(token) })
    }

    /// As it is given out.
    pub(crate) fn text(&self) -> String {
        format!("{}.{}", self.family.0, self.token.0)
    }

    /// What is kept of the family.
    pub(crate) fn family_hash(&self) -> String {
        self.family.hash()
    }

    /// What is kept of the token.
    pub(crate) fn hash(&self) -> String {
        self.token.hash()
    }
}

/// A random name for something.
pub(crate) fn name() -> Result<String, Unavailable> {
    Ok(HEXLOWER.encode(&random::<SALT>()?))
}

fn hash(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn phone(number: &str) -> Phone {
        Phone::parse(number).unwrap()
    }

    #[test]
    fn a_code_is_six_digits_and_seldom_the_same() {
        let codes: BTreeSet<_> = (0..100).map(|_| Code::random().unwrap().as_str().to_owned()).collect();
        assert!(codes.len() > 95, "{codes:?}");
        assert!(codes.iter().all(|code| Code::typed(code).is_some()));
    }

    #[test]
    fn spaces_in_a_code_do_not_matter_and_anything_else_does() {
        assert_eq!(Code::typed(" 123 456").unwrap().as_str(), "123456");
        for raw in ["", "12345", "1234567", "12345a", "１２３４５６", &"1".repeat(1_000_000)] {
            assert!(Code::typed(raw).is_none());
        }
    }

    #[test]
    fn what_is_kept_of_a_code_knows_it_for_its_number_alone_and_is_never_the_same() {
        let (code, number) = (Code::random().unwrap(), phone("010-1111-2222"));
        let kept = KeptCode::of(&code, &number).unwrap();
        assert!(kept.is(&code, &number));
        assert!(!kept.is(&code, &phone("010-1111-2223")));
        assert_ne!(kept, KeptCode::of(&code, &number).unwrap());
        assert!(!format!("{kept:?}").contains(code.as_str()));
        let other = Code::typed(if code.as_str() == "000000" { "000001" } else { "000000" }).unwrap();
        assert!(!kept.is(&other, &number));
    }

    #[test]
    fn the_next_refresh_token_is_of_the_same_family_and_another() {
        let first = RefreshToken::random().unwrap();
        let next = first.next().unwrap();
        assert_eq!(first.family_hash(), next.family_hash());
        assert_ne!(first.hash(), next.hash());
        assert_eq!(RefreshToken::shown(&next.text()), Some(next));
        assert_eq!(RefreshToken::shown("x"), None);
    }

    #[test]
    fn no_log_line_has_a_secret_in_it_by_accident() {
        let shown = format!("{:?} {:?}", RefreshToken::random().unwrap(), Code::random().unwrap());
        assert_eq!(shown, "RefreshToken { family: Token(..), token: Token(..) } Code(..)");
    }
}
