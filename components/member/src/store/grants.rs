//! What operators give away: roles, by invitation, and tokens, to machines.

use super::audit::{Act, act_on};
use kernel::{Actor, CustomerId, Phone, Role, Timestamp};
use store::{Row, Statement, Storage, StoreError};

/// Somebody is to have a role when they sign in with this telephone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invitation {
    pub(crate) id: u64,
    pub(crate) phone: Phone,
    pub(crate) role: Role,
    pub(crate) invited_by: CustomerId,
    pub(crate) at: String,
}

const INVITATION: &str = "SELECT invitation_id, phone, role, invited_by, at FROM invitations";

impl Invitation {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.count("invitation_id")?,
            phone: row.parse("phone")?,
            role: row.parse("role")?,
            invited_by: row.number("invited_by", CustomerId::parse)?,
            at: row.text("at")?.to_owned(),
        })
    }
}

/// Keeps an invitation; one for the same role and telephone that is there already stays as it is.
pub(crate) async fn add_invitation(
    storage: &impl Storage,
    phone: &Phone,
    role: Role,
    invited_by: CustomerId,
    now: Timestamp,
) -> Result<Invitation, StoreError> {
    let add = "INSERT INTO invitations (phone, role, invited_by, at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (phone, role) DO UPDATE SET role = excluded.role
        RETURNING invitation_id, phone, role, invited_by, at";
    let row = Statement::new(add)
        .bind(phone.as_str())
        .bind(role.as_str())
        .bind(invited_by.get())
        .bind(now.to_string())
        .row(storage)
        .await?;
    let row = row.ok_or_else(|| StoreError::Failure("an invitation was not kept".to_owned()))?;
    Invitation::read(&row)
}

/// The invitations, all of them or those for one telephone.
pub(crate) async fn invitations(
    storage: &impl Storage,
    phone: Option<&Phone>,
) -> Result<Vec<Invitation>, StoreError> {
    let all = store::Filter::default()
        .equal("phone", phone.map(Phone::as_str))
        .all(INVITATION)
        .rows(storage)
        .await?;
    let mut read = all.iter().map(Invitation::read).collect::<Result<Vec<_>, _>>()?;
    read.sort_by_key(|invitation| invitation.id);
    Ok(read)
}

/// Takes an invitation back; says whether it was there.
pub(crate) async fn take_back_invitation(
    storage: &impl Storage,
    id: u64,
    actor: Option<&Actor>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let these = "'invitation/' || invitation_id, 'member/invitation/' || invitation_id || ':2' FROM invitations WHERE invitation_id = $5";
    let act = Act::new("InvitationTakenBack", String::new(), actor, now);
    Ok(act_on(storage, &act, these, |end| end.bind(id)).await? > 0)
}

/// Removes an invitation that was accepted; says whether it was there.
pub(crate) async fn remove_invitation(storage: &impl Storage, id: u64) -> Result<bool, StoreError> {
    let remove = "DELETE FROM invitations WHERE invitation_id = $1 RETURNING invitation_id";
    Ok(Statement::new(remove).bind(id).row(storage).await?.is_some())
}

/// A program with a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) id: String,
    pub(crate) name: String,
    /// Separated by spaces.
    pub(crate) scopes: String,
    pub(crate) made_by: CustomerId,
    pub(crate) created_at: String,
    /// Milliseconds since 1970.
    pub(crate) expires_at: i64,
}

impl Machine {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.text("machine_id")?.to_owned(),
            name: row.text("name")?.to_owned(),
            scopes: row.text("scopes")?.to_owned(),
            made_by: row.number("made_by", CustomerId::parse)?,
            created_at: row.text("created_at")?.to_owned(),
            expires_at: row.int("expires_at")?,
        })
    }
}

/// Keeps a machine; says whether its name was free.
pub(crate) async fn add_machine(storage: &impl Storage, machine: &Machine) -> Result<bool, StoreError> {
    let add = "INSERT INTO machines (machine_id, name, scopes, made_by, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) DO NOTHING RETURNING machine_id";
    let row = Statement::new(add)
        .bind(&*machine.id)
        .bind(&*machine.name)
        .bind(&*machine.scopes)
        .bind(machine.made_by.get())
        .bind(&*machine.created_at)
        .bind(machine.expires_at)
        .row(storage)
        .await?;
    Ok(row.is_some())
}

/// All machines, by name.
pub(crate) async fn machines(storage: &impl Storage) -> Result<Vec<Machine>, StoreError> {
    let all = "SELECT machine_id, name, scopes, made_by, created_at, expires_at FROM machines ORDER BY name";
    Statement::new(all).rows(storage).await?.iter().map(Machine::read).collect()
}

/// Ends a machine; says whether it was there.
pub(crate) async fn remove_machine(
    storage: &impl Storage,
    id: &str,
    actor: Option<&Actor>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let these = "'machine/' || machine_id, 'member/machine/' || machine_id || ':2' FROM machines WHERE machine_id = $5";
    let act = Act::new("MachineEnded", String::new(), actor, now);
    Ok(act_on(storage, &act, these, |end| end.bind(id)).await? > 0)
}

/// Forgets the machines whose tokens have expired.
pub(crate) async fn forget_machines(storage: &impl Storage, now: Timestamp) -> Result<(), StoreError> {
    Statement::new("DELETE FROM machines WHERE expires_at < $1").bind(now.millis()).run(storage).await
}
