//! What sessions promise, asked of a real PostgreSQL.

use std::{
    future::Future,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use servers::PostgresServer;

use super::{
    Pools, Session,
    address::Address,
    answer::{Answer, Rest, Row},
    bindings::spin::postgres::postgres::{
        DbDataType, DbValue, Interval, ParameterValue, QueryError, RangeBoundKind::*,
    },
    error::Error,
};
use crate::{outbound::allowed_hosts::AllowedHosts, variables::Variables};

/// A server for the tests that run at the same time; the last of them ends it.
pub(super) struct Server {
    server: PostgresServer,
    _folder: tempfile::TempDir,
}

impl Server {
    pub(super) fn shared() -> Arc<Self> {
        static RUNNING: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut running = RUNNING.lock().unwrap_or_else(|broken| broken.into_inner());
        running.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::own());
            *running = Arc::downgrade(&server);
            server
        })
    }

    fn own() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = ["fsync=off", "max_connections=300"];
        let server = PostgresServer::start(folder.path(), &settings);
        Self { server: server.expect("`cargo xtask doctor` says how to get PostgreSQL"), _folder: folder }
    }

    pub(super) fn url(&self) -> String {
        self.server.url()
    }

    async fn open(&self, pools: &Pools) -> Session {
        open(pools, &self.url(), None).await.unwrap()
    }
}

/// A session, with whatever host being granted.
async fn open(pools: &Pools, url: &str, root: Option<&str>) -> Result<Session, Error> {
    let allowed = AllowedHosts::parse(&["postgres://*:*".to_owned()], &Variables::default(), &[]).unwrap();
    let address = Address::parse(url.to_owned(), &allowed)?;
    Ok(Session::new(pools.lend(&address, root).await?))
}

async fn rows(session: &Session, sql: &str, parameters: Vec<ParameterValue>) -> Result<Vec<Row>, Error> {
    Ok(session.query(sql, parameters).await?.all().await?.1)
}

/// The one value that a statement without parameters answers.
async fn ask(session: &Session, sql: &str) -> DbValue {
    let [row] = &mut rows(session, sql, vec![]).await.unwrap()[..] else { panic!("not one row: {sql}") };
    row.remove(0)
}

async fn run(session: &Session, sql: &str) -> u64 {
    session.execute(sql, vec![]).await.unwrap()
}

/// The server's process behind a connection.
async fn process(session: &Session) -> i32 {
    let DbValue::Int32(id) = ask(session, "SELECT pg_backend_pid()").await else { panic!() };
    id
}

/// Waits until a condition on the server holds.
async fn until(observer: &Session, condition: &str) {
    let holds = async {
        while !matches!(ask(observer, &format!("SELECT {condition}")).await, DbValue::Boolean(true)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), holds).await.expect(condition);
}

/// What the server is at for one of its processes.
fn gone(process: i32) -> String {
    format!("NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = {process})")
}

fn database_error(error: Error) -> super::bindings::spin::postgres::postgres::DbError {
    match error {
        Error::QueryFailed(QueryError::DbError(error)) => error,
        other => panic!("no database error: {other:?}"),
    }
}

#[tokio::test]
async fn every_type_goes_there_and_back() {
    let (server, pools) = (Server::shared(), Pools::default());
    let session = server.open(&pools).await;
    let text = |text: &str| text.to_owned();
    let (low, high) = (text("-1.50"), text("79228162514264337593543950335"));
    macro_rules! check {
        ($($kind:ident($value:expr) as $of:literal;)+) => {$(
            let parameters = vec![ParameterValue::$kind($value), ParameterValue::DbNull];
            let sql = concat!("SELECT $1::", $of, ", $2::", $of);
            let (columns, rows) = session.query(sql, parameters).await.unwrap().all().await.unwrap();
            assert!(matches!(columns[0].data_type, DbDataType::$kind), "{sql}: {columns:?}");
            let expected = [DbValue::$kind($value), DbValue::DbNull];
            assert_eq!(format!("{:?}", rows[0]), format!("{expected:?}"), "{sql}");
        )+};
    }
    check! {
        Boolean(true) as "bool";
        Int16(i16::MIN) as "int2";
        Int32(i32::MIN) as "int4";
        Int64(i64::MIN) as "int8";
        Floating32(1.5) as "float4";
        Floating64(-0.1) as "float8";
        Str(text("수강 🎓")) as "text";
        Str(text("x")) as "varchar(3)";
        Str(text("x  ")) as "char(3)";
        Binary(vec![0, 255]) as "bytea";
        Date((2026, 2, 28)) as "date";
        Date((-4712, 1, 1)) as "date";
        Time((23, 59, 59, 999_999_000)) as "time";
        Datetime((1969, 12, 31, 23, 59, 59, 1_000)) as "timestamp";
        Uuid(text("67e55044-10b1-426f-9247-bb680e5fe0c8")) as "uuid";
        Jsonb(br#"{"a":[1,null,"x"]}"#.to_vec()) as "jsonb";
        Decimal(low.clone()) as "numeric";
        Decimal(high.clone()) as "numeric";
        RangeInt32((Some((1, Inclusive)), Some((5, Exclusive)))) as "int4range";
        RangeInt64((None, Some((i64::MAX, Exclusive)))) as "int8range";
        RangeDecimal((Some((low.clone(), Exclusive)), Some((high.clone(), Inclusive)))) as "numrange";
        RangeDecimal((None, None)) as "numrange";
        ArrayInt32(vec![Some(1), None]) as "int4[]";
        ArrayInt64(vec![]) as "int8[]";
        ArrayDecimal(vec![Some(low.clone()), None]) as "numeric[]";
        ArrayStr(vec![Some(text("a,b")), None, Some(text(""))]) as "text[]";
        ArrayStr(vec![Some(text("a"))]) as "varchar[]";
        Interval(Interval { micros: -1, days: 2, months: -3 }) as "interval";
    }
}

#[tokio::test]
async fn what_has_no_type_in_an_answer_can_still_be_given_or_taken() {
    let (server, pools) = (Server::shared(), Pools::default());
    let session = server.open(&pools).await;
    let given = vec![ParameterValue::Timestamp(86_400)];
    let at = rows(&session, "SELECT $1::timestamptz = '1970-01-02 00:00Z'", given).await.unwrap();
    assert!(matches!(at[0][0], DbValue::Boolean(true)));
    let at = rows(&session, r#"SELECT $1::"char"::text"#, vec![ParameterValue::Int8(65)]).await.unwrap();
    assert!(matches!(&at[0][0], DbValue::Str(text) if text == "A"));
    assert!(
        matches!(ask(&session, "SELECT '{}'::json").await, DbValue::Unsupported(bytes) if bytes == b"{}")
    );
    // Named after the type, so that a component can say what it does not understand.
    let (columns, _) = session.query("SELECT '::1'::inet AS at", vec![]).await.unwrap().all().await.unwrap();
    assert!(matches!(&columns[0].data_type, DbDataType::Other(name) if name == "inet"));
    let empty = ask(&session, "SELECT 'empty'::int4range").await;
    assert!(matches!(empty, DbValue::RangeInt32((None, None))));
}

#[tokio::test]
async fn a_parameter_that_does_not_fit_is_refused_by_its_number_and_type() {
    let (server, pools) = (Server::shared(), Pools::default());
    let session = server.open(&pools).await;
    let one = || ParameterValue::Int32(1);
    for (sql, parameters, expected) in [
        (
            "SELECT $1::int4, $2::int4",
            vec![one(), ParameterValue::Int64(1)],
            vec!["parameter 2", "i64", "int4"],
        ),
        ("SELECT $1::int8", vec![one()], vec!["parameter 1", "i32", "int8"]),
        ("SELECT $1::text", vec![one()], vec!["parameter 1", "i32", "text"]),
        ("SELECT $1::int4", vec![ParameterValue::Str("1".to_owned())], vec!["parameter 1", "String", "int4"]),
        (
            "SELECT $1::timestamptz",
            vec![ParameterValue::Datetime((2026, 1, 1, 0, 0, 0, 0))],
            vec!["timestamptz"],
        ),
        (
            "SELECT $1::int8range",
            vec![ParameterValue::RangeInt32((None, None))],
            vec!["Range<i32>", "int8range"],
        ),
        ("SELECT $1::date", vec![ParameterValue::Date((2026, 2, 29))], vec!["parameter 1", "no such date"]),
        ("SELECT $1::time", vec![ParameterValue::Time((24, 0, 0, 0))], vec!["parameter 1", "no such time"]),
        ("SELECT $1::uuid", vec![ParameterValue::Uuid("x".to_owned())], vec!["parameter 1", "`x`"]),
        ("SELECT $1::jsonb", vec![ParameterValue::Jsonb(b"{".to_vec())], vec!["parameter 1", "EOF"]),
        (
            "SELECT $1::numeric",
            vec![ParameterValue::Decimal("1e".to_owned())],
            vec!["parameter 1", "decimal"],
        ),
        ("SELECT $1::int4, $2::int4", vec![one()], vec!["has 2 parameters, and 1 were given"]),
        ("SELECT 1", vec![one()], vec!["has 0 parameters"]),
    ] {
        let Err(Error::BadParameter(refusal)) = rows(&session, sql, parameters.clone()).await else {
            panic!("{sql} was answered");
        };
        assert!(expected.iter().all(|part| refusal.contains(part)), "{sql}: {refusal}");
        assert!(matches!(session.execute(sql, parameters).await, Err(Error::BadParameter(_))), "{sql}");
    }
    assert!(
        matches!(ask(&session, "SELECT 1").await, DbValue::Int32(1)),
        "the connection is as good as before"
    );
}

#[tokio::test]
async fn a_value_that_cannot_be_read_is_refused_by_its_column() {
    let (server, pools) = (Server::shared(), Pools::default());
    let session = server.open(&pools).await;
    for (sql, expected) in [
        ("SELECT 1 AS a, now() AS made_at", ["`made_at`", "timestamptz"]),
        ("SELECT 'NaN'::numeric AS price", ["`price`", "NaN"]),
        ("SELECT 1e40::numeric AS price", ["`price`", "maximum"]),
        ("SELECT 'infinity'::date AS day", ["`day`", "value too large"]),
    ] {
        let Err(Error::ValueConversionFailed(refusal)) = rows(&session, sql, vec![]).await else {
            panic!("{sql} was answered");
        };
        assert!(expected.iter().all(|part| refusal.contains(part)), "{sql}: {refusal}");
    }
}

#[tokio::test]
async fn what_the_server_says_of_a_statement_is_told_field_by_field() {
    let (server, pools) = (Server::shared(), Pools::default());
    let session = server.open(&pools).await;
    run(&session, "CREATE TABLE seats (id int PRIMARY KEY, taken int CONSTRAINT few CHECK (taken <= 1))")
        .await;
    assert_eq!(run(&session, "INSERT INTO seats VALUES (1, 0), (2, 0)").await, 2);
    let failed = session.execute("INSERT INTO seats VALUES (1, 0)", vec![]).await.unwrap_err();
    let failed = database_error(failed);
    assert_eq!((failed.severity.as_str(), failed.code.as_str()), ("ERROR", "23505"));
    assert!(failed.message.contains("duplicate key") && failed.as_text.contains("duplicate key"));
    assert_eq!(failed.detail.as_deref(), Some("Key (id)=(1) already exists."));
    let extra =
        |name: &str| failed.extras.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
    assert_eq!((extra("table"), extra("constraint")), (Some("seats"), Some("seats_pkey")));
    assert_eq!((extra("schema"), extra("column")), (Some("public"), None));

    let failed = rows(&session, "UPDATE seats SET taken = 2 RETURNING id", vec![]).await.unwrap_err();
    assert!(database_error(failed).extras.contains(&("constraint".to_owned(), "few".to_owned())));
    let failed = database_error(rows(&session, "SELECT FROM nowhere", vec![]).await.unwrap_err());
    assert_eq!(failed.code, "42P01");
    let failed = database_error(session.execute("SELECT 1; SELECT 2", vec![]).await.unwrap_err());
    assert_eq!(failed.code, "42601", "one statement at a time");
}

#[tokio::test]
async fn an_answer_keeps_the_rows_that_came_before_its_error() {
    let (server, pools) = (Server::shared(), Pools::default());
    let session = server.open(&pools).await;
    let sql = "SELECT 10 / (5 - i) AS part FROM generate_series(1, 9) AS i";
    let Answer { columns, head, rest } = session.query(sql, vec![]).await.unwrap();
    assert_eq!((columns[0].name.as_str(), head.len()), ("part", 4));
    let Rest::Ended(Err(error)) = rest else { panic!("it did not end in an error") };
    assert_eq!(database_error(error).code, "22012");
    let empty = session.query("SELECT 1 AS one WHERE false", vec![]).await.unwrap();
    assert_eq!((empty.columns.len(), empty.head.len()), (1, 0));
}

#[tokio::test]
async fn a_long_answer_comes_as_it_is_taken() {
    let (server, pools) = (Server::shared(), Pools::default());
    let session = server.open(&pools).await;
    let sql = "SELECT i, repeat('x', 1000) FROM generate_series(1, 20000) AS i";
    let Answer { mut head, rest, .. } = session.query(sql, vec![]).await.unwrap();
    let Rest::ToCome { rows: mut rest, outcome } = rest else { panic!("20 MB were read at once") };
    assert!(head.len() < 1000, "{} rows were read at once", head.len());
    let observer = server.open(&Pools::default()).await;
    // Nobody takes the next row: the server cannot go on.
    let process = process_of(&observer, "generate_series(1, 20000)").await;
    until(
        &observer,
        &format!("'ClientWrite' = (SELECT wait_event FROM pg_stat_activity WHERE pid = {process})"),
    )
    .await;
    while let Some(row) = rest.recv().await {
        head.push(row);
    }
    outcome.await.unwrap().unwrap();
    let numbers =
        head.iter().zip(1..).filter(|(row, number)| matches!(row[0], DbValue::Int32(i) if i == *number));
    assert_eq!((numbers.count(), head.len()), (20_000, 20_000));
}

/// The process that is at a statement which contains `part`.
async fn process_of(observer: &Session, part: &str) -> i32 {
    let at = format!("FROM pg_stat_activity WHERE query LIKE '%{part}%' AND pid <> pg_backend_pid()");
    until(observer, &format!("EXISTS (SELECT {at})")).await;
    match ask(observer, &format!("SELECT pid {at}")).await {
        DbValue::Int32(process) => process,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_that_nobody_reads_on_is_given_up_with_its_connection() {
    let (server, pools) = (Server::shared(), Pools::default());
    let observer = server.open(&Pools::default()).await;
    let mut session = server.open(&pools).await;
    session.patience = Duration::from_millis(50);
    let id = process(&session).await;
    let answer =
        session.query("SELECT repeat('x', 1000) FROM generate_series(1, 1000000)", vec![]).await.unwrap();
    drop(session);
    let Rest::ToCome { rows, outcome } = answer.rest else { panic!("a gigabyte was read at once") };
    let error = outcome.await.unwrap().unwrap_err();
    assert!(format!("{error:?}").contains("no row was taken"), "{error:?}");
    until(&observer, &gone(id)).await;
    drop(rows);
}

#[tokio::test]
async fn a_statement_whose_component_went_away_is_canceled() {
    let (server, pools) = (Server::shared(), Pools::default());
    let observer = server.open(&Pools::default()).await;
    for (sql, reads) in
        [("SELECT pg_sleep(600)", false), ("SELECT i FROM generate_series(1, 100000000) AS i", true)]
    {
        let session = server.open(&pools).await;
        let id = process(&session).await;
        let at_work = tokio::spawn(async move {
            let answer = session.query(sql, vec![]).await.unwrap();
            assert!(reads && matches!(answer.rest, Rest::ToCome { .. }));
            std::future::pending::<()>().await;
            drop(answer);
        });
        until(
            &observer,
            &format!(
                "'active' = (SELECT state FROM pg_stat_activity WHERE pid = {id} AND query = $q${sql}$q$)"
            ),
        )
        .await;
        at_work.abort();
        until(&observer, &gone(id)).await;
    }
    // Its place is free again.
    assert!(server.open(&pools).await.execute("SELECT 1", vec![]).await.is_ok());
}

#[tokio::test]
async fn an_answer_larger_than_the_limit_is_an_error() {
    let (server, pools) = (Server::shared(), Pools::default());
    let session = server.open(&pools).await;
    for sql in ["SELECT repeat('x', 1000000) FROM generate_series(1, 150)", "SELECT repeat('x', 140000000)"] {
        let error = format!("{:?}", rows(&session, sql, vec![]).await.unwrap_err());
        assert!(error.contains("exceeds limit of 134217728 bytes"), "{error}");
    }
}

#[tokio::test]
async fn the_next_to_open_meets_nothing_of_what_the_last_one_did() {
    let (server, pools) = (Server::shared(), Pools::default());
    let observer = server.open(&Pools::default()).await;
    let session = server.open(&pools).await;
    let id = process(&session).await;
    for sql in [
        "SET search_path TO pg_catalog",
        "SET SESSION AUTHORIZATION pg_monitor",
        "SELECT pg_advisory_lock(4711)",
        "LISTEN something",
        "RESET SESSION AUTHORIZATION",
        "CREATE TEMPORARY TABLE left_behind (i int)",
        "SET SESSION AUTHORIZATION pg_monitor",
    ] {
        run(&session, sql).await;
    }
    drop(session);
    until(&observer, "NOT EXISTS (SELECT FROM pg_locks WHERE objid = 4711)").await;
    let session = again(&server, &pools, id).await;
    let of_session = "current_user || ' ' || current_setting('search_path')";
    assert!(
        matches!(ask(&session, &format!("SELECT {of_session}")).await, DbValue::Str(is) if is == r#"sugang "$user", public"#)
    );
    assert!(rows(&session, "SELECT FROM left_behind", vec![]).await.is_err());
    let log = std::fs::read_to_string(server.server.log()).unwrap();
    assert!(
        !log.contains("no transaction in progress"),
        "a connection is rolled back only where there is need"
    );
    assert!(matches!(ask(&session, "SELECT count(*) FROM pg_listening_channels()").await, DbValue::Int64(0)));
}

/// The same connection once more, when it has been cleaned.
async fn again(server: &Server, pools: &Pools, id: i32) -> Session {
    let found = async {
        // Kept, since what was given back last is lent first.
        let mut others = Vec::new();
        loop {
            let session = server.open(pools).await;
            if process(&session).await == id {
                return session;
            }
            others.push(session);
        }
    };
    tokio::time::timeout(Duration::from_secs(20), found).await.expect("the connection did not come back")
}

#[tokio::test]
async fn a_statement_stays_prepared_until_what_it_reads_changes() {
    let (server, pools) = (Server::own(), Pools::default());
    let prepared =
        "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT * FROM changing%'";
    let (all, count) = ("SELECT * FROM changing", async |session: &Session| ask(session, prepared).await);
    let session = server.open(&pools).await;
    run(&session, "CREATE TABLE changing (a BIGINT)").await;
    run(&session, "INSERT INTO changing VALUES (1)").await;
    assert_eq!(rows(&session, all, vec![]).await.unwrap()[0].len(), 1);
    let connection = process(&session).await;
    drop(session);
    let session = again(&server, &pools, connection).await;
    rows(&session, all, vec![]).await.unwrap();
    assert!(matches!(count(&session).await, DbValue::Int64(1)));
    run(&session, "ALTER TABLE changing ADD COLUMN b BIGINT DEFAULT 2").await;
    assert_eq!(rows(&session, all, vec![]).await.unwrap()[0].len(), 2);
    run(&session, "DEALLOCATE ALL").await;
    assert_eq!(rows(&session, all, vec![]).await.unwrap()[0].len(), 2);
    // What the server cannot do is refused as ever.
    let refused = session.query("SELECT 1 FROM changing FOR UPDATE OF nothing", vec![]).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn a_transaction_that_was_not_ended_is_rolled_back_at_once() {
    let (server, pools) = (Server::shared(), Pools::default());
    let observer = server.open(&Pools::default()).await;
    run(&observer, "CREATE TABLE pledges (i int)").await;
    for spoil in [false, true] {
        let session = server.open(&pools).await;
        let id = process(&session).await;
        for sql in
            ["BEGIN", "INSERT INTO pledges VALUES (1)", "LOCK TABLE pledges", "SELECT pg_advisory_lock(4712)"]
        {
            run(&session, sql).await;
        }
        if spoil {
            assert!(session.execute("SELECT 1 / 0", vec![]).await.is_err());
        }
        drop(session);
        // Its locks would hold this up until the connection is lent again.
        let locked = ask(&observer, "SELECT count(*) FROM pledges");
        let counted = tokio::time::timeout(Duration::from_secs(20), locked).await.unwrap();
        assert!(matches!(counted, DbValue::Int64(0)));
        let session = again(&server, &pools, id).await;
        let outside = session.execute("SAVEPOINT s", vec![]).await.unwrap_err();
        assert_eq!(database_error(outside).code, "25P01", "there is no transaction");
        until(&observer, "NOT EXISTS (SELECT FROM pg_locks WHERE objid = 4712)").await;
    }
    // A transaction that was ended by its component is none of ours.
    let session = server.open(&pools).await;
    for sql in ["BEGIN", "INSERT INTO pledges VALUES (2)", "COMMIT"] {
        run(&session, sql).await;
    }
    drop(session);
    assert!(matches!(ask(&observer, "SELECT i FROM pledges").await, DbValue::Int32(2)));
}

/// Whether a future is still not done after a moment.
async fn waits(future: impl Future) -> bool {
    tokio::time::timeout(Duration::from_millis(300), future).await.is_err()
}

#[tokio::test]
async fn a_component_has_64_connections_to_an_address_and_waits_for_one_more() {
    let (server, pools) = (Server::shared(), Pools::default());
    let mut held = Vec::new();
    for _ in 0..64 {
        held.push(server.open(&pools).await);
    }
    assert!(waits(server.open(&pools)).await);
    // Another component has its own.
    run(&server.open(&Pools::default()).await, "SELECT 1").await;
    let id = process(&held[0]).await;
    held.swap_remove(0);
    assert_eq!(process(&server.open(&pools).await).await, id);
}

#[tokio::test]
async fn why_a_server_lets_nobody_in_is_told_without_the_address() {
    let (server, pools) = (Server::shared(), Pools::default());
    let url = server.url();
    let (user, password) =
        url.strip_prefix("postgres://").and_then(|it| it.split_once('@')?.0.split_once(':')).unwrap();
    for (address, expected) in [
        (url.replace(password, "hunter2"), "(SQLSTATE 28P01)"),
        (url.replace(user, "hunter2"), "(SQLSTATE 28P01)"),
        (url.replace("/postgres", "/hunter2"), "(SQLSTATE 3D000)"),
        ("postgres://hunter2:hunter2@127.0.0.1:1/hunter2".to_owned(), "Connection refused"),
        (format!("{url}?sslmode=require"), "server does not support TLS"),
    ] {
        let refused = format!("{:?}", open(&pools, &address, None).await.err().unwrap());
        assert!(refused.contains(expected), "{refused}");
        for secret in ["hunter2", user, password] {
            assert!(!refused.contains(secret), "{refused}");
        }
    }
    let shown = format!("{pools:?}");
    assert!(!shown.contains(password) && !shown.contains("127.0.0.1"), "{shown}");
}

#[tokio::test]
async fn after_a_restart_the_next_to_open_finds_a_working_connection() {
    let (server, pools) = (Server::own(), Pools::default());
    let Server { server, _folder: folder } = server;
    let url = server.url();
    let session = open(&pools, &url, None).await.unwrap();
    run(&session, "CREATE TABLE kept (i int)").await;
    drop(server);
    // What the server said as it went, or that the connection is closed: whichever is heard first.
    let gone = format!("{:?}", session.execute("SELECT 1", vec![]).await.unwrap_err());
    assert!(gone.contains("57P01") || gone.contains("kind: Closed"), "{gone}");
    drop(session);
    assert!(open(&pools, &url, None).await.is_err());
    let server = PostgresServer::start(folder.path(), &["fsync=off"]).unwrap();
    assert_eq!(server.url(), url);
    assert_eq!(run(&open(&pools, &url, None).await.unwrap(), "DELETE FROM kept").await, 0);
}

#[tokio::test]
async fn a_server_is_trusted_by_the_root_that_a_component_gives() {
    let folder = tempfile::tempdir().unwrap();
    let server = PostgresServer::start(folder.path(), &["fsync=off"]).unwrap();
    let (url, pools) = (server.url(), Pools::default());
    let [root, other] = [authority(), authority()];
    let certificate = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let issuer = rcgen::Issuer::from_params(&root.0, &root.1);
    let certificate = certificate.signed_by(&key, &issuer).unwrap();
    for (name, text) in [("server.crt", certificate.pem()), ("server.key", key.serialize_pem())] {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
        let data = folder.path().join("data");
        let owner = std::fs::metadata(&data).unwrap();
        std::fs::write(data.join(name), text).unwrap();
        std::fs::set_permissions(data.join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
        chown(data.join(name), Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    let plain = open(&pools, &format!("{url}?sslmode=disable"), None).await.unwrap();
    run(&plain, "ALTER SYSTEM SET ssl = on").await;
    run(&plain, "SELECT pg_reload_conf()").await;
    until(&plain, "current_setting('ssl') = 'on'").await;

    let address = format!("{url}?sslmode=require");
    let session = open(&pools, &address, Some(&root.2)).await.unwrap();
    until(&session, "(SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid())").await;
    for root in [None, Some(other.2.as_str())] {
        let refused = format!("{:?}", open(&pools, &address, root).await.err().unwrap());
        assert!(refused.contains("certificate"), "{refused}");
    }
    // A statement is canceled over TLS as well.
    let id = process(&session).await;
    assert!(waits(session.execute("SELECT pg_sleep(600)", vec![])).await);
    drop(session);
    until(&plain, &gone(id)).await;
}

/// An authority of the test's own, and its certificate in PEM.
fn authority() -> (rcgen::CertificateParams, rcgen::KeyPair, String) {
    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = authority.self_signed(&key).unwrap().pem();
    (authority, key, certificate)
}
