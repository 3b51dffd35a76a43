//! How much memory an instance may have, and how long it may compute without a pause.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use wasmtime::{ResourceLimiter, Result};

use super::TICK;

/// Refuses to let an instance's memories and tables together grow past a limit. The instance sees
/// an allocation that fails, and mostly traps; others do not notice.
#[derive(Clone, Debug)]
pub struct MemoryLimit {
    /// How many bytes the instance may ask for in all.
    max: usize,
    /// How many bytes the instance may still ask for.
    left: usize,
    /// What it asked for last: not taken, if the host has not got it either.
    last: usize,
    /// Whether a growth was refused: why the instance probably failed.
    reached: bool,
}

impl MemoryLimit {
    /// At most `max` bytes in all.
    pub fn new(max: usize) -> Self {
        Self { max, left: max, last: 0, reached: false }
    }

    /// How many bytes the instance has.
    pub fn taken(&self) -> usize {
        self.max - self.left
    }

    /// Whether the instance has asked for more than it may have.
    pub fn reached(&self) -> bool {
        self.reached
    }

    fn take(&mut self, bytes: usize) -> bool {
        let left = self.left.checked_sub(bytes);
        self.reached |= left.is_none();
        self.last = if left.is_some() { bytes } else { 0 };
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }

    fn give_back(&mut self) -> Result<()> {
        self.left += std::mem::take(&mut self.last);
        Ok(())
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        Ok(self.take(desired.saturating_sub(current)))
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> Result<()> {
        self.give_back()
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        // An element of a table is a pointer.
        Ok(self.take(desired.saturating_sub(current).saturating_mul(size_of::<usize>())))
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> Result<()> {
        self.give_back()
    }
}

/// How long an instance has been computing without waiting for anything.
///
/// The engine interrupts running code at every tick ([`BusyTime::interrupted`]); whoever drives
/// the instance says when it paused of its own accord ([`BusyTime::pause`]). What is never seen
/// to pause is a loop.
#[derive(Clone, Debug)]
pub struct BusyTime(Arc<State>);

#[derive(Debug)]
struct State {
    max_ticks: u32,
    ticks: AtomicU32,
    interrupted: AtomicBool,
}

impl BusyTime {
    /// At most `max` without a pause.
    pub fn new(max: Duration) -> Self {
        let max_ticks = u32::try_from(max.as_millis() / TICK.as_millis()).unwrap_or(u32::MAX).max(1);
        Self(Arc::new(State { max_ticks, ticks: AtomicU32::new(0), interrupted: AtomicBool::new(false) }))
    }

    /// Called at every tick while the instance computes. `false` when it has had its time.
    pub fn interrupted(&self) -> bool {
        self.0.interrupted.store(true, Ordering::Relaxed);
        self.0.ticks.fetch_add(1, Ordering::Relaxed) < self.0.max_ticks
    }

    /// Called whenever the instance gave up the processor: either because of an interruption,
    /// or because it waits.
    pub fn pause(&self) {
        if !self.0.interrupted.swap(false, Ordering::Relaxed) {
            self.0.ticks.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_that_never_waits_runs_out_of_time() {
        let busy = BusyTime::new(TICK * 3);
        let allowed = (0..5).filter(|_| {
            let goes_on = busy.interrupted();
            busy.pause();
            goes_on
        });
        assert_eq!(allowed.count(), 3);
    }

    #[test]
    fn code_that_waits_now_and_then_never_runs_out_of_time() {
        let busy = BusyTime::new(TICK * 3);
        for _ in 0..100 {
            assert!(busy.interrupted());
            busy.pause();
            busy.pause();
        }
    }

    #[test]
    fn memories_and_tables_together_grow_up_to_the_limit_only() {
        let mut limit = MemoryLimit::new(1000);
        assert!(limit.memory_growing(0, 600, None).unwrap());
        assert!(limit.table_growing(0, 25, None).unwrap());
        assert!(limit.memory_growing(0, 200, None).unwrap() && !limit.reached());
        assert!(!limit.memory_growing(600, 601, None).unwrap() && limit.reached());
        assert!(!limit.table_growing(25, 26, None).unwrap());
    }

    #[test]
    fn memory_that_the_host_has_not_got_does_not_count() {
        let mut limit = MemoryLimit::new(1000);
        assert!(limit.memory_growing(0, 1000, None).unwrap());
        limit.memory_grow_failed(wasmtime::Error::msg("none left")).unwrap();
        assert!(limit.memory_growing(0, 1000, None).unwrap());
        assert!(!limit.memory_growing(1000, 2000, None).unwrap());
        limit.memory_grow_failed(wasmtime::Error::msg("refused")).unwrap();
        assert!(!limit.memory_growing(1000, 1001, None).unwrap());
    }
}
