//! What the view reacts to: everything that `order`, `pay` and `reservation` tell.

use crate::domain::{Information, by_order, status_told};
use crate::store::{self, Step};
use ::store::Storage;
use eventlog::{Consumer, Envelope, Unhandled};
use kernel::Timestamp;
use kernel::event::{Event, newest_courses};

/// The contexts that are listened to.
pub(crate) const SOURCES: &[&str] = &["order", "pay", "reservation"];

/// The read model as a consumer: every batch becomes at most three statements, each harmless when repeated,
/// so that a crash between them heals when the batch is delivered again.
pub struct View<S> {
    /// Where it is kept.
    pub storage: S,
}

impl<S: Storage> Consumer for View<S> {
    async fn handle(&self, events: &[Envelope]) -> Result<(), Unhandled> {
        let courses = newest_courses(events.iter().map(|told| (told.version, &told.event)));
        if !courses.is_empty() {
            store::keep_courses(&courses).run(&self.storage).await?;
        }
        let steps: Vec<_> = events
            .iter()
            .filter_map(|told| step(&told.source_context, told.version, told.time, &told.event))
            .collect();
        let rows =
            by_order(events.iter().filter_map(|told| Information::of(told.version, told.time, &told.event)));
        if !steps.is_empty() {
            // The timeline first: whoever sees a status also finds how it came about.
            store::add_steps(&steps).run(&self.storage).await?;
            faults::point("information", "timeline-added").await;
            store::join_rows(&rows).run(&self.storage).await?;
        }
        Ok(())
    }
}

/// The line that an event adds to its order's timeline; none for the events of a course.
pub(crate) fn step<'a>(context: &'a str, version: u64, time: Timestamp, event: &Event) -> Option<Step<'a>> {
    let order_id = event.applicant()?.order_id;
    Some(Step { order_id, context, version, event: event.name(), status: status_told(event)?, time })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use ::store::native::{Sqlite, at_once};
    use kernel::CourseStatus;

    #[test]
    fn an_order_is_shown_with_the_course_that_the_same_batch_tells_of() {
        let applicant = samples::applicant(1113);
        let opened = Event::CourseOpened(samples::course(applicant.edu_no.get(), "자바", CourseStatus::Open));
        let batch = [samples::history().swap_remove(0).2, opened].map(|event| Envelope {
            id: format!("{}:1", event.subject()),
            source_context: samples::context(&event).to_owned(),
            version: 1,
            subject: event.subject(),
            time: Timestamp::from_millis(0),
            traceparent: None,
            event,
        });
        let storage = Sqlite::in_memory(&store::DATABASE).unwrap();
        at_once(View { storage: &storage }.handle(&batch)).unwrap().unwrap();
        let shown = at_once(store::find(&storage, applicant.order_id)).unwrap().unwrap().unwrap();
        assert_eq!(shown.statuses.course, Some(CourseStatus::Open));
        assert_eq!(shown.course_title.as_deref(), Some("자바"));
        assert_eq!(storage.number("SELECT count(*) FROM timeline").unwrap(), 1);
    }

    #[test]
    fn of_a_course_told_several_times_the_newest_is_kept() {
        let told = [
            (2, Event::CourseStarted(samples::course(101, "자바 입문", CourseStatus::Started))),
            (1, Event::CourseOpened(samples::course(101, "자바", CourseStatus::Open))),
            (1, Event::CourseOpened(samples::course(102, "러스트 입문", CourseStatus::Open))),
        ];
        let newest = newest_courses(told.iter().map(|(version, event)| (*version, event)));
        let shown: Vec<_> =
            newest.iter().map(|(version, course)| (*version, course.title.as_str())).collect();
        assert_eq!(shown, [(2, "자바 입문"), (1, "러스트 입문")]);
    }

    #[test]
    fn a_course_is_in_no_timeline() {
        let event = Event::CourseOpened(samples::course(101, "자바", CourseStatus::Open));
        assert_eq!(step("reservation", 1, Timestamp::from_millis(0), &event), None);
    }

    #[test]
    fn of_a_course_told_in_order_the_last_is_kept() {
        let told = [
            (1, Event::CourseOpened(samples::course(101, "자바", CourseStatus::Open))),
            (2, Event::CourseStarted(samples::course(101, "자바 입문", CourseStatus::Started))),
        ];
        let newest = newest_courses(told.iter().map(|(version, event)| (*version, event)));
        let shown: Vec<_> =
            newest.iter().map(|(version, course)| (*version, course.title.as_str())).collect();
        assert_eq!(shown, [(2, "자바 입문")]);
    }
}
