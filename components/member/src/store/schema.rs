//! The tables of this context, and what one decision does to them.
//!
//! The list of members is made from the events alone. Beside the events are codes, sessions, consents, invitations, machines and
//! who signed in: none of them is to be told, and most are only for a while. Times in them are milliseconds since 1970.
//!
//! Every limit is counted here, so that it holds over instances and hosts.

use journal::{programs, tables};
use store::{Schema, Step};

pub(super) static SCHEMA: Schema = Schema {
    version: 3,
    // Before that a code was known by its number.
    oldest_code: 2,
    tables: &[
        tables::EVENTS,
        tables::LOG,
        tables::LOG_BEGINS,
        MEMBERS,
        "CREATE TABLE numbering (id INTEGER PRIMARY KEY CHECK (id = 1), last INTEGER NOT NULL)",
        "INSERT INTO numbering (id, last) VALUES (1, 0)",
        CODES,
        CODES_BY_TOKEN,
        "CREATE INDEX codes_of_phone ON codes (phone, made_at)",
        "CREATE INDEX codes_of_address ON codes (address, made_at)",
        "CREATE INDEX codes_by_age ON codes (made_at)",
        REGISTRATIONS,
        SESSIONS,
        "CREATE INDEX sessions_of_member ON sessions (customer_id)",
        "CREATE INDEX sessions_by_age ON sessions (expires_at)",
        "CREATE TABLE ended (session_id TEXT PRIMARY KEY, until INTEGER NOT NULL, told_at INTEGER) WITHOUT ROWID",
        SIGN_INS,
        "CREATE INDEX sign_ins_of_member ON sign_ins (customer_id, at)",
        "CREATE INDEX sign_ins_by_age ON sign_ins (at)",
        CONSENTS,
        "CREATE INDEX consents_of_member ON consents (customer_id)",
        INVITATIONS,
        MACHINES,
        AUDIT,
        AUDIT_UNSEALED,
        AUDIT_BY_ACTOR,
        IDENTITIES,
        IDENTITIES_OF_MEMBER,
        USED_ID_TOKENS,
        USED_ID_TOKENS_BY_AGE,
        PROVIDER_KEYS,
    ],
    steps: &[
        Step { to: 2, statements: &[tables::WITH_ACTORS, AUDIT, AUDIT_UNSEALED, AUDIT_BY_ACTOR] },
        Step {
            to: 2,
            statements: &[
                "DROP INDEX codes_open",
                "ALTER TABLE codes ADD COLUMN token_hash TEXT",
                CODES_BY_TOKEN,
            ],
        },
        Step {
            to: 3,
            statements: &[
                "ALTER TABLE members ADD COLUMN messages TEXT NOT NULL DEFAULT 'all'",
                "ALTER TABLE registrations ADD COLUMN issuer TEXT",
                "ALTER TABLE registrations ADD COLUMN subject TEXT",
                IDENTITIES,
                IDENTITIES_OF_MEMBER,
                USED_ID_TOKENS,
                USED_ID_TOKENS_BY_AGE,
                PROVIDER_KEYS,
            ],
        },
    ],
    programs: &[
        programs::DECISIONS,
        programs::APPEND_EVENT,
        programs::PROJECTION,
        KEEP_CONSENT,
        END_REGISTRATION,
        LINK_IDENTITY,
        NOTE_IDENTITY,
        ACCEPT_INVITATIONS,
        END_SESSIONS,
        PROJECT_REGISTERED,
        PROJECT_CHANGED,
        PROJECT_ERASED,
        FORGET_PERSON,
        ASKED_CODES,
        KEEP_CODE,
        NOTE_SIGN_IN,
        NOTE_END_OF_SESSION,
        NOTE_END_OF_MACHINE,
        KEEP_ACT,
        ACTS,
        ACT,
        NOTE_INVITATION,
        NOTE_MACHINE,
        SEALING,
        SEAL,
        SEALED_STAYS,
        AUDIT_IS_KEPT,
    ],
};

/// Of whoever is erased the number and the time are left.
const MEMBERS: &str = "CREATE TABLE members (
    customer_id INTEGER PRIMARY KEY,
    name TEXT,
    phone TEXT UNIQUE,
    email TEXT,
    language TEXT,
    roles TEXT NOT NULL,
    registered_at TEXT,
    erased_at TEXT,
    version INTEGER NOT NULL,
    messages TEXT NOT NULL DEFAULT 'all'
)";

/// Every code that was asked for within the hour. It counts, while it is open, for whoever has the token with this hash.
const CODES: &str = "CREATE TABLE codes (
    code_id INTEGER PRIMARY KEY,
    phone TEXT NOT NULL,
    address TEXT NOT NULL,
    salt TEXT NOT NULL,
    mac TEXT NOT NULL,
    made_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    open INTEGER NOT NULL DEFAULT 1,
    token_hash TEXT
)";

const CODES_BY_TOKEN: &str = "CREATE UNIQUE INDEX codes_by_token ON codes (token_hash)";

/// What somebody has shown who may register: a telephone, or who they are to a provider. Of the latter the telephone may be
/// empty, since the provider need not know one.
const REGISTRATIONS: &str = "CREATE TABLE registrations (
    token_hash TEXT PRIMARY KEY,
    phone TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    issuer TEXT,
    subject TEXT
) WITHOUT ROWID";

/// Who members are to OpenID providers.
const IDENTITIES: &str = "CREATE TABLE identities (
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    customer_id INTEGER NOT NULL,
    linked_at INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject)
) WITHOUT ROWID";

const IDENTITIES_OF_MEMBER: &str = "CREATE INDEX identities_of_member ON identities (customer_id)";

/// ID tokens that must not count again, until they are too old to.
const USED_ID_TOKENS: &str =
    "CREATE TABLE used_id_tokens (token_hash TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID";

const USED_ID_TOKENS_BY_AGE: &str = "CREATE INDEX used_id_tokens_by_age ON used_id_tokens (until)";

/// The public keys of a provider as it answered them. They are here, and not in the key-value store, because others can write
/// there: who writes them says who is who.
const PROVIDER_KEYS: &str = "CREATE TABLE provider_keys (
    url TEXT PRIMARY KEY,
    document TEXT NOT NULL,
    fetched_at INTEGER NOT NULL,
    failed_at INTEGER NOT NULL
) WITHOUT ROWID";

/// `family_hash` is the session's for ever, `refresh_hash` that of the one refresh token that counts, `previous_hash` that of the
/// one before it, which was replaced at `rotated_at`.
const SESSIONS: &str = "CREATE TABLE sessions (
    session_id TEXT PRIMARY KEY,
    customer_id INTEGER NOT NULL,
    family_hash TEXT NOT NULL UNIQUE,
    refresh_hash TEXT NOT NULL,
    previous_hash TEXT,
    rotated_at INTEGER,
    address TEXT,
    created_at INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
)";

const SIGN_INS: &str = "CREATE TABLE sign_ins (
    sign_in_id INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL,
    at INTEGER NOT NULL,
    address TEXT
)";

/// What was agreed to, and what no longer is: a row each time. The newest of a name counts.
const CONSENTS: &str = "CREATE TABLE consents (
    consent_id INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    given INTEGER NOT NULL,
    at TEXT NOT NULL
)";

const INVITATIONS: &str = "CREATE TABLE invitations (
    invitation_id INTEGER PRIMARY KEY,
    phone TEXT NOT NULL,
    role TEXT NOT NULL,
    invited_by INTEGER NOT NULL,
    at TEXT NOT NULL,
    UNIQUE (phone, role)
)";

const MACHINES: &str = "CREATE TABLE machines (
    machine_id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    made_by INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    expires_at INTEGER NOT NULL
)";

/// Who did what when, in numbers alone: whoever is erased is known by nothing here. Entries come as they are committed (`entry`),
/// and then get their places, without gaps, and their hashes.
const AUDIT: &str = "CREATE TABLE audit (
    entry INTEGER PRIMARY KEY,
    position INTEGER UNIQUE,
    time TEXT NOT NULL,
    actor TEXT,
    role TEXT,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    event TEXT UNIQUE,
    hash TEXT
)";

const AUDIT_UNSEALED: &str = "CREATE INDEX audit_unsealed ON audit (entry) WHERE position IS NULL";

const AUDIT_BY_ACTOR: &str = "CREATE INDEX audit_by_actor ON audit (actor, position)";

const KEEP_CONSENT: &str =
    "CREATE TRIGGER keep_consent INSTEAD OF INSERT ON decisions WHEN NEW.kind = 'consent' BEGIN
    INSERT INTO consents (customer_id, name, version, given, at)
        VALUES (CAST(NEW.subject AS BIGINT), NEW.data ->> 'name', NEW.data ->> 'version',
            CAST(NEW.data ->> 'given' AS BIGINT), NEW.data ->> 'at');
END";

/// A registration token counts once. Of two that come at once the telephone, which is one member's, lets one through.
const END_REGISTRATION: &str =
    "CREATE TRIGGER end_registration INSTEAD OF INSERT ON decisions WHEN NEW.kind = 'registration' BEGIN
    SELECT RAISE(ABORT, 'decision: the registration has ended') WHERE NOT EXISTS (SELECT 1 FROM registrations
        WHERE token_hash = NEW.subject AND expires_at > CAST(NEW.data ->> 'now' AS BIGINT));
    DELETE FROM registrations WHERE token_hash = NEW.subject;
END";

const LINK_IDENTITY: &str =
    "CREATE TRIGGER link_identity INSTEAD OF INSERT ON decisions WHEN NEW.kind = 'identity' BEGIN
    INSERT INTO identities (issuer, subject, customer_id, linked_at)
        VALUES (NEW.data ->> 'issuer', NEW.data ->> 'subject', CAST(NEW.subject AS BIGINT),
            CAST(NEW.data ->> 'at' AS BIGINT));
END";

/// From then on somebody else vouches for who the member is.
const NOTE_IDENTITY: &str = "CREATE TRIGGER note_identity AFTER INSERT ON identities BEGIN
    INSERT INTO audit (time, actor, role, action, object)
        VALUES (/*sqlite strftime('%Y-%m-%dT%H:%M:%fZ', NEW.linked_at / 1000.0, 'unixepoch')*//*postgres to_char(to_timestamp(NEW.linked_at / 1000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')*/,
            'member:' || NEW.customer_id, 'customer', 'IdentityLinked', 'member/' || NEW.customer_id);
END";

/// What somebody was invited to be is from now on what was decided about them.
const ACCEPT_INVITATIONS: &str =
    "CREATE TRIGGER accept_invitations INSTEAD OF INSERT ON decisions WHEN NEW.kind = 'invited' BEGIN
    DELETE FROM invitations WHERE phone = NEW.subject;
END";

const END_SESSIONS: &str =
    "CREATE TRIGGER end_sessions INSTEAD OF INSERT ON decisions WHEN NEW.kind = 'sign-out' BEGIN
    DELETE FROM sessions WHERE customer_id = CAST(NEW.subject AS BIGINT);
END";

const PROJECT_REGISTERED: &str =
    "CREATE TRIGGER project_registered INSTEAD OF INSERT ON projection WHEN NEW.type = 'MemberRegistered' BEGIN
    INSERT INTO members (customer_id, name, phone, email, language, roles, registered_at, version)
        VALUES (CAST(NEW.data ->> 'customerId' AS BIGINT), NEW.data ->> 'name', NEW.data ->> 'phone',
            NEW.data ->> 'email', NEW.data ->> 'language', NEW.data ->> 'roles', NEW.data ->> 'at', NEW.version);
    UPDATE numbering SET last = max(last, CAST(NEW.data ->> 'customerId' AS BIGINT));
END";

const PROJECT_CHANGED: &str =
    "CREATE TRIGGER project_changed INSTEAD OF INSERT ON projection WHEN NEW.type = 'MemberChanged' BEGIN
    UPDATE members SET name = NEW.data ->> 'name', phone = NEW.data ->> 'phone', email = NEW.data ->> 'email',
            language = NEW.data ->> 'language', roles = NEW.data ->> 'roles', version = NEW.version,
            messages = coalesce(NEW.data ->> 'messages', 'all')
        WHERE customer_id = CAST(NEW.data ->> 'customerId' AS BIGINT);
END";

const PROJECT_ERASED: &str =
    "CREATE TRIGGER project_erased INSTEAD OF INSERT ON projection WHEN NEW.type = 'MemberErased' BEGIN
    UPDATE members SET name = NULL, phone = NULL, email = NULL, language = NULL, roles = '[]', messages = 'all', registered_at = NULL,
            erased_at = NEW.data ->> 'at', version = NEW.version
        WHERE customer_id = CAST(NEW.data ->> 'customerId' AS BIGINT);
END";

/// Takes the person out of everything that this store has: before the list forgets the telephone, by which codes and
/// invitations are found. The events of before stay, and say no more who it was.
const FORGET_PERSON: &str = "CREATE TRIGGER forget_person AFTER INSERT ON events WHEN NEW.type = 'MemberErased' BEGIN
    DELETE FROM codes WHERE phone IN
        (SELECT phone FROM members WHERE customer_id = CAST(NEW.data ->> 'customerId' AS BIGINT));
    DELETE FROM registrations WHERE phone IN
        (SELECT phone FROM members WHERE customer_id = CAST(NEW.data ->> 'customerId' AS BIGINT));
    DELETE FROM invitations WHERE phone IN
        (SELECT phone FROM members WHERE customer_id = CAST(NEW.data ->> 'customerId' AS BIGINT));
    DELETE FROM sessions WHERE customer_id = CAST(NEW.data ->> 'customerId' AS BIGINT);
    DELETE FROM sign_ins WHERE customer_id = CAST(NEW.data ->> 'customerId' AS BIGINT);
    DELETE FROM identities WHERE customer_id = CAST(NEW.data ->> 'customerId' AS BIGINT);
    UPDATE events SET data = /*sqlite json_remove(data, '$.name', '$.phone', '$.email')*//*postgres (CAST(data AS JSONB) - 'name' - 'phone' - 'email')::TEXT*/
        WHERE subject = NEW.subject AND version < NEW.version;
END";

/// Where a code is inserted that is asked for.
const ASKED_CODES: &str =
    "CREATE VIEW asked_codes AS SELECT phone, address, salt, mac, made_at, expires_at, token_hash FROM codes";

/// Keeps a code, within the limits: from one address for one number a minute after the one before and 5 an hour; 10 an hour for
/// a number, 20 an hour for an address. What is asked for elsewhere takes nobody's code away. PostgreSQL counts one after another what is about the same number or
/// address: without the locks two at once would not see each other.
const KEEP_CODE: &str = "CREATE TRIGGER keep_code INSTEAD OF INSERT ON asked_codes BEGIN
    /*postgres PERFORM pg_advisory_xact_lock(hashtextextended('sugang phone ' || NEW.phone, 0));
    PERFORM pg_advisory_xact_lock(hashtextextended('sugang address ' || NEW.address, 0));*/
    SELECT RAISE(ABORT, 'decision: too soon') WHERE EXISTS (SELECT 1 FROM codes
        WHERE phone = NEW.phone AND address = NEW.address AND made_at > NEW.made_at - 60000);
    SELECT RAISE(ABORT, 'decision: too many') WHERE 5 <= (SELECT count(*) FROM codes
        WHERE phone = NEW.phone AND address = NEW.address AND made_at > NEW.made_at - 3600000);
    SELECT RAISE(ABORT, 'decision: too many for the phone') WHERE 10 <= (SELECT count(*) FROM codes
        WHERE phone = NEW.phone AND made_at > NEW.made_at - 3600000);
    SELECT RAISE(ABORT, 'decision: too many for the address') WHERE 20 <= (SELECT count(*) FROM codes
        WHERE address = NEW.address AND made_at > NEW.made_at - 3600000);
    INSERT INTO codes (phone, address, salt, mac, made_at, expires_at, token_hash)
        VALUES (NEW.phone, NEW.address, NEW.salt, NEW.mac, NEW.made_at, NEW.expires_at, NEW.token_hash);
END";

const NOTE_SIGN_IN: &str = "CREATE TRIGGER note_sign_in AFTER INSERT ON sessions BEGIN
    INSERT INTO sign_ins (customer_id, at, address) VALUES (NEW.customer_id, NEW.created_at, NEW.address);
    INSERT INTO audit (time, actor, role, action, object, event)
        VALUES (/*sqlite strftime('%Y-%m-%dT%H:%M:%fZ', NEW.created_at / 1000.0, 'unixepoch')*//*postgres to_char(to_timestamp(NEW.created_at / 1000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')*/,
            'member:' || NEW.customer_id, 'customer', 'SignedIn', 'session/' || NEW.session_id,
            'member/session/' || NEW.session_id || ':1');
END";

/// The last access token was given out when the session was last used, and counts for five minutes and a little.
const NOTE_END_OF_SESSION: &str = "CREATE TRIGGER note_end_of_session AFTER DELETE ON sessions BEGIN
    INSERT INTO ended (session_id, until) VALUES (OLD.session_id, OLD.last_used_at + 360000)
        ON CONFLICT (session_id) DO NOTHING;
END";

const NOTE_END_OF_MACHINE: &str = "CREATE TRIGGER note_end_of_machine AFTER DELETE ON machines BEGIN
    INSERT INTO ended (session_id, until) VALUES (OLD.machine_id, OLD.expires_at + 60000)
        ON CONFLICT (session_id) DO NOTHING;
END";

/// What is to be in the audit trail of a decision.
const KEEP_ACT: &str = "CREATE TRIGGER keep_act INSTEAD OF INSERT ON decisions WHEN NEW.kind = 'act' BEGIN
    INSERT INTO audit (time, actor, role, action, object, event)
        VALUES (NEW.data ->> 'time', NEW.data ->> 'actor', NEW.data ->> 'role', NEW.data ->> 'action', NEW.data ->> 'object',
            NEW.data ->> 'event');
END";

/// Where it is inserted what somebody did, if no decision says it.
const ACTS: &str = "CREATE VIEW acts AS SELECT time, actor, role, action, object, event FROM audit";

/// Keeps it, and ends what it ends: so nothing ends without an entry that says who ended it.
const ACT: &str = "CREATE TRIGGER act INSTEAD OF INSERT ON acts BEGIN
    INSERT INTO audit (time, actor, role, action, object, event)
        VALUES (NEW.time, NEW.actor, NEW.role, NEW.action, NEW.object, NEW.event) ON CONFLICT (event) DO NOTHING;
    DELETE FROM sessions WHERE NEW.action IN ('SignedOut', 'RefreshTokenReused') AND session_id = substr(NEW.object, 9);
    DELETE FROM machines WHERE NEW.action = 'MachineEnded' AND machine_id = substr(NEW.object, 9);
    DELETE FROM invitations WHERE NEW.action = 'InvitationTakenBack' AND 'invitation/' || invitation_id = NEW.object;
END";

const NOTE_INVITATION: &str = "CREATE TRIGGER note_invitation AFTER INSERT ON invitations BEGIN
    INSERT INTO audit (time, actor, role, action, object)
        VALUES (NEW.at, 'member:' || NEW.invited_by, 'operator', 'InvitationMade', 'invitation/' || NEW.invitation_id);
END";

const NOTE_MACHINE: &str = "CREATE TRIGGER note_machine AFTER INSERT ON machines BEGIN
    INSERT INTO audit (time, actor, role, action, object, event)
        VALUES (NEW.created_at, 'member:' || NEW.made_by, 'operator', 'MachineMade', 'machine/' || NEW.machine_id,
            'member/machine/' || NEW.machine_id || ':1');
END";

/// Where entries are inserted that get their places: each with the hash that it goes on from.
const SEALING: &str = "CREATE VIEW sealing AS SELECT entry, position, hash, hash AS previous FROM audit";

/// Gives an entry its place, if the one before it is what the hash was made from. That no two have the same place the table says.
const SEAL: &str = "CREATE TRIGGER seal INSTEAD OF INSERT ON sealing BEGIN
    SELECT RAISE(ABORT, 'decision: the audit trail ends elsewhere')
        WHERE NEW.previous <> coalesce((SELECT hash FROM audit WHERE position = NEW.position - 1), '');
    UPDATE audit SET position = NEW.position, hash = NEW.hash WHERE entry = NEW.entry;
END";

const SEALED_STAYS: &str =
    "CREATE TRIGGER sealed_stays BEFORE UPDATE ON audit WHEN OLD.position IS NOT NULL BEGIN
    SELECT RAISE(ABORT, 'decision: an entry of the audit trail stays as it is');
END";

const AUDIT_IS_KEPT: &str = "CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit BEGIN
    SELECT RAISE(ABORT, 'decision: an entry of the audit trail stays where it is');
END";
