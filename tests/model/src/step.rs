//! What may happen. A history is a setting and a list of these.
//!
//! - [`words`]: each of them in plain English;
//! - [`generate`]: which of them are made, and how often.

mod generate;
mod words;

pub use generate::history;

/// How a history begins: two courses are open, 101 and 102, and `order` has heard of them.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Course 101 and course 102.
    pub courses: [Course; 2],
    /// What becomes of whatever still hangs at the end.
    pub hanging: Hanging,
}

/// What becomes of whatever hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hanging {
    /// It ends in a crash.
    Crashes,
    /// It goes on to its end.
    GoesOn,
    /// It is frozen until others have claimed what it held and all is quiet; then it goes on for so many statements, and
    /// ends in a crash.
    Frozen(u8),
}

/// The terms of a course.
#[derive(Clone, Copy, Debug)]
pub struct Course {
    /// How many seats.
    pub capacity: u8,
    /// Won per person.
    pub fee: u32,
    /// Whether its manager confirms.
    pub manual: bool,
}

/// One step of a history.
#[derive(Clone, Debug)]
pub enum Step {
    /// Something is begun.
    Begin {
        /// What.
        act: Act,
        /// How everything outside it is meanwhile.
        conditions: Conditions,
        /// How far it gets.
        pace: Pace,
    },
    /// While one is at work, another does something from beginning to end.
    Meet {
        /// What is begun first, and ends last.
        first: Act,
        /// After how many of its statements the other comes.
        after: u8,
        /// What the other does.
        second: Act,
        /// How everything outside both is meanwhile.
        conditions: Conditions,
    },
    /// One of those that hang (the so manieth, modulo their number) goes on.
    GoOn(u8, Pace),
    /// Everybody hears all that was told, and every worker ticks.
    Round,
    /// Time passes.
    Wait(Wait),
}

/// What may be begun.
#[derive(Clone, Debug)]
pub enum Act {
    /// A customer applies.
    Apply {
        /// Under this number, or none: then `order` chooses.
        order: Option<u8>,
        /// For course 101 or 102.
        course: u8,
        /// For so many people.
        guests: u8,
        /// With this card.
        card: Card,
        /// With this idempotency key.
        key: Option<u8>,
    },
    /// A customer pays, again or at last.
    Pay(Which, Card),
    /// A customer cancels.
    Cancel(Which),
    /// The course manager confirms.
    Confirm(Which),
    /// The course manager rejects.
    Reject(Which),
    /// The course manager changes a course, 101 or 102.
    Course(u8, Change),
    /// A worker ticks.
    Tick(Tick),
    /// A consumer, by its name in the topology, is told events that it reacts to.
    Tell(&'static str, Told),
}

/// An order: the so manieth (from 0, modulo their number) of those that were placed.
#[derive(Clone, Copy, Debug)]
pub struct Which(pub u8);

/// What is done to a course.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// So many seats.
    Capacity(u8),
    /// So many won per person.
    Fee(u32),
    /// It is started.
    Start,
    /// It is finished.
    Finish,
    /// It is canceled.
    Cancel,
}

/// A card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Card {
    /// None.
    None,
    /// One that pays.
    Good,
    /// Another one that pays.
    Other,
    /// One that is declined.
    Declined,
    /// One at which the card company fails.
    Failing,
}

/// Whose clock ticks.
#[derive(Clone, Copy, Debug)]
pub enum Tick {
    /// Expires orders and tries payments again.
    Order,
    /// Starts, finishes and settles courses; whether it believes that it has heard everything.
    Reservation(bool),
    /// Messages are delivered.
    Notification,
}

/// Which events.
#[derive(Clone, Debug)]
pub enum Told {
    /// The next ones that it has not acknowledged, so many of each source.
    Next(u8),
    /// Any of those that ever were, in any order, also again: as parts of all there are, in 256ths.
    Any(Vec<u8>),
}

/// How everything outside something that is begun is meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// How calls from `order` to `pay` go.
    pub call: Call,
    /// How the card company is.
    pub gateway: Link,
    /// How the channel is.
    pub channel: Link,
}

/// How a call from `order` to `pay` goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Call {
    /// It is answered in time.
    #[default]
    Answered,
    /// It does what it is to do, and the answer is lost.
    AnswerLost,
    /// It never arrives.
    Lost,
    /// It arrives when `order` has given it up.
    Late,
    /// It arrives, and later once more.
    Twice,
    /// It is not made, since the breaker is open.
    BreakerOpen,
}

/// How something is that is asked from within.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// Well.
    #[default]
    Up,
    /// It does what it is asked, but its answers are lost.
    Mute,
    /// It does nothing.
    Down,
}

/// How far something gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// To its end.
    Through,
    /// It hangs after so many statements.
    Hang(u8),
    /// It crashes after so many statements.
    Crash(u8),
}

/// How much time passes.
#[derive(Clone, Copy, Debug)]
pub enum Wait {
    /// Until payments are tried again.
    Seconds(u8),
    /// Until orders expire.
    HalfAnHour,
    /// Until courses start.
    Hours(u8),
}

/// 101 or 102.
pub const fn course_number(course: u8) -> u64 {
    101 + course as u64
}
