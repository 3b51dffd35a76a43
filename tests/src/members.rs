//! Members, machines and guests as the tests need them: with keys that the tests know, so that nobody has to sign in first.

use std::time::{SystemTime, UNIX_EPOCH};

use access::token::{Claims, SigningKey};
use access::{OrderKeys, Role, Secrets};
use kernel::{CustomerId, OrderId};

/// Ed25519's private key in base64url, of 32 bytes.
const SIGNING_KEY: &str = "tests:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";

const GUEST_KEY: &str = "a-key-for-guests-that-tests-know";

/// What contexts know each other by.
pub const SERVICE_KEY: &str = "a-key-for-contexts-that-tests-know";

/// What the workers of a system on Akamai Functions are woken with: by the contexts, and by a scheduler.
pub const WAKE_KEYS: [&str; 2] =
    ["a-key-of-contexts-to-wake-workers", "a-key-of-a-scheduler-to-wake-workers"];

/// Has a host that is started as a process ask nobody who they are, unless its command line says otherwise. Releases of before
/// do not know the variable, and pass it over.
pub const OPEN: (&str, &str) = ("SPIN_VARIABLE_ACCESS", "open");

/// The key that tokens are signed with.
#[must_use]
pub fn signing_key() -> SigningKey {
    SigningKey::parse(SIGNING_KEY).expect("a key")
}

/// The variables of a system with these keys.
#[must_use]
pub fn keys() -> [(&'static str, String); 4] {
    [
        ("token_signing_key", SIGNING_KEY.to_owned()),
        ("token_keys", signing_key().public().expect("a key")),
        ("guest_keys", GUEST_KEY.to_owned()),
        ("service_keys", SERVICE_KEY.to_owned()),
    ]
}

/// What a member sends as `Authorization`.
#[must_use]
pub fn member(customer: u64, roles: &[Role]) -> String {
    let customer = CustomerId::parse(customer).expect("a customer's number");
    let session = format!("tests-{customer}");
    bearer(&Claims::of_member(customer, &session, roles, now(), now() + 300))
}

/// What a machine sends as `Authorization`.
#[must_use]
pub fn machine(scopes: &[&str]) -> String {
    bearer(&Claims::of_machine("tests", "tests-machine", scopes, now(), now() + 300))
}

/// What a context sends as `Authorization`.
#[must_use]
pub fn service() -> String {
    format!("Service {SERVICE_KEY}")
}

/// The key of a guest's order.
#[must_use]
pub fn order_key(order: u64) -> String {
    let secrets = Secrets::parse("guest_keys", GUEST_KEY).expect("a secret");
    OrderKeys::new(&secrets).expect("a secret").key_of(OrderId::parse(order).expect("an order's number"))
}

/// Claims as a signed token, with its scheme.
#[must_use]
pub fn bearer(claims: &Claims) -> String {
    format!("Bearer {}", signing_key().sign(claims).expect("to sign"))
}

/// Seconds of Unix time.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs()
}
