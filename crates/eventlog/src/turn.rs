//! One message at a time: the Redis trigger gives a worker the next one when it is done with the last, and drops what is waiting
//! twice. Over HTTP they come all at once, to an instance that many share; this makes it the same there.

use crate::worker::Wake;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// For how long one message goes on being worked on for those that came meanwhile: a request may take no more than 30 seconds
/// on such platforms. What comes after that is left to the next message.
const AGAIN_WITHIN: Duration = Duration::from_secs(10);

thread_local! {
    /// What this instance's worker does, if it does anything.
    static WORKING: Cell<Working> = const { Cell::new(Working::Not) };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Working {
    Not,
    Once,
    /// And has been asked for this meanwhile.
    AndThen(Wake),
}

/// Had by the message that is worked on. Nothing is, once this is gone, however its request ended.
pub(crate) struct Turn {
    ends: Instant,
}

impl Turn {
    /// The turn, if nobody has it; whoever has it looks once more for the others.
    pub(crate) fn take(wake: Wake) -> Option<Self> {
        let working = WORKING.get();
        WORKING.set(match working {
            Working::Not => Working::Once,
            // The tick does what any other message asks for, too.
            Working::AndThen(Wake::Tick) => working,
            Working::Once | Working::AndThen(Wake::Event) => Working::AndThen(wake),
        });
        (working == Working::Not).then(|| Self { ends: Instant::now() + AGAIN_WITHIN })
    }

    /// What was asked for meanwhile.
    pub(crate) fn again(&self) -> Option<Wake> {
        match WORKING.replace(Working::Once) {
            Working::AndThen(wake) if Instant::now() < self.ends => Some(wake),
            _ => None,
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        WORKING.set(Working::Not);
    }
}

#[cfg(test)]
mod tests {
    use super::Turn;
    use crate::worker::Wake::{Event, Tick};

    #[test]
    fn what_comes_while_one_is_worked_on_is_one_more_look_and_the_tick_is_not_forgotten_over_it() {
        let turn = Turn::take(Event).unwrap();
        assert_eq!(turn.again(), None);
        for wake in [Event, Tick, Event] {
            assert!(Turn::take(wake).is_none());
        }
        assert_eq!((turn.again(), turn.again()), (Some(Tick), None));
    }

    #[test]
    fn a_message_that_ends_before_it_is_done_leaves_the_turn_to_the_next() {
        let turn = Turn::take(Event).unwrap();
        assert!(Turn::take(Tick).is_none());
        drop(turn);
        assert_eq!(Turn::take(Event).unwrap().again(), None);
    }

    #[test]
    fn nobody_works_for_others_for_ever() {
        let mut turn = Turn::take(Event).unwrap();
        turn.ends = std::time::Instant::now();
        assert!(Turn::take(Event).is_none());
        assert_eq!(turn.again(), None);
    }
}
