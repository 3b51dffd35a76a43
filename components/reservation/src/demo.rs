//! The demonstration courses, so that a system that has just been started can be tried at once.

use crate::domain::{Capacity, Command, Managers, NewCourse, Title};
use crate::service::{NotDone, Service};
use crate::store;
use ::store::Storage;
use journal::Tell;
use kernel::Approval::{self, Automatic, Manual};
use kernel::{EduNo, Invalid, Timestamp, Won};
use std::cell::Cell;
use std::collections::BTreeMap;

thread_local! {
    /// Whether this instance has seen that they are all there.
    static SEEN: Cell<bool> = const { Cell::new(false) };
}

/// Number, title, seats, fee, who confirms, in how many minutes it begins, and for how many it goes on.
type Demo = (u64, &'static str, u64, u64, Approval, i64, i64);

const DAY: i64 = 24 * 60;

/// 101 and 102 are large, so that load tests do not run out of seats.
const COURSES: [Demo; 6] = [
    (101, "러스트 입문: 소유권부터 비동기까지", 100_000, 120_000, Automatic, 90 * DAY, 5 * DAY),
    (102, "도메인 주도 설계 실습", 100_000, 250_000, Manual, 90 * DAY, 2 * DAY),
    (103, "일대일 코드 리뷰 (정원 2명)", 2, 80_000, Automatic, 30 * DAY, 120),
    (104, "곧 시작하는 점심 특강", 50, 10_000, Automatic, 10, 60),
    (105, "무료 공개 강의: 웹어셈블리와 Spin", 1_000, 0, Automatic, 14 * DAY, 120),
    (106, "단체 수강: 개발자를 위한 글쓰기", 500, 5_000, Manual, 60 * DAY, DAY),
];

fn course(demo: Demo, now: Timestamp) -> Result<(EduNo, NewCourse), Invalid> {
    let (edu_no, title, capacity, fee, approval, starts_in, lasts) = demo;
    let starts_at = now.plus_minutes(starts_in);
    let course = NewCourse {
        title: Title::parse(title)?,
        capacity: Capacity::parse(capacity)?,
        fee: Won::fee(fee)?,
        approval,
        starts_at,
        ends_at: starts_at.plus_minutes(lasts),
        managers: Managers::default(),
    };
    Ok((EduNo::parse(edu_no)?, course))
}

impl<S: Storage, T: Tell> Service<S, T> {
    /// Opens those that do not exist, if they are wanted; looks once in the life of an instance.
    pub(crate) async fn open_demo_courses(&self) -> Result<(), NotDone> {
        if self.demo_courses && !SEEN.get() {
            self.open_missing(Timestamp::now()).await?;
            SEEN.set(true);
        }
        Ok(())
    }

    /// A course that exists under one of their numbers is left as it is, whoever opened it.
    async fn open_missing(&self, now: Timestamp) -> Result<(), NotDone> {
        let courses: BTreeMap<EduNo, NewCourse> =
            COURSES.into_iter().filter_map(|demo| course(demo, now).ok()).collect();
        let known = store::known_courses(&self.journal.storage, courses.keys()).await?;
        for (edu_no, course) in courses.into_iter().filter(|(edu_no, _)| !known.contains(edu_no)) {
            match self.carry_out(&[Command::Open(edu_no, course).into()], now).await {
                // Another replica opened it a moment ago, at its own "now".
                Ok(_) | Err(NotDone::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::find_course;
    use crate::testing::service;
    use futures::executor::block_on;

    #[test]
    fn every_demonstration_course_is_a_course() {
        for demo in COURSES {
            course(demo, Timestamp::now()).unwrap();
        }
    }

    #[test]
    fn the_demonstration_courses_are_opened_once() {
        let service = service();
        let start = Timestamp::now();
        block_on(service.open_missing(start)).unwrap();
        block_on(service.open_missing(start.plus_minutes(60))).unwrap();
        assert_eq!(service.events().len(), COURSES.len());
        let soon = block_on(find_course(service.store(), EduNo::parse(104).unwrap())).unwrap().unwrap();
        assert_eq!(soon.terms.starts_at, start.plus_minutes(10), "counted from the first start");
    }

    #[test]
    fn a_course_that_another_replica_opens_at_its_own_now_is_no_failure() {
        let service = service();
        let start = Timestamp::now();
        let (edu_no, course) = super::course(COURSES[0], start.plus_seconds(-1)).unwrap();
        service.meanwhile(&[Command::Open(edu_no, course)]);
        block_on(service.open_missing(start)).unwrap();
        assert_eq!(service.number("SELECT count(*) FROM courses"), 6);
    }

    #[test]
    fn whoever_does_not_want_them_has_none_and_whoever_does_is_asked_once() {
        let unwanted = service();
        block_on(unwanted.open_demo_courses()).unwrap();
        assert_eq!(unwanted.store().statements(), 0);
        let wanted = Service { demo_courses: true, ..unwanted };
        block_on(wanted.open_demo_courses()).unwrap();
        assert_eq!(wanted.events().len(), COURSES.len());
        let statements = wanted.store().statements();
        block_on(wanted.open_demo_courses()).unwrap();
        assert_eq!(wanted.store().statements(), statements);
    }
}
