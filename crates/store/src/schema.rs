//! What a store looks like, and how an older one comes to look like that.

/// The schema of one context's store.
///
/// An empty store is made by `tables` at once. An older one goes up the `steps`, each run once and in order, whichever
/// process opens it first. Views and triggers hold no rows; every version makes its own anew.
///
/// A change is *expanded* first and *contracted* a release later, so that the code of the last release goes on working
/// beside the new: see `oldest_code`.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// The number of the last step, and the version of this code.
    pub version: u32,
    /// The oldest code that may go on using a store of this version. A step that older code cannot live with (a table
    /// it reads is gone) raises it to the step's own number.
    pub oldest_code: u32,
    /// Tables and their indexes, as they are after the last step.
    pub tables: &'static [&'static str],
    /// What leads there from older versions, oldest first.
    pub steps: &'static [Step],
    /// Views and triggers, each dropped (if it is there) before it is made.
    pub programs: &'static [&'static str],
}

impl Schema {
    /// What a later release would have in the store under `label`, where a test plays that one: the same, and a column more.
    /// In a release this is always the schema itself.
    pub(crate) fn of_this_build(&'static self, label: &str) -> &'static Self {
        faults::next_column(label).map_or(self, |table| self.and_a_column(&table))
    }

    /// It is kept for ever: there is one in a component's instance.
    fn and_a_column(&self, table: &str) -> &'static Self {
        let to = self.version + 1;
        let add: &str = format!("ALTER TABLE {table} ADD COLUMN next TEXT NOT NULL DEFAULT ''").leak();
        let step = Step { to, statements: vec![add].leak() };
        let tables = self.tables.iter().copied().chain([add]).collect::<Vec<_>>();
        let steps = self.steps.iter().copied().chain([step]).collect::<Vec<_>>();
        Box::leak(Box::new(Self { version: to, tables: tables.leak(), steps: steps.leak(), ..*self }))
    }
}

/// One step from a version to the next.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The version that it leads to.
    pub to: u32,
    /// What it does. All of it happens, or nothing.
    pub statements: &'static [&'static str],
}

/// Where the store keeps which code may use it: the rows of the last version.
pub(crate) const VERSIONS: &str =
    "CREATE TABLE IF NOT EXISTS versions (version INTEGER PRIMARY KEY, oldest_code INTEGER NOT NULL)";

/// How a program (a view or a trigger) is dropped: by the kind and the name in its own text.
pub(crate) fn drop_program(text: &str) -> Option<String> {
    let mut words = text.split_whitespace().skip_while(|word| !word.eq_ignore_ascii_case("CREATE")).skip(1);
    let kind = words.next()?;
    let name = words.next()?;
    Some(format!("DROP {kind} IF EXISTS {}", name.split('(').next()?))
}

#[cfg(test)]
mod tests {
    use super::{Schema, Step, drop_program};

    #[test]
    fn a_later_release_has_one_more_column_and_older_code_may_stay() {
        static SCHEMA: Schema = Schema {
            version: 2,
            oldest_code: 1,
            tables: &["CREATE TABLE t (a TEXT, b TEXT)"],
            steps: &[Step { to: 2, statements: &["ALTER TABLE t ADD COLUMN b TEXT"] }],
            programs: &["CREATE VIEW v AS SELECT 1"],
        };
        let next = SCHEMA.and_a_column("t");
        assert_eq!((next.version, next.oldest_code, next.tables.len()), (3, 1, 2));
        assert_eq!(next.steps.last().map(|step| (step.to, step.statements)), Some((3, &next.tables[1..])));
        assert_eq!(next.programs, SCHEMA.programs);
    }

    #[test]
    fn a_program_is_dropped_by_its_own_name() {
        let dropped = |text| drop_program(text).unwrap();
        assert_eq!(dropped("CREATE VIEW decisions (kind) AS SELECT 1"), "DROP VIEW IF EXISTS decisions");
        assert_eq!(dropped("CREATE VIEW v(a) AS SELECT 1"), "DROP VIEW IF EXISTS v");
        assert_eq!(dropped("CREATE TRIGGER t\nAFTER INSERT ON x BEGIN END"), "DROP TRIGGER IF EXISTS t");
    }
}
