//! Tokens as a provider makes them, and as others do. The keys are made here, each time anew.

use super::*;
use crate::testing::{NOW, provider};
use p256::ecdsa::{self, signature::Signer as _};
use proptest::prelude::*;
use rsa::signature::SignatureEncoding as _;
use rsa::traits::PublicKeyParts as _;
use serde_json::{Value, json};
use std::sync::LazyLock;

/// A key that a provider signs with.
pub(crate) enum Signs {
    Rsa(Box<rsa::pkcs1v15::SigningKey<Sha256>>),
    P256(Box<ecdsa::SigningKey>),
}

/// Making one takes a while.
static RSA: LazyLock<rsa::PrivateKey> =
    LazyLock::new(|| rsa::PrivateKey::new(&mut rand::rng(), 2048).unwrap());

impl Signs {
    pub(crate) fn rsa() -> Self {
        Self::Rsa(Box::new(rsa::pkcs1v15::SigningKey::new(RSA.clone())))
    }

    /// A new one each time.
    pub(crate) fn p256() -> Self {
        let key = loop {
            if let Ok(key) = ecdsa::SigningKey::from_slice(&rand::random::<[u8; 32]>()) {
                break key;
            }
        };
        Self::P256(Box::new(key))
    }

    /// As a provider publishes it.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        match self {
            Self::Rsa(_) => {
                let (n, e) = (RSA.n().to_be_bytes_trimmed_vartime(), RSA.e().to_be_bytes_trimmed_vartime());
                json!({ "kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": text(&n), "e": text(&e) })
            }
            Self::P256(key) => {
                let point = key.verifying_key().to_sec1_point(false);
                let point = point.as_bytes();
                let (x, y) = (text(&point[1..33]), text(&point[33..]));
                json!({ "kty": "EC", "kid": kid, "crv": "P-256", "x": x, "y": y })
            }
        }
    }

    const fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::P256(_) => "ES256",
        }
    }

    pub(crate) fn token(&self, kid: &str, claims: &Value) -> String {
        self.token_with(&json!({ "alg": self.algorithm(), "typ": "JWT", "kid": kid }), claims)
    }

    fn token_with(&self, header: &Value, claims: &Value) -> String {
        let message = unsigned(header, claims);
        let signature = match self {
            Self::Rsa(key) => key.sign(message.as_bytes()).to_vec(),
            Self::P256(key) => {
                let signature: ecdsa::Signature = key.sign(message.as_bytes());
                signature.to_bytes().to_vec()
            }
        };
        format!("{message}.{}", BASE64URL_NOPAD.encode(&signature))
    }
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    format!("{}.{}", part(header), part(claims))
}

/// What a provider says of whoever has just signed in there.
pub(crate) fn claims(subject: &str, nonce: &str, now: Timestamp) -> Value {
    let now = now.millis() / 1000;
    json!({ "iss": "https://id.example", "sub": subject, "aud": "sugang", "iat": now, "exp": now + 3600, "nonce": nonce })
}

fn keys(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

fn take(token: &str, keys: &KeySet) -> Result<Person, Invalid> {
    let token = IdToken::read(token)?;
    token.check(&provider(), "n", NOW)?;
    token.verify(keys)
}

/// The claims with one of them as said; null leaves it out.
fn with(name: &str, value: Value) -> Value {
    let mut claims = claims("7", "n", NOW);
    claims[name] = value;
    if claims[name].is_null() {
        claims.as_object_mut().unwrap().remove(name);
    }
    claims
}

#[test]
fn a_token_of_either_algorithm_says_who_it_is_about() {
    for signs in [Signs::rsa(), Signs::p256()] {
        let keys = keys(&[Signs::p256().jwk("other"), signs.jwk("k")]);
        let person = take(&signs.token("k", &claims("7", "n", NOW)), &keys).unwrap();
        let identity = Identity { issuer: "https://id.example".to_owned(), subject: "7".to_owned() };
        assert_eq!(person, Person { identity, phone: None });
    }
}

#[test]
fn a_telephone_counts_only_if_the_provider_has_verified_it() {
    let signs = Signs::p256();
    let keys = keys(&[signs.jwk("k")]);
    let phone = |verified: Value| {
        let mut claims = with("phone_number", json!("+82 10-1111-2222"));
        claims["phone_number_verified"] = verified;
        take(&signs.token("k", &claims), &keys).unwrap().phone.map(|phone| phone.as_str().to_owned())
    };
    assert_eq!(phone(json!(true)).as_deref(), Some("+821011112222"));
    for not in [json!(false), json!("true"), json!(1), Value::Null] {
        assert_eq!(phone(not.clone()), None, "{not}");
    }
}

#[test]
fn what_is_not_for_us_or_not_for_now_does_not_count() {
    let signs = Signs::p256();
    let keys = keys(&[signs.jwk("k")]);
    let now = NOW.millis() / 1000;
    let refused = |claims: Value| take(&signs.token("k", &claims), &keys).err();
    for (name, value, why) in [
        ("iss", json!("https://id.example/"), Invalid::Issuer),
        ("iss", json!(""), Invalid::Issuer),
        ("aud", json!("other"), Invalid::Audience),
        ("aud", json!([]), Invalid::Audience),
        ("aud", json!(["other"]), Invalid::Audience),
        // For several, and nobody says to which of them it was given.
        ("aud", json!(["sugang", "other"]), Invalid::Audience),
        ("azp", json!("other"), Invalid::Audience),
        ("exp", json!(now - 60), Invalid::Expired),
        ("iat", json!(now - 601), Invalid::Expired),
        ("iat", json!(i64::MIN), Invalid::Expired),
        ("iat", json!(now + 61), Invalid::Early),
        ("nonce", json!("m"), Invalid::Nonce),
        ("nonce", Value::Null, Invalid::Nonce),
        ("exp", Value::Null, Invalid::Malformed),
        ("iat", Value::Null, Invalid::Malformed),
        ("exp", json!("tomorrow"), Invalid::Malformed),
        ("sub", Value::Null, Invalid::Malformed),
        ("sub", json!(""), Invalid::Malformed),
        ("sub", json!("x".repeat(256)), Invalid::Malformed),
    ] {
        assert_eq!(refused(with(name, value.clone())), Some(why), "{name} {value}");
    }
    for (name, value) in [
        ("aud", json!(["sugang"])),
        ("azp", json!("sugang")),
        ("exp", json!(now - 59)),
        ("iat", json!(now - 600)),
        ("iat", json!(now + 60)),
    ] {
        assert_eq!(refused(with(name, value.clone())), None, "{name} {value}");
    }
    let mut for_several = with("aud", json!(["other", "sugang"]));
    for_several["azp"] = json!("sugang");
    assert_eq!(refused(for_several), None);
    // An empty nonce is everybody's.
    let token = signs.token("k", &with("nonce", json!("")));
    assert_eq!(IdToken::read(&token).unwrap().check(&provider(), "", NOW), Err(Invalid::Nonce));
}

#[test]
fn the_key_says_which_algorithm_counts_and_the_token_does_not() {
    let (rsa, p256) = (Signs::rsa(), Signs::p256());
    let keys = keys(&[rsa.jwk("r"), p256.jwk("p")]);
    let claims = claims("7", "n", NOW);
    // `none`, with and without something in the place of a signature.
    for algorithm in ["none", "None", "NONE", ""] {
        let unsigned = unsigned(&json!({ "alg": algorithm, "kid": "r" }), &claims);
        assert_eq!(take(&format!("{unsigned}."), &keys).err(), Some(Invalid::Signature));
        assert_eq!(take(&format!("{unsigned}.AAAA"), &keys).err(), Some(Invalid::Signature));
    }
    // An HMAC under what everybody knows: the public key, however it may be written.
    let jwk = rsa.jwk("r");
    let modulus = jwk["n"].as_str().unwrap();
    for secret in [
        modulus.as_bytes().to_vec(),
        BASE64URL_NOPAD.decode(modulus.as_bytes()).unwrap(),
        jwk.to_string().into_bytes(),
    ] {
        use hmac::{Hmac, KeyInit as _, Mac as _};
        let message = unsigned(&json!({ "alg": "HS256", "kid": "r" }), &claims);
        let mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap().chain_update(&message).finalize();
        let token = format!("{message}.{}", BASE64URL_NOPAD.encode(&mac.into_bytes()));
        assert_eq!(take(&token, &keys).err(), Some(Invalid::Signature));
    }
    // Another key's name or algorithm.
    for (signs, algorithm, kid) in [
        (&rsa, "RS256", "p"),
        (&rsa, "ES256", "p"),
        (&rsa, "ES256", "r"),
        (&p256, "ES256", "r"),
        (&p256, "RS256", "r"),
        (&rsa, "PS256", "r"),
        (&rsa, "RS512", "r"),
    ] {
        let token = signs.token_with(&json!({ "alg": algorithm, "kid": kid }), &claims);
        assert_eq!(take(&token, &keys).err(), Some(Invalid::Signature), "{algorithm} {kid}");
    }
    let unknown = p256.token("x", &claims);
    assert_eq!(take(&unknown, &keys).err(), Some(Invalid::UnknownKey));
    // Somebody else's key, brought along.
    let own = Signs::p256();
    let header =
        json!({ "alg": "ES256", "kid": "p", "jwk": own.jwk("p"), "jku": "https://evil.example/keys" });
    assert_eq!(take(&own.token_with(&header, &claims), &keys).err(), Some(Invalid::Signature));
    for header in [
        json!({ "alg": "ES256", "kid": "p", "typ": "at+jwt" }),
        json!({ "alg": "ES256", "kid": "p", "crit": ["b64"], "b64": false }),
        json!({ "alg": "ES256" }),
    ] {
        assert_eq!(
            take(&p256.token_with(&header, &claims), &keys).err(),
            Some(Invalid::Malformed),
            "{header}"
        );
    }
}

#[test]
fn keys_that_are_weak_or_of_another_kind_are_left_out_and_the_others_are_taken() {
    let good = Signs::p256();
    let changed = |name: &str, value: Value| {
        let mut jwk = Signs::rsa().jwk("bad");
        jwk[name] = value;
        jwk
    };
    for bad in [
        changed("n", json!("AQAB")),
        changed("n", json!(BASE64URL_NOPAD.encode(&[255; 128]))),
        changed("n", json!(BASE64URL_NOPAD.encode(&[255; 1025]))),
        changed("n", json!("")),
        changed("e", json!("AQ")),
        changed("e", json!("")),
        changed("use", json!("enc")),
        changed("alg", json!("PS256")),
        changed("alg", json!("ES256")),
        changed("kty", json!("oct")),
        changed("kid", json!(7)),
        json!({ "kty": "EC", "kid": "bad", "crv": "P-256", "x": "AA", "y": "AA" }),
        // No point of the curve.
        json!({ "kty": "EC", "kid": "bad", "crv": "P-256", "x": BASE64URL_NOPAD.encode(&[1; 32]), "y": BASE64URL_NOPAD.encode(&[1; 32]) }),
        json!({ "kty": "EC", "kid": "bad", "crv": "P-384" }),
        json!("bad"),
    ] {
        let keys = keys(&[bad.clone(), good.jwk("good")]);
        assert!(keys.find("bad").is_none() && keys.find("good").is_some(), "{bad}");
    }
    for document in ["", "[]", "{}", r#"{"keys":7}"#, "<html>"] {
        assert!(KeySet::parse(document.as_bytes()).is_none(), "{document}");
    }
}

proptest! {
    #[test]
    fn no_token_counts_with_any_character_changed(place: prop::sample::Index, other in any::<char>(), garbage: String) {
        static SIGNS: LazyLock<Signs> = LazyLock::new(Signs::p256);
        let keys = keys(&[SIGNS.jwk("k")]);
        let token = SIGNS.token("k", &claims("7", "n", NOW));
        prop_assert!(take(&token, &keys).is_ok());
        let mut changed: Vec<_> = token.chars().collect();
        let place = place.index(changed.len());
        if changed[place] != other {
            changed[place] = other;
            prop_assert!(take(&changed.iter().collect::<String>(), &keys).is_err());
        }
        prop_assert!(take(&garbage, &keys).is_err());
        let longer = format!("{token}.{garbage}");
        prop_assert!(take(&longer, &keys).is_err());
        _ = KeySet::parse(garbage.as_bytes());
    }
}
