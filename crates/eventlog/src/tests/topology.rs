//! What is said here about who reads what is what the application says.

use crate::keys;
use std::collections::BTreeSet;

/// The channels and the components of the Redis triggers in `spin.toml`.
fn triggers() -> Vec<(String, String)> {
    let path = xtask::workspace::manifest();
    let manifest = std::fs::read_to_string(path).unwrap();
    let value = |block: &str, key: &str| -> Option<String> {
        let line = block.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.trim_start_matches([' ', '=']).trim_matches('"').to_owned())
    };
    let blocks = manifest.split("[[trigger.redis]]").skip(1);
    blocks.filter_map(|block| Some((value(block, "channel")?, value(block, "component")?))).collect()
}

#[test]
fn every_group_that_a_stream_waits_for_is_woken_by_it_and_no_other() {
    let triggers = triggers();
    for context in ["order", "pay", "reservation", "notification", "information"] {
        let channel = keys::stream(context);
        let woken: BTreeSet<_> = triggers
            .iter()
            .filter(|(of, _)| *of == channel)
            .map(|(_, component)| component.strip_suffix("-worker").unwrap())
            .collect();
        assert_eq!(woken, keys::consumers_of(context).iter().copied().collect(), "{context}");
    }
    assert_eq!(triggers.iter().filter(|(of, _)| of == "sugang:tick").count(), 5);
}

#[test]
fn no_two_things_in_redis_have_the_same_name() {
    let names = [
        keys::stream("pay"),
        keys::relay_lock("pay"),
        keys::relay_again("pay"),
        keys::attempts("pay"),
        keys::claimed_up_to("pay"),
        keys::dead_letters("pay"),
        keys::replayed("pay"),
    ];
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    assert!(names.iter().all(|name| name.starts_with("sugang:")));
}
