//! What proptest makes histories of.

use super::{
    Act, Call, Card, Change, Conditions, Course, Hanging, Link, Pace, Setting, Step, Tick, Told, Wait, Which,
};
use eventlog::topology::CONSUMERS;
use proptest::prelude::*;

/// Any setting.
fn setting() -> impl Strategy<Value = Setting> {
    let course = (1..=3_u8, prop_oneof![4 => Just(100), 1 => Just(0)], any::<bool>())
        .prop_map(|(capacity, fee, manual)| Course { capacity, fee, manual });
    let hanging =
        prop_oneof![Just(Hanging::Crashes), Just(Hanging::GoesOn), (1..=6_u8).prop_map(Hanging::Frozen),];
    ([course.clone(), course], hanging).prop_map(|(courses, hanging)| Setting { courses, hanging })
}

// What is made of one act is large, and is boxed so that the stack need not hold many of them.

/// Any history of up to so many steps.
pub fn history(steps: usize) -> impl Strategy<Value = (Setting, Vec<Step>)> {
    (setting(), prop::collection::vec(step(), 1..=steps))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (act(), conditions(), pace()).prop_map(|(act, conditions, pace)| Step::Begin { act, conditions, pace }),
        5 => (rivals(), after(), conditions())
            .prop_map(|((first, second), after, conditions)| Step::Meet { first, after, second, conditions }),
        4 => (0..4_u8, next_pace()).prop_map(|(which, pace)| Step::GoOn(which, pace)),
        3 => Just(Step::Round),
        2 => prop_oneof![
            4 => (1..=35_u8).prop_map(Wait::Seconds),
            2 => Just(Wait::HalfAnHour),
            1 => (1..=4_u8).prop_map(Wait::Hours),
        ].prop_map(Step::Wait),
    ]
}

/// Most decisions are two statements: one that loads, and one that commits.
fn after() -> impl Strategy<Value = u8> {
    prop_oneof![2 => Just(1), 1 => 1..=4_u8]
}

fn act() -> BoxedStrategy<Act> {
    let order = prop_oneof![4 => (1..=6_u8).prop_map(Some), 1 => Just(None)];
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
        12 => (consumer(), told()).prop_map(|(consumer, told)| Act::Tell(consumer, told)),
    ]
    .boxed()
}

/// Two who may meet.
fn rivals() -> BoxedStrategy<(Act, Act)> {
    let tell = |consumer| told().prop_map(move |told| Act::Tell(consumer, told));
    let consumer = prop_oneof![3 => Just("reservation"), 1 => consumer()];
    prop_oneof![
        2 => consumer.prop_flat_map(move |consumer| (tell(consumer), tell(consumer))),
        2 => (news(), news()).prop_map(|(one, other)| (Act::Tell("reservation", one), Act::Tell("reservation", other))),
        1 => (tell("reservation"), managing()),
        1 => (managing(), tell("reservation")),
        1 => (paying(), paying()),
        1 => (paying(), tell("pay")),
        1 => (tell("pay"), paying()),
        1 => (act(), act()),
    ]
    .boxed()
}

/// Anybody in the topology.
fn consumer() -> impl Strategy<Value = &'static str> {
    prop::sample::select(CONSUMERS.map(|consumer| consumer.name).to_vec())
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

fn news() -> impl Strategy<Value = Told> {
    prop_oneof![Just(1_u8), Just(2), Just(100)].prop_map(Told::Next)
}

fn told() -> impl Strategy<Value = Told> {
    prop_oneof![
        3 => news(),
        2 => prop::collection::vec(any::<u8>(), 1..=3).prop_map(Told::Any),
    ]
}

fn conditions() -> impl Strategy<Value = Conditions> {
    let call = prop_oneof![
        8 => Just(Call::Answered),
        1 => Just(Call::AnswerLost),
        1 => Just(Call::Lost),
        2 => Just(Call::Late),
        1 => Just(Call::Twice),
        1 => Just(Call::BreakerOpen),
    ];
    let link = || prop_oneof![8 => Just(Link::Up), 1 => Just(Link::Mute), 1 => Just(Link::Down)];
    // Where all goes well as often as not, histories get far enough for what goes wrong to matter.
    prop_oneof![
        Just(Conditions::default()),
        (call, link(), link()).prop_map(|(call, gateway, channel)| Conditions { call, gateway, channel }),
    ]
}

fn pace() -> impl Strategy<Value = Pace> {
    let hang = prop_oneof![1 => Just(1), 1 => 2..=4_u8, 1 => 0..=5_u8];
    prop_oneof![
        5 => Just(Pace::Through),
        3 => hang.prop_map(Pace::Hang),
        1 => (0..=5_u8).prop_map(Pace::Crash),
    ]
}

/// Of something that hangs little is left to do.
fn next_pace() -> impl Strategy<Value = Pace> {
    prop_oneof![
        3 => Just(Pace::Through),
        3 => (1..=2_u8).prop_map(Pace::Hang),
        1 => (1..=2_u8).prop_map(Pace::Crash),
    ]
}
