//! The demonstration courses, so that a system that has just been started can be tried at once.

use crate::domain::{Capacity, Command, NewCourse, Title};
use crate::store::{Asked, Undecided, carry_out, known_courses};
use ::store::Storage;
use kernel::{Approval, EduNo, Invalid, Timestamp, Won};
use std::collections::BTreeMap;

/// One of them.
struct Demo {
    edu_no: u64,
    title: &'static str,
    capacity: u64,
    fee: u64,
    approval: Approval,
    /// In how many minutes it begins.
    starts_in: i64,
    /// For how many minutes it goes on.
    lasts: i64,
}

const MINUTES_PER_DAY: i64 = 24 * 60;

/// 101 and 102 are large, so that load tests do not run out of seats.
const COURSES: [Demo; 6] = [
    Demo {
        edu_no: 101,
        title: "러스트 입문: 소유권부터 비동기까지",
        capacity: 100_000,
        fee: 120_000,
        approval: Approval::Automatic,
        starts_in: 90 * MINUTES_PER_DAY,
        lasts: 5 * MINUTES_PER_DAY,
    },
    Demo {
        edu_no: 102,
        title: "도메인 주도 설계 실습",
        capacity: 100_000,
        fee: 250_000,
        approval: Approval::Manual,
        starts_in: 90 * MINUTES_PER_DAY,
        lasts: 2 * MINUTES_PER_DAY,
    },
    Demo {
        edu_no: 103,
        title: "일대일 코드 리뷰 (정원 2명)",
        capacity: 2,
        fee: 80_000,
        approval: Approval::Automatic,
        starts_in: 30 * MINUTES_PER_DAY,
        lasts: 120,
    },
    Demo {
        edu_no: 104,
        title: "곧 시작하는 점심 특강",
        capacity: 50,
        fee: 10_000,
        approval: Approval::Automatic,
        starts_in: 10,
        lasts: 60,
    },
    Demo {
        edu_no: 105,
        title: "무료 공개 강의: 웹어셈블리와 Spin",
        capacity: 1_000,
        fee: 0,
        approval: Approval::Automatic,
        starts_in: 14 * MINUTES_PER_DAY,
        lasts: 120,
    },
    Demo {
        edu_no: 106,
        title: "단체 수강: 개발자를 위한 글쓰기",
        capacity: 500,
        fee: 5_000,
        approval: Approval::Manual,
        starts_in: 60 * MINUTES_PER_DAY,
        lasts: MINUTES_PER_DAY,
    },
];

impl Demo {
    fn course(&self, now: Timestamp) -> Result<(EduNo, NewCourse), Invalid> {
        let starts_at = now.plus_minutes(self.starts_in);
        let course = NewCourse {
            title: Title::parse(self.title)?,
            capacity: Capacity::parse(self.capacity)?,
            fee: Won::fee(self.fee)?,
            approval: self.approval,
            starts_at,
            ends_at: starts_at.plus_minutes(self.lasts),
        };
        Ok((EduNo::parse(self.edu_no)?, course))
    }
}

/// Whether they are wanted: the variable `demo_courses`, true unless it says otherwise.
pub(crate) async fn wanted() -> bool {
    spin_sdk::variables::get("demo_courses").await.is_ok_and(|value| value.trim() == "true")
}

/// Opens those that do not exist, and says whether there were any. A course that exists under one of their
/// numbers is left as it is, whoever opened it.
pub(crate) async fn open_missing(storage: &impl Storage, now: Timestamp) -> Result<bool, Undecided> {
    let courses: BTreeMap<EduNo, NewCourse> =
        COURSES.iter().filter_map(|demo| demo.course(now).ok()).collect();
    let known = known_courses(storage, &courses.keys().copied().collect()).await?;
    let mut opened = false;
    for (edu_no, course) in courses.into_iter().filter(|(edu_no, _)| !known.contains(edu_no)) {
        let asked = Asked { command: Command::Open(edu_no, course), traceparent: None };
        match carry_out(storage, &[asked], now).await {
            Ok(_) => opened = true,
            // Another replica opened it a moment ago, at its own "now".
            Err(Undecided::Refused(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(opened)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{find_course, testing::Sqlite};
    use futures::executor::block_on;

    #[test]
    fn every_demonstration_course_is_a_course() {
        for demo in &COURSES {
            demo.course(Timestamp::now()).unwrap();
        }
    }

    #[test]
    fn the_demonstration_courses_are_opened_once() {
        let store = Sqlite::new();
        let start = Timestamp::now();
        assert!(block_on(open_missing(&store, start)).unwrap());
        assert!(!block_on(open_missing(&store, start.plus_minutes(60))).unwrap());
        let soon = block_on(find_course(&store, EduNo::parse(104).unwrap())).unwrap().unwrap();
        assert_eq!(soon.course.terms.starts_at, start.plus_minutes(10), "counted from the first start");
    }

    #[test]
    fn a_course_that_another_replica_opens_at_its_own_now_is_no_failure() {
        let store = Sqlite::new();
        let start = Timestamp::now();
        let (edu_no, course) = COURSES[0].course(start.plus_seconds(-1)).unwrap();
        store.overtake_with(vec![Asked { command: Command::Open(edu_no, course), traceparent: None }]);
        assert!(block_on(open_missing(&store, start)).unwrap());
        assert_eq!(store.number("SELECT count(*) FROM courses"), 6);
    }
}
