//! What this context reacts to: every event about an order becomes one message; the courses' titles are kept.

use crate::domain::Message;
use crate::store;
use eventlog::{Consumer, Envelope, Unhandled};
use kernel::event::{Course, Event};
use kernel::{EduNo, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// The contexts that are listened to.
pub(crate) const SOURCES: &[&str] = &["order", "pay", "reservation"];

/// Writes messages, and leaves sending them to [`crate::delivery`].
pub(crate) struct Scribe;

impl Consumer for Scribe {
    async fn handle(&self, events: &[Envelope]) -> Result<(), Unhandled> {
        let courses = newest_courses(events.iter().map(|told| (told.version, &told.event)));
        if !courses.is_empty() {
            store::keep_courses(&courses).run().await?;
        }
        let wanted: BTreeSet<EduNo> =
            events.iter().filter_map(|told| Some(told.event.applicant()?.edu_no)).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let wanted: Vec<_> = wanted.into_iter().collect();
        let titles = store::titles(&store::ask_titles(&wanted).run().await?)?;
        // Streams are read one after another; by time, the messages stand as things happened.
        let mut told: Vec<_> = events.iter().collect();
        told.sort_by_key(|told| told.time);
        let messages: Vec<_> = told
            .into_iter()
            .filter_map(|told| {
                let title = titles.get(&told.event.applicant()?.edu_no.get()).map(String::as_str);
                Message::about(&told.source_context, told.version, &told.event, title)
            })
            .collect();
        if !messages.is_empty() {
            store::add(&messages, Timestamp::now()).run().await?;
        }
        Ok(())
    }
}

/// Of each course the newest that a batch tells.
fn newest_courses<'a>(events: impl Iterator<Item = (u64, &'a Event)>) -> Vec<(u64, &'a Course)> {
    let mut newest: BTreeMap<_, (u64, &Course)> = BTreeMap::new();
    for (version, event) in events {
        let Some(course) = event.course() else { continue };
        let known = newest.entry(course.edu_no).or_insert((version, course));
        if version > known.0 {
            *known = (version, course);
        }
    }
    newest.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn of_a_course_told_several_times_the_newest_is_kept() {
        let told = [(2, samples::course_opened("자바 입문")), (1, samples::course_opened("자바"))];
        let newest = newest_courses(told.iter().map(|(version, event)| (*version, event)));
        let shown: Vec<_> =
            newest.iter().map(|(version, course)| (*version, course.title.as_str())).collect();
        assert_eq!(shown, [(2, "자바 입문")]);
    }
}
