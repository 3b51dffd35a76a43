//! The store of this context: what decisions are made from, what is read for answers, and what lets somebody in.
//!
//! | module | what is in it |
//! |---|---|
//! | [`schema`] | the tables, and what a decision does to them |
//! | [`codes`] | codes, and what may be done with the right one |
//! | [`sessions`] | sessions, their refresh tokens, and those that have ended |
//! | [`identities`] | who members are to an OpenID provider, and its keys |
//! | [`grants`] | invitations and machines |
//! | [`audit`] | the audit trail |

mod audit;
mod codes;
mod grants;
mod identities;
mod schema;
mod sessions;
#[cfg(test)]
mod tests;

pub use audit::seal;
pub(crate) use audit::{Act, AuditFilter, Entry, audit, audit_total, keep_acts};
#[cfg(test)]
pub(crate) use codes::Limit;
pub(crate) use codes::{
    CODE_MINUTES, CODE_SECONDS, NewCode, NotKept, REGISTRATION_SECONDS, RESEND_SECONDS, Shown, drop_code,
    find_registration, forget_codes, keep_code, keep_registration, try_code, use_code, wait_for_code,
};
pub(crate) use grants::{
    Invitation, Machine, add_invitation, add_machine, forget_machines, invitations, machines,
    remove_invitation, remove_machine, take_back_invitation,
};
pub(crate) use identities::{
    Linked, NewIdentity, forget_id_tokens, identities, keep_provider_keys, link, note_provider_away,
    provider_keys, use_id_token, whose_identity,
};
pub(crate) use sessions::{
    ACCESS_SECONDS, NewSession, REFRESH_SECONDS, Refreshed, Session, SignIn, begin_session, end_all_sessions,
    end_family, end_session, ended_sessions, forget_ended, forget_sessions, forget_sign_ins, mark_told,
    refresh, sessions, sign_ins, untold_sessions, use_session,
};

use crate::domain::{Consent, Record};
use journal::history;
use kernel::event::member_subject;
use kernel::{CustomerId, Email, Language, PersonName, Phone, Role, Timestamp, WantedMessages};
use serde::Serialize;
use store::{Database, Page, Row, Statement, Storage, StoreError};

/// The store under the label `member`.
pub static DATABASE: Database = Database::new("member", &schema::SCHEMA);

/// A member as they are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) customer_id: CustomerId,
    pub(crate) name: Option<PersonName>,
    pub(crate) phone: Option<Phone>,
    pub(crate) email: Option<Email>,
    pub(crate) language: Option<Language>,
    pub(crate) messages: WantedMessages,
    /// By what was decided about them.
    pub(crate) roles: Vec<Role>,
    pub(crate) registered_at: Option<Timestamp>,
    pub(crate) erased_at: Option<Timestamp>,
    pub(crate) version: u64,
}

const LISTED: &str =
    "SELECT customer_id, name, phone, email, language, messages, roles, registered_at, erased_at, version
    FROM members";

impl Listed {
    fn read(row: &Row) -> Result<Self, StoreError> {
        let roles = row.text("roles")?;
        let roles = serde_json::from_str(roles)
            .map_err(|error| StoreError::Failure(format!("`roles` holds {roles}: {error}")))?;
        Ok(Self {
            customer_id: row.number("customer_id", CustomerId::parse)?,
            name: row.opt_parse("name")?,
            phone: row.opt_parse("phone")?,
            email: row.opt_parse("email")?,
            language: row.opt_parse("language")?,
            messages: row.parse("messages")?,
            roles,
            registered_at: row.opt_parse("registered_at")?,
            erased_at: row.opt_parse("erased_at")?,
            version: row.count("version")?,
        })
    }
}

/// Which members to list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) customer_id: Option<CustomerId>,
    pub(crate) phone: Option<Phone>,
}

impl Filter {
    fn conditions(&self) -> store::Filter {
        store::Filter::default()
            .equal("customer_id", self.customer_id.map(CustomerId::get))
            .equal("phone", self.phone.as_ref().map(Phone::as_str))
    }
}

/// The record of one member.
pub(crate) async fn load(storage: &impl Storage, customer_id: CustomerId) -> Result<Record, StoreError> {
    let load = "SELECT type, data FROM events WHERE subject = $1 ORDER BY version";
    let rows = Statement::new(load).bind(member_subject(customer_id)).rows(storage).await?;
    rows.iter().try_fold(Record::default(), |record, row| Ok(record.and(&history(row)?)))
}

/// Whose telephone this is.
pub(crate) async fn whose(storage: &impl Storage, phone: &Phone) -> Result<Option<CustomerId>, StoreError> {
    let find = "SELECT customer_id FROM members WHERE phone = $1";
    let row = Statement::new(find).bind(phone.as_str()).row(storage).await?;
    row.map(|row| row.number("customer_id", CustomerId::parse)).transpose()
}

/// The number of the next member. Whoever registers first has it; the other decides again.
pub(crate) async fn next_number(storage: &impl Storage) -> Result<CustomerId, StoreError> {
    let row = Statement::new("SELECT last + 1 AS next FROM numbering").row(storage).await?;
    let row = row.ok_or_else(|| StoreError::Failure("the table `numbering` is empty".to_owned()))?;
    row.number("next", CustomerId::parse)
}

/// One member, or whoever was one.
pub(crate) async fn find(
    storage: &impl Storage,
    customer_id: CustomerId,
) -> Result<Option<Listed>, StoreError> {
    let one = Filter { customer_id: Some(customer_id), phone: None }.conditions().all(LISTED);
    one.row(storage).await?.as_ref().map(Listed::read).transpose()
}

/// A page of the members that `filter` lets through, in the order of their numbers.
pub(crate) async fn list(
    storage: &impl Storage,
    filter: &Filter,
    page: &Page,
) -> Result<Vec<Listed>, StoreError> {
    filter
        .conditions()
        .page(LISTED, "customer_id", page)
        .rows(storage)
        .await?
        .iter()
        .map(Listed::read)
        .collect()
}

/// How many members `filter` lets through.
pub(crate) async fn total(storage: &impl Storage, filter: &Filter) -> Result<u64, StoreError> {
    let count = filter.conditions().all("SELECT count(*) AS total FROM members").row(storage).await?;
    count.map_or(Ok(0), |row| row.count("total"))
}

/// What somebody agreed to, or no longer does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Given {
    pub(crate) name: String,
    /// Of the text that was agreed to.
    pub(crate) version: String,
    pub(crate) given: bool,
    pub(crate) at: String,
}

/// As a decision keeps it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewConsent<'a> {
    pub(crate) name: &'static str,
    pub(crate) version: &'a str,
    /// A yes or no in JSON is a number to SQLite and a word to PostgreSQL.
    pub(crate) given: i64,
    pub(crate) at: Timestamp,
}

/// Keeps a consent that comes without a decision.
pub(crate) async fn keep_consent(
    storage: &impl Storage,
    customer_id: CustomerId,
    consent: Consent,
    given: bool,
    version: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let keep =
        "INSERT INTO consents (customer_id, name, version, given, at) SELECT customer_id, $1, $2, $3, $4
        FROM members WHERE customer_id = $5 AND erased_at IS NULL";
    Statement::new(keep)
        .bind(consent.as_str())
        .bind(version)
        .bind(i64::from(given))
        .bind(now.to_string())
        .bind(customer_id.get())
        .run(storage)
        .await
}

/// Everything that somebody agreed to, in the order in which they did.
pub(crate) async fn consents(
    storage: &impl Storage,
    customer_id: CustomerId,
) -> Result<Vec<Given>, StoreError> {
    let all = "SELECT name, version, given, at FROM consents WHERE customer_id = $1 ORDER BY consent_id";
    let rows = Statement::new(all).bind(customer_id.get()).rows(storage).await?;
    let text = |row: &Row, column| row.text(column).map(str::to_owned);
    rows.iter()
        .map(|row| {
            let given = row.int("given")? == 1;
            Ok(Given {
                name: text(row, "name")?,
                version: text(row, "version")?,
                given,
                at: text(row, "at")?,
            })
        })
        .collect()
}
