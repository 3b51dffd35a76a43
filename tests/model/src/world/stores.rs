//! The stores of all contexts, and of the two sandboxes.

use crate::paused::Paused;
use std::collections::BTreeMap;
use store::StoreError;
use store::native::Sqlite;

/// The stores by their labels.
#[derive(Clone)]
pub struct Stores(BTreeMap<&'static str, Sqlite>);

impl Stores {
    /// New ones, with the schemas as the guards that are in force leave them, and as these statements of one store
    /// or another alter them.
    pub fn new(altered: &[(&'static str, &str)]) -> Result<Self, StoreError> {
        let databases = [
            ("order", &order::DATABASE),
            ("pay", &pay::DATABASE),
            ("gateway", &gateway_sandbox::DATABASE),
            ("reservation", &reservation::DATABASE),
            ("notification", &notification::DATABASE),
            ("inbox", &channel_inbox::DATABASE),
            ("information", &information::DATABASE),
            ("member", &member::DATABASE),
        ];
        let open = |(label, database)| Ok((label, Sqlite::in_memory(database)?));
        let stores = Self(databases.into_iter().map(open).collect::<Result<_, StoreError>>()?);
        altered.iter().try_for_each(|(label, statement)| stores.of(label).run(statement, &[]).map(drop))?;
        Ok(stores)
    }

    /// The store under a label.
    #[allow(clippy::indexing_slicing, reason = "the labels are those above, and this is for tests only")]
    pub fn of(&self, label: &'static str) -> &Sqlite {
        &self.0[label]
    }

    /// The store under a label, waiting for the scheduler before every statement.
    pub fn paused(&self, label: &'static str) -> Paused {
        Paused(self.of(label).clone())
    }

    /// How often somebody decided from what had changed meanwhile.
    pub(super) fn conflicts(&self) -> u64 {
        self.0.values().map(Sqlite::conflicts).sum()
    }

    /// Runs a statement in all of them.
    pub(super) fn all(&self, statement: &str) -> Result<(), StoreError> {
        self.0.values().try_for_each(|store| store.run(statement, &[]).map(drop))
    }
}
