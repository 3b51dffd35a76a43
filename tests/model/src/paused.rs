//! Work that stops before each of its statements.
//!
//! The scheduler lets it go on for as many statements as it likes, and others in between; or drops it, which is
//! what a crash does: whatever it has committed is there, and nothing that was to follow happens.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use store::native::Sqlite;
use store::{Row, Statement, Storage, StoreError};

/// A store whose every statement waits for the scheduler.
#[derive(Clone)]
pub struct Paused(pub Sqlite);

impl Storage for Paused {
    async fn query(&self, statement: &Statement) -> Result<Vec<Row>, StoreError> {
        Turn::default().await;
        self.0.query(statement).await
    }

    async fn pause(&self, _attempt: u64) {
        Turn::default().await;
    }
}

/// Not ready once.
#[derive(Default)]
struct Turn {
    asked: bool,
}

impl Future for Turn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.asked {
            return Poll::Ready(());
        }
        self.asked = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Something that has been begun.
pub struct Work {
    /// What it is, in plain English.
    pub name: String,
    future: Pin<Box<dyn Future<Output = String>>>,
}

impl Work {
    /// Begins `future`, which ends with what came of it.
    pub fn new(name: String, future: impl Future<Output = String> + 'static) -> Self {
        let mut work = Self { name, future: Box::pin(future) };
        // As far as its first statement, which is no step of its own.
        if let Some(outcome) = work.poll() {
            work.future = Box::pin(std::future::ready(outcome));
        }
        work
    }

    /// Goes on for `statements` statements; with what came of it if it ended.
    pub fn go_on(&mut self, statements: usize) -> Option<String> {
        (0..statements).find_map(|_| self.poll())
    }

    /// Goes on to its end.
    pub fn finish(&mut self) -> String {
        // No work of this system has so many statements; one that has goes round in circles.
        self.go_on(100_000).unwrap_or_else(|| "it never ends".to_owned())
    }

    fn poll(&mut self) -> Option<String> {
        match self.future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        }
    }
}
