//! What is for operators: invitations, machines, and the sandbox's inbox.

use super::problems::refuse;
use super::sign_in::listed;
use crate::messages::CODE;
use crate::ports::{Ports, Shown};
use crate::service::{NewMachine, Service};
use crate::store::{self, Invitation, Machine};
use ::store::Storage;
use access::table::SCOPES;
use hal::{Error, Problem, Request, Response, StatusCode};
use journal::Tell;
use kernel::{CustomerId, Invalid, Phone, Timestamp};
use serde_json::{Value, json};

/// How many messages of the inbox are shown.
const SHOWN: u32 = 20;

/// The longest that a machine's token may count, in days.
const LONGEST_DAYS: u64 = 90;

/// The newest codes that the sandbox's inbox has.
pub(super) async fn inbox<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
) -> Result<Response, Error> {
    let Some(messages) = service.ports.peek(CODE, SHOWN).await else {
        return Err(Problem::not_found("Messages go to telephones here, and are read there.").into());
    };
    let shown = |message: &Shown| json!({ "to": message.to, "body": message.body });
    let shown: Vec<Value> = messages.iter().map(shown).collect();
    Ok(Response::ok(&listed(request, "messages", &shown)))
}

fn invitation(request: &Request, invitation: &Invitation) -> Value {
    json!({
        "id": invitation.id,
        "phone": invitation.phone.masked(),
        "role": invitation.role,
        "invitedBy": invitation.invited_by,
        "at": invitation.at,
        "_links": { "self": { "href": format!("{}/invitations/{}", request.base, invitation.id) } },
    })
}

pub(super) async fn invitations<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
) -> Result<Response, Error> {
    let all = store::invitations(service.storage(), None).await?;
    let shown: Vec<Value> = all.iter().map(|one| invitation(request, one)).collect();
    Ok(Response::ok(&listed(request, "invitations", &shown)))
}

pub(super) async fn invite<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
    invited_by: CustomerId,
) -> Result<Response, Error> {
    let mut fields = request.fields()?;
    let phone = fields.required_text("phone", Phone::parse);
    let role = fields.required_text("role", str::parse);
    let language = fields.text("language", str::parse).unwrap_or_else(|| request.language());
    fields.finish()?;
    let (Some(phone), Some(role)) = (phone, role) else { return Err(Problem::invalid_fields(&[]).into()) };
    let invited = service.invite(&phone, role, language, invited_by).await.map_err(refuse)?;
    let here = format!("{}/invitations/{}", request.base, invited.id);
    Ok(Response::created(&invitation(request, &invited), &here))
}

pub(super) async fn take_back<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    id: u64,
) -> Result<Response, Error> {
    if service.take_back(id).await.map_err(refuse)? {
        return Ok(Response::no_content());
    }
    Err(Problem::not_found(format!("There is no invitation {id}.")).into())
}

fn machine(request: &Request, machine: &Machine) -> Value {
    json!({
        "id": machine.id,
        "name": machine.name,
        "scopes": machine.scopes.split_whitespace().collect::<Vec<_>>(),
        "madeBy": machine.made_by,
        "createdAt": machine.created_at,
        "expiresAt": Timestamp::from_millis(machine.expires_at),
        "_links": { "self": { "href": format!("{}/machines/{}", request.base, machine.id) } },
    })
}

pub(super) async fn machines<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
) -> Result<Response, Error> {
    let all = store::machines(service.storage()).await?;
    let shown: Vec<Value> = all.iter().map(|one| machine(request, one)).collect();
    Ok(Response::ok(&listed(request, "machines", &shown)))
}

/// Makes a machine. Its token is shown in this answer and never again.
pub(super) async fn make_machine<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
    made_by: CustomerId,
) -> Result<Response, Error> {
    let mut fields = request.fields()?;
    let name = fields.required_text("name", machine_name);
    if !fields.has("scopes") {
        fields.refuse(Invalid::new("scopes", "is required"));
    }
    let scopes = fields.texts("scopes", scope);
    if scopes.as_ref().is_some_and(Vec::is_empty) {
        fields.refuse(Invalid::new("scopes", "must name one at least"));
    }
    let days = fields.required("expiresInDays", days);
    fields.finish()?;
    let (Some(name), Some(scopes), Some(days)) = (name, scopes, days) else {
        return Err(Problem::invalid_fields(&[]).into());
    };
    let new = NewMachine { name, scopes, days };
    let Some((made, token)) = service.make_machine(new, made_by).await.map_err(refuse)? else {
        return Err(
            Invalid::new("name", "is another machine's: end that one first, or choose another").into()
        );
    };
    let mut document = machine(request, &made);
    if let Some(members) = document.as_object_mut() {
        members.insert("accessToken".to_owned(), token.into());
    }
    let here = format!("{}/machines/{}", request.base, made.id);
    Ok(Response::hal(StatusCode::CREATED, &document).header("location", &here))
}

/// A name as it stands in tokens and logs.
fn machine_name(raw: &str) -> Result<String, Invalid> {
    let fits = (1..=40).contains(&raw.len())
        && raw.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let wrong = || Invalid::new("name", "must be 1 to 40 of the characters `a` to `z`, `0` to `9` and `-`");
    if fits { Ok(raw.to_owned()) } else { Err(wrong()) }
}

fn scope(raw: &str) -> Result<&'static str, Invalid> {
    let known: Vec<_> = SCOPES.iter().map(|scope| format!("`{scope}`")).collect();
    let wrong = || Invalid::new("scopes", format!("must each be one of {}", known.join(", ")));
    SCOPES.iter().find(|scope| **scope == raw).copied().ok_or_else(wrong)
}

fn days(raw: u64) -> Result<i64, Invalid> {
    let wrong = || Invalid::new("expiresInDays", format!("must be an integer from 1 to {LONGEST_DAYS}"));
    i64::try_from(raw).ok().filter(|_| (1..=LONGEST_DAYS).contains(&raw)).ok_or_else(wrong)
}

pub(super) async fn end_machine<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    id: &str,
) -> Result<Response, Error> {
    if service.end_machine(id).await.map_err(refuse)? {
        return Ok(Response::no_content());
    }
    Err(Problem::not_found("There is no such machine.").into())
}
