//! Members: registering, showing, changing, erasing.

use super::document::{Document, signed_in};
use super::problems::refuse;
use super::sign_in::typed_code;
use crate::domain::{Changes, Consent};
use crate::ports::Ports;
use crate::secrets::Token;
use crate::service::{Form, Service};
use crate::store::{self, Filter, Listed};
use ::store::Storage;
use hal::{Error, Fields, Paging, Problem, Request, Response};
use journal::Tell;
use kernel::{CustomerId, Email, Invalid, PersonName, Role, Timestamp};
use serde_json::{Value, json};

/// Makes somebody a member, and lets them in.
pub(super) async fn register<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
) -> Result<Response, Error> {
    let mut fields = request.fields()?;
    let token = fields.required_text("registrationToken", |token| Ok(Token::shown(token)));
    let name = fields.required_text("name", PersonName::parse);
    let email = email(&mut fields).flatten();
    let language = fields.text("language", str::parse).unwrap_or_else(|| request.language());
    let marketing = consents(&mut fields);
    fields.finish()?;
    let (Some(token), Some(name)) = (token, name) else { return Err(Problem::invalid_fields(&[]).into()) };
    let form = Form { token, name, email, language, marketing };
    let address = request.client_address(service.settings.trusted_proxies);
    let traceparent = request.traceparent();
    let registered =
        service.register(&form, address.as_deref(), traceparent.as_deref()).await.map_err(refuse)?;
    Ok(Response::created(&signed_in(&registered), &format!("{}/members/me", request.base)))
}

/// Whether somebody agrees to advertising. Whatever has to be agreed to and is not is refused by name.
fn consents(fields: &mut Fields) -> bool {
    let Some(mut given) = fields.object("consents") else {
        if !fields.has("consents") {
            fields.refuse(Invalid::new("consents", "is required"));
        }
        return false;
    };
    let mut missing = Vec::new();
    let mut marketing = false;
    for consent in Consent::ALL {
        let is_given = given.flag(consent.as_str()).unwrap_or(false);
        if consent.is_required() && !is_given {
            missing.push(Invalid::new(name_of(consent), "must be `true`: nobody can be a member without it"));
        }
        marketing |= is_given && consent == Consent::Marketing;
    }
    fields.refused_in(given);
    missing.into_iter().for_each(|refused| fields.refuse(refused));
    marketing
}

/// A consent as the field that it is.
const fn name_of(consent: Consent) -> &'static str {
    match consent {
        Consent::Terms => "consents.terms",
        Consent::Privacy => "consents.privacy",
        Consent::Age14 => "consents.age14",
        Consent::Marketing => "consents.marketing",
    }
}

/// An address, or an empty text to have none any more.
fn email(fields: &mut Fields) -> Option<Option<Email>> {
    fields.text("email", |raw| if raw.trim().is_empty() { Ok(None) } else { Email::parse(raw).map(Some) })
}

/// A page of the members.
pub(super) async fn list<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
) -> Result<Response, Error> {
    let filter = Filter {
        customer_id: request.query.parse_as("customerId")?,
        phone: request.query.parse_as("phone")?,
    };
    let paging = Paging::parse(&request.query, &["customerId"])?;
    let storage = service.storage();
    service.note_shown("members").await?;
    let listed = store::list(storage, &filter, &paging.page()).await?;
    let total = if paging.counts() { Some(store::total(storage, &filter).await?) } else { None };
    let here = |listed: &Listed| format!("{}/members/{}", request.base, listed.customer_id);
    let hrefs: Vec<_> = listed.iter().map(here).collect();
    let documents: Vec<_> = listed
        .iter()
        .zip(&hrefs)
        .map(|(listed, here)| Document::listed(listed, roles(service, listed), here))
        .collect();
    let last = listed.last().map(|listed| listed.customer_id.get());
    Ok(paging.respond(request, "members", &documents, total, last))
}

/// What somebody is in all.
fn roles<P: Ports, S: Storage, T: Tell>(service: &Service<P, S, T>, listed: &Listed) -> Vec<Role> {
    let by_variables = listed.phone.iter().flat_map(|phone| service.settings.roles_of(phone));
    let all: Vec<_> = listed.roles.iter().copied().chain(by_variables).collect();
    if listed.erased_at.is_some() { Vec::new() } else { crate::domain::every_customer_and(&all) }
}

/// One member, whole.
pub(super) async fn show<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
    customer_id: CustomerId,
    path: &str,
) -> Result<Response, Error> {
    let storage = service.storage();
    let Some(listed) = store::find(storage, customer_id).await? else {
        return Err(Problem::not_found(format!("There is no member {customer_id}.")).into());
    };
    let given = store::consents(storage, customer_id).await?;
    let here = format!("{}/{path}", request.base);
    Ok(Response::ok(&Document::whole(&listed, roles(service, &listed), given, &here)))
}

/// What members change about themselves.
pub(super) async fn change_me<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
    customer_id: CustomerId,
) -> Result<Response, Error> {
    let mut fields = request.fields()?;
    let changes = Changes {
        name: fields.text("name", PersonName::parse),
        email: email(&mut fields),
        language: fields.text("language", str::parse),
        messages: fields.text("messages", str::parse),
        ..Changes::default()
    };
    let marketing = fields.object("consents").and_then(|mut given| {
        let marketing = given.flag("marketing");
        fields.refused_in(given);
        marketing
    });
    fields.finish()?;
    service.change(customer_id, &changes, request.traceparent().as_deref()).await.map_err(refuse)?;
    if let Some(given) = marketing {
        service.consent(customer_id, Consent::Marketing, given).await.map_err(refuse)?;
    }
    show(service, request, customer_id, "members/me").await
}

/// Another telephone, shown by a code that was sent to it.
pub(super) async fn change_phone<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
    customer_id: CustomerId,
) -> Result<Response, Error> {
    let (token, code) = typed_code(request)?;
    let phone = service.check_code(&token, &code).await.map_err(refuse)?;
    let changes = Changes { phone: Some(phone), ..Changes::default() };
    service.change(customer_id, &changes, request.traceparent().as_deref()).await.map_err(refuse)?;
    show(service, request, customer_id, "members/me").await
}

/// What operators change about others: all the roles that they are to have.
pub(super) async fn change_roles<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
    customer_id: CustomerId,
) -> Result<Response, Error> {
    let mut fields = request.fields()?;
    if !fields.has("roles") {
        fields.refuse(Invalid::new("roles", "is required"));
    }
    let roles = fields.texts("roles", str::parse::<Role>);
    fields.finish()?;
    let changes = Changes { roles, ..Changes::default() };
    service.change(customer_id, &changes, request.traceparent().as_deref()).await.map_err(refuse)?;
    show(service, request, customer_id, &format!("members/{customer_id}")).await
}

/// Erases somebody, whatever they have ordered.
pub(super) async fn erase<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
    customer_id: CustomerId,
) -> Result<Response, Error> {
    service.erase(customer_id, request.traceparent().as_deref()).await.map_err(refuse)?;
    Ok(Response::no_content())
}

/// Everything that is kept here about a member, to take away (개인정보 보호법 제35조의2).
pub(super) async fn data<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
    customer_id: CustomerId,
) -> Result<Response, Error> {
    let (storage, now) = (service.storage(), Timestamp::now());
    let Some(listed) = store::find(storage, customer_id).await? else {
        return Err(Problem::not_found("There is no such member.").into());
    };
    let given = store::consents(storage, customer_id).await?;
    let sessions = store::sessions(storage, customer_id, now).await?;
    let sign_ins = store::sign_ins(storage, customer_id).await?;
    let identities = store::identities(storage, customer_id).await?;
    let here = format!("{}/members/me", request.base);
    let at = Timestamp::from_millis;
    let session = |session: &store::Session| json!({ "sessionId": session.session_id, "createdAt": at(session.created_at), "lastUsedAt": at(session.last_used_at) });
    let sign_in = |sign_in: &store::SignIn| json!({ "at": at(sign_in.at), "address": sign_in.address });
    let identity = |linked: &store::Linked| json!({ "issuer": linked.identity.issuer, "subject": linked.identity.subject, "linkedAt": at(linked.linked_at) });
    let document = json!({
        "member": Document::whole(&listed, roles(service, &listed), given.clone(), &here),
        "consents": given,
        "sessions": sessions.iter().map(session).collect::<Vec<Value>>(),
        "identities": identities.iter().map(identity).collect::<Vec<Value>>(),
        "signIns": sign_ins.iter().map(sign_in).collect::<Vec<Value>>(),
    });
    Ok(Response::ok(&document).header("content-disposition", "attachment; filename=\"sugang-my-data.json\""))
}
