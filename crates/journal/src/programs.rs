//! The view that decisions go into, and what its triggers do in every context.

/// Where a decision is inserted, a row for each expectation, event, and what goes beside them.
pub const DECISIONS: &str = "CREATE VIEW decisions AS
    SELECT 'event' AS kind, subject, version, type, data, time, traceparent, actor FROM events";

/// Appends an event, and has the lists brought in step with it.
pub const APPEND_EVENT: &str =
    "CREATE TRIGGER append_event INSTEAD OF INSERT ON decisions WHEN NEW.kind = 'event' BEGIN
    INSERT INTO events (subject, version, type, data, time, traceparent, actor)
        VALUES (NEW.subject, NEW.version, NEW.type, NEW.data, NEW.time, NEW.traceparent, NEW.actor);
    INSERT INTO projection (position, subject, version, type, data, time)
        VALUES (last_insert_rowid(), NEW.subject, NEW.version, NEW.type, NEW.data, NEW.time);
END";

/// What an event is handed to so that the lists follow: by [`APPEND_EVENT`] once it is appended, and by whoever makes
/// the lists again, by inserting into it all that it shows. The triggers on it are the context's own. Its positions rise
/// with the events that follow one from another; on PostgreSQL they are not those of the log, which come later.
pub const PROJECTION: &str = "CREATE VIEW projection AS
    SELECT /*postgres inserted AS */position, subject, version, type, data, time FROM events";

/// Refuses a decision that was made from another version of something than the present one.
///
/// `expectation!("seats", "SELECT seats_version FROM courses WHERE edu_no = CAST(NEW.subject AS BIGINT)", "FOR UPDATE")` is
/// the trigger behind [`Decision::expect("seats", …)`](crate::Decision::expect). Where there is no row, version 0 is expected.
///
/// What was compared must stay so until the decision is committed, so PostgreSQL locks the row, `FOR UPDATE` where the
/// decision goes on to write it, `FOR SHARE` where others may expect the same at the same time.
#[macro_export]
macro_rules! expectation {
    ($what:literal, $version:literal, $lock:literal) => {
        concat!(
            "CREATE TRIGGER expect_",
            $what,
            " INSTEAD OF INSERT ON decisions WHEN NEW.kind = 'expect' AND NEW.type = '",
            $what,
            "' BEGIN SELECT RAISE(ABORT, 'decision: the ",
            $what,
            " changed') WHERE NEW.version <> coalesce((",
            $version,
            "/*postgres  ",
            $lock,
            "*/), 0); END"
        )
    };
}
