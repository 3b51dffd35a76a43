//! Getting messages to people: take what is due, hand it to the channel, write down what became of it.
//!
//! Nothing here is remembered between wake-ups; the store knows all.

use crate::domain::{Attempt, LEASE, Message, addressee, judge};
use crate::ports::{Channel, Outgoing};
use crate::store::{self, Claimed, Conclusion};
use ::store::{Storage, StoreError};
use kernel::Timestamp;
use std::time::{Duration, Instant};

/// How many messages that are due are taken at once.
const BATCH: u32 = 100;

/// No more messages are taken after this long: Spin handles the wake-ups of all workers one after another.
const BUDGET: Duration = Duration::from_secs(2);

/// Writes messages, and has the channel carry them.
pub struct Service<C, S> {
    /// What carries the messages.
    pub channel: C,
    /// Where they are kept.
    pub storage: S,
    /// For how many days it is kept what was written to whom.
    pub message_records_days: u16,
}

impl<C: Channel, S: Storage> Service<C, S> {
    /// Writes these messages, and sends those that are new. What the channel does not take is tried again later.
    pub(crate) async fn tell(&self, messages: &[Message]) -> Result<(), StoreError> {
        let now = Timestamp::now();
        let rows = store::add(messages, now, now.plus_seconds(LEASE)).rows(&self.storage).await?;
        self.send(store::claimed(&rows)?).await
    }

    /// Sends what is due until nothing is, or the time is spent.
    pub async fn deliver(&self) -> Result<(), StoreError> {
        let begun = Instant::now();
        store::pull_in(Timestamp::now()).run(&self.storage).await?;
        while begun.elapsed() < BUDGET {
            let now = Timestamp::now();
            let rows = store::claim(now, now.plus_seconds(LEASE), BATCH).rows(&self.storage).await?;
            if rows.is_empty() {
                break;
            }
            self.send(store::claimed(&rows)?).await?;
        }
        Ok(())
    }

    /// Has the channel forget the numbers of those who are gone. What it does not do now it is asked for again.
    pub(crate) async fn forget(&self) -> Result<(), StoreError> {
        let gone = store::gone(&self.storage, Timestamp::now()).await?;
        let mut forgotten = Vec::with_capacity(gone.len());
        for phone in gone {
            match self.channel.forget(&phone).await {
                Ok(()) => forgotten.push(phone),
                // The number is not for the log.
                Err(problem) => eprintln!("notification: having a number forgotten: {problem}"),
            }
        }
        if forgotten.is_empty() {
            return Ok(());
        }
        store::forget(&forgotten).run(&self.storage).await?;
        ::store::wipe(&self.storage).await;
        Ok(())
    }

    async fn send(&self, claimed: Vec<Claimed>) -> Result<(), StoreError> {
        if claimed.is_empty() {
            return Ok(());
        }
        let attempts = self.channel.send(claimed.iter().map(outgoing).collect()).await;
        faults::point("notification", "sent").await;
        let unanswered = || Attempt::Busy("the channel said nothing about it".to_owned());
        let attempts = attempts.into_iter().chain(std::iter::repeat_with(unanswered));
        let now = Timestamp::now();
        let conclusions: Vec<_> = claimed
            .iter()
            .zip(attempts)
            .map(|(message, attempt)| conclusion(message, attempt, now))
            .collect();
        store::conclude(&conclusions, now).run(&self.storage).await
    }
}

fn outgoing(message: &Claimed) -> Outgoing {
    Outgoing {
        id: message.id.clone(),
        to: addressee(message.customer_id, message.order_id),
        phone: message.phone.clone(),
        language: message.language.clone(),
        template: message.template.clone(),
        variables: message.variables.clone(),
        body: message.body.clone(),
    }
}

fn conclusion(message: &Claimed, attempt: Attempt, now: Timestamp) -> Conclusion {
    let (seq, attempts) = (message.seq, message.attempts);
    let verdict = judge(&attempt, attempts, now);
    let problem = match attempt {
        Attempt::Accepted { .. } => None,
        Attempt::Busy(problem) | Attempt::Refused(problem) => {
            eprintln!("notification: message {}, try {attempts}: {problem}", message.id);
            Some(problem)
        }
    };
    Conclusion { seq, attempts, verdict, problem }
}

#[cfg(test)]
mod tests;
