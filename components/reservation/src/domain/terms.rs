//! What is said of a course when it is opened or changed, each value parsed once and right from then on.

use kernel::event::{Course as Terms, Manager};
use kernel::{Approval, CourseStatus, CustomerId, EduNo, Invalid, Timestamp, Won, text};
use serde::Serialize;

/// What a course is called: 1 to 200 characters, as people count them, and none that deceives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Title(String);

impl Title {
    /// The most characters a title may have: what fits a KakaoTalk message beside the rest of it.
    const MAX_CHARS: usize = 200;

    /// Space around the title is dropped.
    pub(crate) fn parse(raw: &str) -> Result<Self, Invalid> {
        text::clean("title", raw, Self::MAX_CHARS).map(Self)
    }
}

/// How many people a course takes: 1 to 100,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Capacity(u32);

impl Capacity {
    /// The largest course.
    pub(crate) const MAX: u32 = 100_000;

    /// From 1 to [`Capacity::MAX`].
    pub(crate) fn parse(raw: u64) -> Result<Self, Invalid> {
        match u32::try_from(raw) {
            Ok(seats @ 1..=Self::MAX) => Ok(Self(seats)),
            _ => Err(Invalid::new("capacity", format!("must be an integer from 1 to {}", Self::MAX))),
        }
    }
}

/// Who manages a course: at most 20 members, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Managers(Vec<Manager>);

impl Managers {
    /// The most managers of one course.
    const MAX: usize = 20;

    /// From none, where the operators manage it, to 20.
    pub(crate) fn parse(mut members: Vec<CustomerId>) -> Result<Self, Invalid> {
        members.sort_unstable();
        members.dedup();
        if members.len() > Self::MAX {
            return Err(Invalid::new("managers", format!("must be at most {} members", Self::MAX)));
        }
        Ok(Self(members.into_iter().map(|customer_id| Manager { customer_id }).collect()))
    }

    /// Only this member, if it is one.
    pub(crate) fn alone(member: Option<CustomerId>) -> Self {
        Self(member.into_iter().map(|customer_id| Manager { customer_id }).collect())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A course to be opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct NewCourse {
    /// What it is called.
    pub(crate) title: Title,
    /// How many people it takes.
    pub(crate) capacity: Capacity,
    /// What one person pays.
    pub(crate) fee: Won,
    /// Who confirms its reservations.
    pub(crate) approval: Approval,
    /// When it begins.
    pub(crate) starts_at: Timestamp,
    /// When it ends: later than it begins.
    pub(crate) ends_at: Timestamp,
    /// Who manages it.
    #[serde(skip_serializing_if = "Managers::is_empty")]
    pub(crate) managers: Managers,
}

impl NewCourse {
    /// The course as it is once it is open under this number.
    pub(crate) fn terms(&self, edu_no: EduNo) -> Terms {
        Terms {
            edu_no,
            title: self.title.0.clone(),
            capacity: self.capacity.0,
            fee: self.fee,
            approval: self.approval,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            status: CourseStatus::Open,
            managers: self.managers.0.clone(),
        }
    }
}

/// What to change in a course; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// What it is called.
    pub(crate) title: Option<Title>,
    /// How many people it takes; not fewer than have a seat.
    pub(crate) capacity: Option<Capacity>,
    /// What one person pays. Orders already taken keep their price.
    pub(crate) fee: Option<Won>,
    /// Who confirms: cannot be changed, only repeated.
    pub(crate) approval: Option<Approval>,
    /// When it begins.
    pub(crate) starts_at: Option<Timestamp>,
    /// When it ends.
    pub(crate) ends_at: Option<Timestamp>,
    /// Where it stands: to start, finish or cancel it.
    pub(crate) status: Option<CourseStatus>,
    /// Who manages it; also once it has started.
    pub(crate) managers: Option<Managers>,
}

impl Changes {
    /// Nothing but to start, finish or cancel a course.
    pub(crate) fn to(status: CourseStatus) -> Self {
        Self { status: Some(status), ..Self::default() }
    }

    /// A course as it would be, but for where it stands.
    pub(super) fn to_terms(&self, present: &Terms) -> Terms {
        let Terms { title, managers, .. } = present;
        Terms {
            title: self.title.as_ref().map_or(title, |title| &title.0).clone(),
            capacity: self.capacity.map_or(present.capacity, |capacity| capacity.0),
            fee: self.fee.unwrap_or(present.fee),
            starts_at: self.starts_at.unwrap_or(present.starts_at),
            ends_at: self.ends_at.unwrap_or(present.ends_at),
            managers: self.managers.as_ref().map_or(managers, |managers| &managers.0).clone(),
            ..present.clone()
        }
    }
}
