//! How many requests are being answered right now.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The requests that components are answering; its clones are the same crowd.
#[derive(Clone, Debug, Default)]
pub struct Crowd(Arc<AtomicUsize>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct Present(Crowd);

impl Crowd {
    /// Takes one more in.
    pub fn enter(&self) -> Present {
        self.0.fetch_add(1, Ordering::Relaxed);
        Present(self.clone())
    }

    /// How many there are.
    pub fn size(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
