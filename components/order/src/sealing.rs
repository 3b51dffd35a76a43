//! Card numbers that wait for another try are kept sealed, and opened only to ask `pay`.
//!
//! XChaCha20-Poly1305: its nonces are long enough to be chosen at random. The order's number is bound in, so
//! that a sealed card moved to another order does not open. What is kept is text: the nonce and what follows, in
//! hexadecimal digits.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE as HEX};
use kernel::{CardNumber, OrderId};

/// In bytes.
const NONCE: usize = 24;

/// Seals and opens card numbers with one key.
pub struct Seal(XChaCha20Poly1305);

/// Why a card could not be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The key is not what it should be. What it is stays untold.
    #[error("the variable card_key must be 64 hexadecimal digits")]
    Key,
    /// The operating system gave no random bytes.
    #[error("there were no random bytes to seal a card with")]
    Random,
    /// Sealed with another key, for another order, or damaged.
    #[error("the sealed card does not open: another key, another order, or damage")]
    Sealed,
}

impl Seal {
    /// With the key in `hex`, 64 digits.
    pub fn new(hex: &str) -> Result<Self, SealError> {
        let key = HEX.decode(hex.trim().as_bytes()).map_err(|_| SealError::Key)?;
        Ok(Self(XChaCha20Poly1305::new_from_slice(&key).map_err(|_| SealError::Key)?))
    }

    /// Seals the card that `order` is to be paid with.
    pub fn seal(&self, card: &CardNumber, order: OrderId) -> Result<String, SealError> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|_| SealError::Random)?;
        let payload = Payload { msg: card.digits().as_bytes(), aad: &order.get().to_be_bytes() };
        let sealed = self.0.encrypt(&XNonce::from(nonce), payload).map_err(|_| SealError::Sealed)?;
        Ok(HEXLOWER.encode(&[nonce.as_slice(), &sealed].concat()))
    }

    /// Opens what [`Self::seal`] sealed for the same order.
    pub fn open(&self, sealed: &str, order: OrderId) -> Result<CardNumber, SealError> {
        let sealed = HEX.decode(sealed.as_bytes()).map_err(|_| SealError::Sealed)?;
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or(SealError::Sealed)?;
        let payload = Payload { msg: sealed, aad: &order.get().to_be_bytes() };
        let digits = self.0.decrypt(&XNonce::from(*nonce), payload).map_err(|_| SealError::Sealed)?;
        let digits = String::from_utf8(digits).map_err(|_| SealError::Sealed)?;
        CardNumber::parse(&digits).map_err(|_| SealError::Sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal() -> Seal {
        Seal::new(&"0f".repeat(32)).unwrap()
    }

    fn order(number: u64) -> OrderId {
        OrderId::parse(number).unwrap()
    }

    #[test]
    fn a_sealed_card_opens_for_its_own_order_only() {
        let card = CardNumber::parse("4111111111111234").unwrap();
        let sealed = seal().seal(&card, order(7)).unwrap();
        assert_eq!(seal().open(&sealed, order(7)).unwrap(), card);
        assert_eq!(seal().open(&sealed, order(8)), Err(SealError::Sealed));
        assert_eq!(Seal::new(&"00".repeat(32)).unwrap().open(&sealed, order(7)), Err(SealError::Sealed));
    }

    #[test]
    fn a_sealed_card_shows_nothing_and_is_never_sealed_alike() {
        let card = CardNumber::parse("1234").unwrap();
        let sealed = seal().seal(&card, order(7)).unwrap();
        let bytes = HEX.decode(sealed.as_bytes()).unwrap();
        assert!(!bytes.windows(4).any(|bytes| bytes == b"1234") && !sealed.contains("31323334"));
        assert_ne!(sealed, seal().seal(&card, order(7)).unwrap());
    }

    #[test]
    fn damage_and_bad_keys_are_errors() {
        let sealed = seal().seal(&CardNumber::parse("1234").unwrap(), order(7)).unwrap();
        let last = if sealed.ends_with('0') { "1" } else { "0" };
        let changed = format!("{}{last}", &sealed[..sealed.len() - 1]);
        for damaged in [&sealed[..10], &sealed[1..], "", "card", &changed] {
            assert_eq!(seal().open(damaged, order(7)), Err(SealError::Sealed), "{damaged}");
        }
        for key in ["", "0f", &"zz".repeat(32), &"+f".repeat(32), &"0f".repeat(33), &"é".repeat(32)] {
            assert!(Seal::new(key).is_err(), "{key} was taken");
        }
    }

    #[test]
    fn what_sql_made_of_the_bytes_of_before_opens_as_well() {
        let card = CardNumber::parse("1234").unwrap();
        let sealed = seal().seal(&card, order(7)).unwrap();
        assert_eq!(seal().open(&sealed.to_uppercase(), order(7)), Ok(card));
    }

    #[test]
    fn a_key_is_the_same_with_white_space_around_it() {
        let card = CardNumber::parse("1234").unwrap();
        let sealed = seal().seal(&card, order(7)).unwrap();
        let from_a_file = format!(" {}\n", "0f".repeat(32));
        assert_eq!(Seal::new(&from_a_file).unwrap().open(&sealed, order(7)), Ok(card));
    }
}
