//! What a statement needs from its connection.
//!
//! SQLite tells it while it prepares the statement, through its authorizer: every table changed,
//! every `PRAGMA`, `BEGIN`, `ATTACH` or function is announced there. No SQL text is looked at, so a
//! comment, a `WITH` or a string cannot lead to the wrong kind.

use rusqlite::{
    ffi::{SQLITE_ATTACH, SQLITE_DETACH},
    hooks::{AuthAction, AuthContext},
};

/// Where a statement may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// It changes nothing: any connection will do.
    Read,
    /// The same, and it once took longer than a moment.
    LongRead,
    /// It changes the database and nothing else: the writer's, in a group with others.
    Write(Write),
    /// It reads what is kept per connection, such as `last_insert_rowid()`.
    Asks,
    /// It needs a connection of its own.
    Own(Afterwards),
}

/// What becomes of a session's own connection after a statement that needed it. While a
/// transaction is open on it, it stays in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Afterwards {
    /// Every later statement needs it too.
    Stays,
    /// It is kept for the next transaction.
    Rests,
    /// It is closed.
    Ends,
}

/// What a write leaves behind on its connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Write {
    /// It may change, or use, `last_insert_rowid`.
    pub(super) rowid: bool,
    /// It changes `changes`; a schema change does not.
    pub(super) counts: bool,
}

/// What SQLite announced about a statement.
#[derive(Debug, Default)]
pub(super) struct Announced {
    transaction: bool,
    pragma: Option<Pragma>,
    own: bool,
    changes_anything: bool,
    counts: bool,
    inserts: bool,
    asks_rowid: bool,
    asks_changes: bool,
    /// In a view or a `WITH`; or in a trigger.
    asks_rowid_within: bool,
    /// The same. In a trigger it is about what the trigger did, so that a write is taken to mean that.
    asks_changes_within: bool,
}

#[derive(Debug)]
struct Pragma {
    name: String,
    value: Option<String>,
}

impl Announced {
    /// Takes note of one announcement.
    pub(super) fn note(&mut self, context: &AuthContext<'_>) {
        let top_level = context.accessor.is_none();
        match context.action {
            AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } => self.transaction = true,
            AuthAction::Pragma { pragma_name, pragma_value } => {
                let name = pragma_name.to_ascii_lowercase();
                self.pragma = Some(Pragma { name, value: pragma_value.map(str::to_ascii_lowercase) });
            }
            AuthAction::Attach { .. }
            | AuthAction::Detach { .. }
            | AuthAction::CreateTempIndex { .. }
            | AuthAction::CreateTempTable { .. }
            | AuthAction::CreateTempTrigger { .. }
            | AuthAction::CreateTempView { .. } => self.own = true,
            // Their file's name is no plain text.
            AuthAction::Unknown { code: SQLITE_ATTACH | SQLITE_DETACH, .. } => self.own = true,
            AuthAction::Function { function_name } => {
                let rowid = function_name.eq_ignore_ascii_case("last_insert_rowid");
                let changes = function_name.eq_ignore_ascii_case("changes");
                self.asks_rowid |= rowid && top_level;
                self.asks_changes |= changes && top_level;
                self.asks_rowid_within |= rowid && !top_level;
                self.asks_changes_within |= changes && !top_level;
            }
            AuthAction::Insert { table_name } => self.change(table_name, top_level, true),
            AuthAction::Update { table_name, .. } | AuthAction::Delete { table_name } => {
                self.change(table_name, top_level, false);
            }
            AuthAction::Select
            | AuthAction::Read { .. }
            | AuthAction::Recursive
            | AuthAction::Unknown { .. } => {}
            // Whatever is left changes the schema.
            _ => self.changes_anything = true,
        }
        // A temporary table exists on one connection only.
        self.own |= context.database_name == Some("temp");
    }

    fn change(&mut self, table: &str, top_level: bool, insert: bool) {
        self.changes_anything = true;
        if top_level && !table.starts_with("sqlite_") {
            self.counts = true;
            self.inserts |= insert;
        }
    }

    /// The kind of statement this was; `readonly` is SQLite's own word on the prepared statement.
    pub(super) fn class(&self, readonly: bool) -> Class {
        if let Some(pragma) = &self.pragma {
            return pragma.class(readonly);
        }
        if self.own {
            return Class::Own(Afterwards::Stays);
        }
        if self.transaction {
            return Class::Own(Afterwards::Rests);
        }
        let asks_rowid = self.asks_rowid || self.asks_rowid_within;
        if self.asks_changes || (readonly && (asks_rowid || self.asks_changes_within)) {
            return Class::Asks;
        }
        if readonly {
            return Class::Read;
        }
        match self.changes_anything {
            true => Class::Write(Write { rowid: self.inserts || asks_rowid, counts: self.counts }),
            // `VACUUM` announces nothing, and runs outside of any transaction.
            false => Class::Own(Afterwards::Ends),
        }
    }
}

impl Pragma {
    fn class(&self, readonly: bool) -> Class {
        match (self.name.as_str(), self.value.as_deref()) {
            // What belongs to the file is the same on every connection.
            ("user_version" | "application_id", Some(_)) => Class::Write(Write::default()),
            (
                "user_version" | "application_id" | "schema_version" | "page_count" | "page_size"
                | "encoding",
                None,
            )
            | (
                "table_info" | "table_xinfo" | "table_list" | "index_info" | "index_xinfo" | "index_list"
                | "foreign_key_list" | "foreign_key_check" | "integrity_check" | "quick_check"
                | "freelist_count",
                _,
            ) if readonly => Class::Read,
            // These tune the one connection they are set on, or set what is set anyway, or less:
            // nothing of it would show in the session's other statements.
            (
                "journal_mode" | "journal_size_limit" | "auto_vacuum" | "incremental_vacuum"
                | "wal_checkpoint" | "wal_autocheckpoint" | "optimize" | "analysis_limit" | "synchronous"
                | "busy_timeout" | "cache_size" | "cache_spill" | "mmap_size" | "temp_store" | "threads"
                | "soft_heap_limit",
                Some(_),
            )
            | ("foreign_keys", Some("on" | "yes" | "true" | "1"))
            | (_, None) => Class::Own(Afterwards::Ends),
            (_, Some(_)) => Class::Own(Afterwards::Stays),
        }
    }
}
