//! The statements that run in production, on a store of the tests' own.

use super::*;
use crate::testing::{Client, PHONE};
use hal::Method;
use serde_json::json;

::store::on_postgres!(the_list_that_is_made_again_from_the_events_is_the_same,);

/// Everything that the list says.
fn list_of(client: &Client) -> Vec<String> {
    let rows = client.store().run(
        "SELECT customer_id, name, phone, email, language, roles, registered_at, erased_at, version FROM members
         ORDER BY customer_id",
        &[],
    );
    rows.unwrap().iter().map(|row| format!("{:?}", row.values())).collect()
}

#[test]
fn the_list_that_is_made_again_from_the_events_is_the_same() {
    let client = Client::new();
    let first = client.register(PHONE).text("accessToken");
    client.ask(Method::PATCH, "/members/me", &first, json!({ "email": "", "language": "en" }));
    let second = client.register("010-3333-4444").text("accessToken");
    client.delete("/members/me", &second);
    client.pass(60);
    client.register("010-3333-4444");
    let before = list_of(&client);
    assert_eq!(before.len(), 3);
    client.store().run("DELETE FROM members", &[]).unwrap();
    client
        .store()
        .run(
            "INSERT INTO projection (position, subject, version, type, data, time)
             SELECT position, subject, version, type, data, time FROM projection ORDER BY position",
            &[],
        )
        .unwrap();
    assert_eq!(list_of(&client), before);
    assert_eq!(client.number("SELECT last FROM numbering"), 3);
    assert_eq!(
        client.number("SELECT count(*) FROM sessions WHERE customer_id <> 2"),
        2,
        "sessions are no list"
    );
}

#[test]
fn the_store_is_the_same_on_both_databases() {
    ::store::native::assert_same_on_both(&DATABASE);
}
