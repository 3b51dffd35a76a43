//! What `member` decides, and nothing else: no I/O, no clock, no Spin.
//!
//! A member is the fold of their events ([`Record`]). What lets somebody in (codes, sessions) is not decided here: it leads to
//! no event, and tables hold it to its limits.

use kernel::event::{Event, Member, MemberErased};
use kernel::{CustomerId, Email, Language, PersonName, Phone, Role, Timestamp, WantedMessages};

/// What everybody has to agree to, and what they may, in the order in which they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consent {
    /// The terms of use.
    Terms,
    /// That their personal data is kept (개인정보 보호법 제15조).
    Privacy,
    /// That they are 14 or older: for whoever is younger a parent would have to agree (개인정보 보호법 제22조의2).
    Age14,
    /// Advertising (정보통신망법 제50조), which nobody has to agree to.
    Marketing,
}

impl Consent {
    /// Every one of them.
    pub(crate) const ALL: [Self; 4] = [Self::Terms, Self::Privacy, Self::Age14, Self::Marketing];

    /// As the API spells it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Terms => "terms",
            Self::Privacy => "privacy",
            Self::Age14 => "age14",
            Self::Marketing => "marketing",
        }
    }

    /// Whether nobody can be a member without it.
    pub(crate) const fn is_required(self) -> bool {
        !matches!(self, Self::Marketing)
    }
}

/// Who wants to be a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Newcomer {
    pub(crate) customer_id: CustomerId,
    pub(crate) name: PersonName,
    /// None where whoever vouches for them knows none.
    pub(crate) phone: Option<Phone>,
    pub(crate) email: Option<Email>,
    pub(crate) language: Language,
    /// What they were invited to be.
    pub(crate) roles: Vec<Role>,
}

/// What is to be different about a member; what is none stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) name: Option<PersonName>,
    pub(crate) phone: Option<Phone>,
    /// Some of none takes the address away.
    pub(crate) email: Option<Option<Email>>,
    pub(crate) language: Option<Language>,
    pub(crate) messages: Option<WantedMessages>,
    /// All that they are to have.
    pub(crate) roles: Option<Vec<Role>>,
}

/// What a decision is asked for.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// Become a member.
    Register(Newcomer),
    /// Be another.
    Change(Changes),
    /// Be nobody any more.
    Erase(CustomerId),
}

/// What the domain says no to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The number is somebody's already.
    #[error("the number is taken")]
    NumberTaken,
    /// Nobody has this number, or not any more.
    #[error("there is no such member")]
    Unknown,
    /// The telephone is another member's.
    #[error("the telephone is another member's")]
    PhoneTaken,
    /// The registration token is used, too old, or none.
    #[error("the registration has ended")]
    RegistrationEnded,
}

/// Where somebody stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// Nobody yet.
    #[default]
    New,
    /// A member.
    Member(Member),
    /// Nobody any more. Final.
    Erased,
}

/// A state and how many events led to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) state: State,
    pub(crate) version: u64,
}

impl Record {
    /// The record after one more event.
    #[must_use]
    pub(crate) fn and(self, event: &Event) -> Self {
        Self { state: evolve(self.state, event), version: self.version + 1 }
    }

    /// The member, if there is one.
    pub(crate) const fn member(&self) -> Option<&Member> {
        match &self.state {
            State::Member(member) => Some(member),
            State::New | State::Erased => None,
        }
    }
}

/// The event that follows from a command; none where everything is so already.
pub(crate) fn decide(record: &Record, command: &Command, at: Timestamp) -> Result<Option<Event>, Refusal> {
    match (&record.state, command) {
        (State::New, Command::Register(newcomer)) => {
            Ok(Some(Event::MemberRegistered(registered(newcomer, at))))
        }
        (State::Member(_) | State::Erased, Command::Register(_)) => Err(Refusal::NumberTaken),

        (State::Member(member), Command::Change(changes)) => {
            let changed = changed(member, changes);
            let is_same = changed == *member;
            Ok((!is_same).then_some(Event::MemberChanged(Member { at, ..changed })))
        }
        (State::New | State::Erased, Command::Change(_)) => Err(Refusal::Unknown),

        (State::Member(_), Command::Erase(customer_id)) => {
            Ok(Some(Event::MemberErased(MemberErased { customer_id: *customer_id, at })))
        }
        (State::Erased, Command::Erase(_)) => Ok(None),
        (State::New, Command::Erase(_)) => Err(Refusal::Unknown),
    }
}

fn registered(newcomer: &Newcomer, at: Timestamp) -> Member {
    Member {
        customer_id: newcomer.customer_id,
        name: Some(newcomer.name.clone()),
        phone: newcomer.phone.clone(),
        email: newcomer.email.clone(),
        language: newcomer.language,
        messages: WantedMessages::All,
        roles: every_customer_and(&newcomer.roles),
        at,
    }
}

fn changed(member: &Member, changes: &Changes) -> Member {
    let mut changed = member.clone();
    changed.name = changes.name.clone().or(changed.name);
    changed.phone = changes.phone.clone().or(changed.phone);
    changed.email = changes.email.clone().unwrap_or(changed.email);
    changed.language = changes.language.unwrap_or(changed.language);
    changed.messages = changes.messages.unwrap_or(changed.messages);
    changed.roles = changes.roles.as_deref().map_or(changed.roles, every_customer_and);
    changed
}

/// Roles in their order, each once. Every member is a customer.
pub(crate) fn every_customer_and(roles: &[Role]) -> Vec<Role> {
    Role::ALL.iter().copied().filter(|role| *role == Role::Customer || roles.contains(role)).collect()
}

/// The state after an event. Events of other contexts change nothing.
fn evolve(state: State, event: &Event) -> State {
    match event {
        Event::MemberRegistered(member) | Event::MemberChanged(member) => State::Member(member.clone()),
        Event::MemberErased(_) => State::Erased,
        _ => state,
    }
}

#[cfg(test)]
mod tests;
