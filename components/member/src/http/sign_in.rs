//! Codes and sessions.

use super::document;
use super::me;
use super::problems::refuse;
use crate::ports::Ports;
use crate::secrets::{DIGITS, Token};
use crate::service::Service;
use crate::store::{self, CODE_SECONDS, RESEND_SECONDS};
use ::store::Storage;
use access::Caller;
use hal::{Error, Problem, Request, Response, StatusCode};
use journal::Tell;
use kernel::{Phone, Timestamp};
use serde_json::{Value, json};

/// Sends a code. The answer is the same whether the number is anybody's or not.
pub(super) async fn ask_code<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
) -> Result<Response, Error> {
    let mut fields = request.fields()?;
    let phone = fields.required_text("phone", Phone::parse);
    let language = fields.text("language", str::parse).unwrap_or_else(|| request.language());
    fields.finish()?;
    let Some(phone) = phone else { return Err(Problem::invalid_fields(&[]).into()) };
    let address = request.client_address(service.settings.trusted_proxies);
    let token = service.ask_code(&phone, language, address.as_deref()).await.map_err(refuse)?;
    let document = json!({
        "codeToken": token.as_str(),
        "expiresIn": CODE_SECONDS,
        "resendIn": RESEND_SECONDS,
        "digits": DIGITS,
    });
    Ok(Response::hal(StatusCode::ACCEPTED, &document))
}

/// The token that came with a code, and the code as it was typed.
pub(super) fn typed_code(request: &Request) -> Result<(Token, String), Problem> {
    let mut fields = request.fields()?;
    let token = fields.required_text("codeToken", |token| Ok(Token::shown(token)));
    let code = fields.required_text("code", |code| Ok(code.to_owned()));
    fields.finish()?;
    token.zip(code).ok_or_else(|| Problem::invalid_fields(&[]))
}

/// Lets somebody in.
pub(super) async fn sign_in<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
) -> Result<Response, Error> {
    let (token, code) = typed_code(request)?;
    let address = request.client_address(service.settings.trusted_proxies);
    let traceparent = request.traceparent();
    let signed_in = service.sign_in(&token, &code, address.as_deref(), traceparent.as_deref()).await;
    let signed_in = signed_in.map_err(refuse)?;
    Ok(Response::created(&document::signed_in(&signed_in), &format!("{}/sessions/current", request.base)))
}

pub(super) async fn refresh<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
) -> Result<Response, Error> {
    let mut fields = request.fields()?;
    let token = fields.required_text("refreshToken", |token| Ok(token.to_owned()));
    fields.finish()?;
    let tokens = service.refresh(&token.unwrap_or_default()).await.map_err(refuse)?;
    Ok(Response::ok(&document::tokens(&tokens)))
}

pub(super) async fn list<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
    caller: &Caller,
) -> Result<Response, Error> {
    let sessions = store::sessions(service.storage(), me(caller)?, Timestamp::now()).await?;
    let shown = |session: &store::Session| {
        json!({
            "sessionId": session.session_id,
            "createdAt": Timestamp::from_millis(session.created_at),
            "lastUsedAt": Timestamp::from_millis(session.last_used_at),
            "current": caller.session() == Some(&*session.session_id),
            "_links": { "self": { "href": format!("{}/sessions/{}", request.base, session.session_id) } },
        })
    };
    let shown: Vec<Value> = sessions.iter().map(shown).collect();
    Ok(Response::ok(&listed(request, "sessions", &shown)))
}

/// A list that is short enough to be shown whole.
pub(super) fn listed(request: &Request, rel: &str, items: &[Value]) -> Value {
    json!({
        "_embedded": { rel: items },
        "_links": { "self": { "href": format!("{}{}", request.base, request.path) } },
    })
}

/// Signs out here (`current`) or elsewhere. One that is not there is signed out.
pub(super) async fn sign_out<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    caller: &Caller,
    id: &str,
) -> Result<Response, Error> {
    let customer_id = me(caller)?;
    let current = id == "current";
    let session = if current { caller.session().unwrap_or_default() } else { id };
    let ended = service.sign_out(customer_id, session).await.map_err(refuse)?;
    if ended || current {
        return Ok(Response::no_content());
    }
    Err(Problem::not_found("You have no such session.").into())
}

pub(super) async fn sign_out_everywhere<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    caller: &Caller,
) -> Result<Response, Error> {
    service.sign_out_everywhere(me(caller)?).await.map_err(refuse)?;
    Ok(Response::no_content())
}
