//! A component that asks a PostgreSQL, for the tests of the embedded host.
//!
//! | path | what |
//! |---|---|
//! | `/types` | writes and reads what an order is made of |
//! | `/long` | adds up a long answer, row by row |
//! | `/elsewhere` | opens an address that it was not granted |
//! | `/forever` | runs a statement that does not end |
//! | `/at-work` | how many of those the server is at |
//!
//! The address is in the environment, under `ADDRESS`.
#![cfg(target_arch = "wasm32")]
#![allow(unsafe_code, reason = "what the export macro generates")]

use anyhow::{Context as _, bail};
use spin_sdk::{
    http::Request,
    http_service,
    pg::{Connection, Error, ParameterValue, PgError, QueryError},
};

#[http_service]
async fn handle(request: Request) -> anyhow::Result<String> {
    if request.uri().path() == "/elsewhere" {
        let refused = Connection::open("postgres://user:hunter2@localhost:5432/d").await.err();
        return Ok(format!("{refused:?}"));
    }
    let database = Connection::open(std::env::var("ADDRESS")?).await?;
    match request.uri().path() {
        "/types" => types(&database).await,
        "/long" => long(&database).await,
        "/forever" => Ok(database.execute("SELECT pg_sleep(600)", []).await?.to_string()),
        "/at-work" => at_work(&database).await,
        path => bail!("no such path: {path}"),
    }
}

async fn types(database: &Connection) -> anyhow::Result<String> {
    database
        .execute("CREATE TABLE orders (id bigint PRIMARY KEY, name text, paid bool, note text)", [])
        .await?;
    let order = || -> [ParameterValue; 4] {
        [7_i64.into(), "김철수".to_owned().into(), true.into(), None::<String>.into()]
    };
    let insert = "INSERT INTO orders VALUES ($1, $2, $3, $4)";
    let inserted = database.execute(insert, order()).await?;
    let Err(Error::PgError(PgError::QueryFailed(QueryError::DbError(twice)))) =
        database.execute(insert, order()).await
    else {
        bail!("an order was taken twice");
    };
    let mut orders = database.query("SELECT * FROM orders WHERE id = $1", [7_i64.into()]).await?;
    let row = orders.next().await.context("no order")?;
    let (id, name): (Option<i64>, Option<String>) = (row.get("id"), row.get("name"));
    let (paid, note): (Option<bool>, Option<Option<String>>) = (row.get("paid"), row.get("note"));
    orders.result().await?;
    Ok(format!("{inserted} {} {id:?} {name:?} {paid:?} {note:?}", twice.code))
}

async fn long(database: &Connection) -> anyhow::Result<String> {
    let sql = "SELECT i, repeat('x', 1000) AS filler FROM generate_series(1::bigint, 30000) AS i";
    let mut rows = database.query(sql, []).await?;
    let mut sum = 0;
    while let Some(row) = rows.next().await {
        sum += row.get::<i64>("i").context("no number")?;
    }
    rows.result().await?;
    Ok(sum.to_string())
}

async fn at_work(database: &Connection) -> anyhow::Result<String> {
    let sql =
        "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)' AND state = 'active'";
    let rows = database.query(sql, []).await?.collect().await?;
    Ok(format!("{:?}", rows.first().and_then(|row| row.get::<i64>("count"))))
}
