//! What may happen, in plain English. A history is a setting and a list of these.

use proptest::prelude::*;
use std::fmt;

/// How a history begins: two courses are open, 101 and 102, and `order` has heard of them.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Course 101 and course 102.
    pub courses: [Course; 2],
    /// Whether whatever still hangs at the end goes on, instead of ending in a crash.
    pub hanging_goes_on: bool,
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
        /// What is around it.
        weather: Weather,
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
        /// What is around both.
        weather: Weather,
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
    /// A context is told events.
    Tell(Group, Told),
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

/// A context that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// `order`
    Order,
    /// `pay`
    Pay,
    /// `reservation`
    Reservation,
    /// `notification`
    Notification,
    /// `information`
    Information,
}

impl Group {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Order, Self::Pay, Self::Reservation, Self::Notification, Self::Information];

    /// Whose events it is told.
    pub const fn sources(self) -> &'static [&'static str] {
        match self {
            Self::Order => &["pay", "reservation"],
            Self::Pay => &["reservation"],
            Self::Reservation => &["pay", "order", "reservation"],
            Self::Notification | Self::Information => &["order", "pay", "reservation"],
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Pay => "pay",
            Self::Reservation => "reservation",
            Self::Notification => "notification",
            Self::Information => "information",
        }
    }
}

/// Which events.
#[derive(Clone, Debug)]
pub enum Told {
    /// The next ones that it has not acknowledged, so many of each source.
    Next(u8),
    /// Any of those that ever were, in any order, also again: as parts of all there are, in 256ths.
    Any(Vec<u8>),
}

/// What is around something that is begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
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
    Barred,
}

/// How a neighbour is.
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

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, course) in (101..).zip(&self.courses) {
            let Course { capacity, fee, manual } = course;
            let by = if *manual { "its manager confirms" } else { "confirmed automatically" };
            writeln!(f, "   Course {number} is open: {capacity} seats, {fee} won per person, {by}.")?;
        }
        let end = if self.hanging_goes_on { "goes on" } else { "ends in a crash" };
        write!(f, "   What hangs at the end {end}.")
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin { act, weather, pace } => write!(f, "{act}{}{pace}", weather.seen_by(act)),
            Self::Meet { first, after, second, weather } => {
                let (first_seen, second_seen) = (weather.seen_by(first), weather.seen_by(second));
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
            Self::Tell(group, Told::Next(count)) => {
                write!(f, "{} is told the next {count} events of each source", group.name())
            }
            Self::Tell(group, Told::Any(which)) => {
                write!(f, "{} is told any events, at {which:?} of all", group.name())
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

impl Weather {
    /// What of it matters to something, in words.
    fn seen_by(self, act: &Act) -> String {
        let (calls, charges, sends) = match act {
            Act::Apply { .. } | Act::Pay(..) | Act::Tick(Tick::Order) => (true, true, false),
            Act::Tell(Group::Pay, _) => (false, true, false),
            Act::Tick(Tick::Notification) => (false, false, true),
            _ => (false, false, false),
        };
        let call = match self.call {
            _ if !calls => "",
            Call::Answered => "",
            Call::AnswerLost => "; pay's answer is lost",
            Call::Lost => "; the call to pay is lost",
            Call::Late => "; the call to pay arrives late",
            Call::Twice => "; the call to pay arrives, and later once more",
            Call::Barred => "; the breaker is open",
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

/// 101 or 102.
pub const fn course_number(course: u8) -> u64 {
    101 + course as u64
}

/// Any setting.
pub fn setting() -> impl Strategy<Value = Setting> {
    let course = (1..=3_u8, prop_oneof![4 => Just(100), 1 => Just(0)], any::<bool>())
        .prop_map(|(capacity, fee, manual)| Course { capacity, fee, manual });
    ([course.clone(), course], any::<bool>())
        .prop_map(|(courses, hanging_goes_on)| Setting { courses, hanging_goes_on })
}

/// Any history of up to so many steps.
pub fn history(steps: usize) -> impl Strategy<Value = (Setting, Vec<Step>)> {
    (setting(), prop::collection::vec(step(), 1..=steps))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (act(), weather(), pace()).prop_map(|(act, weather, pace)| Step::Begin { act, weather, pace }),
        5 => (rivals(), 1..=4_u8, weather())
            .prop_map(|((first, second), after, weather)| Step::Meet { first, after, second, weather }),
        4 => (0..4_u8, pace()).prop_map(|(which, pace)| Step::GoOn(which, pace)),
        3 => Just(Step::Round),
        2 => prop_oneof![
            4 => (1..=35_u8).prop_map(Wait::Seconds),
            2 => Just(Wait::HalfAnHour),
            1 => (1..=4_u8).prop_map(Wait::Hours),
        ].prop_map(Step::Wait),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let order = prop_oneof![4 => (1..=4_u8).prop_map(Some), 1 => Just(None)];
    let which = || (0..3_u8).prop_map(Which);
    let course = || prop_oneof![3 => Just(0_u8), 1 => Just(1)];
    let key = prop_oneof![3 => Just(None), 1 => (1..=2_u8).prop_map(Some)];
    prop_oneof![
        8 => (order, course(), 1..=2_u8, card(), key)
            .prop_map(|(order, course, guests, card, key)| Act::Apply { order, course, guests, card, key }),
        2 => (which(), card()).prop_map(|(which, card)| Act::Pay(which, card)),
        3 => which().prop_map(Act::Cancel),
        2 => which().prop_map(Act::Confirm),
        2 => which().prop_map(Act::Reject),
        2 => (course(), change()).prop_map(|(course, change)| Act::Course(course, change)),
        5 => prop_oneof![
            3 => Just(Tick::Order),
            1 => any::<bool>().prop_map(Tick::Reservation),
            1 => Just(Tick::Notification),
        ].prop_map(Act::Tick),
        12 => (prop::sample::select(&Group::ALL[..]), told()).prop_map(|(group, told)| Act::Tell(group, told)),
    ]
}

/// Two who may get in each other's way.
fn rivals() -> impl Strategy<Value = (Act, Act)> {
    let tell = |group| told().prop_map(move |told| Act::Tell(group, told));
    let group = prop_oneof![3 => Just(Group::Reservation), 1 => prop::sample::select(&Group::ALL[..])];
    prop_oneof![
        2 => group.prop_flat_map(move |group| (tell(group), tell(group))),
        1 => (tell(Group::Reservation), managing()),
        1 => (managing(), tell(Group::Reservation)),
        1 => (paying(), paying()),
        1 => (paying(), tell(Group::Pay)),
        1 => (tell(Group::Pay), paying()),
        1 => (act(), act()),
    ]
}

fn managing() -> impl Strategy<Value = Act> {
    let which = || (0..3_u8).prop_map(Which);
    prop_oneof![
        change().prop_map(|change| Act::Course(0, change)),
        which().prop_map(Act::Confirm),
        which().prop_map(Act::Reject),
        Just(Act::Tick(Tick::Reservation(true))),
    ]
}

fn paying() -> impl Strategy<Value = Act> {
    let which = || (0..3_u8).prop_map(Which);
    prop_oneof![
        (which(), card()).prop_map(|(which, card)| Act::Pay(which, card)),
        which().prop_map(Act::Cancel),
        Just(Act::Tick(Tick::Order)),
    ]
}

fn card() -> impl Strategy<Value = Card> {
    prop_oneof![
        6 => Just(Card::Good),
        1 => Just(Card::Other),
        1 => Just(Card::Declined),
        1 => Just(Card::Failing),
        1 => Just(Card::None),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => (1..=4_u8).prop_map(Change::Capacity),
        1 => prop::sample::select(&[0, 100, 200][..]).prop_map(Change::Fee),
        1 => Just(Change::Start),
        1 => Just(Change::Finish),
        1 => Just(Change::Cancel),
    ]
}

fn told() -> impl Strategy<Value = Told> {
    prop_oneof![
        3 => prop_oneof![Just(1_u8), Just(2), Just(100)].prop_map(Told::Next),
        2 => prop::collection::vec(any::<u8>(), 1..=3).prop_map(Told::Any),
    ]
}

fn weather() -> impl Strategy<Value = Weather> {
    let call = prop_oneof![
        8 => Just(Call::Answered),
        1 => Just(Call::AnswerLost),
        1 => Just(Call::Lost),
        2 => Just(Call::Late),
        1 => Just(Call::Twice),
        1 => Just(Call::Barred),
    ];
    let link = || prop_oneof![8 => Just(Link::Up), 1 => Just(Link::Mute), 1 => Just(Link::Down)];
    (call, link(), link()).prop_map(|(call, gateway, channel)| Weather { call, gateway, channel })
}

fn pace() -> impl Strategy<Value = Pace> {
    prop_oneof![
        5 => Just(Pace::Through),
        3 => (0..=5_u8).prop_map(Pace::Hang),
        1 => (0..=5_u8).prop_map(Pace::Crash),
    ]
}
