//! Signing in with an ID token of the OpenID provider: it is exchanged for a session of our own, once.
//!
//! Whoever is somebody to the provider is one member from then on. A member of before is found by their telephone alone, and
//! only if the provider has verified it: that is what a code would have shown as well. Addresses find nobody, since members
//! give theirs without showing that they read what is sent there.

use super::{NotDone, Service, SignedIn};
use crate::id_token::{IdToken, Invalid, KeySet, Person, Provider};
use crate::ports::Ports;
use crate::secrets::Token;
use crate::store::{self, Shown};
use ::store::{Storage, StoreError};
use journal::Tell;
use kernel::{CustomerId, Timestamp, Unavailable};

/// For how long a provider's keys are taken without asking again, in milliseconds: so long at the most one counts that the
/// provider has taken back.
const KEYS_KEPT: i64 = 3_600_000;

/// How soon it is asked again because a token names a key that is not among them, in milliseconds: anybody can make up a name.
const ASKED_AGAIN: i64 = 60_000;

/// For how long nobody else waits for a provider that did not answer, in milliseconds.
const LEFT_ALONE: i64 = 5_000;

impl<P: Ports, S: Storage, T: Tell> Service<P, S, T> {
    /// Lets somebody in who has an ID token that was made for this sign-in.
    pub(crate) async fn sign_in_with_provider(
        &self,
        provider: &Provider,
        token: &str,
        nonce: &str,
        address: Option<&str>,
        traceparent: Option<&str>,
    ) -> Result<SignedIn, NotDone> {
        let now = Timestamp::now();
        let token = IdToken::read(token)?;
        token.check(provider, nonce, now)?;
        let hash = token.hash();
        let keys = self.keys_with(provider, token.kid(), now).await?;
        let person = token.verify(&keys)?;
        if !store::use_id_token(self.storage(), &hash, now).await? {
            return Err(Invalid::Used.into());
        }
        let Some(customer_id) = self.find_or_link(&person, now).await? else {
            let token = Token::random()?;
            let shown = Shown { phone: person.phone, identity: Some(person.identity) };
            store::keep_registration(self.storage(), &token.hash(), &shown, now).await?;
            return Err(NotDone::RegistrationRequired(token));
        };
        if let Some(standing) = self.standing(customer_id).await?
            && let Some(phone) = &standing.member.phone
        {
            self.accept_invitations(customer_id, phone, traceparent).await?;
        }
        self.begin(customer_id, address).await
    }

    /// The member that somebody is, or is from now on.
    async fn find_or_link(&self, person: &Person, now: Timestamp) -> Result<Option<CustomerId>, StoreError> {
        let Person { identity, phone } = person;
        if let Some(known) = store::whose_identity(self.storage(), identity).await? {
            return Ok(Some(known));
        }
        let Some(phone) = phone else { return Ok(None) };
        let Some(member) = store::whose(self.storage(), phone).await? else { return Ok(None) };
        store::link(self.storage(), identity, member, now).await?;
        // Of two at once one linked it.
        store::whose_identity(self.storage(), identity).await
    }

    /// The provider's keys, with the one of this name unless the provider has none.
    async fn keys_with(&self, provider: &Provider, kid: &str, now: Timestamp) -> Result<KeySet, NotDone> {
        let url = &provider.keys_url;
        let kept = store::provider_keys(self.storage(), url).await?;
        let age = now.millis() - kept.fetched_at;
        if (0..KEYS_KEPT).contains(&age)
            && let Some(keys) = KeySet::parse(kept.document.as_bytes())
            && (keys.find(kid).is_some() || age < ASKED_AGAIN)
        {
            return Ok(keys);
        }
        if (0..LEFT_ALONE).contains(&(now.millis() - kept.failed_at)) {
            return Err(NotDone::ProviderAway(Unavailable("it did not answer a moment ago".to_owned())));
        }
        let fetched = self.ports.fetch(url).await.and_then(|document| {
            let keys = KeySet::parse(document.as_bytes());
            Ok((keys.ok_or_else(|| Unavailable("it answered no set of keys".to_owned()))?, document))
        });
        match fetched {
            Ok((keys, document)) => {
                store::keep_provider_keys(self.storage(), url, &document, now).await?;
                Ok(keys)
            }
            Err(unavailable) => {
                store::note_provider_away(self.storage(), url, now).await?;
                Err(NotDone::ProviderAway(unavailable))
            }
        }
    }
}

#[cfg(test)]
mod tests;
