//! The audit trail: that nothing in it was changed or removed, and that all is in it that has to be.

use super::about;
use crate::check::Violation;
use crate::facts::Facts;
use crate::trail::{Broken, walk};

/// How often somebody signed in is kept elsewhere, too, for a while; the trail begins with the first that it has.
const SIGNED_IN: &str = "SignedIn";

/// The chain is whole, and has everything that managers, operators and machines decided, and every sign-in that is known.
pub(super) fn trail(facts: &Facts) -> Vec<Violation> {
    let audit = &facts.member.audit;
    let mut found = Vec::new();
    if let Err(Broken { position, how }) = walk(&audit.entries) {
        let message = format!(
            "in the store `member` it {how}, and every entry from here on is in doubt. Find out who changed the store, and compare \
             with an export or a backup of before"
        );
        found.push(about("audit", format!("audit entry {position}"), message));
    }
    let unsealed = audit.unsealed.iter().filter(|time| time.parse().is_ok_and(|at| !facts.recent.is(at)));
    if let count @ 1.. = unsealed.count() {
        let message = format!(
            "{count} entries have not got their places. They get them with the next tick: look whether the tick and the worker of \
             `member` run, and what it logs"
        );
        found.push(about("audit", "audit trail".to_owned(), message));
    }
    let missing = |what: String| {
        let message = "it is not in the audit trail. If the worker of `member` runs and has no dead letter, find out who changed \
                       the store; `sugang replay` has events told again that it has not heard"
            .to_owned();
        about("audit", what, message)
    };
    for (context, history) in facts.histories() {
        for told in history.all().filter(|told| told.is_audited && !facts.recent.is(told.time)) {
            let event = format!("{context}/{}:{}", told.event.subject(), told.version);
            if !audit.events.contains(&event) {
                found.push(missing(format!("{} {event}", told.event.name())));
            }
        }
    }
    let signed_in = || audit.entries.iter().filter(|entry| entry.action == SIGNED_IN);
    let Some(first) = signed_in().map(|entry| entry.time.as_str()).min() else { return found };
    let known: std::collections::HashSet<_> =
        signed_in().map(|entry| (entry.actor.as_deref(), entry.time.as_str())).collect();
    for (member, at) in &audit.sign_ins {
        let (actor, time) = (format!("member:{member}"), at.to_string());
        // Those of before are from before there was a trail. What has no place yet was told of above.
        let is_kept = known.contains(&(Some(&*actor), &*time)) || audit.unsealed.contains(&time);
        if &*time >= first && !is_kept && !facts.recent.is(*at) {
            found.push(missing(format!("sign-in of member {member} at {time}")));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use store::native::{Address, Engine, Store, connect};

    use crate::check::{Violation, check};
    use crate::stores::{Place, Stores, known};
    use crate::testing::{healthy, only, stores_in};
    use crate::trail::tests::chain;

    store::on_postgres!(
        a_trail_that_nobody_touched_is_well,
        an_entry_that_was_changed_is_named,
        an_entry_that_was_removed_is_named,
        two_that_changed_places_are_named,
        the_last_one_that_was_removed_is_missed_by_its_event,
        a_sign_in_that_was_removed_at_the_end_is_missed,
        an_entry_that_gets_no_place_is_told,
    );

    /// Runs a statement in the store of `member`, whatever its triggers say.
    fn tamper(stores: &Stores, sql: &str) {
        let store = stores.open("member").unwrap();
        match Engine::current() {
            Engine::Sqlite => {
                let triggers = "DROP TRIGGER IF EXISTS sealed_stays; DROP TRIGGER IF EXISTS audit_is_kept; \
                                DROP TRIGGER IF EXISTS note_sign_in";
                store.run(&format!("{triggers}; {sql}")).unwrap();
            }
            Engine::Postgres => {
                store
                    .run(&format!(
                        "ALTER TABLE audit DISABLE TRIGGER USER; ALTER TABLE sessions DISABLE TRIGGER USER; {sql}"
                    ))
                    .unwrap();
            }
        }
    }

    /// A system in which an operator changed a member five times, somebody signed in twice, and all of it is in the trail.
    fn system(folder: &std::path::Path) -> Stores {
        let stores = stores_in(folder);
        let member = r#"{"customerId":7,"name":null,"phone":null,"email":null,"language":"ko","roles":["customer"],"at":"1970-01-01T00:00:00.000Z"}"#;
        let store = stores.open("member").unwrap();
        for version in 1..=5 {
            let name = if version == 1 { "MemberRegistered" } else { "MemberChanged" };
            let line = format!(
                r#"[{{"kind":"event","subject":"member/7","version":{version},"type":"{name}","data":{member},"time":"1970-01-01T00:00:0{version}.000Z","actor":"operator:1"}},
                {{"kind":"act","subject":"","version":0,"type":"","data":{{"time":"1970-01-01T00:00:0{version}.000Z","actor":"member:1","role":"operator","action":"{name}","object":"member/7","event":"member/member/7:{version}"}}}}]"#
            );
            store
                .run(&format!(
                    "INSERT INTO decisions (kind, subject, version, type, data, time, traceparent, actor)
                     SELECT value ->> 'kind', value ->> 'subject', CAST(value ->> 'version' AS BIGINT), value ->> 'type',
                        value ->> 'data', value ->> 'time', NULL, value ->> 'actor' FROM json_each('{line}')"
                ))
                .unwrap();
        }
        for at in [6_000, 7_000] {
            store
                .run(&format!(
                    "INSERT INTO sessions (session_id, customer_id, family_hash, refresh_hash, created_at, last_used_at, expires_at)
                     VALUES ('s{at}', 7, 'f{at}', 'r', {at}, {at}, {at})"
                ))
                .unwrap();
        }
        drop(store);
        seal(&stores);
        stores
    }

    /// Has the component itself give the places.
    fn seal(stores: &Stores) {
        let (database, _) = known("member").unwrap();
        let storage = match Engine::current() {
            Engine::Sqlite => Store::file(stores.path("member").unwrap(), database).unwrap(),
            Engine::Postgres => {
                let Place::Postgres(url) = stores.place("member").unwrap() else { panic!() };
                Store::over_postgres(connect(url, "member").unwrap(), Address::of("member", url))
            }
        };
        store::native::at_once(member::seal(&storage)).unwrap().unwrap();
    }

    fn told(stores: &Stores) -> Vec<Violation> {
        // What no event has put into the view of others is not what this is about.
        let told = check(stores, None, Duration::ZERO).unwrap().violations;
        told.into_iter().filter(|told| told.invariant == "audit").collect()
    }

    #[track_caller]
    fn after(sql: &str, subjects: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        let stores = system(folder.path());
        tamper(&stores, sql);
        let told = told(&stores);
        assert_eq!(told.iter().map(|told| told.subject.as_str()).collect::<Vec<_>>(), subjects, "{told:#?}");
        assert!(told.iter().all(|told| told.message.len() > 40));
    }

    #[test]
    fn a_trail_that_nobody_touched_is_well() {
        let folder = tempfile::tempdir().unwrap();
        let stores = system(folder.path());
        assert_eq!(told(&stores), []);
        let entries =
            stores.open("member").unwrap().count("SELECT count(*) FROM audit WHERE hash IS NOT NULL");
        assert_eq!(entries.unwrap(), 7);
    }

    #[test]
    fn an_entry_that_was_changed_is_named() {
        after("UPDATE audit SET actor = 'member:2' WHERE position = 3", &["audit entry 3"]);
        after("UPDATE audit SET time = '1970-01-01T00:00:00.001Z' WHERE position = 1", &["audit entry 1"]);
        after("UPDATE audit SET hash = 'x' WHERE position = 7", &["audit entry 7"]);
    }

    #[test]
    fn an_entry_that_was_removed_is_named() {
        after("DELETE FROM audit WHERE position = 3", &["audit entry 3", "MemberChanged member/member/7:3"]);
        // What comes behind was moved up.
        after(
            "DELETE FROM audit WHERE position = 6; UPDATE audit SET position = 6 WHERE position = 7",
            &["audit entry 6"],
        );
    }

    #[test]
    fn two_that_changed_places_are_named() {
        after(
            "UPDATE audit SET position = 100 WHERE position = 2; UPDATE audit SET position = 2 WHERE position = 4;
             UPDATE audit SET position = 4 WHERE position = 100",
            &["audit entry 2"],
        );
    }

    #[test]
    fn the_last_one_that_was_removed_is_missed_by_its_event() {
        after(
            "DELETE FROM audit WHERE position >= 5; DELETE FROM sign_ins",
            &["MemberChanged member/member/7:5"],
        );
    }

    #[test]
    fn a_sign_in_that_was_removed_at_the_end_is_missed() {
        after("DELETE FROM audit WHERE position = 7", &["sign-in of member 7 at 1970-01-01T00:00:07.000Z"]);
    }

    #[test]
    fn an_entry_that_gets_no_place_is_told() {
        after("UPDATE audit SET position = NULL, hash = NULL WHERE position = 7", &["audit trail"]);
    }

    #[test]
    fn what_others_than_members_decided_is_missed_and_what_is_recent_is_not() {
        let mut facts = healthy();
        let course = facts.reservation.history.courses.get_mut(&101).unwrap();
        course[0].is_audited = true;
        only(&facts, &["audit"], "CourseOpened reservation/course/101:1");
        facts.member.audit.events.insert("reservation/course/101:1".to_owned());
        only(&facts, &[], "");
        facts.member.audit.events.clear();
        only(&facts.clone().busy(|facts| facts.recent.now = kernel::Timestamp::from_millis(1), 1), &[], "");
        facts.member.audit.entries = chain(3);
        facts.member.audit.entries.remove(1);
        only(&facts, &["audit"], "audit entry 2");
    }
}
