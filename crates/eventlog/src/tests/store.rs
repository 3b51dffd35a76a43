//! A store in which a statement can be held up, or fail.

use kernel::Timestamp;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use store::native;
use store::{Database, Row, Schema, Statement, Storage, StoreError};
use tokio::sync::Notify;

static SCHEMA: Schema = Schema {
    version: 1,
    oldest_code: 1,
    tables: &[journal::tables::EVENTS, journal::tables::LOG, journal::tables::LOG_BEGINS],
    steps: &[],
    programs: &[],
};
pub(crate) static DATABASE: Database = Database::new("test", &SCHEMA);

/// How the statements begin that read what comes next, and that write down the floor.
pub(crate) const READ: &str = "SELECT l.generation";
pub(crate) const NOTE: &str = "UPDATE log SET floor";

/// What most events here are called: `order` and `pay` react to it at once, the followers later, and `reservation`, whose
/// it is, does not.
pub(crate) const REJECTED: &str = "ReservationRejected";

#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) native: native::Store,
    traps: Rc<RefCell<Vec<Trap>>>,
}

struct Trap {
    /// What the statement begins with.
    statement: &'static str,
    after: bool,
    gate: Option<Rc<Gate>>,
}

/// Where a statement is held up.
#[derive(Default)]
pub(crate) struct Gate {
    reached: Notify,
    open: Notify,
}

impl Gate {
    pub(crate) async fn reached(&self) {
        let reached = tokio::time::timeout(Duration::from_secs(20), self.reached.notified());
        reached.await.expect("somebody to come by");
    }

    pub(crate) fn open(&self) {
        self.open.notify_one();
    }
}

/// The data of an event.
pub(crate) fn data(subject: u64) -> String {
    format!(r#"{{"orderId":{subject},"eduNo":101,"guest":1,"language":"ko","reason":"full"}}"#)
}

impl Store {
    pub(crate) fn new() -> Self {
        Self { native: native::Store::new(&DATABASE), traps: Rc::default() }
    }

    /// Commits an event of each of these subjects.
    pub(crate) fn commit(&self, subjects: impl IntoIterator<Item = u64>) {
        self.commit_named(REJECTED, subjects);
    }

    pub(crate) fn commit_named(&self, name: &str, subjects: impl IntoIterator<Item = u64>) {
        for subject in subjects {
            self.commit_by(name, subject, None);
        }
    }

    /// Commits an event that somebody asked for.
    pub(crate) fn commit_by(&self, name: &str, subject: u64, actor: Option<&str>) {
        let sql =
            "INSERT INTO events (subject, version, type, data, time, actor) VALUES ($1, 1, $2, $3, $4, $5)";
        let insert = Statement::new(sql).bind(subject.to_string()).bind(name).bind(data(subject));
        let insert = insert.bind(Timestamp::from_millis(0).to_string()).bind(actor);
        self.native.run(insert.sql(), insert.params()).unwrap();
    }

    /// What `sugang events replay` does.
    pub(crate) fn replay(&self, from: u64) {
        self.run(&format!("UPDATE log SET generation = generation + 1, floor = min(floor, {from} - 1)"));
    }

    pub(crate) fn run(&self, sql: &str) {
        self.native.run(sql, &[]).unwrap();
    }

    pub(crate) fn floor(&self) -> i64 {
        self.native.number("SELECT floor FROM log").unwrap()
    }

    /// The next statement that begins so is held up before it runs.
    pub(crate) fn hold_before(&self, statement: &'static str) -> Rc<Gate> {
        self.hold(statement, false)
    }

    /// The next statement that begins so is held up when it has run.
    pub(crate) fn hold_after(&self, statement: &'static str) -> Rc<Gate> {
        self.hold(statement, true)
    }

    fn hold(&self, statement: &'static str, after: bool) -> Rc<Gate> {
        let gate = Rc::<Gate>::default();
        self.traps.borrow_mut().push(Trap { statement, after, gate: Some(Rc::clone(&gate)) });
        gate
    }

    /// The next statement that begins so fails.
    pub(crate) fn fail(&self, statement: &'static str) {
        self.traps.borrow_mut().push(Trap { statement, after: false, gate: None });
    }

    /// Whether a statement that was to fail or to be held up has not come.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.traps.borrow().is_empty()
    }

    fn sprung(&self, sql: &str) -> Option<Trap> {
        let mut traps = self.traps.borrow_mut();
        let at = traps.iter().position(|trap| sql.starts_with(trap.statement))?;
        Some(traps.remove(at))
    }
}

impl Storage for Store {
    async fn query(&self, statement: &Statement) -> Result<Vec<Row>, StoreError> {
        let trap = self.sprung(statement.sql());
        let hold = async |after: bool| match &trap {
            Some(Trap { gate: None, .. }) => Err(StoreError::unavailable("disk I/O error")),
            Some(Trap { after: when, gate: Some(gate), .. }) if *when == after => {
                gate.reached.notify_one();
                let opened = tokio::time::timeout(Duration::from_secs(20), gate.open.notified());
                opened.await.expect("the gate to be opened");
                Ok(())
            }
            _ => Ok(()),
        };
        hold(false).await?;
        let rows = self.native.query(statement).await?;
        hold(true).await?;
        Ok(rows)
    }

    async fn pause(&self, _attempt: u64) {}
}
