//! The keys that a provider signs with (RFC 7517), as far as they are of use here.

use data_encoding::BASE64URL_NOPAD;
use p256::ecdsa;
use rsa::BoxedUint;
use rsa::pkcs1v15;
use rsa::signature::Verifier;
use serde::Deserialize;
use sha2::Sha256;

/// In bits: RSA keys that are taken. (Less is weak, RFC 7518 §3.3; more only costs time.)
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// The most keys of a provider that are looked at.
const MOST: usize = 50;

/// In bytes: one coordinate of a point on P-256.
const COORDINATE: usize = 32;

/// The keys of a provider by their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeySet(Vec<(String, Key)>);

/// A key, and with it the one algorithm that it counts with.
#[derive(Clone, Debug)]
pub(crate) enum Key {
    Rsa(Box<pkcs1v15::VerifyingKey<Sha256>>),
    P256(Box<ecdsa::VerifyingKey>),
}

#[derive(Debug, Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

/// A public key as JSON. A private or a secret one has other members, which are not looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Jwk {
    kty: String,
    kid: String,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    n: String,
    e: String,
    crv: String,
    x: String,
    y: String,
}

impl KeySet {
    /// Those of a JWKS document that can be used; none where it is no such document. What is of another kind or cannot be read
    /// is left out: a provider may have keys for others as well.
    pub(crate) fn parse(document: &[u8]) -> Option<Self> {
        let Document { keys } = serde_json::from_slice(document).ok()?;
        let read = |key: serde_json::Value| {
            let jwk: Jwk = serde_json::from_value(key).ok()?;
            let key = Key::of(&jwk)?;
            Some((jwk.kid, key))
        };
        Some(Self(keys.into_iter().take(MOST).filter_map(read).collect()))
    }

    pub(crate) fn find(&self, kid: &str) -> Option<&Key> {
        self.0.iter().find(|(known, _)| known == kid).map(|(_, key)| key)
    }
}

impl Key {
    fn of(jwk: &Jwk) -> Option<Self> {
        let signs = jwk.purpose.as_deref().is_none_or(|purpose| purpose == "sig");
        if jwk.kid.is_empty() || !signs {
            return None;
        }
        let key = match jwk.kty.as_str() {
            "RSA" => Self::rsa(jwk),
            "EC" if jwk.crv == "P-256" => Self::p256(jwk),
            _ => None,
        }?;
        jwk.alg.as_deref().is_none_or(|alg| alg == key.algorithm()).then_some(key)
    }

    fn rsa(jwk: &Jwk) -> Option<Self> {
        let number = |text: &str| Some(BoxedUint::from_be_slice_vartime(&decode(text)?));
        let (n, e) = (number(&jwk.n)?, number(&jwk.e)?);
        let key = rsa::PublicKey::new_with_size_limits(n, e, RSA_BITS).ok()?;
        Some(Self::Rsa(Box::new(pkcs1v15::VerifyingKey::new(key))))
    }

    fn p256(jwk: &Jwk) -> Option<Self> {
        let (x, y) = (decode(&jwk.x)?, decode(&jwk.y)?);
        if x.len() != COORDINATE || y.len() != COORDINATE {
            return None;
        }
        // Uncompressed, as SEC 1 writes a point.
        let point = [&[4_u8][..], &x, &y].concat();
        Some(Self::P256(Box::new(ecdsa::VerifyingKey::from_sec1_bytes(&point).ok()?)))
    }

    /// The only algorithm that it counts with.
    pub(crate) const fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::P256(_) => "ES256",
        }
    }

    pub(crate) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rsa(key) => pkcs1v15::Signature::try_from(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Self::P256(key) => ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
        }
    }
}

/// Some bytes, at most as many as the largest key has.
fn decode(text: &str) -> Option<Vec<u8>> {
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
    (1..=RSA_BITS.end() / 8).contains(&bytes.len()).then_some(bytes)
}
