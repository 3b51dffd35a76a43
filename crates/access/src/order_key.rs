//! The key of a guest's order: whoever has it may see, pay, follow and cancel that one order.
//!
//! `<orderId>.<mac>`, where the mac is the first 128 bits of HMAC-SHA256 over the number, in base64url. So nothing has to be
//! kept, and every context can tell by itself.

use crate::Secrets;
use data_encoding::BASE64URL_NOPAD;
use hal::{Kind, Problem};
use hmac::{Hmac, KeyInit, Mac};
use kernel::OrderId;
use sha2::Sha256;

/// How many bytes of the mac are in a key.
const LENGTH: usize = 16;

/// What the keys of new orders are made with.
#[derive(Clone)]
pub struct OrderKeys {
    secret: String,
}

impl OrderKeys {
    /// With the first of the secrets; a problem where there is none.
    pub fn new(secrets: &Secrets) -> Result<Self, Problem> {
        secrets.first().map(|secret| Self { secret: secret.to_owned() }).ok_or_else(not_set_up)
    }

    /// The key of an order.
    pub fn key_of(&self, order_id: OrderId) -> String {
        let mac = mac(&self.secret, order_id).finalize().into_bytes();
        let mac = mac.get(..LENGTH).unwrap_or(&mac);
        format!("{order_id}.{}", BASE64URL_NOPAD.encode(mac))
    }
}

/// The order that a key is of; none for what is no key of ours.
pub(crate) fn read(secrets: &Secrets, key: &str) -> Option<OrderId> {
    let (order_id, given) = key.split_once('.')?;
    // One number has one spelling, and so one key.
    let order_id: OrderId = order_id.parse().ok().filter(|id: &OrderId| id.to_string() == order_id)?;
    let given = BASE64URL_NOPAD.decode(given.as_bytes()).ok().filter(|given| given.len() == LENGTH)?;
    let is_ours = |secret| mac(secret, order_id).verify_truncated_left(&given).is_ok();
    secrets.iter().any(is_ours).then_some(order_id)
}

fn mac(secret: &str, order_id: OrderId) -> Hmac<Sha256> {
    // A key of any length is taken.
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.update(format!("order-key:{order_id}").as_bytes());
    mac
}

fn not_set_up() -> Problem {
    Problem::new(Kind::NOT_SET_UP)
        .detail("The variable `guest_keys` is empty, so a guest's order can be given no key.")
        .next("Sign in to apply; as the operator, set `guest_keys`.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secrets(text: &str) -> Secrets {
        Secrets::parse("guest_keys", text).unwrap()
    }

    #[test]
    fn a_key_opens_its_own_order_only() {
        let secrets = secrets("0123456789012345678901");
        let order_id = OrderId::parse(1113).unwrap();
        let key = OrderKeys::new(&secrets).unwrap().key_of(order_id);
        assert_eq!(read(&secrets, &key), Some(order_id));
        let mac = key.strip_prefix("1113.").unwrap();
        for forged in [
            format!("1114.{mac}"),
            format!("01113.{mac}"),
            format!("1113.{}", &mac[..mac.len() - 4]),
            format!("1113.{}", mac.to_uppercase()),
            "1113.".to_owned(),
            "1113".to_owned(),
            String::new(),
        ] {
            assert_eq!(read(&secrets, &forged), None, "{forged}");
        }
    }

    proptest! {
        #[test]
        fn every_order_has_a_key_and_nothing_else_is_one(
            number in 1..=kernel::MAX_ID, place: prop::sample::Index, other in any::<char>(), text: String,
        ) {
            let secrets = secrets("0123456789012345678901");
            let order_id = OrderId::parse(number).unwrap();
            let key = OrderKeys::new(&secrets).unwrap().key_of(order_id);
            prop_assert_eq!(read(&secrets, &key), Some(order_id));
            let mut changed: Vec<_> = key.chars().collect();
            let place = place.index(changed.len());
            if changed[place] != other {
                changed[place] = other;
                prop_assert_eq!(read(&secrets, &changed.iter().collect::<String>()), None);
            }
            prop_assert_eq!(read(&secrets, &text), None);
            prop_assert_eq!(read(&secrets, &format!("{order_id}.{text}")), None);
        }
    }

    #[test]
    fn keys_of_an_old_secret_are_taken_for_as_long_as_it_is_listed() {
        let (old, new) = ("old4567890123456789012", "new4567890123456789012");
        let key = OrderKeys::new(&secrets(old)).unwrap().key_of(OrderId::parse(7).unwrap());
        assert!(read(&secrets(&format!("{new},{old}")), &key).is_some());
        assert!(read(&secrets(new), &key).is_none());
    }

    #[test]
    fn without_a_secret_there_is_no_key() {
        assert!(OrderKeys::new(&Secrets::default()).is_err());
        assert_eq!(read(&Secrets::default(), "7.AAAAAAAAAAAAAAAAAAAAAA"), None);
    }
}
