//! The stores of earlier versions, as files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use operations::{LABELS, Move, Place, Stores};
use rusqlite::Connection;
use rusqlite::types::Value;
use store::Database;
use store::native::{Engine, Store};

/// What a set of stores does not have is as in the one that it is based on.
const BASES: &[(&str, &str)] = &[
    ("schema-1-asks", "schema-1"),
    ("schema-2-acknowledged", "schema-1-asks"),
    ("schema-2-log", "schema-1-asks"),
    ("schema-3", "schema-1-asks"),
    ("schema-3-from-2-acknowledged", "schema-1-asks"),
    ("schema-3-from-2-log", "schema-1-asks"),
    ("schema-4", "schema-1-asks"),
    ("schema-5", "schema-4"),
    ("schema-6", "schema-5"),
    ("schema-7", "schema-6"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// The names of all sets.
pub fn sets() -> BTreeSet<String> {
    let entries = fs::read_dir(folder()).unwrap().map(Result::unwrap);
    let folders = entries.filter(|entry| entry.file_type().unwrap().is_dir());
    folders.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

/// Contexts that are newer than the sets of before: their stores were empty.
const NEWER: [&str; 1] = ["member"];

/// One store of a set, as SQL text.
pub fn text(set: &str, label: &str) -> String {
    let path = folder().join(set).join(format!("{label}.sql"));
    if path.exists() {
        return fs::read_to_string(path).unwrap();
    }
    let base = BASES.iter().find(|(name, _)| *name == set);
    if base.is_none() && NEWER.contains(&label) {
        return String::new();
    }
    text(base.unwrap_or_else(|| panic!("{set} has no {label}.sql, and no base")).1, label)
}

/// What the code of release 0.1.0 ran on a store after it had made `schema-3`.
pub fn then(label: &str) -> String {
    fs::read_to_string(folder().join("schema-3/then").join(format!("{label}.sql"))).unwrap()
}

/// The database of today's code under a label.
pub fn database(label: &str) -> &'static Database {
    match label {
        "order" => &order::DATABASE,
        "pay" => &pay::DATABASE,
        "gateway" => &gateway_sandbox::DATABASE,
        "reservation" => &reservation::DATABASE,
        "notification" => &notification::DATABASE,
        "inbox" => &channel_inbox::DATABASE,
        "information" => &information::DATABASE,
        "member" => &member::DATABASE,
        _ => panic!("there is no store called {label}"),
    }
}

/// The files of one system.
pub struct System(tempfile::TempDir);

impl System {
    /// With no stores.
    pub fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".spin")).unwrap();
        Self(folder)
    }

    /// As an earlier version left it.
    pub fn of(set: &str) -> Self {
        let system = Self::empty();
        LABELS.iter().for_each(|label| system.load(label, &text(set, label)));
        system
    }

    /// With one store, as an earlier version left it.
    pub fn one(set: &str, label: &str) -> Self {
        let system = Self::empty();
        system.load(label, &text(set, label));
        system
    }

    /// Makes one store.
    pub fn load(&self, label: &str, sql: &str) {
        let store = self.open(label);
        store
            .execute_batch(&format!("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; BEGIN; {sql} COMMIT"))
            .unwrap();
    }

    pub fn path(&self, label: &str) -> PathBuf {
        self.0.path().join(".spin").join(format!("{label}.db"))
    }

    /// As it is.
    pub fn open(&self, label: &str) -> Connection {
        Connection::open(self.path(label)).unwrap()
    }

    /// Opens a store as today's code does.
    pub fn migrate(&self, label: &str) -> Result<store::native::Sqlite, store::StoreError> {
        store::native::Sqlite::file(&self.path(label), database(label))
    }

    /// As an operator's commands find it.
    pub fn stores(&self) -> Stores {
        Stores::new(|label| Ok(Place::File(self.path(label)))).unwrap()
    }
}

/// The stores of a system moved to a PostgreSQL, all into one database.
pub fn moved(system: &System) -> (Stores, String) {
    let address = Engine::Postgres.run(|| {
        let aside = Database::new("aside", channel_inbox::DATABASE.schema());
        Store::new(&aside).address(&aside).unwrap()
    });
    let url = address.url().to_owned();
    // It goes with the server of the tests.
    std::mem::forget(address);
    let moves = LABELS.map(|label| Move { label, file: system.path(label), url: url.clone() });
    let moved = operations::move_stores(&moves, system.0.path()).unwrap();
    assert_eq!(moved.len(), LABELS.len());
    (Stores::new(|_| Ok(Place::Postgres(url.clone()))).unwrap(), url)
}

/// A row: its columns by name.
pub type Row = BTreeMap<String, Value>;

/// Everything in one table, in a fixed order.
pub fn rows(store: &Connection, table: &str) -> Vec<Row> {
    let mut statement = store.prepare(&format!("SELECT * FROM {table}")).unwrap();
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let read = |row: &rusqlite::Row<'_>| {
        names.iter().enumerate().map(|(index, name)| Ok((name.clone(), row.get(index)?))).collect()
    };
    let mut rows: Vec<Row> = statement.query_map([], read).unwrap().map(Result::unwrap).collect();
    rows.sort_by_key(|row| format!("{row:?}"));
    rows
}

/// The names of all tables.
pub fn tables(store: &Connection) -> BTreeSet<String> {
    let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    list(store, names).into_iter().collect()
}

/// The first column of all rows, as texts.
pub fn list(store: &Connection, sql: &str) -> Vec<String> {
    let mut statement = store.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// One integer.
pub fn number(store: &Connection, sql: &str) -> i64 {
    store.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Everything in a store that holds no rows, a line for each: columns in their order, keys, indexes, views, triggers.
pub fn shape(store: &Connection) -> Vec<String> {
    let mut lines = vec![format!("version {}", number(store, "PRAGMA user_version"))];
    lines.extend(list(
        store,
        "SELECT format('table %s: without rowid %d, strict %d', name, wr, strict) FROM pragma_table_list
            WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
    ));
    lines.extend(list(
        store,
        "SELECT format('column %d of %s: %s %s, not null %d, default %s, key %d, hidden %d',
                c.cid, t.name, c.name, c.type, c.\"notnull\", c.dflt_value, c.pk, c.hidden)
            FROM sqlite_schema AS t, pragma_table_xinfo(t.name) AS c
            WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' ORDER BY t.name, c.cid",
    ));
    lines.extend(list(
        store,
        "SELECT format('index of %s: unique %d, %s, partial %d, %s', t.name, i.\"unique\", i.origin, i.partial,
                (SELECT group_concat(coalesce(name, '?')) FROM pragma_index_info(i.name)))
            FROM sqlite_schema AS t, pragma_index_list(t.name) AS i
            WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' ORDER BY 1",
    ));
    let texts = list(
        store,
        "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY name",
    );
    lines.extend(texts.iter().map(|text| plain(text)));
    lines
}

/// A statement without comments, quotes around names, and differences of white space.
fn plain(sql: &str) -> String {
    let lines = sql.lines().map(|line| line.split("--").next().unwrap());
    let words = lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ");
    words
        .replace("IF NOT EXISTS ", "")
        .replace('"', "")
        .replace(" )", ")")
        .replace("( ", "(")
        .replace(" ,", ",")
}
