//! Who does something, and as what.
//!
//! Whoever answers a request says once who asks ([`acting`]); whatever is decided until the answer is there finds it by
//! [`current`]. So no decision can forget to say who made it, and none has to be handed it.

use crate::{CustomerId, Role};
use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::mem::swap;
use std::pin::pin;
use std::str::FromStr;

/// Somebody who asked for something. What the application does by itself has no actor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A member, and the role that let them do it.
    Member(CustomerId, Role),
    /// A program, by the id that its token can be ended by.
    Machine(String),
    /// Whoever showed the key of an order, or nothing.
    Guest,
    /// Anybody, in a system that asks nobody who they are.
    Open,
}

impl Actor {
    /// Whether they act in what is not their own: a manager, an operator, or a program.
    pub const fn is_in_charge(&self) -> bool {
        matches!(self, Self::Member(_, Role::Manager | Role::Operator) | Self::Machine(_))
    }

    /// Who, without the role: `member:12`, `machine:<id>`, `guest`, `open`.
    pub fn who(&self) -> String {
        match self {
            Self::Member(customer_id, _) => format!("member:{customer_id}"),
            Self::Machine(id) => format!("machine:{id}"),
            Self::Guest => "guest".to_owned(),
            Self::Open => "open".to_owned(),
        }
    }

    /// As what a member does it.
    pub const fn role(&self) -> Option<Role> {
        match self {
            Self::Member(_, role) => Some(*role),
            Self::Machine(_) | Self::Guest | Self::Open => None,
        }
    }
}

/// As events have it: `operator:12`, `machine:<id>`, `guest`, `open`.
impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(customer_id, role) => write!(f, "{role}:{customer_id}"),
            Self::Machine(id) => write!(f, "machine:{id}"),
            Self::Guest => f.write_str("guest"),
            Self::Open => f.write_str("open"),
        }
    }
}

/// The text names nobody who could have done something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is none of `<role>:<customerId>`, `machine:<id>`, `guest` and `open`")]
pub struct NotAnActor;

impl FromStr for Actor {
    type Err = NotAnActor;

    fn from_str(text: &str) -> Result<Self, NotAnActor> {
        let actor = match text.split_once(':') {
            Some(("machine", id)) if !id.is_empty() => Ok(Self::Machine(id.to_owned())),
            Some((role, customer_id)) => match (role.parse(), customer_id.parse()) {
                (Ok(role), Ok(customer_id)) => Ok(Self::Member(customer_id, role)),
                _ => Err(NotAnActor),
            },
            None if text == "guest" => Ok(Self::Guest),
            None if text == "open" => Ok(Self::Open),
            None => Err(NotAnActor),
        }?;
        // Everybody has one spelling, so that what they did is found by it.
        if actor.to_string() == text { Ok(actor) } else { Err(NotAnActor) }
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Actor>> = const { RefCell::new(None) };
}

/// Does `work`, all of which is by `actor`. An instance answers several requests in turns, so it counts only while this work
/// is being done.
pub async fn acting<T>(mut actor: Option<Actor>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(move |context| {
        CURRENT.with_borrow_mut(|current| swap(current, &mut actor));
        let polled = work.as_mut().poll(context);
        CURRENT.with_borrow_mut(|current| swap(current, &mut actor));
        polled
    })
    .await
}

/// Whose work is being done.
pub fn current() -> Option<Actor> {
    CURRENT.with_borrow(Clone::clone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Poll, Waker};

    fn operator(number: u64) -> Actor {
        Actor::Member(CustomerId::parse(number).unwrap(), Role::Operator)
    }

    #[test]
    fn an_actor_reads_back_from_its_text() {
        let manager = Actor::Member(CustomerId::parse(7).unwrap(), Role::Manager);
        for (actor, text, in_charge) in [
            (operator(12), "operator:12", true),
            (manager, "manager:7", true),
            (Actor::Member(CustomerId::parse(7).unwrap(), Role::Customer), "customer:7", false),
            (Actor::Machine("m-1".to_owned()), "machine:m-1", true),
            (Actor::Guest, "guest", false),
            (Actor::Open, "open", false),
        ] {
            assert_eq!((actor.to_string().as_str(), actor.is_in_charge()), (text, in_charge));
            assert_eq!(text.parse(), Ok(actor));
        }
        for text in
            ["", "operator", "operator:", "operator:0", "operator:07", "owner:1", "machine:", "guest:1"]
        {
            assert_eq!(text.parse::<Actor>(), Err(NotAnActor), "{text}");
        }
    }

    #[test]
    fn of_two_works_that_take_turns_each_has_its_own_actor() {
        let seen = async |actor: Actor| {
            acting(Some(actor), async {
                let before = current();
                let mut waited = false;
                poll_fn(
                    |_| if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending },
                )
                .await;
                (before, current())
            })
            .await
        };
        let (mut first, mut second) = (pin!(seen(operator(1))), pin!(seen(Actor::Guest)));
        let mut context = Context::from_waker(Waker::noop());
        assert!(first.as_mut().poll(&mut context).is_pending());
        assert_eq!(current(), None);
        assert!(second.as_mut().poll(&mut context).is_pending());
        assert_eq!(first.as_mut().poll(&mut context), Poll::Ready((Some(operator(1)), Some(operator(1)))));
        assert_eq!(second.as_mut().poll(&mut context), Poll::Ready((Some(Actor::Guest), Some(Actor::Guest))));
    }
}
