//! What was promised to clients, written down when the promise was made: nothing else may be held against the system.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a client was promised about one order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Promise {
    /// It was acknowledged with a 2xx; what is said of an order before that counts for nothing.
    pub acknowledged: bool,
    /// Its client may leave it unpaid: it was not sent with a card that is good.
    pub may_stay_unpaid: bool,
    /// Somebody asked to have it canceled, whatever the answer.
    pub cancel_asked: bool,
    /// Who applied. Every client of the workload wants one order, so that two are one too many.
    pub customer: u64,
    /// For which course.
    pub edu_no: u64,
    /// For how many people.
    pub guest: u64,
    /// A payment was said to be made.
    pub paid: bool,
    /// The order was said to be canceled.
    pub canceled: bool,
    /// A manager was told that the reservation is confirmed.
    pub confirmed: bool,
    /// A manager was told that it is rejected.
    pub rejected: bool,
}

/// What a manager was promised about a course.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Course {
    /// The statuses it was said to have, in order.
    pub statuses: Vec<String>,
    /// Those it was asked to have, whatever the answer: one that got lost may have been a yes.
    pub asked: Vec<String>,
}

/// Every promise, and every answer that was wrong in itself.
#[derive(Debug, Default)]
pub struct Ledger {
    books: Mutex<Books>,
}

/// The books of a [`Ledger`].
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// By order.
    pub orders: BTreeMap<u64, Promise>,
    /// By course.
    pub courses: BTreeMap<u64, Course>,
    /// What was answered, and should not have been, in words.
    pub wrong: Vec<String>,
}

impl Ledger {
    /// Writes in the books.
    pub fn write(&self, entry: impl FnOnce(&mut Books)) {
        entry(&mut self.open());
    }

    /// An order was acknowledged with a 2xx.
    pub fn acknowledged(&self, order: u64, customer: u64, edu_no: u64, guest: u64) {
        self.write(|books| {
            let promise = books.orders.entry(order).or_default();
            if promise.customer != 0 && promise.customer != customer {
                let first = promise.customer;
                books
                    .wrong
                    .push(format!("order {order} was acknowledged to customers {first} and {customer}"));
            }
            let promise = books.orders.entry(order).or_default();
            (promise.customer, promise.edu_no, promise.guest) = (customer, edu_no, guest);
            promise.acknowledged = true;
        });
    }

    /// Something more was acknowledged about an order.
    pub fn promise(&self, order: u64, change: impl FnOnce(&mut Promise)) {
        self.write(|books| change(books.orders.entry(order).or_default()));
    }

    /// An answer was wrong in itself.
    pub fn wrong(&self, what: String) {
        self.write(|books| books.wrong.push(what));
    }

    /// What is in the books now.
    #[must_use]
    pub fn books(&self) -> Books {
        self.open().clone()
    }

    fn open(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
