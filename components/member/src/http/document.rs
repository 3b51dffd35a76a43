//! What is shown of members and sessions.

use crate::secrets::RefreshToken;
use crate::service::{SignedIn, Standing, Tokens};
use crate::store::{ACCESS_SECONDS, Given, Listed, REFRESH_SECONDS};
use hal::Links;
use kernel::{CustomerId, Email, Language, PersonName, Phone, Role, Timestamp, WantedMessages};
use serde::Serialize;
use serde_json::{Value, json};

/// A member as they are answered.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document<'a> {
    pub(super) customer_id: CustomerId,
    pub(super) name: Option<&'a PersonName>,
    /// Whole, or masked in lists.
    pub(super) phone: Option<String>,
    pub(super) email: Option<&'a Email>,
    pub(super) language: Option<Language>,
    pub(super) messages: WantedMessages,
    pub(super) roles: Vec<Role>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) consents: Option<Vec<Given>>,
    pub(super) registered_at: Option<Timestamp>,
    pub(super) erased_at: Option<Timestamp>,
    #[serde(rename = "_links")]
    pub(super) links: Links<'a>,
}

impl<'a> Document<'a> {
    /// Of a list, in which nobody needs the whole number.
    pub(super) fn listed(listed: &'a Listed, roles: Vec<Role>, here: &'a str) -> Self {
        Self {
            customer_id: listed.customer_id,
            name: listed.name.as_ref(),
            phone: listed.phone.as_ref().map(Phone::masked),
            email: listed.email.as_ref(),
            language: listed.language,
            messages: listed.messages,
            roles,
            consents: None,
            registered_at: listed.registered_at,
            erased_at: listed.erased_at,
            links: Links::new().with("self", here).with("member", here),
        }
    }

    /// Of one member, with what they agreed to.
    pub(super) fn whole(listed: &'a Listed, roles: Vec<Role>, given: Vec<Given>, here: &'a str) -> Self {
        Self {
            phone: listed.phone.as_ref().map(|phone| phone.as_str().to_owned()),
            consents: Some(present(given)),
            ..Self::listed(listed, roles, here)
        }
    }
}

/// Of everything that somebody agreed to or not, the newest of each name.
fn present(given: Vec<Given>) -> Vec<Given> {
    let mut present: Vec<Given> = Vec::new();
    for consent in given {
        match present.iter_mut().find(|known| known.name == consent.name) {
            Some(known) => *known = consent,
            None => present.push(consent),
        }
    }
    present
}

/// What whoever is let in gets.
pub(super) fn tokens(tokens: &Tokens) -> Value {
    let mut document = json!({
        "accessToken": tokens.access,
        "tokenType": "Bearer",
        "expiresIn": ACCESS_SECONDS,
    });
    if let (Some(refresh), Some(members)) = (&tokens.refresh, document.as_object_mut()) {
        members.insert("refreshToken".to_owned(), RefreshToken::text(refresh).into());
        members.insert("refreshExpiresIn".to_owned(), REFRESH_SECONDS.into());
    }
    document
}

/// The same, with who they are.
pub(super) fn signed_in(signed_in: &SignedIn) -> Value {
    let Standing { member, roles } = &signed_in.standing;
    let mut document = tokens(&signed_in.tokens);
    if let Some(members) = document.as_object_mut() {
        let who = json!({
            "customerId": member.customer_id,
            "name": member.name,
            "language": member.language,
            "roles": roles,
        });
        members.insert("member".to_owned(), who);
    }
    document
}
