//! Who applies, and under which number.
//!
//! Where everybody is asked who they are, a customer applies for themselves and a guest for nobody that is known. Neither may
//! choose the order's number: whoever may, learns which numbers are taken.

use crate::domain::{Client, Rate};
use crate::service::Applying;
use crate::settings::Settings;
use access::{Identity, OrderKeys, Reach};
use hal::{Error, Kind, Problem, Request};
use kernel::{CardNumber, CustomerId, EduNo, Guests, Invalid, OrderId};

/// The fewest characters of a guest's `Idempotency-Key`: whoever knows it is given the order's key, so it must not be
/// guessed.
const GUESTS_KEY: usize = 16;

/// What somebody sends to apply.
pub(super) fn applying(request: &Request, reach: &Reach, settings: &Settings) -> Result<Applying, Problem> {
    let key = request.idempotency_key()?;
    let mut fields = request.fields()?;
    let order_id = fields.number("orderId", OrderId::parse);
    let customer_id = fields.number("customerId", CustomerId::parse);
    let edu_no = fields.required("eduNo", EduNo::parse);
    let guest = fields.number("guest", Guests::parse).unwrap_or_default();
    let language = fields.text("language", str::parse).unwrap_or_else(|| request.language());
    let card = fields.text("cardNo", CardNumber::parse);
    if order_id.is_some() && !reach.is_everything() {
        let problem =
            "is chosen by the service: leave it out, and send an `Idempotency-Key` to be able to ask again";
        fields.refuse(Invalid::new("orderId", problem));
    }
    fields.finish()?;
    // Nothing was refused, so what is required is there.
    let edu_no = edu_no.ok_or_else(|| Problem::invalid_fields(&[]))?;
    let customer_id = applicant(customer_id, reach)?;
    let key = key.map(|key| own_key(&key, reach)).transpose()?;
    let client = client(request, reach, settings);
    Ok(Applying { order_id, customer_id, edu_no, guest, language, card, key, client })
}

/// Who is held to a rate: members to their own, and guests to that of the address that they ask from. Whoever reaches
/// everything is held to none.
pub(super) fn client(request: &Request, reach: &Reach, settings: &Settings) -> Option<Client> {
    if reach.is_everything() {
        return None;
    }
    let (name, per_hour) = match reach.caller.customer_id() {
        Some(customer) => (format!("member:{customer}"), settings.member_tries_per_hour),
        None => {
            let address = request.client_address(settings.trusted_proxies);
            (format!("address:{}", address.as_deref().unwrap_or("unknown")), settings.address_tries_per_hour)
        }
    };
    (per_hour > 0).then_some(Client { name, rate: Rate { per_hour } })
}

/// For whom somebody applies who asks to do so for `wanted`.
fn applicant(wanted: Option<CustomerId>, reach: &Reach) -> Result<Option<CustomerId>, Problem> {
    let own = reach.caller.customer_id();
    if reach.is_everything() {
        // An operator who names nobody does it for nobody; in an open system whoever is signed in does it for themselves.
        return Ok(if reach.is_open() { wanted.or(own) } else { wanted });
    }
    match (wanted, own) {
        (Some(wanted), Some(own)) if wanted != own => Err(Problem::new(Kind::NOT_ALLOWED)
            .detail("`customerId` is another member's.")
            .next("Leave it out: you apply for yourself.")),
        (Some(_), None) => Err(access::sign_in_required()
            .detail("`customerId` is a member's, and nobody is signed in.")
            .next("Sign in to apply as a member, or leave it out to apply as a guest.")),
        _ => Ok(own),
    }
}

/// A key as it is kept: every member's are their own.
fn own_key(key: &str, reach: &Reach) -> Result<String, Problem> {
    if !reach.is_open() && reach.caller.identity == Identity::Stranger && key.len() < GUESTS_KEY {
        return Err(Problem::new(Kind::IDEMPOTENCY_KEY_MALFORMED)
            .detail(format!(
                "A guest's must have {GUESTS_KEY} characters or more: whoever knows it is given the order."
            ))
            .next("Send a key that cannot be guessed, a UUID for example."));
    }
    Ok(reach.own_key(key))
}

/// What makes the key that whoever applies for nobody that is known is answered with: asked for before anything is stored.
pub(super) async fn order_keys(applying: &Applying, reach: &Reach) -> Result<Option<OrderKeys>, Error> {
    if reach.is_open() || applying.customer_id.is_some() {
        return Ok(None);
    }
    access::order_keys().await.map(Some)
}
