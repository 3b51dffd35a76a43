//! Whether a statement still has somebody who waits for it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Whether somebody still waits for a statement. The waiting side holds a [`Waiting`].
#[derive(Clone, Debug, Default)]
pub(super) struct Caller(Arc<AtomicBool>);

/// Held by whoever waits for a statement: dropped, the statement ends.
#[derive(Debug)]
pub(super) struct Waiting(Caller);

impl Caller {
    /// A caller, and what it holds for as long as it waits.
    pub(super) fn waiting() -> (Self, Waiting) {
        let caller = Self::default();
        (caller.clone(), Waiting(caller))
    }

    /// One that does not wait: a statement ends at the first look.
    pub(super) fn gone() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// Whether nobody waits any more.
    pub(super) fn is_gone(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}
