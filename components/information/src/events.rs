//! What the view reacts to: everything that `order`, `pay` and `reservation` tell.

use crate::domain::Told;
use crate::store;
use ::store::Storage;
use eventlog::{Envelope, Unhandled, Worker};

/// The read model as a worker: every batch is one statement, harmless when repeated.
pub struct View<S> {
    /// Where it is kept.
    pub storage: S,
}

impl<S: Storage> Worker for View<S> {
    const NAME: &'static str = "information";

    async fn handle(&self, events: &[Envelope]) -> Result<(), Unhandled> {
        let told = events.iter().map(|told| Told::of(&told.source, told.version, told.time, &told.event));
        Ok(store::take_in(told).run(&self.storage).await?)
    }

    async fn tick(&self, _caught_up: bool) -> anyhow::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use ::store::native::{Store, at_once};
    use kernel::event::Event;
    use kernel::{CourseStatus, Timestamp};

    ::store::on_postgres!(
        an_order_is_shown_with_the_course_that_the_same_batch_tells_of_and_that_takes_one_statement,
    );

    #[test]
    fn an_order_is_shown_with_the_course_that_the_same_batch_tells_of_and_that_takes_one_statement() {
        let applicant = samples::applicant(1113);
        let opened = Event::CourseOpened(samples::course(applicant.edu_no.get(), "자바", CourseStatus::Open));
        let batch = [samples::history().swap_remove(0).2, opened].map(|event| Envelope {
            id: format!("{}:1", event.subject()),
            source: samples::context(&event).to_owned(),
            version: 1,
            subject: event.subject(),
            time: Timestamp::from_millis(0),
            traceparent: None,
            event,
        });
        let storage = Store::new(&store::DATABASE);
        at_once(View { storage: &storage }.handle(&batch)).unwrap().unwrap();
        assert_eq!(storage.statements(), 1);
        let shown = at_once(store::find(&storage, applicant.order_id)).unwrap().unwrap().unwrap();
        assert_eq!(shown.statuses.course, Some(CourseStatus::Open));
        assert_eq!(shown.course_title.as_deref(), Some("자바"));
        assert_eq!(storage.number("SELECT count(*) FROM timeline").unwrap(), 1, "a course is in no timeline");
    }
}
