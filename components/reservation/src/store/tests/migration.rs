//! Stores that earlier releases left. That they keep what they hold, and come to look like new ones, is shown of all contexts
//! in `crates/operations/tests/migrations`.

use super::*;

/// A store as that release made it and left it: course 101 with two seats, orders 1 and 2 with a seat each, 4 waiting, 3 canceled before it was paid.
fn old_store() -> Store {
    let store = Store::as_it_is(std::path::Path::new(":memory:")).unwrap();
    run_all(&store, include_str!("version_3.sql"));
    run_all(&store, include_str!("version_3_rows.sql"));
    store
}

fn run_all(store: &Store, script: &str) {
    for statement in script.split("\n;;\n").filter(|statement| !statement.trim().is_empty()) {
        store.run(statement, &[]).unwrap_or_else(|error| panic!("{error}: {statement}"));
    }
}

/// Tables, indexes, views and triggers, but for how their texts are broken into lines.
fn shape(store: &Store) -> Vec<String> {
    let rows =
        store.run("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name", &[]).unwrap();
    let plain =
        |sql: &str| sql.replace("IF NOT EXISTS ", "").replace(['"', '\n'], " ").split_whitespace().collect();
    rows.iter().map(|row| plain(row.text("sql").unwrap())).collect()
}

#[test]
fn a_store_of_version_3_goes_on_where_it_was() {
    let store = old_store();
    store.migrate(&DATABASE).unwrap();
    let service = over(store);
    // A course that was never changed had a version of seats that now means that there is no course.
    assert!(service.number("SELECT min(seats_version) FROM courses") > 0);
    service.do_all(&[Command::Reserve(applicant(5, 101, 1))]).unwrap();
    assert_eq!(service.reservation(5).waiting_position, Some(2));
    service.do_all(&[cancel(2)]).unwrap();
    assert_eq!(service.status(4), ReservationStatus::ReservationConfirmed, "who waited keeps its turn");
}

#[test]
fn stores_of_before_the_stream_was_kept_track_of_come_as_far() {
    for (version, left) in
        [(1, ""), (2, "CREATE TABLE acknowledged (id, up_to)"), (2, "CREATE TABLE log (id, reached)")]
    {
        let store = old_store();
        run_all(
            &store,
            "DROP TRIGGER stream_reached\n;;\nDROP TRIGGER stream_acknowledged\n;;\nDROP TABLE stream",
        );
        run_all(&store, left);
        store.run(&format!("PRAGMA user_version={version}"), &[]).unwrap();
        store.migrate(&DATABASE).unwrap();
        assert_eq!(store.number("SELECT floor FROM log").unwrap(), 0);
        assert_eq!(shape(&store), shape(service().store()));
    }
}
