//! Carries commands out: loads what they are about, has them decided, and commits what follows.

use crate::domain::{Changes, Command, Course, Decided, NewCourse, Refusal};
use crate::store::{self, Key, ListedReservation, Loaded, NewKey};
use ::store::{Storage, StoreError};
use journal::{Decision, Journal, Tell};
use kernel::event::Event;
use kernel::{EduNo, OrderId, ReservationStatus, Timestamp};
use std::collections::BTreeSet;

/// This context, with the store that it is given and whoever is to hear of what it decides.
#[derive(Clone, Debug)]
pub struct Service<S, T> {
    /// Its store, and who is told.
    pub journal: Journal<S, T>,
    /// Whether the demonstration courses are to be opened.
    pub demo_courses: bool,
    /// For how many days it is kept whose a reservation was, from its last event on.
    pub contract_records_days: u16,
}

/// A command, and the trace that it belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) command: Command,
    /// The W3C trace context it came with; the events carry it on.
    pub(crate) traceparent: Option<String>,
}

impl From<Command> for Asked {
    fn from(command: Command) -> Self {
        Self { command, traceparent: None }
    }
}

/// A course to be opened for a client.
pub(crate) struct Opening {
    /// The number that the client chose, if it chose one.
    pub(crate) edu_no: Option<EduNo>,
    pub(crate) course: NewCourse,
    pub(crate) key: Option<String>,
    pub(crate) traceparent: Option<String>,
}

/// What became of a course to be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) edu_no: EduNo,
    /// Whether it was opened, or found open.
    pub(crate) new: bool,
    /// Whether that was before, by a request with the same key and the same content.
    pub(crate) replayed: bool,
}

/// Why nothing was committed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotDone {
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The state is not one for which the change was meant.
    #[error("a precondition does not hold")]
    PreconditionFailed,
    /// The key was used for other content before.
    #[error("the key was used for other content")]
    KeyReused,
    /// The store did not do its part, or others were faster every time.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<S: Storage, T: Tell> Service<S, T> {
    /// Decides the commands in turn, each seeing what the ones before it did, and commits all of it in one
    /// statement; where one is refused, nothing is. Returns what was committed.
    pub(crate) async fn carry_out(&self, asked: &[Asked], now: Timestamp) -> Result<Vec<Decided>, NotDone> {
        self.decide(async |storage| {
            let mut loaded = store::load(storage, commands(asked)).await?;
            Ok(decide_all(&mut loaded, asked, now)?)
        })
        .await
    }

    /// Changes a course if it is, as it is shown, one that the change was meant for.
    pub(crate) async fn change_course(
        &self,
        edu_no: EduNo,
        changes: Changes,
        traceparent: Option<String>,
        condition: Option<impl Fn(&Course) -> bool>,
    ) -> Result<(), NotDone> {
        let asked = Asked { command: Command::Change(edu_no, changes), traceparent };
        let shown = async |storage: &S| store::find_course(storage, edu_no).await;
        self.carry_out_if(asked, shown, condition, |_| true).await
    }

    /// Gives a reservation another status, under the same condition.
    pub(crate) async fn judge_reservation(
        &self,
        order_id: OrderId,
        to: ReservationStatus,
        traceparent: Option<String>,
        condition: Option<impl Fn(&ListedReservation) -> bool>,
    ) -> Result<(), NotDone> {
        let asked = Asked { command: Command::Judge(order_id, to), traceparent };
        let shown = async |storage: &S| store::find_reservation(storage, order_id).await;
        // Only who waits is shown otherwise when somebody else's seat becomes free.
        let by_seats = |shown: &ListedReservation| shown.waiting_position.is_some();
        self.carry_out_if(asked, shown, condition, by_seats).await
    }

    /// What is shown is read after what is decided from, and both depend on the same versions: that of the subject, which
    /// its event follows, and where it is shown `by_seats` that of the seats, which is expected. So both still hold when
    /// the decision is committed, or all of it is done again.
    async fn carry_out_if<R>(
        &self,
        asked: Asked,
        shown: impl AsyncFn(&S) -> Result<Option<R>, StoreError>,
        condition: Option<impl Fn(&R) -> bool>,
        by_seats: impl Fn(&R) -> bool,
    ) -> Result<(), NotDone> {
        let (asked, now) = ([asked], Timestamp::now());
        self.decide(async |storage| {
            let mut loaded = store::load(storage, commands(&asked)).await?;
            let shown_courses: Vec<_> = loaded.courses().collect();
            let mut expected = false;
            if let Some(condition) = &condition
                && let Some(shown) = shown(storage).await?
            {
                if !condition(&shown) {
                    return Err(NotDone::PreconditionFailed);
                }
                expected = by_seats(&shown);
            }
            let (mut decision, _) = decide_all(&mut loaded, &asked, now)?;
            for edu_no in shown_courses.into_iter().filter(|_| expected) {
                decision.expect("seats", edu_no, loaded.seats_version(edu_no));
            }
            Ok((decision, ()))
        })
        .await
    }

    /// Opens a course, under a number of ours if the client leaves the choice to us.
    pub(crate) async fn open_course(&self, opening: &Opening, now: Timestamp) -> Result<Opened, NotDone> {
        // Writing plain structures to memory cannot fail.
        let fingerprint = serde_json::to_string(&(opening.edu_no, &opening.course)).unwrap_or_default();
        self.decide(async |storage| {
            if let Some(key) = &opening.key
                && let Some(before) = store::find_key(storage, key).await?
            {
                return Ok((Decision::new(), replayed(&before, &fingerprint)?));
            }
            let command = |edu_no| Command::Open(edu_no, opening.course.clone());
            let (edu_no, mut loaded) = match opening.edu_no {
                Some(edu_no) => (edu_no, store::load(storage, std::iter::once(&command(edu_no))).await?),
                // It is free. Should somebody choose it before this is committed, the next one is taken.
                None => (store::take_edu_no(storage).await?, Loaded::default()),
            };
            let asked = [Asked { command: command(edu_no), traceparent: opening.traceparent.clone() }];
            let (mut decision, decided) = decide_all(&mut loaded, &asked, now)?;
            let opened = Opened { edu_no, new: !decided.is_empty(), replayed: false };
            if let Some(key) = &opening.key {
                let key =
                    NewKey { key, opened: opened.new, fingerprint: &fingerprint, made_at: now.millis() };
                if opened.new {
                    decision.beside("key", edu_no, &key);
                } else if let Some(first) = store::remember_key(storage, &key, edu_no).await? {
                    // A key answers for whatever it came with; this came with nothing to be decided.
                    replayed(&first, &fingerprint)?;
                }
            }
            Ok((decision, opened))
        })
        .await
    }

    async fn decide<R>(
        &self,
        decide: impl AsyncFnMut(&S) -> Result<(Decision, R), NotDone>,
    ) -> Result<R, NotDone> {
        let outcome = self.journal.carry_out(decide).await?;
        faults::point("reservation", "decided").await;
        Ok(outcome)
    }
}

/// What a key that was used before stands for, if it came with the same content.
fn replayed(key: &Key, fingerprint: &str) -> Result<Opened, NotDone> {
    if key.fingerprint != fingerprint {
        return Err(NotDone::KeyReused);
    }
    Ok(Opened { edu_no: key.edu_no, new: key.opened, replayed: true })
}

fn commands(asked: &[Asked]) -> impl Iterator<Item = &Command> + Clone {
    asked.iter().map(|asked| &asked.command)
}

fn decide_all(
    loaded: &mut Loaded,
    asked: &[Asked],
    now: Timestamp,
) -> Result<(Decision, Vec<Decided>), Refusal> {
    let (mut decision, mut all) = (Decision::new(), Vec::with_capacity(asked.len()));
    for Asked { command, traceparent } in asked {
        let decided = loaded.snapshot.handle(command, now)?;
        for Decided { version, event } in &decided {
            decision.event(*version, event, now, traceparent.as_deref());
        }
        all.extend(decided);
    }
    let counted_on: BTreeSet<_> = all.iter().filter_map(|decided| counted_on(decided, loaded)).collect();
    for (what, edu_no) in counted_on {
        match what {
            CountedOn::Course => decision.expect("course", edu_no, loaded.course_version(edu_no)),
            CountedOn::CourseAlone => {
                decision.expect("course_alone", edu_no, loaded.course_version(edu_no));
            }
            CountedOn::NobodyWaits => decision.expect("waiting_list", edu_no, 0),
            CountedOn::Seats => decision.expect("seats", edu_no, loaded.seats_version(edu_no)),
        }
    }
    Ok((decision, all))
}

/// What of a course must still be as it was loaded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum CountedOn {
    Course,
    /// And nobody else may count on it meanwhile: whoever did before comes before the change in the log as well.
    CourseAlone,
    /// That what becomes free is not to be offered to anybody.
    NobodyWaits,
    /// Its seats and its waiting list, and so the course too.
    Seats,
}

/// What an event was decided from, beside the state of its own subject. Decisions that do not contradict each other do not
/// count on what the others change: any number of confirmations, and of people who leave, may be decided at once.
fn counted_on(decided: &Decided, loaded: &Loaded) -> Option<(CountedOn, EduNo)> {
    let Decided { version, event } = decided;
    match (event, event.applicant().map(|applicant| applicant.edu_no)) {
        // The seat was given before.
        (Event::ReservationConfirmed(_), Some(edu_no)) => Some((CountedOn::Course, edu_no)),
        // Whoever had no reservation is turned down because of how the course and its seats are.
        (Event::ReservationRejected(_) | Event::ReservationCanceled(_), Some(edu_no))
            if *version > 1 && !loaded.is_waited_for(edu_no) =>
        {
            Some((CountedOn::NobodyWaits, edu_no))
        }
        (_, Some(edu_no)) => Some((CountedOn::Seats, edu_no)),
        (Event::CourseChanged(course), None) => Some((CountedOn::Seats, course.edu_no)),
        (
            Event::CourseStarted(course) | Event::CourseFinished(course) | Event::CourseCanceled(course),
            None,
        ) => Some((CountedOn::CourseAlone, course.edu_no)),
        (_, None) => None,
    }
    .filter(|_| faults::guard("reservation.capacity"))
}
