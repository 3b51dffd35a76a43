//! Signing in at an OpenID provider: where a browser is sent, and what is made of it when it comes back.
//!
//! The authorization code flow (OpenID Connect Core §3.1) with PKCE (RFC 7636). What was made up for one attempt is in a cookie
//! of the one browser until it comes back: nothing of it is kept here, and none of it counts for another browser or twice.
//! Whether the ID token counts is for `member` to say.

use crate::client::sent;
use crate::form::key;
use anyhow::{Context, bail};
use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use form_urlencoded::Serializer;
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use settings::SignIn;
use sha2::{Digest, Sha256};
use spin_sdk::http::FullBody;
use std::rc::Rc;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// Where the provider sends the browser back to.
pub(crate) const CALLBACK: &str = "/sign-in/oidc/callback";

/// How long the provider may take for an ID token: somebody waits for a page.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most bytes that are read of its answer.
const MOST_BYTES: usize = 64 * 1024;

/// The ways in that the operator set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WaysIn {
    pub(crate) codes: bool,
    /// What the provider is called.
    pub(crate) provider: Option<Rc<str>>,
}

impl WaysIn {
    pub(crate) async fn read() -> anyhow::Result<Self> {
        let SignIn { codes, provider } = SignIn::read().await?;
        let provider = if provider { Some(settings::text("oidc_name").await?) } else { None };
        Ok(Self { codes, provider })
    }
}

/// What was made up for one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    state: String,
    pub(crate) nonce: String,
    verifier: String,
}

impl Attempt {
    /// A new one; none where there are no random bytes.
    pub(crate) fn new() -> Option<Self> {
        let (state, nonce, verifier) = (key(), key(), key() + &key());
        // An empty one would be everybody's.
        let is_made = ![&state, &nonce].iter().any(|text| text.is_empty()) && verifier.len() == 64;
        is_made.then_some(Self { state, nonce, verifier })
    }

    /// As it is in the cookie.
    pub(crate) fn text(&self) -> String {
        format!("{}.{}.{}", self.state, self.nonce, self.verifier)
    }

    /// The one that a browser has brought back, if it is the one that the provider answers.
    pub(crate) fn answered(cookie: &str, state: &str) -> Option<Self> {
        let mut parts = cookie.split('.').map(str::to_owned);
        let (state_sent, nonce, verifier) = (parts.next()?, parts.next()?, parts.next()?);
        let is_same = bool::from(state_sent.as_bytes().ct_eq(state.as_bytes()));
        let is_whole = ![&state_sent, &nonce, &verifier].iter().any(|text| text.is_empty());
        (is_same && is_whole).then_some(Self { state: state_sent, nonce, verifier })
    }

    /// What only whoever has the verifier can use the code with.
    fn challenge(&self) -> String {
        BASE64URL_NOPAD.encode(&Sha256::digest(&self.verifier))
    }

    /// Where the browser is sent.
    pub(crate) async fn address(&self, base: &str) -> anyhow::Result<String> {
        let url = settings::text("oidc_authorization_url").await?;
        let (client, scope) = (settings::text("oidc_client_id").await?, settings::text("oidc_scope").await?);
        Ok(self.address_at(&url, &client, &scope, base))
    }

    fn address_at(&self, url: &str, client: &str, scope: &str, base: &str) -> String {
        let query = Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", client)
            .append_pair("redirect_uri", &format!("{base}{CALLBACK}"))
            .append_pair("scope", scope)
            .append_pair("state", &self.state)
            .append_pair("nonce", &self.nonce)
            .append_pair("code_challenge", &self.challenge())
            .append_pair("code_challenge_method", "S256")
            .finish();
        let joint = if url.contains('?') { '&' } else { '?' };
        format!("{url}{joint}{query}")
    }

    /// The ID token for a code; none where the provider says no. The error says why there is no answer, without the code or a
    /// secret.
    pub(crate) async fn exchange(&self, code: &str, base: &str) -> anyhow::Result<Option<String>> {
        let client = settings::text("oidc_client_id").await?;
        let secret = settings::text("oidc_client_secret").await?;
        let mut body = Serializer::new(String::new());
        body.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", &format!("{base}{CALLBACK}"))
            .append_pair("client_id", &client)
            .append_pair("code_verifier", &self.verifier);
        // Without one the application is a public client, which PKCE is enough for.
        if !secret.is_empty() {
            body.append_pair("client_secret", &secret);
        }
        let (origin, path) =
            (settings::text("oidc_token_origin").await?, settings::text("oidc_token_path").await?);
        let request = http::Request::post(format!("{origin}{path}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(FullBody::new(Bytes::from(body.finish())))?;
        let answered = async {
            let response =
                spin_sdk::http::send(request).await.map_err(|error| anyhow::anyhow!("{error:?}"))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MOST_BYTES).collect().await;
            let body = body.map_err(|error| anyhow::anyhow!("its answer: {error:?}"))?.to_bytes();
            anyhow::Ok((status, body))
        };
        let Some(answered) = sent(answered, PATIENCE).await else { bail!("no answer within {PATIENCE:?}") };
        let (status, body) = answered?;
        if status.is_client_error() {
            // A code that is used, too old or another's; or the operator's settings, which only its log can tell from that.
            eprintln!("the OpenID provider answered {status} to a code");
            return Ok(None);
        }
        if !status.is_success() {
            bail!("it answered {status}");
        }
        Ok(Some(serde_json::from_slice::<Answer>(&body).context("its answer")?.id_token))
    }
}

#[derive(Deserialize)]
struct Answer {
    id_token: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_counts_for_the_browser_that_began_it_and_with_its_own_state() {
        let attempt = Attempt::new().unwrap();
        let cookie = attempt.text();
        assert_eq!(Attempt::answered(&cookie, &attempt.state), Some(attempt.clone()));
        let other = Attempt::new().unwrap();
        assert_ne!(other, attempt);
        for (cookie, state) in [
            (cookie.as_str(), other.state.as_str()),
            (&other.text(), &attempt.state),
            (&cookie, ""),
            ("", ""),
            ("..", ""),
            (".a.b", ""),
            (&attempt.state, &attempt.state),
        ] {
            assert_eq!(Attempt::answered(cookie, state), None, "{cookie} {state}");
        }
    }

    #[test]
    fn the_browser_is_sent_with_all_that_the_flow_asks_for_and_without_the_verifier() {
        // The example of RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned();
        let attempt = Attempt { state: "s".to_owned(), nonce: "n".to_owned(), verifier };
        let address =
            attempt.address_at("https://id.example/auth?tenant=7", "me & you", "openid phone", "http://h");
        assert_eq!(
            address,
            "https://id.example/auth?tenant=7&response_type=code&client_id=me+%26+you\
             &redirect_uri=http%3A%2F%2Fh%2Fsign-in%2Foidc%2Fcallback&scope=openid+phone&state=s&nonce=n\
             &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256"
        );
    }
}
