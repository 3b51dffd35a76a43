//! Codes and sessions.

use super::document;
use super::me;
use super::problems::refuse;
use crate::id_token::Provider;
use crate::ports::Ports;
use crate::secrets::{DIGITS, Token};
use crate::service::Service;
use crate::settings::Settings;
use crate::store::{self, CODE_SECONDS, RESEND_SECONDS};
use ::store::Storage;
use access::Caller;
use hal::{Error, Problem, Request, Response, StatusCode};
use journal::Tell;
use kernel::{Invalid, Phone, Timestamp};
use serde_json::{Value, json};

/// Sends a code. The answer is the same whether the number is anybody's or not.
pub(super) async fn ask_code<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
    caller: &Caller,
) -> Result<Response, Error> {
    let mut fields = request.fields()?;
    let phone = fields.required_text("phone", Phone::parse);
    // Members show with a code that they have another telephone, whatever lets them in.
    if !service.settings.codes && caller.customer_id().is_none() {
        fields.refuse(Invalid::new("phone", "is sent no code here: sign in with the OpenID provider"));
    }
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

/// What somebody shows to be let in.
enum Shown<'a> {
    Code { token: Token, code: String },
    IdToken { provider: &'a Provider, token: String, nonce: String },
}

/// Reads it, if that is a way in here.
fn shown<'a>(request: &Request, settings: &'a Settings) -> Result<Shown<'a>, Problem> {
    let mut fields = request.fields()?;
    if !fields.has("idToken") {
        if !settings.codes {
            fields.refuse(Invalid::new("idToken", "is required: codes let nobody in here"));
            fields.finish()?;
        }
        let (token, code) = typed_code(request)?;
        return Ok(Shown::Code { token, code });
    }
    let token = fields.text("idToken", |token| Ok(token.to_owned()));
    let nonce = fields.required_text("nonce", |nonce| Ok(nonce.to_owned()));
    if settings.provider.is_none() {
        fields.refuse(Invalid::new("idToken", "is not taken here: sign in with a code"));
    }
    fields.finish()?;
    let read = settings.provider.as_ref().zip(token.zip(nonce));
    let (provider, (token, nonce)) = read.ok_or_else(|| Problem::invalid_fields(&[]))?;
    Ok(Shown::IdToken { provider, token, nonce })
}

/// Lets somebody in who shows a code, or an ID token of the provider.
pub(super) async fn sign_in<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
) -> Result<Response, Error> {
    let address = request.client_address(service.settings.trusted_proxies);
    let traceparent = request.traceparent();
    let (address, traceparent) = (address.as_deref(), traceparent.as_deref());
    let signed_in = match shown(request, &service.settings)? {
        Shown::Code { token, code } => service.sign_in(&token, &code, address, traceparent).await,
        Shown::IdToken { provider, token, nonce } => {
            service.sign_in_with_provider(provider, &token, &nonce, address, traceparent).await
        }
    };
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
