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

/// Refuses to let an instance's memories grow past a limit. The instance sees an allocation
/// that fails, and mostly traps; others do not notice.
#[derive(Clone, Debug)]
pub struct MemoryLimit {
    max: usize,
    /// Whether a growth was refused: why the instance probably failed.
    reached: bool,
}

impl MemoryLimit {
    /// At most `max` bytes in each memory.
    pub fn new(max: usize) -> Self {
        Self { max, reached: false }
    }

    /// Whether the instance has asked for more than it may have.
    pub fn reached(&self) -> bool {
        self.reached
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        self.reached |= desired > self.max;
        Ok(desired <= self.max)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        Ok(desired <= 100_000)
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
    fn memory_grows_up_to_the_limit_only() {
        let mut limit = MemoryLimit::new(1000);
        assert!(limit.memory_growing(0, 1000, None).unwrap() && !limit.reached());
        assert!(!limit.memory_growing(1000, 1001, None).unwrap() && limit.reached());
    }
}
