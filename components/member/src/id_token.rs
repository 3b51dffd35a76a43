//! ID tokens of an OpenID provider: whether one counts, and who it is about. Pure: no I/O, no clock.
//!
//! | step | what it holds the token to |
//! |---|---|
//! | [`IdToken::read`] | the form of a JWT with a `kid`, within a size |
//! | [`IdToken::check`] | whom it is from and for, when, and the nonce that was sent along |
//! | [`IdToken::verify`] | the signature, by the key of that `kid`: only this says who somebody is |
//!
//! Which algorithm counts is the key's to say ([`keys`]), never the token's: `none`, an HMAC under a public key, or another
//! key's algorithm lead nowhere. Keys, certificates and addresses in the token itself are not looked at.

mod keys;

pub(crate) use keys::KeySet;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use kernel::{Phone, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

/// The most characters of a token: several times what providers give out.
const LONGEST: usize = 16 * 1024;

/// The most characters of a subject (OpenID Connect Core §2).
const LONGEST_SUBJECT: usize = 255;

/// How far the provider's clock and ours may be apart, in seconds.
const LEEWAY: i64 = 60;

/// How old a token may be, in seconds, however long it would count by itself: it was fetched for this sign-in.
const OLDEST: i64 = 600;

/// For how long it has to be known that a token was used, in milliseconds: by then it is too old.
pub(crate) const USED_KEPT: i64 = (OLDEST + 2 * LEEWAY) * 1000;

/// Whose tokens are taken, and for whom they have to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provider {
    /// Compared as it is with `iss`.
    pub issuer: String,
    /// What the provider knows this application by.
    pub client_id: String,
    /// Where its keys are.
    pub keys_url: String,
}

/// Who somebody is to a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) issuer: String,
    /// Names them there, for ever and like nobody else.
    pub(crate) subject: String,
}

/// Who a token is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) identity: Identity,
    /// If the provider has verified that it is theirs.
    pub(crate) phone: Option<Phone>,
}

/// Why a token does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Invalid {
    #[error("It cannot be read as a signed JWT with a `kid` and the claims of an ID token.")]
    Malformed,
    #[error("`iss` is not the provider's.")]
    Issuer,
    #[error("`aud` or `azp` says that it is for somebody else.")]
    Audience,
    #[error("Its time is over: `exp` has passed, or `iat` is more than ten minutes ago.")]
    Expired,
    #[error("`iat` is still to come.")]
    Early,
    #[error("`nonce` is not the one that was sent.")]
    Nonce,
    #[error("Its `kid` is none of the provider's keys.")]
    UnknownKey,
    #[error("The signature is not one of that key with the key's own algorithm.")]
    Signature,
    #[error("It was used already.")]
    Used,
}

#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    kid: String,
    #[serde(default)]
    typ: Option<String>,
    /// What has to be understood beyond the standard: nothing is.
    #[serde(default)]
    crit: Option<serde_json::Value>,
}

/// One or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn includes(&self, client: &str) -> bool {
        match self {
            Self::One(one) => one == client,
            Self::Several(several) => several.iter().any(|one| one == client),
        }
    }

    const fn is_one(&self) -> bool {
        match self {
            Self::One(_) => true,
            Self::Several(several) => several.len() == 1,
        }
    }
}

#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    #[serde(default)]
    azp: Option<String>,
    exp: i64,
    iat: i64,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    phone_number: Option<String>,
    /// A yes or no by the standard.
    #[serde(default)]
    phone_number_verified: serde_json::Value,
}

/// A token that was read and not verified yet.
pub(crate) struct IdToken<'a> {
    header: Header,
    claims: Claims,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> IdToken<'a> {
    pub(crate) fn read(raw: &'a str) -> Result<Self, Invalid> {
        if raw.len() > LONGEST {
            return Err(Invalid::Malformed);
        }
        let (signed, signature) = raw.rsplit_once('.').ok_or(Invalid::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Invalid::Malformed)?;
        let header: Header = part(header)?;
        let claims: Claims = part(claims)?;
        let is_jwt = header.typ.as_deref().is_none_or(|typ| typ.eq_ignore_ascii_case("JWT"));
        let has_subject = (1..=LONGEST_SUBJECT).contains(&claims.sub.len());
        if !is_jwt || !has_subject || header.crit.is_some() {
            return Err(Invalid::Malformed);
        }
        Ok(Self { header, claims, signed, signature: decode(signature)? })
    }

    /// The name of the key that it says it is signed with.
    pub(crate) fn kid(&self) -> &str {
        &self.header.kid
    }

    /// Holds it to what can be said without its key.
    pub(crate) fn check(&self, provider: &Provider, nonce: &str, now: Timestamp) -> Result<(), Invalid> {
        let claims = &self.claims;
        if claims.iss != provider.issuer {
            return Err(Invalid::Issuer);
        }
        let is_party = |party: &String| *party == provider.client_id;
        // Whoever it was given to has to be said where it is for several.
        let is_ours = claims.azp.as_ref().map_or(claims.aud.is_one(), is_party);
        if !claims.aud.includes(&provider.client_id) || !is_ours {
            return Err(Invalid::Audience);
        }
        let now = now.millis() / 1000;
        if claims.exp.saturating_add(LEEWAY) <= now || claims.iat.saturating_add(OLDEST) < now {
            return Err(Invalid::Expired);
        }
        if claims.iat > now.saturating_add(LEEWAY) {
            return Err(Invalid::Early);
        }
        if nonce.is_empty() || claims.nonce.as_deref() != Some(nonce) {
            return Err(Invalid::Nonce);
        }
        Ok(())
    }

    /// Who it is about, if the key that it names has signed it.
    pub(crate) fn verify(self, keys: &KeySet) -> Result<Person, Invalid> {
        let key = keys.find(&self.header.kid).ok_or(Invalid::UnknownKey)?;
        if key.algorithm() != self.header.alg || !key.has_signed(self.signed.as_bytes(), &self.signature) {
            return Err(Invalid::Signature);
        }
        let Claims { iss, sub, phone_number, phone_number_verified, .. } = self.claims;
        let verified = phone_number.filter(|_| phone_number_verified == true);
        Ok(Person {
            identity: Identity { issuer: iss, subject: sub },
            phone: verified.and_then(|number| Phone::parse(&number).ok()),
        })
    }

    /// What it is known by once it was used. Not of the signature, which others can write in another way.
    pub(crate) fn hash(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(self.signed))
    }
}

fn decode(text: &str) -> Result<Vec<u8>, Invalid> {
    BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| Invalid::Malformed)
}

fn part<T: DeserializeOwned>(text: &str) -> Result<T, Invalid> {
    serde_json::from_slice(&decode(text)?).map_err(|_| Invalid::Malformed)
}

#[cfg(test)]
pub(crate) mod tests;
