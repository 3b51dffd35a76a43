//! An OpenID provider of the tests: publishes the keys that it makes here, and gives out an ID token for each code once.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use data_encoding::BASE64URL_NOPAD;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use p256::ecdsa;
use rsa::pkcs1v15;
use rsa::signature::{SignatureEncoding as _, Signer as _};
use rsa::traits::PublicKeyParts as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use url::Url;

use crate::host::Options;
use crate::members::now;

/// What the provider calls the application.
pub const CLIENT: &str = "sugang-tests";

/// What it knows the application by.
const SECRET: &str = "a-client-secret-that-tests-know";

/// A key that it signs with, and the name of it.
pub struct Key {
    kid: String,
    key: Signs,
}

enum Signs {
    Rsa(Box<rsa::PrivateKey>),
    P256(Box<ecdsa::SigningKey>),
}

impl Key {
    /// A new key for RS256.
    ///
    /// # Panics
    ///
    /// If none can be made.
    #[must_use]
    pub fn rsa(kid: &str) -> Self {
        let key = rsa::PrivateKey::new(&mut rand::rng(), 2048).expect("a key");
        Self { kid: kid.to_owned(), key: Signs::Rsa(Box::new(key)) }
    }

    /// A new key for ES256.
    #[must_use]
    pub fn p256(kid: &str) -> Self {
        let key = loop {
            if let Ok(key) = ecdsa::SigningKey::from_slice(&rand::random::<[u8; 32]>()) {
                break key;
            }
        };
        Self { kid: kid.to_owned(), key: Signs::P256(Box::new(key)) }
    }

    fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        match &self.key {
            Signs::Rsa(key) => {
                let (n, e) = (key.n().to_be_bytes_trimmed_vartime(), key.e().to_be_bytes_trimmed_vartime());
                json!({ "kty": "RSA", "kid": self.kid, "use": "sig", "alg": "RS256", "n": text(&n), "e": text(&e) })
            }
            Signs::P256(key) => {
                let point = key.verifying_key().to_sec1_point(false);
                // After a byte that says that both are there.
                let (_, point) = point.as_bytes().split_at(1);
                let (x, y) = point.split_at(32);
                json!({ "kty": "EC", "kid": self.kid, "crv": "P-256", "x": text(x), "y": text(y) })
            }
        }
    }

    fn sign(&self, claims: &Value) -> String {
        let algorithm = match self.key {
            Signs::Rsa(_) => "RS256",
            Signs::P256(_) => "ES256",
        };
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let header = json!({ "alg": algorithm, "typ": "JWT", "kid": self.kid });
        let message = format!("{}.{}", part(&header), part(claims));
        let signature = match &self.key {
            Signs::Rsa(key) => {
                pkcs1v15::SigningKey::<Sha256>::new((**key).clone()).sign(message.as_bytes()).to_vec()
            }
            Signs::P256(key) => {
                let signature: ecdsa::Signature = key.sign(message.as_bytes());
                signature.to_bytes().to_vec()
            }
        };
        format!("{message}.{}", BASE64URL_NOPAD.encode(&signature))
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the key {:?}", self.kid)
    }
}

/// What a browser was sent with, and what is to be said of whoever signed in.
#[derive(Debug)]
struct Granted {
    challenge: String,
    redirect_uri: String,
    claims: Value,
}

#[derive(Debug)]
struct State {
    issuer: String,
    key: Key,
    codes: HashMap<String, Granted>,
    /// Whether it answers at all.
    is_away: bool,
}

/// A provider at an address of its own.
#[derive(Debug)]
pub struct Provider {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    _runtime: Runtime,
}

impl Provider {
    /// Starts one with this key.
    ///
    /// # Panics
    ///
    /// If that is not possible.
    #[must_use]
    pub fn start(key: Key) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let issuer = format!("http://{address}/issuer");
        let state = Arc::new(Mutex::new(State { issuer, key, codes: HashMap::new(), is_away: false }));
        let of = state.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let of = of.clone();
                let service = service_fn(move |request| answer(of.clone(), request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, state, _runtime: runtime }
    }

    /// A system that lets people in by these ways, this provider among them.
    #[must_use]
    pub fn system(&self, ways: &str) -> Options {
        let origin = format!("http://{}", self.address);
        Options::new()
            .members()
            .variable("sign_in", ways)
            .variable("oidc_issuer", &self.state().issuer)
            .variable("oidc_client_id", CLIENT)
            .variable("oidc_client_secret", SECRET)
            .variable("oidc_authorization_url", format!("{origin}/authorize"))
            .variable("oidc_token_origin", &origin)
            .variable("oidc_token_path", "/token")
            .variable("oidc_keys_origin", &origin)
            .variable("oidc_keys_path", "/keys")
            .variable("oidc_name", "Testpass")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has it sign with another key from now on, and publish that alone.
    pub fn change_key(&self, key: Key) {
        self.state().key = key;
    }

    /// Has it answer nobody, or everybody again.
    pub fn set_away(&self, is_away: bool) {
        self.state().is_away = is_away;
    }

    /// An ID token for whoever this is, as a program gets it that asked for it with the nonce; with other claims than usual.
    #[must_use]
    pub fn token(&self, subject: &str, nonce: &str, more: &Value) -> String {
        let state = self.state();
        let mut claims = json!({
            "iss": state.issuer, "sub": subject, "aud": CLIENT, "iat": now(), "exp": now() + 600, "nonce": nonce,
        });
        if let (Some(claims), Some(more)) = (claims.as_object_mut(), more.as_object()) {
            claims.extend(more.clone());
        }
        state.key.sign(&claims)
    }

    /// Somebody signs in here whose browser was sent to `location`; says where it is sent back to.
    ///
    /// # Panics
    ///
    /// If it was sent without what the flow asks for.
    #[track_caller]
    #[must_use]
    pub fn sign_in(&self, location: &str, subject: &str, more: &Value) -> String {
        let sent = Url::parse(location).expect("an address");
        let query: HashMap<_, _> = sent.query_pairs().into_owned().collect();
        let asked = |name: &str| query.get(name).cloned().unwrap_or_default();
        assert_eq!(sent.path(), "/authorize");
        for (name, value) in [
            ("response_type", "code"),
            ("client_id", CLIENT),
            ("code_challenge_method", "S256"),
            ("scope", "openid"),
        ] {
            assert_eq!(asked(name), value);
        }
        let mut claims = json!({ "sub": subject, "nonce": asked("nonce") });
        if let (Some(claims), Some(more)) = (claims.as_object_mut(), more.as_object()) {
            claims.extend(more.clone());
        }
        let code = format!("code-{}", rand::random::<u64>());
        let (challenge, redirect_uri) = (asked("code_challenge"), asked("redirect_uri"));
        let back = format!("{redirect_uri}?code={code}&state={}", asked("state"));
        self.state().codes.insert(code, Granted { challenge, redirect_uri, claims });
        back
    }
}

async fn answer(
    of: Arc<Mutex<State>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let mut state = of.lock().unwrap_or_else(PoisonError::into_inner);
    let (status, body) = match path.as_str() {
        _ if state.is_away => (StatusCode::BAD_GATEWAY, json!({})),
        "/keys" => (StatusCode::OK, json!({ "keys": [state.key.jwk()] })),
        "/token" => match state.exchange(&body) {
            Some(token) => (StatusCode::OK, json!({ "token_type": "Bearer", "id_token": token })),
            None => (StatusCode::BAD_REQUEST, json!({ "error": "invalid_grant" })),
        },
        _ => (StatusCode::NOT_FOUND, json!({})),
    };
    let mut answer = Response::new(Full::from(body.to_string()));
    *answer.status_mut() = status;
    Ok(answer)
}

impl State {
    /// The ID token for a code, once, and for whoever began it.
    fn exchange(&mut self, body: &[u8]) -> Option<String> {
        let given: HashMap<_, _> = url::form_urlencoded::parse(body).into_owned().collect();
        let granted = self.codes.remove(given.get("code")?)?;
        let challenge = BASE64URL_NOPAD.encode(&Sha256::digest(given.get("code_verifier")?));
        let is = |name: &str, value: &str| given.get(name).is_some_and(|given| given == value);
        let is_right = is("grant_type", "authorization_code")
            && is("client_id", CLIENT)
            && is("client_secret", SECRET)
            && is("redirect_uri", &granted.redirect_uri)
            && challenge == granted.challenge;
        let mut claims = json!({ "iss": self.issuer, "aud": CLIENT, "iat": now(), "exp": now() + 600 });
        claims.as_object_mut()?.extend(granted.claims.as_object()?.clone());
        is_right.then(|| self.key.sign(&claims))
    }
}
