//! Steps in plain English.

use super::{
    Act, Call, Card, Change, Conditions, Course, Hanging, Link, Pace, Setting, Step, Tick, Told, Wait, Which,
    course_number,
};
use std::fmt;

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, course) in (101..).zip(&self.courses) {
            let Course { capacity, fee, manual } = course;
            let by = if *manual { "its manager confirms" } else { "confirmed automatically" };
            writeln!(f, "   Course {number} is open: {capacity} seats, {fee} won per person, {by}.")?;
        }
        f.write_str("   What hangs at the end ")?;
        match self.hanging {
            Hanging::Crashes => f.write_str("ends in a crash."),
            Hanging::GoesOn => f.write_str("goes on."),
            Hanging::Frozen(statements) => {
                write!(f, "goes on for {statements} statements when all is quiet, and ends in a crash.")
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin { act, conditions, pace } => write!(f, "{act}{}{pace}", conditions.seen_by(act)),
            Self::Meet { first, after, second, conditions } => {
                let (first_seen, second_seen) = (conditions.seen_by(first), conditions.seen_by(second));
                write!(f, "{first}{first_seen}; after {after} of its statements: {second}{second_seen}")
            }
            Self::GoOn(which, pace) => write!(f, "Of what hangs, number {} goes on{pace}", which + 1),
            Self::Round => f.write_str("Everybody hears everything, and every worker ticks"),
            Self::Wait(Wait::Seconds(seconds)) => write!(f, "{seconds} seconds pass"),
            Self::Wait(Wait::HalfAnHour) => f.write_str("31 minutes pass"),
            Self::Wait(Wait::Hours(hours)) => write!(f, "{hours} hours pass"),
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Apply { order, course, guests, card, key } => {
                write!(f, "A customer applies for course {} for {guests}", course_number(*course))?;
                match order {
                    Some(order) => write!(f, " as order {order}")?,
                    None => write!(f, " without a number")?,
                }
                write!(f, " with {card}")?;
                key.map_or(Ok(()), |key| write!(f, ", under the key k{key}"))
            }
            Self::Pay(which, card) => write!(f, "A customer pays {which} with {card}"),
            Self::Cancel(which) => write!(f, "A customer cancels {which}"),
            Self::Confirm(which) => write!(f, "The manager confirms {which}"),
            Self::Reject(which) => write!(f, "The manager rejects {which}"),
            Self::Course(course, change) => {
                let course = course_number(*course);
                match change {
                    Change::Capacity(seats) => write!(f, "The manager gives course {course} {seats} seats"),
                    Change::Fee(fee) => write!(f, "The manager has course {course} cost {fee} won"),
                    Change::Start => write!(f, "The manager starts course {course}"),
                    Change::Finish => write!(f, "The manager finishes course {course}"),
                    Change::Cancel => write!(f, "The manager cancels course {course}"),
                }
            }
            Self::Tick(Tick::Order) => f.write_str("order's worker ticks"),
            Self::Tick(Tick::Reservation(caught_up)) => {
                let heard = if *caught_up { "has heard everything" } else { "has more to hear" };
                write!(f, "reservation's worker ticks, and believes that it {heard}")
            }
            Self::Tick(Tick::Notification) => f.write_str("Messages are delivered"),
            Self::Tell(consumer, Told::Next(count)) => {
                write!(f, "{consumer} is told the next {count} events of each source")
            }
            Self::Tell(consumer, Told::Any(which)) => {
                write!(f, "{consumer} is told any events, at {which:?} of all")
            }
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "order number {} of those placed", self.0 + 1)
    }
}

impl fmt::Display for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "no card",
            Self::Good => "a good card",
            Self::Other => "another good card",
            Self::Declined => "a card that is declined",
            Self::Failing => "a card at which the card company fails",
        })
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Through => Ok(()),
            Self::Hang(statements) => write!(f, "; it hangs after {statements} statements"),
            Self::Crash(statements) => write!(f, "; it crashes after {statements} statements"),
        }
    }
}

impl Conditions {
    /// What of it matters to something, in words.
    fn seen_by(self, act: &Act) -> String {
        let (calls, charges, sends) = match act {
            Act::Apply { .. } | Act::Pay(..) | Act::Tick(Tick::Order) => (true, true, false),
            Act::Tell("pay", _) => (false, true, false),
            Act::Tick(Tick::Notification) | Act::Tell("notification", _) => (false, false, true),
            _ => (false, false, false),
        };
        let call = match self.call {
            _ if !calls => "",
            Call::Answered => "",
            Call::AnswerLost => "; pay's answer is lost",
            Call::Lost => "; the call to pay is lost",
            Call::Late => "; the call to pay arrives late",
            Call::Twice => "; the call to pay arrives, and later once more",
            Call::BreakerOpen => "; the breaker is open",
        };
        let link = |who: &str, link| match link {
            Link::Up => String::new(),
            Link::Mute => format!("; {who} does it, and its answer is lost"),
            Link::Down => format!("; {who} is down"),
        };
        let gateway = if charges { link("the card company", self.gateway) } else { String::new() };
        let channel = if sends { link("the channel", self.channel) } else { String::new() };
        format!("{call}{gateway}{channel}")
    }
}
