//! What `pay` decides, and nothing else: no I/O, no clock, no Spin.
//!
//! A payment is the fold of its events ([`Record`]). Money moves at the gateway, which no statement of ours can undo, so
//! a decision has three steps: [`owed`] or [`to_undo`] says what to ask the gateway for, the gateway answers, and
//! [`decide`] turns the answer into events. Between the first and the last another request may have decided; that is why
//! [`decide`] looks at the state again.
//!
//! What holds whatever the order of things: one attempt, one key, one charge at the most; the attempts of an order are
//! numbered by its declines, so that two requests at once use the same key; an order that is closed stays closed.

use kernel::event::{Applicant, Event, Paid, PaymentCanceled, PaymentDeclined};
use kernel::{OrderId, PayStatus, Timestamp, Won};

/// What is to be paid: for which application, and how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) applicant: Applicant,
    pub(crate) amount: Won,
}

/// One try to charge an order: the first, the second after a decline, and so on. Every event before the one that it
/// leads to is a decline, so it has that event's version as its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Attempt(u64);

impl Attempt {
    pub(crate) const FIRST: Self = Self(1);

    /// The gateway's key of this try. Whoever asks for the same try uses the same key, which is what makes charging twice
    /// impossible.
    pub(crate) fn key(self, order_id: OrderId) -> String {
        format!("{order_id}-{}", self.0)
    }
}

/// What is known of a payment, for whoever asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Payment {
    pub(crate) applicant: Applicant,
    pub(crate) amount: Won,
    pub(crate) card_last4: Option<String>,
    pub(crate) transaction_id: Option<String>,
    pub(crate) paid_at: Option<Timestamp>,
    pub(crate) refunded_at: Option<Timestamp>,
}

/// Where an order's payment stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// Nobody asked for anything yet.
    #[default]
    New,
    /// Refused by the card company, once or several times.
    Declined(Payment),
    /// Paid, by a charge unless there was nothing to pay.
    Paid(Payment),
    /// Refunded, or closed before anything was paid. Final.
    Closed(Payment),
}

/// A state and how many events led to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) state: State,
    pub(crate) version: u64,
}

impl Record {
    /// The record after one more event.
    #[must_use]
    pub(crate) fn and(self, event: &Event) -> Self {
        Self { state: evolve(self.state, event), version: self.version + 1 }
    }

    /// The payment as it can be shown; none where nothing happened yet.
    pub(crate) const fn payment(&self) -> Option<(PayStatus, &Payment)> {
        match &self.state {
            State::New => None,
            State::Declined(payment) => Some((PayStatus::PaymentDeclined, payment)),
            State::Paid(payment) => Some((PayStatus::Paid, payment)),
            State::Closed(payment) => Some((PayStatus::PaymentCanceled, payment)),
        }
    }

    /// The attempt that is to be made next, where nothing is paid.
    const fn next_attempt(&self) -> Attempt {
        Attempt(self.version + 1)
    }

    /// The attempt by which it was paid, if it was paid by one.
    fn paid_by(&self) -> Option<Attempt> {
        match &self.state {
            State::Paid(payment) if !payment.amount.is_zero() => Some(Attempt(self.version)),
            _ => None,
        }
    }
}

/// What the gateway is to be asked for, before terms can be said to be met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owed {
    /// Nothing: it is paid.
    Nothing,
    /// Nothing has to be charged, but it is not yet written down as paid.
    Zero,
    Charge(Attempt),
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// There was nothing to charge.
    Free,
    /// Charged: this much, which is what counts even where it is not what was asked for.
    Approved { attempt: Attempt, amount: Won, card_last4: String, transaction_id: String },
    /// Refused.
    Declined { attempt: Attempt, card_last4: String, reason: String },
}

/// What is to be undone at the gateway before an order can be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ToUndo {
    /// Nothing, and nothing is left to decide: it is closed.
    Closed,
    /// Nothing, since nothing was ever to be charged.
    Zero,
    /// This attempt: made, or perhaps under way without our knowing.
    Attempt(Attempt),
}

/// What a decision is asked for.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// Write down what became of an attempt to pay.
    Settle { terms: Terms, outcome: Outcome, at: Timestamp },
    /// Close the order, after this attempt was undone (none where there was nothing to charge) and so much was given
    /// back.
    Close { applicant: Applicant, undone: Option<Attempt>, refunded: Won, at: Timestamp },
}

/// What the domain says no to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// There is something to pay, and no card to pay it with.
    #[error("a card is needed")]
    CardMissing,
    /// The number stands for another course or another amount.
    #[error("the payment of this order is for another course or another amount")]
    ContentDiffers,
    #[error("the order is closed, and nothing can be paid for it any more")]
    Closed,
    /// The charge was made for nothing, since the order is paid in another way: it must be given back.
    #[error("the order is paid in another way")]
    PaidOtherwise,
    /// Somebody else decided meanwhile: another attempt has to be undone.
    #[error("another attempt is under way")]
    Overtaken,
}

/// What has to be charged so that `terms` are met.
pub(crate) fn owed(record: &Record, terms: &Terms) -> Result<Owed, Refusal> {
    match &record.state {
        State::Closed(_) if faults::guard("pay.closed") => Err(Refusal::Closed),
        State::Declined(payment) | State::Paid(payment) if !payment.is_for(terms) => {
            Err(Refusal::ContentDiffers)
        }
        State::Paid(_) => Ok(Owed::Nothing),
        State::New | State::Declined(_) | State::Closed(_) if terms.amount.is_zero() => Ok(Owed::Zero),
        // Only without the guard: under a key that was not closed.
        State::Closed(_) => Ok(Owed::Charge(Attempt(u64::MAX))),
        State::New | State::Declined(_) => Ok(Owed::Charge(record.next_attempt())),
    }
}

/// What has to be undone so that the order can be closed. Where nothing is paid it is the attempt that may be under way:
/// its answer may have been lost, or may still come.
pub(crate) fn to_undo(record: &Record) -> ToUndo {
    match &record.state {
        State::Closed(_) => ToUndo::Closed,
        State::Paid(_) => record.paid_by().map_or(ToUndo::Zero, ToUndo::Attempt),
        State::New | State::Declined(_) => ToUndo::Attempt(record.next_attempt()),
    }
}

/// The events that follow from a command, none where they are there already.
pub(crate) fn decide(record: &Record, command: &Command) -> Result<Vec<Event>, Refusal> {
    match command {
        Command::Settle { terms, outcome, at } => settle(record, terms, outcome, *at),
        Command::Close { applicant, undone, refunded, at } => {
            close(record, applicant, *undone, *refunded, *at)
        }
    }
}

fn settle(record: &Record, terms: &Terms, outcome: &Outcome, at: Timestamp) -> Result<Vec<Event>, Refusal> {
    let next = record.next_attempt();
    match (&record.state, outcome) {
        (State::Closed(_), _) if faults::guard("pay.closed") => Err(Refusal::Closed),
        (State::Closed(_), outcome) => Ok(vec![paid(terms, Some(outcome), at)]),

        (State::New | State::Declined(_), Outcome::Free) => Ok(vec![paid(terms, None, at)]),
        (State::New | State::Declined(_), Outcome::Approved { attempt, .. }) if *attempt == next => {
            Ok(vec![paid(terms, Some(outcome), at)])
        }
        // A decline was written down for this attempt, which a gateway that keeps its word cannot also approve.
        (State::New | State::Declined(_), Outcome::Approved { .. }) => Err(Refusal::PaidOtherwise),
        (State::New | State::Declined(_), Outcome::Declined { attempt, card_last4, reason })
            if *attempt == next =>
        {
            Ok(vec![Event::PaymentDeclined(PaymentDeclined {
                applicant: terms.applicant.clone(),
                amount: terms.amount,
                card_last4: Some(card_last4.clone()),
                reason: reason.clone(),
            })])
        }
        (State::New | State::Declined(_), Outcome::Declined { .. }) => Ok(vec![]),

        (State::Paid(_), Outcome::Approved { attempt, .. }) if record.paid_by() != Some(*attempt) => {
            Err(Refusal::PaidOtherwise)
        }
        (State::Paid(_), _) => Ok(vec![]),
    }
}

fn paid(terms: &Terms, charge: Option<&Outcome>, at: Timestamp) -> Event {
    let (amount, card_last4, transaction_id) = match charge {
        Some(Outcome::Approved { amount, card_last4, transaction_id, .. }) => {
            (*amount, Some(card_last4.clone()), Some(transaction_id.clone()))
        }
        _ => (Won::ZERO, None, None),
    };
    let applicant = terms.applicant.clone();
    Event::Paid(Paid { applicant, amount, card_last4, transaction_id, paid_at: at })
}

fn close(
    record: &Record,
    applicant: &Applicant,
    undone: Option<Attempt>,
    amount: Won,
    refunded_at: Timestamp,
) -> Result<Vec<Event>, Refusal> {
    let still_to_undo = match to_undo(record) {
        ToUndo::Closed => return Ok(vec![]),
        ToUndo::Zero => None,
        ToUndo::Attempt(attempt) => Some(attempt),
    };
    if still_to_undo != undone {
        return Err(Refusal::Overtaken);
    }
    // Who paid is who gets it back, whatever the event that closes the order says about them.
    let applicant = record.payment().map_or(applicant, |(_, payment)| &payment.applicant).clone();
    Ok(vec![Event::PaymentCanceled(PaymentCanceled { applicant, amount, refunded_at })])
}

/// The state after an event. Events of other contexts change nothing.
fn evolve(state: State, event: &Event) -> State {
    match event {
        Event::Paid(paid) => State::Paid(Payment {
            card_last4: paid.card_last4.clone(),
            transaction_id: paid.transaction_id.clone(),
            paid_at: Some(paid.paid_at),
            ..Payment::of(&paid.applicant, paid.amount)
        }),
        Event::PaymentDeclined(declined) => State::Declined(Payment {
            card_last4: declined.card_last4.clone(),
            ..Payment::of(&declined.applicant, declined.amount)
        }),
        Event::PaymentCanceled(canceled) => {
            let payment = match state {
                State::Paid(payment) => payment,
                _ => Payment::of(&canceled.applicant, canceled.amount),
            };
            State::Closed(Payment { refunded_at: Some(canceled.refunded_at), ..payment })
        }
        _ => state,
    }
}

impl Payment {
    fn of(applicant: &Applicant, amount: Won) -> Self {
        Self {
            applicant: applicant.clone(),
            amount,
            card_last4: None,
            transaction_id: None,
            paid_at: None,
            refunded_at: None,
        }
    }

    /// Whether this is the payment that `terms` ask for.
    fn is_for(&self, terms: &Terms) -> bool {
        self.amount == terms.amount && self.applicant.edu_no == terms.applicant.edu_no
    }
}

#[cfg(test)]
mod tests;
