//! Every earlier version's stores are opened by the code of today.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "all of it is tests"
)]

mod cut_off;
mod first_start;
mod fixtures;

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::time::Duration;

use fixtures::{Row, System, number, rows, sets, shape, tables, text, then};
use operations::LABELS;
use rusqlite::Connection;

/// Tables that the outbox needed, and nothing does any more; and the one in which each step is written down.
const NOT_KEPT: [&str; 4] = ["stream", "log", "acknowledged", "versions"];

/// Columns that a step rewrites: store, table, column. What becomes of them is for other tests to say, and for the check.
const REWRITTEN: [(&str, &str, &str); 4] = [
    ("order", "events", "data"),
    ("order", "orders", "pay_status"),
    ("order", "retries", "sealed"),
    ("reservation", "courses", "seats_version"),
];

/// The version that today's code makes of a new store.
fn newest(label: &str) -> i64 {
    let made = System::empty();
    made.migrate(label).unwrap();
    number(&made.open(label), "PRAGMA user_version")
}

/// The version of a store, given as its SQL text; none of a context that is newer than it.
fn version_of(sql: &str) -> i64 {
    if sql.is_empty() {
        return 0;
    }
    let number = sql.strip_prefix("PRAGMA user_version=").unwrap();
    number.split(';').next().unwrap().parse().unwrap()
}

#[test]
fn there_is_a_store_of_every_earlier_version() {
    for label in LABELS {
        let kept: BTreeSet<i64> = sets().iter().map(|set| version_of(&text(set, label))).collect();
        let missing: Vec<_> = (1..newest(label)).filter(|version| !kept.contains(version)).collect();
        assert_eq!(missing, Vec::<i64>::new(), "tests/fixtures has no store `{label}` of these versions");
    }
}

#[test]
fn a_store_of_every_earlier_version_keeps_what_it_holds() {
    for set in sets() {
        let system = System::of(&set);
        for label in LABELS {
            let store = system.open(label);
            let old: Vec<_> = tables(&store).into_iter().map(|table| (rows(&store, &table), table)).collect();
            drop(store);
            system.migrate(label).unwrap();
            let store = system.open(label);
            for (old, table) in &old {
                if !NOT_KEPT.contains(&table.as_str()) {
                    assert_eq!(kept(label, table, old, &store), [], "{set}: {label}.{table}");
                }
            }
        }
    }
}

/// The rows of before that are not there as they were.
fn kept(label: &str, table: &str, old: &[Row], store: &Connection) -> Vec<Row> {
    let new = rows(store, table);
    assert_eq!(new.len(), old.len(), "{label}.{table} has other rows");
    let compared = |row: &Row| {
        let mut row = row.clone();
        row.retain(|name, _| name != "sent" && !REWRITTEN.contains(&(label, table, name.as_str())));
        if let (true, Some(seq)) = (table == "events", row.remove("seq")) {
            row.insert("position".to_owned(), seq);
        }
        row
    };
    let names: Vec<String> = old.first().map(&compared).unwrap_or_default().into_keys().collect();
    let new: Vec<Row> = new
        .iter()
        .map(compared)
        .map(|mut row| {
            row.retain(|name, _| names.contains(name));
            row
        })
        .collect();
    old.iter().map(compared).filter(|row| !new.contains(row)).collect()
}

#[test]
fn what_an_event_said_it_says_still() {
    for set in sets() {
        let system = System::one(&set, "order");
        let told = |column: &str| -> Vec<serde_json::Value> {
            let sql = format!("SELECT data FROM events ORDER BY {column}");
            fixtures::list(&system.open("order"), &sql)
                .iter()
                .map(|data| serde_json::from_str(data).unwrap())
                .collect()
        };
        let place = if version_of(&text(&set, "order")) < 4 { "seq" } else { "position" };
        let before = told(place);
        system.migrate("order").unwrap();
        for (before, now) in before.iter().zip(told("position")) {
            for (name, value) in before.as_object().unwrap() {
                assert_eq!(now.get(name), Some(value), "{set}: {now}");
            }
        }
    }
}

#[test]
fn the_check_finds_nothing_wrong_with_what_was_taken_over() {
    for set in sets() {
        let system = System::of(&set);
        LABELS.iter().for_each(|label| drop(system.migrate(label).unwrap()));
        first_start::hear_what_is_told_again(&system);
        first_start::deliver(&system);
        let report = operations::check(&system.stores(), None, Duration::ZERO).unwrap();
        assert_eq!(report.violations, [], "{set}");
        assert_eq!((report.counts["orders"], report.counts["courses"]), (17, 5), "{set}");
        assert!(
            report.counts["messages"] > 60 && report.counts["outstandingCharges"] > 5,
            "{:?}",
            report.counts
        );
    }
}

#[test]
fn lists_that_were_taken_over_are_what_their_events_make() {
    for set in sets() {
        let system = System::of(&set);
        LABELS.iter().for_each(|label| drop(system.migrate(label).unwrap()));
        first_start::hear_what_is_told_again(&system);
        // A count that has gone back to nothing is as good as none.
        system.open("order").execute("DELETE FROM tallies WHERE orders = 0", []).unwrap();
        let cards = rows(&system.open("order"), "retries");
        for context in ["order", "pay", "reservation"] {
            let remade = operations::rebuild_lists(&system.stores(), context).unwrap();
            assert_eq!((remade.mended, remade.removed), (0, 0), "{set}: {context}");
        }
        assert_eq!(rows(&system.open("order"), "retries"), cards, "{set}");
        let rebuilt = operations::rebuild_information(&system.stores()).unwrap();
        assert_eq!((rebuilt.rows, rebuilt.mended, rebuilt.removed), (17, 0, 0), "{set}");
    }
}

#[test]
fn what_was_moved_to_postgresql_is_checked_and_made_again_as_it_was() {
    let system = System::of("schema-3");
    LABELS.iter().for_each(|label| drop(system.migrate(label).unwrap()));
    first_start::hear_what_is_told_again(&system);
    first_start::deliver(&system);
    system.open("order").execute("DELETE FROM tallies WHERE orders = 0", []).unwrap();
    let on_sqlite = operations::check(&system.stores(), None, Duration::ZERO).unwrap();
    let (stores, url) = fixtures::moved(&system);
    let report = operations::check(&stores, None, Duration::ZERO).unwrap();
    assert_eq!(report.violations, []);
    assert_eq!(report.counts, on_sqlite.counts);
    for context in ["order", "pay", "reservation"] {
        let remade = operations::rebuild_lists(&stores, context).unwrap();
        assert_eq!((remade.mended, remade.removed), (0, 0), "{context}");
        assert!(remade.events > 0, "{context}");
    }
    for _ in 0..2 {
        let rebuilt = operations::rebuild_information(&stores).unwrap();
        assert_eq!((rebuilt.rows, rebuilt.mended, rebuilt.removed), (17, 0, 0));
    }
    assert_eq!(operations::check(&stores, None, Duration::ZERO).unwrap().violations, []);

    // What somebody did to a list and to the view is told, and mended.
    let change = |label: &str, sql: &str| {
        let mut client = store::native::connect(&url, label).unwrap();
        client.batch_execute(sql).unwrap();
    };
    change("order", "UPDATE orders SET amount = amount + 1 WHERE order_id = 15");
    change(
        "information",
        "DELETE FROM infomations WHERE order_id = 1; UPDATE courses SET title = 'x' WHERE edu_no = 101",
    );
    let told = operations::check(&stores, None, Duration::ZERO).unwrap().violations;
    let rules: BTreeSet<_> = told.iter().map(|told| told.invariant).collect();
    assert!(rules.contains("orders-table") && rules.contains("view"), "{told:?}");
    let remade = operations::rebuild_lists(&stores, "order").unwrap();
    assert_eq!((remade.mended, remade.removed), (1, 1));
    let rebuilt = operations::rebuild_information(&stores).unwrap();
    assert_eq!((rebuilt.rows, rebuilt.mended, rebuilt.removed), (17, 2, 0));
    assert_eq!(operations::check(&stores, None, Duration::ZERO).unwrap().violations, []);
}

#[test]
fn a_card_that_was_sealed_before_opens_still() {
    for set in sets() {
        let system = System::one(&set, "order");
        let store = system.migrate("order").unwrap();
        let seal = order::Seal::new(&"0f".repeat(32)).unwrap();
        let waiting = store.run("SELECT order_id, sealed FROM retries ORDER BY order_id", &[]).unwrap();
        let opened: Vec<_> = waiting
            .iter()
            .map(|row| {
                let order = row.number("order_id", kernel::OrderId::parse).unwrap();
                (order.get(), seal.open(row.text("sealed").unwrap(), order).unwrap().digits().to_owned())
            })
            .collect();
        let cards = [(15, "4000000000000119".to_owned()), (16, "4111111111111234".to_owned())];
        assert_eq!(opened, cards, "{set}");
    }
}

#[test]
fn a_store_that_was_taken_over_looks_like_one_that_is_made_new() {
    for label in LABELS {
        let made = System::empty();
        made.migrate(label).unwrap();
        let new = shape(&made.open(label));
        for set in sets() {
            let system = System::one(&set, label);
            system.migrate(label).unwrap();
            let old = shape(&system.open(label));
            let only_old: Vec<_> = old.iter().filter(|line| !new.contains(line)).collect();
            let only_new: Vec<_> = new.iter().filter(|line| !old.contains(line)).collect();
            assert_eq!((only_old, only_new), (vec![], vec![]), "{set}: {label}");
            assert_eq!(old, new, "{set}: {label}");
        }
    }
}

/// Everything in a store.
fn everything(store: &Connection) -> Vec<(String, Vec<Row>)> {
    tables(store).into_iter().map(|table| (table.clone(), rows(store, &table))).collect()
}

#[test]
fn opening_again_changes_nothing() {
    for set in sets() {
        let system = System::of(&set);
        for label in LABELS {
            system.migrate(label).unwrap();
            let once = (everything(&system.open(label)), shape(&system.open(label)));
            system.migrate(label).unwrap();
            assert_eq!((everything(&system.open(label)), shape(&system.open(label))), once, "{set}: {label}");
        }
    }
}

#[test]
fn of_many_that_open_an_old_store_at_once_one_takes_it_over() {
    for set in sets() {
        let (alone, together) = (System::of(&set), System::of(&set));
        for label in LABELS {
            alone.migrate(label).unwrap();
            let start = Barrier::new(6);
            std::thread::scope(|scope| {
                for _ in 0..6 {
                    scope.spawn(|| {
                        start.wait();
                        drop(together.migrate(label).unwrap());
                    });
                }
            });
            let (alone, together) = (alone.open(label), together.open(label));
            assert_eq!(shape(&together), shape(&alone), "{set}: {label}");
            for table in tables(&alone).iter().filter(|table| *table != "log") {
                assert_eq!(rows(&together, table), rows(&alone, table), "{set}: {label}.{table}");
            }
        }
    }
}

#[test]
fn a_store_from_the_future_is_refused_in_words() {
    for label in LABELS {
        let system = System::empty();
        system.migrate(label).unwrap();
        let newer = newest(label) + 1;
        let leave = |oldest_code: i64| {
            let sql = format!(
                "PRAGMA user_version={newer}; INSERT OR REPLACE INTO versions (version, oldest_code)
                    VALUES ({newer}, {oldest_code})"
            );
            system.open(label).execute_batch(&sql).unwrap();
            system.migrate(label)
        };
        assert!(leave(newer - 1).is_ok(), "{label}: what the code of now may use is left as it is");
        assert_eq!(number(&system.open(label), "PRAGMA user_version"), newer);
        let refusal = leave(newer).err().unwrap().to_string();
        assert!(refusal.contains(&newer.to_string()) && refusal.contains("newer code"), "{label}: {refusal}");
        // Where it does not say who may use it, nobody may.
        let later = newer + 1;
        system.open(label).execute_batch(&format!("PRAGMA user_version={later}")).unwrap();
        let refusal = system.migrate(label).err().unwrap().to_string();
        assert!(refusal.contains(&later.to_string()), "{label}: {refusal}");
    }
}

#[test]
fn the_code_of_the_last_release_goes_on_beside_this_one_or_is_kept_out() {
    for label in LABELS.into_iter().filter(|label| !text("schema-3", label).is_empty()) {
        let (left, taken_over) = (System::one("schema-3", label), System::one("schema-3", label));
        taken_over.migrate(label).unwrap();
        let new = taken_over.open(label);
        let admitted =
            number(&new, "SELECT max(oldest_code) FROM versions") <= version_of(&text("schema-3", label));
        if !admitted {
            // Nothing that it decides is lost without a word.
            let events = rows(&new, "events");
            for decision in
                then(label).split_inclusive(";\n").filter(|sql| sql.starts_with("INSERT INTO decisions"))
            {
                assert!(new.execute_batch(decision).is_err(), "{label} takes {decision}");
            }
            assert_eq!(rows(&new, "events"), events, "{label}");
            continue;
        }
        new.execute_batch(&then(label)).unwrap();
        let old = left.open(label);
        old.execute_batch(&then(label)).unwrap();
        for table in tables(&old) {
            assert_eq!(kept(label, &table, &rows(&old, &table), &new), [], "{label}.{table}");
        }
        drop(taken_over.migrate(label).unwrap());
    }
}
