//! What `pay` decides, and nothing else: no I/O, no clock, no Spin.
//!
//! A payment is the fold of its events ([`Record`]). Money moves at the gateway, which no statement of ours can
//! undo, so a decision has three steps: [`owed`] or [`to_undo`] says what to ask the gateway for, the gateway
//! answers, and [`decide`] turns the answer into events. Between the first and the last another request may
//! have decided; that is why [`decide`] looks at the state again.
//!
//! What holds whatever the order of things: one attempt, one key, one charge at the most; the attempts of an
//! order are numbered by its declines, so that two requests at once use the same key; an order that is closed
//! stays closed.

use kernel::event::{Applicant, Event, Paid, PaymentCanceled, PaymentDeclined};
use kernel::{OrderId, PayStatus, Timestamp, Won};

/// What is to be paid: for which application, and how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) applicant: Applicant,
    pub(crate) amount: Won,
}

/// One try to charge an order: the first, the second after a decline, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempt(u32);

impl Attempt {
    /// The first try.
    pub(crate) const fn first() -> Self {
        Self::after(0)
    }

    /// The try after so many declines.
    const fn after(declines: u32) -> Self {
        Self(declines.saturating_add(1))
    }

    /// The gateway's key of this try. Whoever asks for the same try uses the same key, which is what makes
    /// charging twice impossible.
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
    /// Refused by the card company, so many times.
    Declined { declines: u32, payment: Payment },
    /// Paid, by the attempt given or, where there was nothing to pay, by none.
    Paid { attempt: Option<Attempt>, payment: Payment },
    /// Refunded, or closed before anything was paid. Final.
    Closed { payment: Payment },
}

impl State {
    /// The payment as it can be shown; none where nothing happened yet.
    pub(crate) const fn payment(&self) -> Option<(PayStatus, &Payment)> {
        match self {
            Self::New => None,
            Self::Declined { payment, .. } => Some((PayStatus::PaymentDeclined, payment)),
            Self::Paid { payment, .. } => Some((PayStatus::Paid, payment)),
            Self::Closed { payment } => Some((PayStatus::PaymentCanceled, payment)),
        }
    }

    const fn declines(&self) -> u32 {
        match self {
            Self::Declined { declines, .. } => *declines,
            _ => 0,
        }
    }
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
}

/// What the gateway is to be asked for, before terms can be said to be met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owed {
    /// Nothing: it is paid.
    Nothing,
    /// Nothing has to be charged, but it is not yet written down as paid.
    Zero,
    /// This attempt.
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
    /// Close the order, after this attempt was undone (none where there was nothing to charge) and so much
    /// was given back.
    Close { applicant: Applicant, undone: Option<Attempt>, refunded: Won, at: Timestamp },
}

/// What the domain says no to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The number stands for another course or another amount.
    #[error("the payment of this order is for another course or another amount")]
    ContentDiffers,
    /// The order was canceled.
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
pub(crate) fn owed(state: &State, terms: &Terms) -> Result<Owed, Refusal> {
    match state {
        State::Closed { .. } if faults::guard("pay.closed") => Err(Refusal::Closed),
        State::Declined { payment, .. } | State::Paid { payment, .. } if !payment.is_for(terms) => {
            Err(Refusal::ContentDiffers)
        }
        State::Paid { .. } => Ok(Owed::Nothing),
        State::New | State::Declined { .. } | State::Closed { .. } if terms.amount.is_zero() => {
            Ok(Owed::Zero)
        }
        // Only without the guard: under a key that was not closed.
        State::Closed { .. } => Ok(Owed::Charge(Attempt::after(u32::MAX))),
        State::New | State::Declined { .. } => Ok(Owed::Charge(Attempt::after(state.declines()))),
    }
}

/// What has to be undone so that the order can be closed. Where nothing is paid it is the attempt that may be
/// under way: its answer may have been lost, or may still come.
pub(crate) const fn to_undo(state: &State) -> ToUndo {
    match state {
        State::Closed { .. } => ToUndo::Closed,
        State::Paid { attempt: None, .. } => ToUndo::Zero,
        State::Paid { attempt: Some(attempt), .. } => ToUndo::Attempt(*attempt),
        State::New | State::Declined { .. } => ToUndo::Attempt(Attempt::after(state.declines())),
    }
}

/// The events that follow from a command, none where they are there already.
pub(crate) fn decide(state: &State, command: &Command) -> Result<Vec<Event>, Refusal> {
    match command {
        Command::Settle { terms, outcome, at } => settle(state, terms, outcome, *at),
        Command::Close { applicant, undone, refunded, at } => {
            close(state, applicant, *undone, *refunded, *at)
        }
    }
}

fn settle(state: &State, terms: &Terms, outcome: &Outcome, at: Timestamp) -> Result<Vec<Event>, Refusal> {
    let next = Attempt::after(state.declines());
    match (state, outcome) {
        (State::Closed { .. }, _) if faults::guard("pay.closed") => Err(Refusal::Closed),
        (State::Closed { .. }, outcome) => Ok(vec![paid(terms, Some(outcome), at)]),

        (State::New | State::Declined { .. }, Outcome::Free) => Ok(vec![paid(terms, None, at)]),
        (State::New | State::Declined { .. }, Outcome::Approved { attempt, .. }) if *attempt == next => {
            Ok(vec![paid(terms, Some(outcome), at)])
        }
        // A decline was written down for this attempt, which a gateway that keeps its word cannot also approve.
        (State::New | State::Declined { .. }, Outcome::Approved { .. }) => Err(Refusal::PaidOtherwise),
        (State::New | State::Declined { .. }, Outcome::Declined { attempt, card_last4, reason })
            if *attempt == next =>
        {
            Ok(vec![Event::PaymentDeclined(PaymentDeclined {
                applicant: terms.applicant.clone(),
                amount: terms.amount,
                card_last4: Some(card_last4.clone()),
                reason: reason.clone(),
            })])
        }
        (State::New | State::Declined { .. }, Outcome::Declined { .. }) => Ok(vec![]),

        (State::Paid { attempt: by, .. }, Outcome::Approved { attempt, .. }) if *by != Some(*attempt) => {
            Err(Refusal::PaidOtherwise)
        }
        (State::Paid { .. }, _) => Ok(vec![]),
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
    state: &State,
    applicant: &Applicant,
    undone: Option<Attempt>,
    amount: Won,
    refunded_at: Timestamp,
) -> Result<Vec<Event>, Refusal> {
    let still_to_undo = match to_undo(state) {
        ToUndo::Closed => return Ok(vec![]),
        ToUndo::Zero => None,
        ToUndo::Attempt(attempt) => Some(attempt),
    };
    if still_to_undo != undone {
        return Err(Refusal::Overtaken);
    }
    // Who paid is who gets it back, whatever the wish to cancel says about them.
    let applicant = state.payment().map_or(applicant, |(_, payment)| &payment.applicant).clone();
    Ok(vec![Event::PaymentCanceled(PaymentCanceled { applicant, amount, refunded_at })])
}

/// The state after an event. Events of other contexts change nothing.
fn evolve(state: State, event: &Event) -> State {
    let declines = state.declines();
    match event {
        Event::Paid(paid) => State::Paid {
            attempt: (!paid.amount.is_zero()).then(|| Attempt::after(declines)),
            payment: Payment {
                card_last4: paid.card_last4.clone(),
                transaction_id: paid.transaction_id.clone(),
                paid_at: Some(paid.paid_at),
                ..Payment::of(&paid.applicant, paid.amount)
            },
        },
        Event::PaymentDeclined(declined) => State::Declined {
            declines: declines.saturating_add(1),
            payment: Payment {
                card_last4: declined.card_last4.clone(),
                ..Payment::of(&declined.applicant, declined.amount)
            },
        },
        Event::PaymentCanceled(canceled) => State::Closed {
            payment: match state {
                State::Paid { payment, .. } => Payment { refunded_at: Some(canceled.refunded_at), ..payment },
                _ => Payment {
                    refunded_at: Some(canceled.refunded_at),
                    ..Payment::of(&canceled.applicant, canceled.amount)
                },
            },
        },
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
