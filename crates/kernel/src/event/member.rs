//! What `member` tells.

use crate::{CustomerId, Email, Language, PersonName, Phone, Role, Timestamp, WantedMessages};
use serde::{Deserialize, Serialize};

/// A member as they stand after one of their events.
///
/// Whoever is erased is taken out of the events of before, so name, number and address may be missing from any of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The member's number, which stays when the person is gone.
    pub customer_id: CustomerId,
    /// What they are called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<PersonName>,
    /// Where they can be reached, and what they sign in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Phone>,
    /// Their e-mail address, if they gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    /// The language to write to them in.
    #[serde(default)]
    pub language: Language,
    /// Which messages they want. Not said where it is all of them.
    #[serde(default, skip_serializing_if = "is_all")]
    pub messages: WantedMessages,
    /// What they may do by what was decided about them; there are other ways to have a role.
    #[serde(default)]
    pub roles: Vec<Role>,
    /// When.
    pub at: Timestamp,
}

/// A member is erased: nobody is to know any more who the number stood for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberErased {
    /// The member's number.
    pub customer_id: CustomerId,
    /// When.
    pub at: Timestamp,
}

fn is_all(messages: &WantedMessages) -> bool {
    *messages == WantedMessages::All
}
