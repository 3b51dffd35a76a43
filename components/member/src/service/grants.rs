//! What operators give away: roles, by invitation, and tokens, to machines.

use super::sign_in::seconds;
use super::{NotDone, Service};
use crate::messages;
use crate::ports::Ports;
use crate::secrets::name;
use crate::store::{self, Invitation, Machine};
use ::store::Storage;
use access::token::Claims;
use journal::Tell;
use kernel::{CustomerId, Language, Phone, Role, Timestamp, actor};

/// A machine that is to be made.
#[derive(Clone, Debug)]
pub(crate) struct NewMachine {
    pub(crate) name: String,
    pub(crate) scopes: Vec<&'static str>,
    pub(crate) days: i64,
}

impl<P: Ports, S: Storage, T: Tell> Service<P, S, T> {
    /// Invites whoever has a telephone to a role, and writes to them. The invitation is there whether the message gets
    /// through or not.
    pub(crate) async fn invite(
        &self,
        phone: &Phone,
        role: Role,
        language: Language,
        invited_by: CustomerId,
    ) -> Result<Invitation, NotDone> {
        let invitation =
            store::add_invitation(self.storage(), phone, role, invited_by, Timestamp::now()).await?;
        let message = messages::invitation(&name()?, phone, language, role);
        if let Err(not_sent) = self.ports.send(message).await {
            eprintln!("member: writing of invitation {}: {not_sent}", invitation.id);
        }
        Ok(invitation)
    }

    /// Takes an invitation back; says whether it was there.
    pub(crate) async fn take_back(&self, id: u64) -> Result<bool, NotDone> {
        let actor = actor::current();
        Ok(store::take_back_invitation(self.storage(), id, actor.as_ref(), Timestamp::now()).await?)
    }

    /// Makes a machine, and its token, which is shown this once; none where the name is another machine's.
    pub(crate) async fn make_machine(
        &self,
        new: NewMachine,
        made_by: CustomerId,
    ) -> Result<Option<(Machine, String)>, NotDone> {
        let now = Timestamp::now();
        let expires = now.plus_minutes(new.days * 24 * 60);
        let machine = Machine {
            id: name()?,
            name: new.name,
            scopes: new.scopes.join(" "),
            made_by,
            created_at: now.to_string(),
            expires_at: expires.millis(),
        };
        let claims =
            Claims::of_machine(&machine.name, &machine.id, &new.scopes, seconds(now), seconds(expires));
        let token = self.ports.sign(&claims).await?;
        let is_new = store::add_machine(self.storage(), &machine).await?;
        Ok(is_new.then_some((machine, token)))
    }

    /// Ends a machine: its token no longer counts. Says whether it was there.
    pub(crate) async fn end_machine(&self, id: &str) -> Result<bool, NotDone> {
        let now = Timestamp::now();
        let ended = store::remove_machine(self.storage(), id, actor::current().as_ref(), now).await?;
        self.tell_ended(now).await?;
        Ok(ended)
    }
}
