//! Access tokens: JWTs (RFC 7519, RFC 9068) signed with Ed25519.
//!
//! No other algorithm is compiled in, so neither `none` nor another key's algorithm can be had by asking for it.

use crate::Role;
use anyhow::{Context, anyhow, bail};
use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::{Signer as _, VerifyingKey};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;

/// Who gives tokens out, and whom they are for: the application as a whole.
pub const ISSUER: &str = "sugang";

/// The type of an access token (RFC 9068 §2.1), so that no other kind of token is taken for one.
const TYPE: &str = "at+jwt";

/// How far the clocks of two hosts may be apart, in seconds.
const LEEWAY: u64 = 5;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// [`ISSUER`].
    pub iss: String,
    /// [`ISSUER`].
    pub aud: String,
    /// A member's `customerId`, or `machine:<name>`.
    pub sub: String,
    /// The session that it was given out in.
    pub sid: String,
    /// A member's roles; empty for a machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Role>,
    /// A machine's scopes, separated by spaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// When it was given out, in seconds of Unix time.
    pub iat: u64,
    /// Until when it counts, in seconds of Unix time.
    pub exp: u64,
}

impl Claims {
    /// A member's.
    pub fn of_member(
        customer_id: kernel::CustomerId,
        session: &str,
        roles: &[Role],
        iat: u64,
        exp: u64,
    ) -> Self {
        Self { roles: roles.to_vec(), ..Self::of(customer_id.to_string(), session, iat, exp) }
    }

    /// A machine's; `session` is what it can be ended by.
    pub fn of_machine(name: &str, session: &str, scopes: &[&str], iat: u64, exp: u64) -> Self {
        Self { scope: Some(scopes.join(" ")), ..Self::of(format!("machine:{name}"), session, iat, exp) }
    }

    fn of(sub: String, session: &str, iat: u64, exp: u64) -> Self {
        let name = || ISSUER.to_owned();
        Self { iss: name(), aud: name(), sub, sid: session.to_owned(), roles: vec![], scope: None, iat, exp }
    }
}

/// The key that `member` signs with.
pub struct SigningKey {
    kid: String,
    key: EncodingKey,
}

impl SigningKey {
    /// Reads `<kid>:<the 32 bytes of the private key in base64url>`.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let (kid, seed) = key_of("token_signing_key", text)?;
        Ok(Self { kid, key: EncodingKey::from_ed_der(&seed) })
    }

    /// A token that says this.
    pub fn sign(&self, claims: &Claims) -> anyhow::Result<String> {
        install();
        let header = Header {
            typ: Some(TYPE.to_owned()),
            kid: Some(self.kid.clone()),
            ..Header::new(Algorithm::EdDSA)
        };
        jsonwebtoken::encode(&header, claims, &self.key).context("signing a token")
    }

    /// How `token_keys` names the public half of it.
    pub fn public(&self) -> anyhow::Result<String> {
        let key = ed25519_dalek::SigningKey::from_bytes(&bytes(self.key.as_bytes())?);
        Ok(format!("{}:{}", self.kid, BASE64URL_NOPAD.encode(key.verifying_key().as_bytes())))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the signing key {:?}", self.kid)
    }
}

/// How many tokens are remembered that were verified.
const REMEMBERED: usize = 64;

/// The keys that tokens are verified with.
#[derive(Clone, Default)]
pub struct Keys {
    keys: Vec<(String, DecodingKey)>,
    /// What tokens say that were verified before, by their hash: a signature takes longer to verify than all the rest of a
    /// request takes.
    verified: RefCell<HashMap<[u8; 32], Claims>>,
}

impl Keys {
    /// Reads `<kid>:<the 32 bytes of the public key in base64url>`, several separated by commas.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let keys = text.split(',').map(str::trim).filter(|key| !key.is_empty());
        let key = |text| {
            let (kid, key) = key_of("token_keys", text)?;
            VerifyingKey::from_bytes(&key)
                .map_err(|_| anyhow!("the variable `token_keys`: {kid:?} is no public key"))?;
            Ok((kid, DecodingKey::from_ed_der(&key)))
        };
        let keys = keys.map(key).collect::<anyhow::Result<_>>()?;
        Ok(Self { keys, ..Self::default() })
    }

    /// What a token says, if one of these keys signed it and it counts now.
    pub fn verify(&self, token: &str) -> Result<Claims, Invalid> {
        let hash = Sha256::digest(token).into();
        if let Some(known) = self.recall(&hash, jsonwebtoken::get_current_timestamp()) {
            return known;
        }
        let claims = self.verify_signature(token)?;
        let mut verified = self.verified.borrow_mut();
        if verified.len() >= REMEMBERED {
            verified.clear();
        }
        verified.insert(hash, claims.clone());
        Ok(claims)
    }

    /// What a token comes to at this second that was verified before.
    fn recall(&self, hash: &[u8; 32], now: u64) -> Option<Result<Claims, Invalid>> {
        let verified = self.verified.borrow();
        let claims = verified.get(hash)?;
        Some(if claims.exp.saturating_add(LEEWAY) < now { Err(Invalid::Expired) } else { Ok(claims.clone()) })
    }

    fn verify_signature(&self, token: &str) -> Result<Claims, Invalid> {
        install();
        let header = jsonwebtoken::decode_header(token).map_err(|_| Invalid::Malformed)?;
        if header.alg != Algorithm::EdDSA || header.typ.as_deref() != Some(TYPE) {
            return Err(Invalid::Malformed);
        }
        let key = self.keys.iter().find(|(kid, _)| header.kid.as_ref() == Some(kid));
        let (_, key) = key.ok_or(Invalid::UnknownKey)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = LEEWAY;
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        match jsonwebtoken::decode(token, key, &validation) {
            Ok(token) => Ok(token.claims),
            Err(error) if *error.kind() == ErrorKind::ExpiredSignature => Err(Invalid::Expired),
            Err(_) => Err(Invalid::Malformed),
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(kid, _)| kid)).finish()
    }
}

/// Why a token does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// It is not one of ours, or was changed.
    Malformed,
    /// Its key is not, or no longer, among ours.
    UnknownKey,
    /// Its time is over.
    Expired,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "The access token is not one of ours.",
            Self::UnknownKey => "The access token is signed with a key that is not in use.",
            Self::Expired => "The access token has expired.",
        })
    }
}

/// A `kid` and a key of 32 bytes.
fn key_of(name: &str, text: &str) -> anyhow::Result<(String, [u8; 32])> {
    let Some((kid, key)) = text.trim().split_once(':').filter(|(kid, _)| !kid.is_empty()) else {
        bail!("the variable `{name}` must be `<kid>:<key>`");
    };
    let key = BASE64URL_NOPAD.decode(key.as_bytes()).ok().and_then(|key| bytes(&key).ok());
    let key = key.with_context(|| {
        format!("the variable `{name}`: the key must be 32 bytes in base64url without `=`")
    })?;
    Ok((kid.to_owned(), key))
}

fn bytes(key: &[u8]) -> anyhow::Result<[u8; 32]> {
    key.try_into().context("a key has 32 bytes")
}

/// Has `jsonwebtoken` use Ed25519 and nothing else.
fn install() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: |algorithm, key| {
            Ok(Box::new(Signer(ed25519_dalek::SigningKey::from_bytes(&raw(*algorithm, key.as_bytes())?))))
        },
        verifier_factory: |algorithm, key| {
            let key = raw(*algorithm, key.try_get_as_bytes()?)?;
            let key = VerifyingKey::from_bytes(&key).map_err(|_| Error::from(ErrorKind::InvalidEddsaKey))?;
            Ok(Box::new(Verifier(key)))
        },
        key_utils: KeyUtils::new_unimplemented(),
    };
    // The second time it is there already.
    _ = PROVIDER.install_default();
}

fn raw(algorithm: Algorithm, key: &[u8]) -> Result<[u8; 32], Error> {
    match (algorithm, key.try_into()) {
        (Algorithm::EdDSA, Ok(key)) => Ok(key),
        (Algorithm::EdDSA, Err(_)) => Err(ErrorKind::InvalidEddsaKey.into()),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    }
}

struct Signer(ed25519_dalek::SigningKey);

impl signature::Signer<Vec<u8>> for Signer {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(self.0.sign(message).to_bytes().to_vec())
    }
}

impl JwtSigner for Signer {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

struct Verifier(VerifyingKey);

impl signature::Verifier<Vec<u8>> for Verifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let signature =
            ed25519_dalek::Signature::from_slice(signature).map_err(|_| signature::Error::new())?;
        self.0.verify_strict(message, &signature).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Verifier {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use kernel::CustomerId;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use std::time::{SystemTime, UNIX_EPOCH};

    /// A signing key whose bytes are all this one.
    pub(crate) fn key(kid: &str, byte: u8) -> SigningKey {
        SigningKey::parse(&format!("{kid}:{}", BASE64URL_NOPAD.encode(&[byte; 32]))).unwrap()
    }

    pub(crate) fn keys(signing: &[&SigningKey]) -> Keys {
        let public: Vec<_> = signing.iter().map(|key| key.public().unwrap()).collect();
        Keys::parse(&public.join(",")).unwrap()
    }

    pub(crate) fn now() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
    }

    fn claims() -> Claims {
        let customer = CustomerId::parse(7).unwrap();
        Claims::of_member(customer, "s1", &[Role::Customer, Role::Manager], now(), now() + 300)
    }

    /// A token put together by hand, signed by the key.
    fn forged(header: &Value, claims: &Value, byte: u8) -> String {
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = ed25519_dalek::SigningKey::from_bytes(&[byte; 32]).sign(message.as_bytes());
        format!("{message}.{}", BASE64URL_NOPAD.encode(&signature.to_bytes()))
    }

    #[test]
    fn a_token_says_what_was_signed() {
        let signing = key("a", 1);
        let token = signing.sign(&claims()).unwrap();
        assert_eq!(keys(&[&signing]).verify(&token), Ok(claims()));
        // Known to other libraries as well: the form is the standard's.
        assert_eq!(token.split('.').count(), 3);
    }

    proptest! {
        #[test]
        fn a_token_counts_as_it_was_signed_and_not_with_any_character_changed(
            customer in 1..=kernel::MAX_ID, session: String, place: prop::sample::Index, other in any::<char>(),
            text: String, bytes: Vec<u8>,
        ) {
            let signing = key("a", 1);
            let keys = keys(&[&signing]);
            let customer = CustomerId::parse(customer).unwrap();
            let claims = Claims::of_member(customer, &session, &[Role::Operator], now(), now() + 300);
            let token = signing.sign(&claims).unwrap();
            prop_assert_eq!(keys.verify(&token), Ok(claims));
            let mut changed: Vec<_> = token.chars().collect();
            let place = place.index(changed.len());
            if changed[place] != other {
                changed[place] = other;
                prop_assert!(keys.verify(&changed.iter().collect::<String>()).is_err());
            }
            let (header, rest) = token.split_once('.').unwrap();
            let (payload, signature) = rest.split_once('.').unwrap();
            let part = BASE64URL_NOPAD.encode(&bytes);
            for garbage in [
                format!("{part}.{payload}.{signature}"),
                format!("{header}.{part}.{signature}"),
                format!("{header}.{payload}.{part}"),
                format!("{token}{text}x"),
                text,
            ] {
                prop_assert!(keys.verify(&garbage).is_err(), "{}", garbage);
            }
        }
    }

    #[test]
    fn keys_change_with_an_overlap() {
        let (old, new) = (key("old", 1), key("new", 2));
        let token = old.sign(&claims()).unwrap();
        assert!(keys(&[&new, &old]).verify(&token).is_ok());
        assert_eq!(keys(&[&new]).verify(&token), Err(Invalid::UnknownKey));
        // Another key under the same name.
        assert_eq!(keys(&[&key("old", 3)]).verify(&token), Err(Invalid::Malformed));
    }

    #[test]
    fn what_is_not_wholly_ours_does_not_count() {
        let keys = keys(&[&key("a", 1)]);
        let header = json!({"alg": "EdDSA", "typ": TYPE, "kid": "a"});
        let good = serde_json::to_value(claims()).unwrap();
        assert!(keys.verify(&forged(&header, &good, 1)).is_ok());
        let with = |name: &str, value: Value| {
            let mut changed = good.clone();
            changed[name] = value;
            changed
        };
        let headers = [
            json!({"alg": "none", "typ": TYPE, "kid": "a"}),
            json!({"alg": "HS256", "typ": TYPE, "kid": "a"}),
            json!({"alg": "RS256", "typ": TYPE, "kid": "a"}),
            json!({"alg": "EdDSA", "typ": "JWT", "kid": "a"}),
            json!({"alg": "EdDSA", "typ": TYPE}),
            json!({"alg": "EdDSA", "kid": "a"}),
        ];
        for header in headers {
            assert!(keys.verify(&forged(&header, &good, 1)).is_err(), "{header}");
        }
        for claims in [
            with("iss", json!("other")),
            with("aud", json!("other")),
            with("exp", json!(now() - 10)),
            with("exp", Value::Null),
            with("exp", json!("tomorrow")),
            with("sub", json!(7)),
            with("roles", json!(["owner"])),
        ] {
            assert!(keys.verify(&forged(&header, &claims, 1)).is_err(), "{claims}");
        }
        let token = forged(&header, &good, 1);
        let (rest, signature) = token.rsplit_once('.').unwrap();
        let tampered = forged(&header, &with("roles", json!(["operator"])), 2);
        let (other_rest, _) = tampered.rsplit_once('.').unwrap();
        for token in [
            format!("{other_rest}.{signature}"),
            tampered.clone(),
            format!("{rest}."),
            rest.to_owned(),
            format!("{token}."),
            String::new(),
            "..".to_owned(),
        ] {
            assert!(keys.verify(&token).is_err(), "{token}");
        }
    }

    #[test]
    fn a_token_that_was_verified_before_counts_as_long_and_no_longer() {
        let (signing, claims) = (key("a", 1), claims());
        let keys = keys(&[&signing]);
        let token = signing.sign(&claims).unwrap();
        let hash = Sha256::digest(&token).into();
        assert_eq!(keys.recall(&hash, now()), None);
        assert_eq!(keys.verify(&token), Ok(claims.clone()));
        let exp = claims.exp;
        assert_eq!(keys.recall(&hash, exp + LEEWAY), Some(Ok(claims.clone())));
        assert_eq!(keys.recall(&hash, exp + LEEWAY + 1), Some(Err(Invalid::Expired)));
        assert_eq!(keys.verify(&format!("{token}x")), Err(Invalid::Malformed));
        // What is no token of ours is not remembered, and others' do not fill the memory.
        for more in 0..2 * REMEMBERED as u64 {
            let other = Claims { iat: more, ..claims.clone() };
            assert_eq!(keys.verify(&signing.sign(&other).unwrap()), Ok(other));
        }
        assert!((1..=REMEMBERED).contains(&keys.verified.borrow().len()));
    }

    #[test]
    fn a_token_whose_time_is_over_is_said_to_have_expired() {
        let signing = key("a", 1);
        let expired = Claims { exp: now() - 10, ..claims() };
        assert_eq!(keys(&[&signing]).verify(&signing.sign(&expired).unwrap()), Err(Invalid::Expired));
    }

    #[test]
    fn keys_that_are_none_are_refused_without_being_shown() {
        for text in ["geheim", "a:geheim", ":AAAA", "a:AAAA="] {
            for refused in [SigningKey::parse(text).unwrap_err(), Keys::parse(text).unwrap_err()] {
                assert!(!format!("{refused:#}").contains("geheim"), "{refused:#}");
            }
        }
        assert_eq!(format!("{:?}", key("a", 1)), "the signing key \"a\"");
    }
}
