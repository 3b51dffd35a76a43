//! What a statement needs from its connection.
//!
//! SQLite tells it while it prepares the statement, through its authorizer: every table changed,
//! every `PRAGMA`, `BEGIN`, `ATTACH` or function is announced there. No SQL text is looked at, so a
//! comment, a `WITH` or a string cannot lead to the wrong class.
//!
//! What would have to stay on one connection is refused here: temporary tables, settings of a
//! connection, what `changes()` and `last_insert_rowid()` remember. Only a transaction is kept.

use rusqlite::{
    ffi::{SQLITE_ATTACH, SQLITE_DETACH},
    hooks::{AuthAction, AuthContext, Authorization},
};

/// Where a statement may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// It changes nothing: any connection will do.
    Read,
    /// The same, and it once took longer than a moment.
    LongRead,
    /// It changes the database and nothing else: the writer's, in a group with others.
    Write,
    /// It begins or ends a transaction, or runs outside of any: on a connection of the session's own.
    Own,
}

/// What SQLite announced about a statement.
#[derive(Debug, Default)]
pub(super) struct Announced {
    own: bool,
    writes: bool,
    /// Whether a view, a `WITH` or a trigger asks for what is remembered per connection. In a
    /// trigger it is about what the trigger did, so a write may.
    asks_within: bool,
    pragma: Option<Class>,
    /// What is refused, in words.
    pub(super) refused: Option<&'static str>,
}

/// What tells about earlier statements of one connection.
const COUNTING: [&str; 3] = ["changes", "total_changes", "last_insert_rowid"];

const COUNTERS: &str = "`changes()` and `last_insert_rowid()`: use `RETURNING`";
const TEMPORARY: &str = "temporary tables, indexes, triggers and views";
const SETTING: &str = "this `PRAGMA`: it would set one connection, and sessions share theirs";

impl Announced {
    /// Takes note of one announcement, and says whether it may be.
    pub(super) fn note(&mut self, context: &AuthContext<'_>) -> Authorization {
        let refused = match context.action {
            AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } => {
                self.own = true;
                None
            }
            AuthAction::Pragma { pragma_name, pragma_value } => {
                let (name, value) =
                    (pragma_name.to_ascii_lowercase(), pragma_value.map(str::to_ascii_lowercase));
                self.pragma = pragma(&name, value.as_deref());
                self.pragma.is_none().then_some(SETTING)
            }
            // Without a name it is part of `VACUUM`. Otherwise, a component reaches no file but the one
            // behind its label.
            AuthAction::Attach { filename: "" }
            | AuthAction::Detach { .. }
            | AuthAction::Unknown { code: SQLITE_DETACH, .. } => {
                self.own = true;
                None
            }
            AuthAction::Attach { .. } | AuthAction::Unknown { code: SQLITE_ATTACH, .. } => {
                return Authorization::Deny;
            }
            AuthAction::CreateTempIndex { .. }
            | AuthAction::CreateTempTable { .. }
            | AuthAction::CreateTempTrigger { .. }
            | AuthAction::CreateTempView { .. } => Some(TEMPORARY),
            AuthAction::Function { function_name } => {
                let asks = COUNTING.iter().any(|name| function_name.eq_ignore_ascii_case(name));
                self.asks_within |= asks;
                (asks && context.accessor.is_none()).then_some(COUNTERS)
            }
            AuthAction::Select
            | AuthAction::Read { .. }
            | AuthAction::Recursive
            | AuthAction::Unknown { .. } => None,
            // Whatever is left changes rows or the schema.
            _ => {
                self.writes = true;
                None
            }
        };
        self.refused = self.refused.or(refused);
        if refused.is_some() { Authorization::Deny } else { Authorization::Allow }
    }

    /// The class of the statement; `readonly` is SQLite's own word on the prepared statement.
    pub(super) fn class(&self, readonly: bool) -> Result<Class, &'static str> {
        match self.pragma {
            _ if readonly && self.asks_within => Err(COUNTERS),
            // Where SQLite does not vouch for it.
            Some(Class::Read) if !readonly => Ok(Class::Own),
            Some(class) => Ok(class),
            None if self.own => Ok(Class::Own),
            None if readonly => Ok(Class::Read),
            None if self.writes => Ok(Class::Write),
            // `VACUUM` announces nothing, and runs outside of any transaction.
            None => Ok(Class::Own),
        }
    }
}

/// The class of a `PRAGMA`, by its name and value in lower case; none where it is refused.
fn pragma(name: &str, value: Option<&str>) -> Option<Class> {
    Some(match (name, value) {
        // What belongs to the file is the same on every connection.
        ("user_version" | "application_id", Some(_)) => Class::Write,
        (
            "user_version" | "application_id" | "schema_version" | "page_count" | "page_size" | "encoding",
            None,
        )
        | (
            "table_info" | "table_xinfo" | "table_list" | "index_info" | "index_xinfo" | "index_list"
            | "foreign_key_list" | "foreign_key_check" | "integrity_check" | "quick_check" | "freelist_count",
            _,
        ) => Class::Read,
        // They change the file, or set what is set anyway.
        ("journal_mode" | "auto_vacuum" | "incremental_vacuum" | "wal_checkpoint" | "optimize", Some(_))
        | ("foreign_keys" | "secure_delete", Some("on" | "yes" | "true" | "1"))
        | (_, None) => Class::Own,
        (_, Some(_)) => return None,
    })
}
