//! Carries out what is asked for, by way of the journal, the store and the ports.
//!
//! | module | what is in it |
//! |---|---|
//! | [`sign_in`] | codes, signing in, registering, refreshing, signing out |
//! | [`provider`] | signing in with an ID token of an OpenID provider |
//! | [`people`] | changing a member, giving and taking roles, erasing |
//! | [`grants`] | invitations and machines |

mod grants;
mod people;
mod provider;
mod sign_in;
#[cfg(test)]
mod tests;

pub(crate) use grants::NewMachine;
pub(crate) use sign_in::{Form, SignedIn, Tokens};

use crate::domain::{Command, Record, Refusal, decide, every_customer_and};
use crate::id_token;
use crate::ports::{NotSent, NotSigned, Ports};
use crate::settings::Settings;
use crate::store::{self, Act};
use ::store::{Storage, StoreError};
use journal::{Decision, Journal, Tell};
use kernel::event::{Event, Member};
use kernel::{Actor, CustomerId, Role, Timestamp, Unavailable, actor};
use std::rc::Rc;

/// The context with the ports that it is given: Spin's in the component, others in a native process.
#[derive(Clone, Debug)]
pub struct Service<P, S, T> {
    /// What it needs from outside.
    pub ports: P,
    /// The store, and who is told of what is committed.
    pub journal: Journal<S, T>,
    /// What the operator set.
    pub settings: Rc<Settings>,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotDone {
    /// The domain says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A limit is reached for so many seconds.
    #[error("too many, for {0} s")]
    TooMany(i64),
    /// The code is another, was used, is too old, or was tried too often.
    #[error("the code is not right")]
    CodeWrong,
    /// The ID token does not count.
    #[error(transparent)]
    IdToken(#[from] id_token::Invalid),
    /// The keys of the OpenID provider cannot be had.
    #[error("the OpenID provider: {0}")]
    ProviderAway(#[source] Unavailable),
    /// What was shown is right, and whoever has shown it may register with this token.
    #[error("nobody is registered with this")]
    RegistrationRequired(crate::secrets::Token),
    /// The session has ended, or somebody else has its refresh token.
    #[error("the session has ended")]
    SessionEnded,
    /// A message could not be sent.
    #[error(transparent)]
    NotSent(#[from] NotSent),
    /// A token could not be signed.
    #[error(transparent)]
    NotSigned(#[from] NotSigned),
    /// There were no random bytes.
    #[error("{0}")]
    Random(#[from] Unavailable),
    /// The store did not do its part, or others were faster every time.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A member, and what they are in all: by what was decided about them, and by the variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) member: Member,
    pub(crate) roles: Vec<Role>,
}

impl<P: Ports, S: Storage, T: Tell> Service<P, S, T> {
    pub(crate) const fn storage(&self) -> &S {
        &self.journal.storage
    }

    /// A member as they stand, if there is one.
    pub(crate) async fn standing(&self, customer_id: CustomerId) -> Result<Option<Standing>, StoreError> {
        let record = store::load(self.storage(), customer_id).await?;
        Ok(record.member().map(|member| self.standing_of(member.clone())))
    }

    /// What a member is in all.
    pub(crate) fn standing_of(&self, member: Member) -> Standing {
        let by_variables = member.phone.iter().flat_map(|phone| self.settings.roles_of(phone));
        let roles: Vec<_> = member.roles.iter().copied().chain(by_variables).collect();
        Standing { roles: every_customer_and(&roles), member }
    }

    /// Says in the store that every context looks into which sessions have ended, and notes that it was said. What cannot be
    /// said now is said on the tick: until then the access tokens count, for five minutes at the most.
    pub(crate) async fn tell_ended(&self, now: Timestamp) -> Result<(), StoreError> {
        let untold = store::untold_sessions(self.storage(), now).await?;
        let mut told = Vec::with_capacity(untold.len());
        for session in untold {
            match self.ports.end_session(&session).await {
                Ok(()) => told.push(session),
                Err(error) => {
                    eprintln!("member: telling that a session has ended: {error:#}");
                    break;
                }
            }
        }
        if told.is_empty() { Ok(()) } else { store::mark_told(self.storage(), &told, now).await }
    }
}

/// The name of this context, in what it tells.
const CONTEXT: &str = "member";

/// Decides, and adds what follows to `decision`; returns the record after it, or as it was where nothing follows. What others
/// decide about somebody, what they are, and that they are erased is in the audit trail.
fn decided(
    decision: &mut Decision,
    record: Record,
    command: &Command,
    now: Timestamp,
    traceparent: Option<&str>,
) -> Result<Record, Refusal> {
    let Some(event) = decide(&record, command, now)? else { return Ok(record) };
    let before = roles(&record);
    let record = record.and(&event);
    decision.event(record.version, &event, now, traceparent);
    let actor = actor::current();
    let is_erased = matches!(event, Event::MemberErased(_));
    if is_erased || roles(&record) != before || actor.as_ref().is_some_and(Actor::is_in_charge) {
        let act = Act::of(&event, CONTEXT, record.version, actor.as_ref(), now);
        decision.beside("act", "", &act);
    }
    Ok(record)
}

/// What somebody is by what was decided; whoever is to register is a customer.
fn roles(record: &Record) -> Vec<Role> {
    every_customer_and(record.member().map_or(&[], |member| &member.roles))
}
