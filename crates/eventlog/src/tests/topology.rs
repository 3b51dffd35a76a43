//! The table of who reacts to what, and that the application's triggers are what it says.

use crate::keys;
use crate::topology::{CONSUMERS, Consumer, readers_of, sources};
use kernel::event::Event;
use std::collections::BTreeSet;

#[test]
fn only_events_that_there_are_are_reacted_to_and_each_by_somebody() {
    let mut known = BTreeSet::new();
    for consumer in &CONSUMERS {
        for (source, names) in consumer.reacts_to {
            assert!(sources().any(|known| known == *source), "{} reads {source}", consumer.name);
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{}", consumer.name);
            known.extend(names.iter().copied());
        }
    }
    assert_eq!(known, Event::NAMES.iter().copied().collect());
}

#[test]
fn each_event_comes_from_one_context() {
    for name in Event::NAMES {
        let from: BTreeSet<_> = sources()
            .filter(|source| CONSUMERS.iter().any(|consumer| consumer.reacts(source, name)))
            .collect();
        assert_eq!(from.len(), 1, "{name}: {from:?}");
    }
}

#[test]
fn consumers_and_readers_are_two_sides_of_the_same_table() {
    for source in sources() {
        for consumer in &CONSUMERS {
            let reads = consumer.sources().any(|read| read == source);
            assert_eq!(readers_of(source).any(|reader| reader == consumer), reads);
        }
    }
    assert!(CONSUMERS.iter().all(|consumer| Consumer::named(consumer.name) == Some(consumer)));
    assert_eq!(Consumer::named("site"), None);
    assert_eq!(readers_of("site").count(), 0);
}

#[test]
fn a_consumer_reacts_to_an_event_of_its_source_alone() {
    let pay = Consumer::named("pay").unwrap();
    assert!(pay.reacts("reservation", "ReservationRejected"));
    assert!(!pay.reacts("order", "ReservationRejected"));
    assert!(!pay.reacts("reservation", "Reserved"));
}

/// The channels and the components of the Redis triggers in `spin.toml`.
fn triggers() -> BTreeSet<(String, String)> {
    let manifest = std::fs::read_to_string(xtask::workspace::manifest()).unwrap();
    let value = |block: &str, key: &str| -> Option<String> {
        let line = block.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.trim_start_matches([' ', '=']).trim_matches('"').to_owned())
    };
    let blocks = manifest.split("[[trigger.redis]]").skip(1);
    blocks.filter_map(|block| Some((value(block, "channel")?, value(block, "component")?))).collect()
}

#[test]
fn each_worker_is_triggered_by_its_wake_up_and_the_tick_and_by_nothing_else() {
    let expected = CONSUMERS.iter().flat_map(|consumer| {
        let worker = format!("{}-worker", consumer.name);
        [(keys::wake(consumer.name), worker.clone()), (keys::TICK.to_owned(), worker)]
    });
    assert_eq!(triggers(), expected.collect());
}

#[test]
fn no_two_things_in_redis_have_the_same_name() {
    let mut names = vec![
        keys::stream("pay"),
        keys::wake("pay"),
        keys::attempts("pay"),
        keys::dead_letters("pay"),
        keys::replayed("pay"),
        keys::TICK.to_owned(),
    ];
    // The release that kept an outbox left these, and they are no streams.
    names.extend(["sugang:relay:pay", "sugang:relay:pay:again", "sugang:replayed:pay"].map(str::to_owned));
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    assert!(names.iter().all(|name| name.starts_with("sugang:")));
}
