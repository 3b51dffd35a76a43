//! Signing in: a code goes to a telephone, and whoever asked for it and types it is let in, or may register.
//!
//! Nothing here looks at who a number belongs to before the right code is there; so neither an answer nor how long it takes
//! tells whether it is anybody's.

use super::{NotDone, Service, Standing, decided};
use crate::domain::{Changes, Command, Consent, Newcomer, Refusal};
use crate::id_token::Identity;
use crate::messages;
use crate::ports::Ports;
use crate::secrets::{Code, KeptCode, RefreshToken, Token, name};
use crate::store::{
    self, ACCESS_SECONDS, Act, NewCode, NewConsent, NewIdentity, NewSession, NotKept, Refreshed, Shown,
};
use ::store::Storage;
use access::token::Claims;
use journal::{Decision, Tell};
use kernel::{CustomerId, Email, Language, PersonName, Phone, Role, Timestamp, actor};
use serde::Serialize;

/// By what an address is counted that nobody says.
const UNKNOWN_ADDRESS: &str = "unknown";

/// What is given out to whoever is let in.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    pub(crate) access: String,
    /// None where the one that was shown was replaced a moment ago.
    pub(crate) refresh: Option<RefreshToken>,
}

/// Somebody is let in.
#[derive(Clone, Debug)]
pub(crate) struct SignedIn {
    pub(crate) tokens: Tokens,
    pub(crate) standing: Standing,
}

/// What somebody fills in who registers.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    pub(crate) token: Token,
    pub(crate) name: PersonName,
    pub(crate) email: Option<Email>,
    pub(crate) language: Language,
    /// Whether they agree to advertising; to the rest everybody does.
    pub(crate) marketing: bool,
}

/// Until when a registration token has to count.
#[derive(Serialize)]
struct Now {
    now: i64,
}

impl<P: Ports, S: Storage, T: Tell> Service<P, S, T> {
    /// Sends a code to a telephone, within the limits.
    pub(crate) async fn ask_code(
        &self,
        phone: &Phone,
        language: Language,
        address: Option<&str>,
    ) -> Result<Token, NotDone> {
        let (code, token, now) = (Code::random()?, Token::random()?, Timestamp::now());
        let kept = KeptCode::of(&code, phone)?;
        let token_hash = token.hash();
        let asked = NewCode {
            token_hash: &token_hash,
            phone,
            address: address.unwrap_or(UNKNOWN_ADDRESS),
            kept: &kept,
        };
        match store::keep_code(self.storage(), &asked, now).await {
            Ok(()) => {}
            Err(NotKept::TooMany(limit)) => {
                let wait = store::wait_for_code(self.storage(), &asked, limit, now).await?;
                return Err(NotDone::TooMany(wait));
            }
            Err(NotKept::Store(error)) => return Err(error.into()),
        }
        let message = messages::code(&name()?, phone, language, &code, store::CODE_MINUTES);
        if let Err(not_sent) = self.ports.send(message).await {
            store::drop_code(self.storage(), &asked).await?;
            return Err(not_sent.into());
        }
        Ok(token)
    }

    /// Uses up the code that was asked for with a token, if it is this one; gives back where it was sent. Whoever guesses has the
    /// tries of the codes that they asked for themselves, and takes none from anybody else.
    pub(crate) async fn check_code(&self, token: &Token, typed: &str) -> Result<Phone, NotDone> {
        let code = Code::typed(typed).ok_or(NotDone::CodeWrong)?;
        let tried = store::try_code(self.storage(), &token.hash(), Timestamp::now()).await?;
        let Some(tried) = tried else { return Err(NotDone::CodeWrong) };
        let is_right = tried.kept.is(&code, &tried.phone);
        // Of two at once with the right code one is let in.
        if is_right && store::use_code(self.storage(), tried.code_id).await? {
            return Ok(tried.phone);
        }
        // Of whose number it was the trail says nothing, nor whether it is anybody's.
        let object = format!("code/{}", tried.code_id);
        let refused = Act::new("CodeRefused", object, actor::current().as_ref(), Timestamp::now());
        store::keep_acts(self.storage(), &[refused]).await?;
        Err(NotDone::CodeWrong)
    }

    /// Lets somebody in who has the code that was sent to their telephone.
    pub(crate) async fn sign_in(
        &self,
        token: &Token,
        typed: &str,
        address: Option<&str>,
        traceparent: Option<&str>,
    ) -> Result<SignedIn, NotDone> {
        let phone = self.check_code(token, typed).await?;
        self.let_in(&phone, address, traceparent).await
    }

    /// Lets in whoever has a telephone, or lets them register.
    async fn let_in(
        &self,
        phone: &Phone,
        address: Option<&str>,
        traceparent: Option<&str>,
    ) -> Result<SignedIn, NotDone> {
        let Some(customer_id) = store::whose(self.storage(), phone).await? else {
            let token = Token::random()?;
            let shown = Shown { phone: Some(phone.clone()), identity: None };
            store::keep_registration(self.storage(), &token.hash(), &shown, Timestamp::now()).await?;
            return Err(NotDone::RegistrationRequired(token));
        };
        self.accept_invitations(customer_id, phone, traceparent).await?;
        self.begin(customer_id, address).await
    }

    /// Makes somebody a member who has shown a telephone or who they are to a provider, and lets them in.
    pub(crate) async fn register(
        &self,
        form: &Form,
        address: Option<&str>,
        traceparent: Option<&str>,
    ) -> Result<SignedIn, NotDone> {
        let now = Timestamp::now();
        let hash = form.token.hash();
        let version = &*self.settings.consents_version;
        let register = async |storage: &S| -> Result<_, NotDone> {
            let shown = store::find_registration(storage, &hash, now).await?;
            let Shown { phone, identity } = shown.ok_or(Refusal::RegistrationEnded)?;
            if let Some(phone) = &phone
                && store::whose(storage, phone).await?.is_some()
            {
                return Err(Refusal::PhoneTaken.into());
            }
            if let Some(identity) = &identity
                && store::whose_identity(storage, identity).await?.is_some()
            {
                return Err(Refusal::RegistrationEnded.into());
            }
            let customer_id = store::next_number(storage).await?;
            let mut roles = Vec::new();
            if let Some(phone) = &phone {
                roles = invited(&store::invitations(storage, Some(phone)).await?);
            }
            let record = store::load(storage, customer_id).await?;
            let mut decision = Decision::new();
            decision.beside("registration", &hash, &Now { now: now.millis() });
            if let Some(phone) = &phone {
                decision.beside("invited", phone.as_str(), &());
            }
            if let Some(Identity { issuer, subject }) = &identity {
                let linked = NewIdentity { issuer, subject, at: now.millis() };
                decision.beside("identity", customer_id, &linked);
            }
            for consent in Consent::ALL {
                let given = i64::from(consent.is_required() || form.marketing);
                let kept = NewConsent { name: consent.as_str(), version, given, at: now };
                decision.beside("consent", customer_id, &kept);
            }
            let newcomer = Newcomer {
                customer_id,
                name: form.name.clone(),
                phone,
                email: form.email.clone(),
                language: form.language,
                roles,
            };
            decided(&mut decision, record, &Command::Register(newcomer), now, traceparent)?;
            Ok((decision, customer_id))
        };
        let customer_id = self.journal.carry_out(register).await?;
        self.begin(customer_id, address).await
    }

    /// Gives a member the roles that they were invited to, for good.
    pub(super) async fn accept_invitations(
        &self,
        customer_id: CustomerId,
        phone: &Phone,
        traceparent: Option<&str>,
    ) -> Result<(), NotDone> {
        let now = Timestamp::now();
        let accept = async |storage: &S| -> Result<_, NotDone> {
            let mut decision = Decision::new();
            let invitations = store::invitations(storage, Some(phone)).await?;
            if invitations.is_empty() {
                return Ok((decision, Vec::new()));
            }
            let record = store::load(storage, customer_id).await?;
            let Some(member) = record.member() else { return Ok((decision, Vec::new())) };
            let roles = member.roles.iter().copied().chain(invited(&invitations)).collect();
            let changes = Changes { roles: Some(roles), ..Changes::default() };
            decision.beside("invited", phone.as_str(), &());
            decided(&mut decision, record, &Command::Change(changes), now, traceparent)?;
            let left = if decision.is_empty() { invitations } else { Vec::new() };
            Ok((decision, left))
        };
        // Whoever is invited to be what they are already has nothing decided about them.
        for invitation in self.journal.carry_out(accept).await? {
            store::remove_invitation(self.storage(), invitation.id).await?;
        }
        Ok(())
    }

    /// Begins a session.
    pub(super) async fn begin(
        &self,
        customer_id: CustomerId,
        address: Option<&str>,
    ) -> Result<SignedIn, NotDone> {
        let (session_id, token, now) = (name()?, RefreshToken::random()?, Timestamp::now());
        let standing = self.standing(customer_id).await?.ok_or(NotDone::CodeWrong)?;
        // Signed first: where that is not set up there is no session either.
        let access = self.access_token(&standing, &session_id, now).await?;
        let session = NewSession { session_id: &session_id, customer_id, token: &token, address };
        if !store::begin_session(self.storage(), &session, now).await? {
            return Err(NotDone::CodeWrong);
        }
        Ok(SignedIn { tokens: Tokens { access, refresh: Some(token) }, standing })
    }

    async fn access_token(
        &self,
        standing: &Standing,
        session_id: &str,
        now: Timestamp,
    ) -> Result<String, NotDone> {
        let iat = seconds(now);
        let exp = iat + ACCESS_SECONDS.unsigned_abs();
        let claims = Claims::of_member(standing.member.customer_id, session_id, &standing.roles, iat, exp);
        Ok(self.ports.sign(&claims).await?)
    }

    /// Gives out the next tokens of a session. A refresh token that was replaced long ago ends the session: two have it.
    pub(crate) async fn refresh(&self, shown: &str) -> Result<Tokens, NotDone> {
        let token = RefreshToken::shown(shown).ok_or(NotDone::SessionEnded)?;
        let (next, now) = (token.next()?, Timestamp::now());
        let (session_id, customer_id, refresh) =
            match store::refresh(self.storage(), &token, &next, now).await? {
                Refreshed::Replaced { session_id, customer_id } => (session_id, customer_id, Some(next)),
                Refreshed::JustNow { session_id, customer_id } => {
                    store::use_session(self.storage(), &session_id, now).await?;
                    (session_id, customer_id, None)
                }
                Refreshed::Reused => {
                    eprintln!("member: a refresh token that was replaced came again; its session has ended");
                    store::end_family(self.storage(), &token, now).await?;
                    self.tell_ended(now).await?;
                    return Err(NotDone::SessionEnded);
                }
                Refreshed::Ended => return Err(NotDone::SessionEnded),
            };
        let Some(standing) = self.standing(customer_id).await? else {
            return Err(NotDone::SessionEnded);
        };
        let access = self.access_token(&standing, &session_id, now).await?;
        Ok(Tokens { access, refresh })
    }

    /// Ends one session of a member; says whether it was there.
    pub(crate) async fn sign_out(&self, customer_id: CustomerId, session_id: &str) -> Result<bool, NotDone> {
        let (actor, now) = (actor::current(), Timestamp::now());
        let ended = store::end_session(self.storage(), customer_id, session_id, actor.as_ref(), now).await?;
        self.tell_ended(now).await?;
        Ok(ended)
    }

    /// Ends every session of a member.
    pub(crate) async fn sign_out_everywhere(&self, customer_id: CustomerId) -> Result<(), NotDone> {
        let (actor, now) = (actor::current(), Timestamp::now());
        store::end_all_sessions(self.storage(), customer_id, actor.as_ref(), now).await?;
        Ok(self.tell_ended(now).await?)
    }
}

fn invited(invitations: &[store::Invitation]) -> Vec<Role> {
    invitations.iter().map(|invitation| invitation.role).collect()
}

/// Unix time as tokens have it.
pub(super) fn seconds(at: Timestamp) -> u64 {
    u64::try_from(at.millis() / 1000).unwrap_or(0)
}
