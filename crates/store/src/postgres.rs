//! What PostgreSQL needs besides the texts: an address, functions that the texts take for granted, a migration, and what its
//! errors mean. Whoever speaks to it (Spin, or a test) brings the connection.

use crate::dialect::schema_statement;
use crate::migration::{Session, check_newer};
use crate::schema::VERSIONS;
use crate::{Schema, StoreError};
use std::fmt::Write;
use std::time::Duration;

/// How long a statement may take, waiting for locks included: those of a context take milliseconds, and nobody waits for
/// an answer for longer. The server sees to it.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a statement is waited for, from asking for a connection on. It is longer than the server lets it take, so that it
/// runs out only where nothing is heard from the server: one that stands still, or a network that is parted.
pub(crate) const PATIENCE: Duration = Duration::from_secs(12);

/// How long a migration is waited for, which may have to go through a large table.
pub(crate) const MIGRATION_PATIENCE: Duration = Duration::from_mins(10);

/// What an address says of a connection unless its operator does, in seconds: for how long it is waited for, after how much
/// silence the other end is asked whether it is still there, how often, how many times, and for how long what was sent may
/// stay unheard. Without these it would be minutes to hours until the system notices that a server is gone without a word.
const CONNECTION: [(&str, u32); 5] = [
    ("connect_timeout", 5),
    ("keepalives_idle", 10),
    ("keepalives_interval", 5),
    ("keepalives_retries", 4),
    ("tcp_user_timeout", 30),
];

/// What SQLite brings and the common texts use. Each is an overload for types that PostgreSQL's own function of that
/// name does not take. Made anew by every version, like views and triggers.
const FUNCTIONS: [&str; 8] = [
    "CREATE FUNCTION json_each(rows text, OUT value json) RETURNS SETOF json LANGUAGE sql IMMUTABLE STRICT
        RETURN json_array_elements(rows::json)",
    "CREATE FUNCTION json_field(object text, field text) RETURNS text LANGUAGE sql IMMUTABLE STRICT
        RETURN object::json ->> field",
    "CREATE OPERATOR ->> (LEFTARG = text, RIGHTARG = text, FUNCTION = json_field)",
    // Of nothing and something SQLite says nothing.
    "CREATE FUNCTION max(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT RETURN greatest($1, $2)",
    "CREATE FUNCTION max(text, text) RETURNS text LANGUAGE sql IMMUTABLE STRICT
        RETURN greatest($1 COLLATE \"C\", $2 COLLATE \"C\")",
    "CREATE FUNCTION min(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT RETURN least($1, $2)",
    "CREATE FUNCTION unixepoch(moment text) RETURNS bigint LANGUAGE sql STABLE STRICT
        RETURN floor(extract(epoch FROM moment::timestamptz))::bigint",
    "CREATE FUNCTION last_insert_rowid() RETURNS bigint LANGUAGE sql RETURN lastval()",
];

const VERSION: &str = "SELECT version FROM versions ORDER BY version DESC LIMIT 1";

/// The address of the store under `label`, in the database at `url` (`postgres://…`, or `host=… dbname=…`): its tables
/// are in the schema of that name, no statement takes longer than [`STATEMENT_TIMEOUT`], and [`CONNECTION`]. What a URL
/// says itself stays, its `options` as well; where it contradicts, the schema and the time-out are ours.
pub(crate) fn address(url: &str, label: &str) -> String {
    let timeout = STATEMENT_TIMEOUT.as_millis();
    let options = format!("-c search_path={label} -c statement_timeout={timeout}");
    if !url.contains("://") {
        let ours = CONNECTION.iter().filter(|(name, _)| !url.contains(name));
        let ours: String = ours.map(|(name, value)| format!(" {name}={value}")).collect();
        return format!("{url}{ours} options='{options}'");
    }
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut all, mut theirs) = (Vec::new(), String::new());
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter.strip_prefix("options=") {
            Some(options) => theirs = format!("{options}%20"),
            None => all.push(parameter.to_owned()),
        }
    }
    for (name, value) in CONNECTION {
        if !all.iter().any(|parameter| parameter.split('=').next() == Some(name)) {
            all.push(format!("{name}={value}"));
        }
    }
    all.push(format!("options={theirs}{}", options.replace(' ', "%20").replace('=', "%3D")));
    format!("{place}?{}", all.join("&"))
}

/// Brings the store behind `session` to `schema`, as [`crate::migration::migrate`] does on SQLite.
pub(crate) async fn migrate(session: &impl Session, schema: &Schema, label: &str) -> Result<(), StoreError> {
    let found = match version(session).await {
        // Where there is no table there is no store; should it be another failure, it is one again below.
        Err(StoreError::Failure(_)) => None,
        found => Some(found?),
    };
    if found.is_none_or(|found| found < schema.version) {
        session.run(&format!("SET statement_timeout = {}", MIGRATION_PATIENCE.as_millis())).await?;
        let migrated = session.run(&migration(schema, label, found)).await;
        migrated.and(session.run("RESET statement_timeout").await)?;
    }
    let now = version(session).await?;
    if now > schema.version {
        return check_newer(session, now, schema).await;
    }
    if now < schema.version {
        return Err(StoreError::unavailable("older code has just made this store, and it is to be migrated"));
    }
    Ok(())
}

async fn version(session: &impl Session) -> Result<u32, StoreError> {
    let rows = session.run(VERSION).await?;
    rows.first().map_or(Ok(0), |row| row.number("version", u32::try_from))
}

/// Takes every table and view of the store at once, and so waits until nobody uses one. Whoever comes meanwhile waits as well:
/// for a moment, since without success all are let go again. So it is always the migration that gives way, and never a
/// statement of somebody who is being answered, as it might be in a deadlock.
const EVERYTHING_TO_ITSELF: &str = "LOOP BEGIN
            PERFORM set_config('lock_timeout', '200ms', true);
            FOR statement IN SELECT format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', oid::regclass) FROM pg_class
                WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'v') ORDER BY oid
            LOOP EXECUTE statement; END LOOP;
            PERFORM set_config('lock_timeout', '0', true);
            EXIT;
         EXCEPTION WHEN lock_not_available THEN
            attempt := attempt + 1;
            IF attempt = 300 THEN RAISE; END IF;
            PERFORM pg_sleep(0.05 + random() / 5);
         END; END LOOP;";

/// One statement, and so one transaction: whatever cuts it off, nothing has happened. It does nothing where the store is
/// no longer as it was found.
fn migration(schema: &Schema, label: &str, found: Option<u32>) -> String {
    let was_first = match found {
        None => "to_regclass('versions') IS NOT NULL".to_owned(),
        Some(found) => format!("(SELECT max(version) FROM versions) <> {found}"),
    };
    let mut block = format!(
        "DO $migration$ DECLARE statement text; attempt int := 0; BEGIN
         PERFORM pg_advisory_xact_lock(hashtextextended('sugang {label}', 0));
         IF {was_first} THEN RETURN; END IF;
         IF to_regnamespace('\"{label}\"') IS NULL THEN CREATE SCHEMA \"{label}\"; END IF;
         {EVERYTHING_TO_ITSELF}
         -- Whatever views and functions there are, and with them the triggers and operators that run these.
         FOR statement IN
            SELECT format('DROP VIEW IF EXISTS %s CASCADE', oid::regclass) FROM pg_class
                WHERE relnamespace = '\"{label}\"'::regnamespace AND relkind = 'v'
            UNION ALL SELECT format('DROP ROUTINE IF EXISTS %s CASCADE', oid::regprocedure) FROM pg_proc
                WHERE pronamespace = '\"{label}\"'::regnamespace
         LOOP EXECUTE statement; END LOOP;"
    );
    let mut add =
        |statement: &str| write!(block, "\n{};", statement.trim_end_matches(';')).unwrap_or_default();
    let tables = schema.tables.iter().filter(|_| found.is_none());
    let steps = schema.steps.iter().filter(|step| found.is_some_and(|found| step.to > found));
    FUNCTIONS.iter().for_each(|function| add(function));
    for statement in tables.chain(steps.flat_map(|step| step.statements)).chain(schema.programs) {
        add(&schema_statement(&faults::loosened(statement)));
    }
    add(&schema_statement(VERSIONS));
    let (version, oldest_code) = (schema.version, schema.oldest_code);
    add(&format!("INSERT INTO versions (version, oldest_code) VALUES ({version}, {oldest_code})"));
    block + "\nEND $migration$"
}

/// What it means that PostgreSQL refused a statement with this SQLSTATE.
pub(crate) fn refused(code: &str, constraint: Option<&str>, message: &str) -> StoreError {
    let constraint = || constraint.unwrap_or(message).to_owned();
    let unavailable = |reason: &str| StoreError::unavailable(format!("{reason}: {message}"));
    match code {
        "23505" => StoreError::Unique { constraint: constraint() },
        "23514" => StoreError::Check { constraint: constraint() },
        "P0001" => match message.strip_prefix(StoreError::RAISED) {
            Some(raised) => StoreError::Raised(raised.to_owned()),
            None => StoreError::Failure(message.to_owned()),
        },
        "40001" | "40P01" => StoreError::overtaken(message),
        "25006" => unavailable("the database is read-only"),
        "53100" => unavailable("the database is full"),
        "53300" => unavailable("the database has no connection left"),
        "57014" | "55P03" => unavailable("the database took too long"),
        _ if ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => {
            unavailable("the database cannot be used")
        }
        _ => StoreError::Failure(format!("{message} ({code})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_says_whose_tables_are_meant_and_how_long_anything_may_take() {
        let options = "-c%20search_path%3Dpay%20-c%20statement_timeout%3D10000";
        let silence = "keepalives_idle=10&keepalives_interval=5&keepalives_retries=4&tcp_user_timeout=30";
        let whole = |before: &str| format!("postgres://h/d?{before}&{silence}&options={options}");
        assert_eq!(address("postgres://h/d", "pay"), whole("connect_timeout=5"));
        assert_eq!(address("postgres://h/d?", "pay"), whole("connect_timeout=5"));
        assert_eq!(
            address("postgres://h/d?sslmode=require", "pay"),
            whole("sslmode=require&connect_timeout=5")
        );
        assert_eq!(
            address("host=h dbname=d tcp_user_timeout=9", "pay"),
            "host=h dbname=d tcp_user_timeout=9 connect_timeout=5 keepalives_idle=10 keepalives_interval=5 \
             keepalives_retries=4 options='-c search_path=pay -c statement_timeout=10000'"
        );
    }

    #[test]
    fn what_an_operator_says_of_a_connection_stays() {
        let said = "connect_timeout=1&keepalives_idle=2&keepalives_interval=3&keepalives_retries=4&tcp_user_timeout=5";
        let options = "-c%20search_path%3Dpay%20-c%20statement_timeout%3D10000";
        let whole = format!("postgres://h/d?{said}&options={options}");
        assert_eq!(address(&format!("postgres://h/d?{said}"), "pay"), whole);
        let theirs = "options=-c%20synchronous_commit%3Doff";
        let whole = format!("postgres://h/d?{said}&{theirs}%20{options}");
        assert_eq!(address(&format!("postgres://h/d?{theirs}&{said}"), "pay"), whole);
    }

    #[test]
    fn what_passes_is_told_from_what_is_decided_again_and_from_our_mistakes() {
        let unavailable = |code| matches!(refused(code, None, "m"), StoreError::Unavailable(_));
        for code in ["08006", "25006", "53100", "53200", "53300", "55P03", "57014", "57P01", "57P03", "58030"]
        {
            assert!(unavailable(code), "{code}");
        }
        for code in ["40001", "40P01", "23505", "23514"] {
            assert!(refused(code, None, "m").is_conflict() && !unavailable(code), "{code}");
        }
        for code in ["42601", "42501", "3D000", "28P01", "22P02", "P0001", "XX000"] {
            assert!(matches!(refused(code, None, "m"), StoreError::Failure(_)), "{code}");
        }
        let raised = refused("P0001", None, "decision: the seats changed");
        assert_eq!(raised, StoreError::Raised("the seats changed".to_owned()));
        let check = refused("23514", Some("enough_seats"), "violates");
        assert_eq!(check, StoreError::Check { constraint: "enough_seats".to_owned() });
        assert!(
            refused("53100", None, "No space left").to_string().contains("the database is full: No space")
        );
    }
}
