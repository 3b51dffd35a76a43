//! What a move does and refuses.

use super::*;
use crate::Stores;
use crate::testing::{damage, database, stores_in};

const EVENTS: &str = "INSERT INTO events (position, subject, version, type, data, time) VALUES
    (2, '1', 1, 'Ordered', '{\"a\":\"한\"}', 'x'), (7, '1', 2, 'OrderCanceled', '', 'x'), (8, '2', 1, '', '', 'x');
    DELETE FROM events WHERE position = 8";

fn moving(stores: &Stores, label: &'static str, url: &str) -> Move {
    Move { label, file: stores.path(label).unwrap().to_owned(), url: url.to_owned() }
}

fn at(url: &str, label: &'static str) -> Opened {
    Place::Postgres(url.to_owned()).look(label).unwrap().0
}

#[test]
fn a_store_is_moved_with_every_row_and_goes_on_behind_its_greatest_number() {
    let folder = tempfile::tempdir().unwrap();
    let stores = stores_in(folder.path());
    stores.open("order").unwrap().run(EVENTS).unwrap();
    stores.open("order").unwrap().run("UPDATE log SET generation = 5, floor = 2").unwrap();
    let url = database();
    let moved = move_stores(&[moving(&stores, "order", &url), moving(&stores, "pay", &url)], folder.path());
    let moved = moved.unwrap();
    assert_eq!(moved.iter().map(|(label, _)| *label).collect::<Vec<_>>(), ["order", "pay"]);
    assert_eq!((moved[0].1["events"], moved[0].1["log"], moved[0].1["orders"]), (2, 1, 0));
    let order = at(&url, "order");
    assert_eq!(order.count("SELECT count(*) FROM events WHERE position = inserted").unwrap(), 2);
    assert_eq!(order.count("SELECT generation FROM log").unwrap(), 5);
    assert_eq!(order.texts("SELECT data FROM events ORDER BY inserted").unwrap()[0], "{\"a\":\"한\"}");
    let append = "INSERT INTO events (subject, version, type, data, time) VALUES ('9', 1, '', '', '')";
    order.run(append).unwrap();
    assert_eq!(order.number("SELECT max(inserted) FROM events").unwrap(), Some(9));
    // The file is as it was.
    assert_eq!(stores.open("order").unwrap().count("SELECT count(*) FROM events").unwrap(), 2);
}

#[test]
fn triggers_do_not_count_what_was_counted_and_run_again_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let stores = stores_in(folder.path());
    let insert = "INSERT INTO messages (id, order_id, event, language, body, created_at, due_at)
        VALUES ('a', 1, '', '', '', '', 0)";
    stores.open("notification").unwrap().run(insert).unwrap();
    let url = database();
    move_stores(&[moving(&stores, "notification", &url)], folder.path()).unwrap();
    let moved = at(&url, "notification");
    assert_eq!(moved.count("SELECT sum(rows)::bigint FROM counts").unwrap(), 1);
    moved.run(&insert.replace("'a'", "'b'")).unwrap();
    assert_eq!(moved.count("SELECT sum(rows)::bigint FROM counts").unwrap(), 2);
    assert_eq!(moved.number("SELECT max(seq) FROM messages").unwrap(), Some(2));
}

#[test]
fn what_another_refers_to_is_there_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let stores = stores_in(folder.path());
    let gateway = stores.open("gateway").unwrap();
    let columns = gateway.columns("charges").unwrap();
    let values = columns.iter().map(|name| match &**name {
        "outcome" => "'Approved'",
        "key" => "'1-1'",
        _ => "1",
    });
    let values = values.collect::<Vec<_>>().join(", ");
    gateway.run(&format!("INSERT INTO charges ({}) VALUES ({values})", columns.join(", "))).unwrap();
    gateway.run("INSERT INTO refunds (key, order_id, amount, at) VALUES ('1-1', 1, 1, '')").unwrap();
    drop(gateway);
    let moved = move_stores(&[moving(&stores, "gateway", &database())], folder.path()).unwrap();
    assert_eq!((moved[0].1["charges"], moved[0].1["refunds"]), (1, 1));
}

#[test]
fn a_move_that_fails_has_not_happened() {
    let folder = tempfile::tempdir().unwrap();
    let stores = stores_in(folder.path());
    stores.open("order").unwrap().run(EVENTS).unwrap();
    // What PostgreSQL cannot hold.
    stores.open("pay").unwrap().run("UPDATE log SET generation = 1; CREATE TABLE more (a)").unwrap();
    let url = database();
    let moves = [moving(&stores, "order", &url), moving(&stores, "pay", &url)];
    let refusal = format!("{:#}", move_stores(&moves, folder.path()).unwrap_err());
    assert!(refusal.contains("`pay`") && refusal.contains("no store was moved"), "{refusal}");
    assert!(refusal.contains("more"), "{refusal}");
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname IN ('order', 'pay')";
    assert_eq!(at(&url, "inbox").count(schemas).unwrap(), 0);
    stores.open("pay").unwrap().run("DROP TABLE more").unwrap();
    move_stores(&moves, folder.path()).unwrap();
}

#[test]
fn a_text_that_postgresql_cannot_hold_is_refused_by_its_table() {
    let folder = tempfile::tempdir().unwrap();
    let stores = stores_in(folder.path());
    stores.open("order").unwrap().run(EVENTS).unwrap();
    stores.open("order").unwrap().run("UPDATE events SET data = 'a' || char(0) WHERE version = 1").unwrap();
    let moves = [moving(&stores, "order", &database())];
    let refusal = format!("{:#}", move_stores(&moves, folder.path()).unwrap_err());
    assert!(refusal.contains("the table `events`") && refusal.contains("0x00"), "{refusal}");
}

#[test]
fn nothing_is_moved_over_a_store_nor_from_one_that_is_in_use_damaged_or_empty() {
    let folder = tempfile::tempdir().unwrap();
    let stores = stores_in(folder.path());
    let url = database();
    let moves = [moving(&stores, "order", &url)];
    let refusal = || format!("{:#}", move_stores(&moves, folder.path()).unwrap_err());
    let lock = std::fs::File::create(folder.path().join("lock")).unwrap();
    lock.lock().unwrap();
    assert!(refusal().contains("in use"));
    drop(lock);
    move_stores(&moves, folder.path()).unwrap();
    let told = refusal();
    assert!(told.contains("is there already") && told.contains("DROP SCHEMA"), "{told}");
    let twice = [moving(&stores, "pay", &url), moving(&stores, "pay", &url)];
    let told = format!("{:#}", move_stores(&twice, folder.path()).unwrap_err());
    assert!(told.contains("`pay` is named twice"), "{told}");
    damage(&stores, "pay", 0);
    let told = format!("{:#}", move_stores(&[moving(&stores, "pay", &url)], folder.path()).unwrap_err());
    assert!(told.contains("is damaged"), "{told}");
    std::fs::write(stores.path("inbox").unwrap(), "").unwrap();
    let told = format!("{:#}", move_stores(&[moving(&stores, "inbox", &url)], folder.path()).unwrap_err());
    assert!(told.contains("nothing to move"), "{told}");
}

#[test]
fn no_refusal_shows_an_address() {
    let folder = tempfile::tempdir().unwrap();
    let stores = stores_in(folder.path());
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for url in [format!("postgres://u:hunter2@{nobody}/hunter2"), "postgres://hunter2:x/y@z:p".to_owned()] {
        let told =
            format!("{:?}", move_stores(&[moving(&stores, "order", &url)], folder.path()).unwrap_err());
        assert!(told.contains("order_database_url") && !told.contains("hunter2"), "{told}");
    }
    // And TLS is what the address says: the server of the tests has none.
    let url = format!("{}?sslmode=require", database());
    let told = format!("{:#}", move_stores(&[moving(&stores, "order", &url)], folder.path()).unwrap_err());
    assert!(told.contains("does not support TLS"), "{told}");
}
