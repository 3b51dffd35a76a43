//! Streams are trimmed only behind what every group has acknowledged.

use super::world::{STREAM, World, run};
use crate::keys;

const GROUPS: &[&str] = &["order", "pay", "reservation", "notification", "information"];

/// Appends so many entries, with the ids 1-1, 2-1, ….
fn fill(world: &World, entries: u32) {
    let script = "for i = 1, ARGV[1] do redis.call('XADD', KEYS[1], i .. '-1', 'e', 'x') end return 1";
    world.redis::<i64>(&["EVAL", script, "1", STREAM, &entries.to_string()]);
}

/// Has a group read so many entries and acknowledge them but for those given.
fn read(world: &World, group: &str, entries: u32, but_for: &[u32]) {
    world.redis::<String>(&["XGROUP", "CREATE", STREAM, group, "0"]);
    let count = entries.to_string();
    let _: redis::Value =
        world.redis(&["XREADGROUP", "GROUP", group, "worker", "COUNT", &count, "STREAMS", STREAM, ">"]);
    let ids: Vec<_> =
        (1..=entries).filter(|entry| !but_for.contains(entry)).map(|entry| format!("{entry}-1")).collect();
    world.redis_with::<i64>(&["XACK", STREAM, group], ids);
}

async fn first_after_trim(world: &World) -> String {
    world.outbox.tick(&world.url()).await.unwrap();
    let first: Vec<(String, Vec<String>)> = world.redis(&["XRANGE", STREAM, "-", "+", "COUNT", "1"]);
    first[0].0.clone()
}

#[test]
fn a_stream_of_ten_thousand_is_left_alone_and_a_longer_one_is_not() {
    run(async |world| {
        assert_eq!(keys::consumers_of("reservation"), GROUPS);
        fill(&world, 10_000);
        GROUPS.iter().for_each(|group| read(&world, group, 10_000, &[]));
        assert_eq!(first_after_trim(&world).await, "1-1");
        world.redis::<String>(&["XADD", STREAM, "10001-1", "e", "x"]);
        assert_eq!(first_after_trim(&world).await, "10000-1");
    });
}

#[test]
fn a_stream_is_trimmed_behind_the_slowest_of_its_groups() {
    run(async |world| {
        fill(&world, 10_100);
        for (group, entries) in GROUPS.iter().zip([10_100, 9_999, 950, 10_000, 10_050]) {
            read(&world, group, entries, &[]);
        }
        assert_eq!(first_after_trim(&world).await, "950-1");
    });
}

#[test]
fn what_is_not_acknowledged_yet_stays() {
    run(async |world| {
        fill(&world, 10_100);
        for group in GROUPS {
            read(&world, group, 10_100, if *group == "pay" { &[777, 9_000] } else { &[] });
        }
        assert_eq!(first_after_trim(&world).await, "777-1");
    });
}

#[test]
fn nothing_is_trimmed_before_every_group_has_begun() {
    run(async |world| {
        fill(&world, 10_100);
        for group in GROUPS.iter().take(4) {
            read(&world, group, 10_100, &[]);
        }
        assert_eq!(first_after_trim(&world).await, "1-1");
    });
}
