//! The journal: *load – decide – commit – tell*, the same for every context that decides.
//!
//! ```text
//!   load a snapshot ──▶ decide (pure) ──▶ commit events, expectations ──▶ tell the event log
//!        ▲                                 in ONE statement                (relay soon)
//!        └───────────── somebody else decided in between ─┘
//! ```
//!
//! - [`Journal::carry_out`] runs the loop; nothing else retries a conflict.
//! - [`Decision`] is what is committed: events, what they were decided from (*expectations*), and beside them only what
//!   must not be in an event, as rows of a kind of the context's own (sealed cards, idempotency keys).
//! - [`anonymise`](fn@anonymise) takes the person out of what is kept for long enough.
//! - [`tables`], [`programs`](mod@programs), [`tallies`] and [`keys`] are the part of a context's schema that is the same in all of them.
//!
//! The one statement is an `INSERT` into the view `decisions`. Its triggers append each event to the table `events` and
//! hand it to the view `projection`, whose triggers (the context's own) bring the lists in step. A list says nothing that
//! the events do not, so every list can be made again by handing all events to `projection` once more.
//!
//! What it deliberately does not know: HTTP, Redis, and what any event means.

mod decision;
pub mod keys;
pub mod programs;
mod retention;
pub mod tables;
pub mod tallies;
#[cfg(test)]
mod tests;

pub use decision::{Decision, history};
pub use retention::{ANONYMOUS, ANONYMOUS_BEGINS, EXPIRED, PASS_EXPIRED, anonymise};

use store::{Storage, StoreError};

/// How often a decision is made because somebody else was faster each time. Each such conflict is another's progress, so
/// that of a hundred that meet in one version every one has its turn; with the pauses in between it takes about five
/// seconds to give up.
const MAX_ATTEMPTS: u64 = 200;

/// How often a decision that breaks a `CHECK` is made. Somebody else's decision may have been the cause once, but hardly
/// so every time.
const MAX_BROKEN: u64 = 10;

/// Who is told that something was committed.
pub trait Tell {
    /// Others are to hear soon of what was just committed. It must not wait for anything.
    fn committed(&self);
}

impl<T: Tell> Tell for &T {
    fn committed(&self) {
        (**self).committed();
    }
}

/// A context's store, and who is told of what is committed there.
#[derive(Clone, Copy, Debug)]
pub struct Journal<S, T> {
    /// The store.
    pub storage: S,
    /// Who is told.
    pub tell: T,
}

impl<S: Storage, T: Tell> Journal<S, T> {
    /// Has `decide` load what it needs and decide, and commits what it decided; again whenever somebody else decided in
    /// between. `decide` gives back the decision beside what it comes to, which is the answer once it is committed.
    ///
    /// A decision without events commits nothing.
    pub async fn carry_out<R, E: From<StoreError>>(
        &self,
        mut decide: impl AsyncFnMut(&S) -> Result<(Decision, R), E>,
    ) -> Result<R, E> {
        let (mut attempt, mut broken) = (1, 0);
        loop {
            let (decision, outcome) = decide(&self.storage).await?;
            if decision.is_empty() {
                return Ok(outcome);
            }
            let Err(error) = decision.statement().run(&self.storage).await else {
                self.tell.committed();
                return Ok(outcome);
            };
            broken += u64::from(matches!(error, StoreError::Check { .. }));
            if !error.is_conflict() || attempt == MAX_ATTEMPTS || broken == MAX_BROKEN {
                return Err(given_up(error).into());
            }
            self.storage.pause(attempt).await;
            attempt += 1;
        }
    }
}

/// What a conflict means that was there every time.
fn given_up(error: StoreError) -> StoreError {
    match error {
        // Nobody else causes this one every time: the decider and the tables disagree.
        StoreError::Check { constraint } => {
            StoreError::Failure(format!("a decision breaks CHECK ({constraint})"))
        }
        error if error.is_conflict() => {
            StoreError::unavailable(format!("others kept deciding first: {error}"))
        }
        error => error,
    }
}
