//! What `member` reacts to, and what time demands of it.
//!
//! What managers, operators and machines do in the other contexts is kept in the audit trail, which leads to nothing else. An
//! event is in it once, however often it is told.

use crate::ports::Ports;
use crate::service::Service;
use crate::store::{self, Act};
use ::store::Storage;
use eventlog::{Envelope, Unhandled, Worker};
use journal::Tell;
use kernel::Timestamp;

impl<P: Ports, S: Storage, T: Tell> Worker for Service<P, S, T> {
    const NAME: &'static str = "member";

    async fn handle(&self, events: &[Envelope]) -> Result<(), Unhandled> {
        let act = |told: &Envelope| {
            Act::of(&told.event, &told.source, told.version, told.actor.as_ref(), told.time)
        };
        let acts: Vec<_> = events.iter().map(act).collect();
        store::keep_acts(self.storage(), &acts).await?;
        Ok(store::seal(self.storage()).await?)
    }

    async fn tick(&self, _caught_up: bool) -> anyhow::Result<()> {
        self.do_duties(Timestamp::now()).await
    }
}

impl<P: Ports, S: Storage, T: Tell> Service<P, S, T> {
    /// Seals the audit trail, says what could not be said yet of sessions that ended, and forgets what is no longer needed: codes, sessions and
    /// machines whose time is over, and who signed in longer ago than it has to be kept.
    pub(crate) async fn do_duties(&self, now: Timestamp) -> anyhow::Result<()> {
        let storage = self.storage();
        store::seal(storage).await?;
        self.tell_ended(now).await?;
        store::forget_codes(storage, now).await?;
        store::forget_sessions(storage, now).await?;
        store::forget_machines(storage, now).await?;
        store::forget_id_tokens(storage, now).await?;
        let kept_from = now.plus_days(-self.settings.sign_in_records_days);
        store::forget_sign_ins(storage, kept_from).await?;
        let over = store::ended_sessions(storage, now).await?;
        for session in &over {
            self.ports.forget_session(session).await?;
        }
        if !over.is_empty() {
            store::forget_ended(storage, &over).await?;
        }
        Ok(())
    }
}
