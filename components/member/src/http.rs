//! What `member` answers over HTTP. Who may ask what is in the table of `crates/access`, and was looked at before.
//!
//! | path | methods | module |
//! |---|---|---|
//! | `/sign-in-codes` | `POST` sends a code | [`sign_in`] |
//! | `/sessions` | `POST` signs in, `GET` lists, `DELETE` signs out everywhere | [`sign_in`] |
//! | `/sessions/refresh` | `POST` | [`sign_in`] |
//! | `/sessions/{sessionId}`, `/sessions/current` | `DELETE` signs out | [`sign_in`] |
//! | `/members` | `POST` registers; `GET` by page, with filters | [`people`] |
//! | `/members/me` | `GET`, `PATCH`, `DELETE` erases | [`people`] |
//! | `/members/me/phone` | `POST` changes the telephone | [`people`] |
//! | `/members/me/data` | `GET` everything that is kept about them | [`people`] |
//! | `/members/{customerId}` | `GET`, `PATCH` roles, `DELETE` erases | [`people`] |
//! | `/members/inbox` | `GET` the codes that the sandbox's inbox has | [`grants`] |
//! | `/invitations`, `/invitations/{invitationId}` | `GET`, `POST`; `DELETE` | [`grants`] |
//! | `/machines`, `/machines/{id}` | `GET`, `POST`; `DELETE` | [`grants`] |
//! | `/audit` | `GET` the audit trail by page, or as CSV | [`audit`] |
//! | `/event-log` | `GET` how far behind its consumers are | [`event_log`] |
//! | `/event-log/dead-letters`, `/event-log/dead-letters/{deadLetterId}` | `GET`; `DELETE` | [`event_log`] |
//! | `/event-log/dead-letters/{deadLetterId}/replay` | `POST` | [`event_log`] |

mod audit;
mod document;
mod event_log;
mod grants;
mod people;
mod problems;
mod sign_in;

use crate::ports::Ports;
use crate::service::Service;
use ::store::Storage;
use access::Caller;
use event_log::Name;
use hal::{Error, Kind, Method, Problem, Request, Response};
use journal::Tell;
use kernel::CustomerId;

/// A path of this context, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Route<'a> {
    SignInCodes,
    Sessions,
    Refresh,
    Session(&'a str),
    Members,
    Me,
    MyPhone,
    MyData,
    Inbox,
    Member(CustomerId),
    Invitations,
    Invitation(u64),
    Machines,
    Machine(&'a str),
    Audit,
    EventLog,
    DeadLetters,
    DeadLetter(Name<'a>),
    Replay(Name<'a>),
}

impl<'a> Route<'a> {
    /// None for what is not there; a number that no member can have is not there either.
    fn of(segments: &[&'a str]) -> Option<Self> {
        match segments {
            ["sign-in-codes"] => Some(Self::SignInCodes),
            ["sessions"] => Some(Self::Sessions),
            ["sessions", "refresh"] => Some(Self::Refresh),
            ["sessions", id] => Some(Self::Session(id)),
            ["members"] => Some(Self::Members),
            ["members", "me"] => Some(Self::Me),
            ["members", "me", "phone"] => Some(Self::MyPhone),
            ["members", "me", "data"] => Some(Self::MyData),
            ["members", "inbox"] => Some(Self::Inbox),
            ["members", id] => id.parse().ok().map(Self::Member),
            ["invitations"] => Some(Self::Invitations),
            ["invitations", id] => kernel::decimal(id).map(Self::Invitation),
            ["machines"] => Some(Self::Machines),
            ["machines", id] => Some(Self::Machine(id)),
            ["audit"] => Some(Self::Audit),
            ["event-log"] => Some(Self::EventLog),
            ["event-log", "dead-letters"] => Some(Self::DeadLetters),
            ["event-log", "dead-letters", id] => Name::parse(id).map(Self::DeadLetter),
            ["event-log", "dead-letters", id, "replay"] => Name::parse(id).map(Self::Replay),
            _ => None,
        }
    }

    const fn methods(&self) -> &'static [&'static str] {
        match self {
            Self::SignInCodes | Self::Refresh | Self::MyPhone | Self::Replay(_) => &["POST"],
            Self::Sessions => &["GET", "POST", "DELETE"],
            Self::Session(_) | Self::Invitation(_) | Self::Machine(_) => &["DELETE"],
            Self::Members | Self::Invitations | Self::Machines => &["GET", "POST"],
            Self::Me | Self::Member(_) => &["GET", "PATCH", "DELETE"],
            Self::DeadLetter(_) => &["GET", "DELETE"],
            Self::MyData | Self::Inbox | Self::Audit | Self::EventLog | Self::DeadLetters => &["GET"],
        }
    }
}

/// Whether a request is about the sandbox's inbox or the event log, which an open system shows to everybody.
pub(crate) fn is_about_no_member(request: &Request) -> bool {
    let segments = request.route();
    segments.first() == Some(&"event-log") || Route::of(&segments) == Some(Route::Inbox)
}

/// Answers one request of somebody who may ask it.
pub async fn answer<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
    caller: &Caller,
) -> Result<Response, Error> {
    let segments = request.route();
    let Some(route) = Route::of(&segments) else { return request.nothing_here() };
    let methods = route.methods();
    if !methods.contains(&request.method.as_str()) {
        return request.other_method(methods);
    }
    if request.method != Method::GET {
        request.preconditions().check_untagged()?;
    }
    let answered = match (route, &request.method) {
        (Route::SignInCodes, _) => sign_in::ask_code(service, request, caller).await,
        (Route::Sessions, &Method::POST) => sign_in::sign_in(service, request).await,
        (Route::Sessions, &Method::GET) => sign_in::list(service, request, caller).await,
        (Route::Sessions, _) => sign_in::sign_out_everywhere(service, caller).await,
        (Route::Refresh, _) => sign_in::refresh(service, request).await,
        (Route::Session(id), _) => sign_in::sign_out(service, caller, id).await,
        (Route::Members, &Method::GET) => people::list(service, request).await,
        (Route::Members, _) => people::register(service, request).await,
        (Route::Me, &Method::GET) => people::show(service, request, me(caller)?, "members/me").await,
        (Route::Me, &Method::PATCH) => people::change_me(service, request, me(caller)?).await,
        (Route::Me, _) => people::erase(service, request, me(caller)?).await,
        (Route::MyPhone, _) => people::change_phone(service, request, me(caller)?).await,
        (Route::MyData, _) => people::data(service, request, me(caller)?).await,
        (Route::Member(id), &Method::GET) => {
            service.note_shown(&format!("member/{id}")).await?;
            people::show(service, request, id, &format!("members/{id}")).await
        }
        (Route::Member(id), &Method::PATCH) => people::change_roles(service, request, id).await,
        (Route::Member(id), _) => people::erase(service, request, id).await,
        (Route::Inbox, _) => grants::inbox(service, request).await,
        (Route::Invitations, &Method::GET) => grants::invitations(service, request).await,
        (Route::Invitations, _) => grants::invite(service, request, me(caller)?).await,
        (Route::Invitation(id), _) => grants::take_back(service, id).await,
        (Route::Machines, &Method::GET) => grants::machines(service, request).await,
        (Route::Machines, _) => grants::make_machine(service, request, me(caller)?).await,
        (Route::Machine(id), _) => grants::end_machine(service, id).await,
        (Route::Audit, _) => audit::list(service, request).await,
        (Route::EventLog, _) => event_log::show(service, request).await,
        (Route::DeadLetters, _) => event_log::dead_letters(service, request).await,
        (Route::DeadLetter(name), &Method::GET) => event_log::dead_letter(service, request, name).await,
        (Route::DeadLetter(name), _) => event_log::drop(service, name).await,
        (Route::Replay(name), _) => event_log::replay(service, name).await,
    };
    // All of it is about one person, or lets somebody in.
    answered.map(|response| response.header("cache-control", "no-store"))
}

/// The member who asks.
fn me(caller: &Caller) -> Result<CustomerId, Problem> {
    caller.customer_id().ok_or_else(|| Problem::new(Kind::SIGN_IN_REQUIRED))
}

#[cfg(test)]
mod tests;
