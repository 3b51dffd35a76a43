//! What time demands of `member`. It reacts to no event: what it tells is all that the log has of it.

use crate::ports::Ports;
use crate::service::Service;
use crate::store;
use ::store::Storage;
use journal::Tell;
use kernel::Timestamp;

impl<P: Ports, S: Storage, T: Tell> Service<P, S, T> {
    /// Says what could not be said yet of sessions that ended, and forgets what is no longer needed: codes, sessions and
    /// machines whose time is over, and who signed in longer ago than it has to be kept.
    pub(crate) async fn do_duties(&self, now: Timestamp) -> anyhow::Result<()> {
        let storage = self.storage();
        self.tell_ended(now).await?;
        store::forget_codes(storage, now).await?;
        store::forget_sessions(storage, now).await?;
        store::forget_machines(storage, now).await?;
        let kept_from = now.plus_minutes(-24 * 60 * self.settings.sign_in_records_days);
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
