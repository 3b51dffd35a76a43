//! Moving stores from SQLite to PostgreSQL, while the system is stopped.
//!
//! Each store is copied, verified and set up in one transaction of its database, and none is committed before all are
//! verified. So a move that ends early has not happened, and may be done again. The files stay as they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use postgres::binary_copy::BinaryCopyInWriter;
use postgres::types::{ToSql, Type};
use sha2::{Digest, Sha256};
use store::native::creation;

use crate::opened::{Opened, Row};
use crate::soundness::problem;
use crate::stopped::{claim, nobody_uses};
use crate::stores::{Age, Place, known};

/// The column in which PostgreSQL keeps the order of insertion, which SQLite has in `position`.
const INSERTED: &str = "inserted";

/// One store that is to be moved.
#[derive(Clone)]
pub struct Move {
    /// Its label.
    pub label: &'static str,
    /// The SQLite file that it is in.
    pub file: PathBuf,
    /// The address of the database that it is to be in, as the schema of its label.
    pub url: String,
}

/// How many rows each table of a store has, where it is now.
pub type Moved = BTreeMap<String, u64>;

/// Moves these stores of a system that does not run. `state` is its state directory.
///
/// Refused where a program has a store open, where a store is damaged or of another release, and where there is a store
/// already.
pub fn move_stores(moves: &[Move], state: &Path) -> Result<Vec<(&'static str, Moved)>> {
    let _claim = claim(state)?;
    for (index, one) in moves.iter().enumerate() {
        if moves.iter().take(index).any(|other| other.label == one.label) {
            bail!("the store `{}` is named twice", one.label);
        }
        nobody_uses(&one.file).with_context(|| format!("the store `{}`", one.label))?;
    }
    let mut under_way = Vec::new();
    for one in moves {
        let copied = UnderWay::copy(one).with_context(|| {
            format!("moving the store `{}`; no store was moved, and the files are as they were", one.label)
        })?;
        under_way.push(copied);
    }
    let mut moved = Vec::new();
    for one in under_way {
        let (label, rows) = one.commit().with_context(|| match &*names(&moved) {
            "" => "no store was moved".to_owned(),
            names => format!("moved are {names}, and not the others: move those when this is mended"),
        })?;
        moved.push((label, rows));
    }
    Ok(moved)
}

fn names(moved: &[(&'static str, Moved)]) -> String {
    moved.iter().map(|(label, _)| *label).collect::<Vec<_>>().join(", ")
}

/// A store that is in its new place, and not committed there yet.
struct UnderWay {
    label: &'static str,
    /// Locked until this is gone.
    _source: Opened,
    target: Opened,
    rows: Moved,
}

impl UnderWay {
    fn copy(one: &Move) -> Result<Self> {
        let label = one.label;
        let source = source(one)?;
        let target = target(one)?;
        let tables = tables(&source, &target)?;
        for table in &tables {
            // Whatever follows from a row is in the other rows already.
            target.run(&format!("ALTER TABLE {table} DISABLE TRIGGER USER; DELETE FROM {table}"))?;
        }
        let mut rows = Moved::new();
        for table in &tables {
            let copied = copy(&source, &target, table).with_context(|| format!("the table `{table}`"))?;
            rows.insert(table.clone(), copied);
        }
        restart_identities(&source, &target)?;
        for table in &tables {
            target.run(&format!("ALTER TABLE {table} ENABLE TRIGGER USER; ANALYZE {table}"))?;
        }
        Ok(Self { label, _source: source, target, rows })
    }

    fn commit(self) -> Result<(&'static str, Moved)> {
        self.target.run("COMMIT").with_context(|| {
            format!(
                "committing the store `{}`: whether it was, `sugang check` says with its address",
                self.label
            )
        })?;
        Ok((self.label, self.rows))
    }
}

/// The store as it is, which nobody changes until it is moved.
fn source(one: &Move) -> Result<Opened> {
    let place = Place::File(one.file.clone());
    let (source, age) = place.look(one.label)?;
    let named = place.named(one.label);
    match age {
        Age::Present => {}
        Age::Unborn => bail!(
            "{named} has no tables: there is nothing to move, and the system makes it where it is to be"
        ),
        Age::Earlier => {
            bail!("{named} is of an earlier release: start the system once, which brings it to this one")
        }
        Age::Later => bail!("{named} is of a later release: use the `sugang` of that"),
    }
    if let Opened::Sqlite(file) = &source
        && let Some(problem) = problem(file)?
    {
        bail!("{named} is damaged: {problem}. Restore a backup first");
    }
    source.run("BEGIN IMMEDIATE").with_context(|| format!("locking {named}"))?;
    Ok(source)
}

/// The new store, in a transaction that only its owner ends: with its tables, which hold nothing yet.
fn target(one: &Move) -> Result<Opened> {
    let (database, _) = known(one.label)?;
    let place = Place::Postgres(one.url.clone());
    let named = place.named(one.label);
    let client = store::native::connect(&one.url, one.label).with_context(|| named.clone())?;
    let target = Opened::Postgres(client.into());
    target.run("BEGIN")?;
    if !target.tables()?.is_empty() {
        bail!(
            "{named} is there already: its schema `{0}` holds tables. If nobody needs them, drop it (`DROP SCHEMA \"{0}\" CASCADE`), \
             and move again",
            one.label
        );
    }
    target.run(&creation(database)).with_context(|| format!("making {named}"))?;
    Ok(target)
}

/// The tables that are to be copied, those that others refer to first. `versions` says what the new store is.
fn tables(source: &Opened, target: &Opened) -> Result<Vec<String>> {
    let own = |mut tables: Vec<String>| {
        tables.retain(|table| table != "versions");
        tables
    };
    let (from, to) = (own(source.tables()?), own(target.tables()?));
    if from != to {
        bail!("it has the tables {}, and this program knows {}", from.join(", "), to.join(", "));
    }
    let referring = target.texts(
        "SELECT t.relname::text FROM pg_constraint AS c JOIN pg_class AS t ON t.oid = c.conrelid
            WHERE c.contype = 'f' AND t.relnamespace = to_regnamespace(current_schema()::text)",
    )?;
    let (last, mut first): (Vec<_>, Vec<_>) = to.into_iter().partition(|table| referring.contains(table));
    first.extend(last);
    Ok(first)
}

#[derive(Clone, Copy)]
enum Kind {
    Integer,
    Text,
}

/// The columns of one table, and where their values come from.
struct Columns(Vec<(String, Kind)>);

impl Columns {
    fn of(source: &Opened, target: &Opened, table: &str) -> Result<Self> {
        let known = source.columns(table)?;
        let mut columns = Vec::new();
        let types = format!(
            "SELECT column_name::text, data_type::text FROM information_schema.columns
                WHERE table_schema = current_schema() AND table_name = '{table}' ORDER BY ordinal_position"
        );
        target.each(&types, |row| {
            let (name, kind): (String, String) = (row.get(0)?, row.get(1)?);
            let kind = match &*kind {
                "bigint" => Kind::Integer,
                "text" => Kind::Text,
                other => bail!("the column `{name}` is of the type {other}, which no store has"),
            };
            columns.push((name, kind));
            Ok(())
        })?;
        let mut own: Vec<_> =
            columns.iter().map(|(name, _)| name.clone()).filter(|name| name != INSERTED).collect();
        let mut theirs = known.clone();
        own.sort();
        theirs.sort();
        if own != theirs {
            bail!("it has the columns {}, and this program knows {}", theirs.join(", "), own.join(", "));
        }
        Ok(Self(columns))
    }

    fn select(&self, store: &Opened, table: &str) -> String {
        let columns = self.0.iter().map(|(name, _)| match (store, &**name) {
            (Opened::Sqlite(_), INSERTED) => "position",
            (_, name) => name,
        });
        format!("SELECT {} FROM {table}", columns.collect::<Vec<_>>().join(", "))
    }

    fn values(&self, row: &Row<'_>) -> Result<Vec<Value>> {
        let value = |(index, (name, kind)): (usize, &(String, Kind))| {
            let value = match kind {
                Kind::Integer => row.get(index).map(Value::Integer),
                Kind::Text => row.get(index).map(Value::Text),
            };
            value.with_context(|| format!("`{name}` of a row"))
        };
        self.0.iter().enumerate().map(value).collect()
    }
}

enum Value {
    Integer(Option<i64>),
    Text(Option<String>),
}

impl Value {
    fn to_sql(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Integer(number) => number,
            Self::Text(text) => text,
        }
    }
}

/// Rows that were read, so that those of one place can be held against those of another, in whatever order they come.
#[derive(Default, PartialEq, Eq)]
struct Rows {
    count: u64,
    sum: u128,
}

impl Rows {
    fn add(&mut self, values: &[Value]) {
        let mut digest = Sha256::new();
        for value in values {
            // A value is told from every other by its kind and its length.
            match value {
                Value::Integer(Some(number)) => digest.update([&[1][..], &number.to_be_bytes()].concat()),
                Value::Text(Some(text)) => {
                    digest.update([&[2][..], &text.len().to_be_bytes(), text.as_bytes()].concat());
                }
                Value::Integer(None) | Value::Text(None) => digest.update([0]),
            }
        }
        let half = digest.finalize().iter().take(16).fold(0, |sum, byte| sum << 8 | u128::from(*byte));
        self.sum = self.sum.wrapping_add(half);
        self.count += 1;
    }
}

/// Copies one table, reads back what came of it, and says how many rows that are.
fn copy(source: &Opened, target: &Opened, table: &str) -> Result<u64> {
    let columns = Columns::of(source, target, table)?;
    let Opened::Postgres(client) = target else { bail!("it is moved to PostgreSQL only") };
    let names: Vec<_> = columns.0.iter().map(|(name, _)| name.as_str()).collect();
    let type_of = |(_, kind): &(String, Kind)| match kind {
        Kind::Integer => Type::INT8,
        Kind::Text => Type::TEXT,
    };
    let types: Vec<_> = columns.0.iter().map(type_of).collect();
    let mut read = Rows::default();
    {
        let mut client = client.borrow_mut();
        let writer =
            client.copy_in(&*format!("COPY {table} ({}) FROM STDIN (FORMAT binary)", names.join(", ")))?;
        let mut writer = BinaryCopyInWriter::new(writer, &types);
        source.each(&columns.select(source, table), |row| {
            let values = columns.values(row)?;
            read.add(&values);
            let values: Vec<_> = values.iter().map(Value::to_sql).collect();
            Ok(writer.write(&values)?)
        })?;
        writer.finish()?;
    }
    let mut written = Rows::default();
    target.each(&columns.select(target, table), |row| {
        written.add(&columns.values(row)?);
        Ok(())
    })?;
    if read != written {
        return Err(anyhow!("{} rows were read and {} are there, or they differ", read.count, written.count));
    }
    Ok(written.count)
}

/// Every number that is given out by itself goes on behind the greatest that was ever given.
fn restart_identities(source: &Opened, target: &Opened) -> Result<()> {
    let mut identities = Vec::new();
    target.each(
        "SELECT table_name::text, column_name::text FROM information_schema.columns
            WHERE table_schema = current_schema() AND is_identity = 'YES'",
        |row| {
            identities.push((row.get::<String>(0)?, row.get::<String>(1)?));
            Ok(())
        },
    )?;
    let ever = |table: &str| match source.has("sqlite_sequence")? {
        true => source.number(&format!("SELECT max(seq) FROM sqlite_sequence WHERE name = '{table}'")),
        false => Ok(None),
    };
    for (table, column) in identities {
        let greatest = target.number(&format!("SELECT max({column}) FROM {table}"))?.unwrap_or(0);
        let next = greatest.max(ever(&table)?.unwrap_or(0)).max(0).saturating_add(1);
        target.run(&format!("ALTER TABLE {table} ALTER COLUMN {column} RESTART WITH {next}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
