//! Changing members, giving and taking roles, erasing.

use super::{NotDone, Service, Standing, decided};
use crate::domain::{Changes, Command, Consent, Refusal};
use crate::ports::Ports;
use crate::store::{self, Act};
use ::store::{Storage, StoreError};
use journal::{Decision, Tell};
use kernel::{Actor, CustomerId, Timestamp, actor};

impl<P: Ports, S: Storage, T: Tell> Service<P, S, T> {
    /// Changes a member. Where a role is taken away, every session ends: what was given out in them says otherwise.
    pub(crate) async fn change(
        &self,
        customer_id: CustomerId,
        changes: &Changes,
        traceparent: Option<&str>,
    ) -> Result<Standing, NotDone> {
        let now = Timestamp::now();
        let change = async |storage: &S| -> Result<_, NotDone> {
            if let Some(phone) = &changes.phone
                && store::whose(storage, phone).await?.is_some_and(|whose| whose != customer_id)
            {
                return Err(Refusal::PhoneTaken.into());
            }
            let record = store::load(storage, customer_id).await?;
            let before = record.member().map(|member| member.roles.clone()).unwrap_or_default();
            let mut decision = Decision::new();
            let command = Command::Change(changes.clone());
            let record = decided(&mut decision, record, &command, now, traceparent)?;
            let member = record.member().ok_or(Refusal::Unknown)?.clone();
            let loses_a_role = before.iter().any(|role| !member.roles.contains(role));
            if loses_a_role {
                decision.beside("sign-out", customer_id, &());
            }
            Ok((decision, (member, loses_a_role)))
        };
        let (member, loses_a_role) = self.journal.carry_out(change).await?;
        if loses_a_role {
            self.tell_ended(now).await?;
        }
        Ok(self.standing_of(member))
    }

    /// Keeps in the audit trail that somebody in charge was shown who others are, before they are.
    pub(crate) async fn note_shown(&self, object: &str) -> Result<(), StoreError> {
        self.note("MembersShown", object.to_owned()).await
    }

    /// Keeps in the audit trail what somebody in charge does that is in no event.
    pub(crate) async fn note(&self, action: &'static str, object: String) -> Result<(), StoreError> {
        let actor = actor::current().filter(Actor::is_in_charge);
        let Some(actor) = &actor else { return Ok(()) };
        store::keep_acts(self.storage(), &[Act::new(action, object, Some(actor), Timestamp::now())]).await
    }

    /// Keeps whether a member agrees to something that they need not agree to.
    pub(crate) async fn consent(
        &self,
        customer_id: CustomerId,
        consent: Consent,
        given: bool,
    ) -> Result<(), NotDone> {
        let version = &self.settings.consents_version;
        let now = Timestamp::now();
        Ok(store::keep_consent(self.storage(), customer_id, consent, given, version, now).await?)
    }

    /// Erases a member: from this decision on nothing here tells who they were, and no session of theirs counts.
    pub(crate) async fn erase(
        &self,
        customer_id: CustomerId,
        traceparent: Option<&str>,
    ) -> Result<(), NotDone> {
        let now = Timestamp::now();
        let erase = async |storage: &S| -> Result<_, NotDone> {
            let record = store::load(storage, customer_id).await?;
            let mut decision = Decision::new();
            decided(&mut decision, record, &Command::Erase(customer_id), now, traceparent)?;
            Ok((decision, ()))
        };
        self.journal.carry_out(erase).await?;
        ::store::wipe(self.storage()).await;
        Ok(self.tell_ended(now).await?)
    }
}
