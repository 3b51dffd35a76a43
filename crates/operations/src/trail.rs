//! The audit trail as whoever verifies it sees it: what each entry says, and how its hash is made. Written anew, since a judge that
//! shared the code of `member` would share its mistakes.

use anyhow::{Context, Result, bail, ensure};
use kernel::Timestamp;
use sha2::{Digest, Sha256};

use crate::opened::Opened;
use crate::stores::Stores;

/// What an exported trail begins with.
const HEADER: &str = "position,time,actor,role,action,object,event,hash";

/// An entry that has its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) position: u64,
    pub(crate) time: String,
    pub(crate) actor: Option<String>,
    pub(crate) role: Option<String>,
    pub(crate) action: String,
    pub(crate) object: String,
    pub(crate) event: Option<String>,
    pub(crate) hash: String,
}

/// Where a chain ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// How many entries there are, which is the position of the last.
    pub position: u64,
    /// The hash of the last, for whoever keeps it elsewhere: with it an entry that is missing at the end shows as well.
    pub hash: String,
}

/// The first place at which a chain is broken, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) position: u64,
    pub(crate) how: &'static str,
}

impl Entry {
    /// SHA-256 over the hash before it, a newline, and what it says as a JSON array, in hexadecimal digits.
    pub(crate) fn hash_behind(&self, previous: &str) -> String {
        let said = serde_json::json!([
            self.position,
            self.time,
            self.actor,
            self.role,
            self.action,
            self.object,
            self.event
        ]);
        let digest = Sha256::digest(format!("{previous}\n{said}"));
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A line of an exported trail.
    fn parse(line: &str) -> Option<Self> {
        let columns: Vec<&str> = line.split(',').collect();
        let [position, time, actor, role, action, object, event, hash] = *columns.as_slice() else {
            return None;
        };
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Some(Self {
            position: position.parse().ok()?,
            time: time.to_owned(),
            actor: some(actor),
            role: some(role),
            action: action.to_owned(),
            object: object.to_owned(),
            event: some(event),
            hash: hash.to_owned(),
        })
    }
}

/// Goes along a chain from its beginning, and says where it ends, or where it is broken first.
pub(crate) fn walk<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Result<End, Broken> {
    let mut end = End::default();
    for entry in entries {
        let position = end.position + 1;
        if entry.position != position {
            return Err(Broken { position, how: "is missing" });
        }
        if entry.hash != entry.hash_behind(&end.hash) {
            return Err(Broken { position, how: "is not what it was when it got its hash" });
        }
        end = End { position, hash: entry.hash.clone() };
    }
    Ok(end)
}

/// Writes into the audit trail that a command is about to change these contexts, before it does. Who runs it is known to the
/// machine that it runs on alone.
pub(crate) fn note_command(stores: &Stores, action: &'static str, contexts: &[&'static str]) -> Result<()> {
    let store = stores.open("member").context("noting in the audit trail what is to be done")?;
    if !store.has("acts")? {
        return Ok(());
    }
    contexts.iter().try_for_each(|context| note_in(&store, action, &format!("context/{context}")))
}

/// Writes into the audit trail of `member`'s store that a command does something.
pub(crate) fn note_in(store: &Opened, action: &str, object: &str) -> Result<()> {
    let now = Timestamp::now();
    store.run(&format!(
        "INSERT INTO acts (time, actor, action, object) VALUES ('{now}', 'command', '{action}', '{object}')"
    ))
}

/// Verifies a trail that was exported as CSV, in one file or in several that follow one another, each given with its name.
pub fn verify_trail(files: &[(String, String)]) -> Result<End> {
    let mut entries = Vec::new();
    for (name, text) in files {
        let mut lines = text.lines();
        ensure!(
            lines.next() == Some(HEADER),
            "{name} is no exported audit trail: it must begin with `{HEADER}`"
        );
        for (number, line) in (2..).zip(lines) {
            let entry = Entry::parse(line);
            entries.push(entry.with_context(|| format!("{name}, line {number}, is no entry"))?);
        }
    }
    match walk(&entries) {
        Ok(end) => Ok(end),
        Err(Broken { position, how }) => bail!(
            "entry {position} {how}. What comes before is as it was; an export of a filter, or without its beginning, cannot be verified"
        ),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A chain of so many entries.
    pub(crate) fn chain(entries: u64) -> Vec<Entry> {
        let mut previous = String::new();
        let entry = |position| {
            let mut entry = Entry {
                position,
                time: "2026-11-22T09:00:00.000Z".to_owned(),
                actor: Some("member:1".to_owned()),
                role: (position > 1).then(|| "operator".to_owned()),
                action: "CourseChanged".to_owned(),
                object: "course/101".to_owned(),
                event: Some(format!("reservation/course/101:{position}")),
                hash: String::new(),
            };
            entry.hash = entry.hash_behind(&previous);
            previous.clone_from(&entry.hash);
            entry
        };
        (1..=entries).map(entry).collect()
    }

    fn csv(entries: &[Entry]) -> String {
        let mut text = format!("{HEADER}\r\n");
        for entry in entries {
            let Entry { position, time, actor, role, action, object, event, hash } = entry;
            let [actor, role, event] = [actor, role, event].map(|value| value.as_deref().unwrap_or_default());
            text += &format!("{position},{time},{actor},{role},{action},{object},{event},{hash}\r\n");
        }
        text
    }

    #[test]
    fn a_chain_is_good_until_its_end() {
        let all = chain(5);
        assert_eq!(walk(&all), Ok(End { position: 5, hash: all[4].hash.clone() }));
        assert_eq!(walk(&[]), Ok(End::default()));
    }

    #[test]
    fn the_first_broken_place_is_named() {
        let broken = |change: fn(&mut Vec<Entry>)| {
            let mut all = chain(5);
            change(&mut all);
            walk(&all).unwrap_err().position
        };
        assert_eq!(broken(|all| all[2].actor = Some("member:2".to_owned())), 3);
        assert_eq!(broken(|all| all[2].role = None), 3);
        assert_eq!(broken(|all| all[0].time.push('0')), 1);
        assert_eq!(broken(|all| drop(all.remove(2))), 3);
        assert_eq!(broken(|all| drop(all.remove(0))), 1);
        assert_eq!(broken(|all| all.swap(1, 3)), 2);
        // With the positions put right, the hashes are not.
        assert_eq!(
            broken(|all| {
                all.remove(2);
                (1..).zip(all).for_each(|(position, entry)| entry.position = position);
            }),
            3
        );
    }

    store::on_postgres!(a_command_is_noted_before_it_does_anything);

    #[test]
    fn a_command_is_noted_before_it_does_anything() {
        let folder = tempfile::tempdir().unwrap();
        let stores = crate::testing::stores_in(folder.path());
        crate::replay(&stores, &["order".to_owned(), "pay".to_owned()], None).unwrap();
        crate::rebuild_lists(&stores, "member").unwrap();
        crate::rebuild_information(&stores).unwrap();
        assert!(crate::replay(&stores, &["site".to_owned()], None).is_err(), "what is refused is not noted");
        let noted = "SELECT actor || ' ' || action || ' ' || object FROM audit ORDER BY entry";
        assert_eq!(
            stores.open("member").unwrap().texts(noted).unwrap(),
            [
                "command EventsReplayed context/order",
                "command EventsReplayed context/pay",
                "command ListsRebuilt context/member",
                "command ListsRebuilt context/information",
            ]
        );
    }

    #[test]
    fn an_exported_trail_is_verified_in_one_file_or_several() {
        let all = chain(5);
        let verified = |files: &[&str]| {
            let files: Vec<_> = files.iter().map(|text| ("f.csv".to_owned(), (*text).to_owned())).collect();
            verify_trail(&files).map_err(|error| error.to_string())
        };
        let whole = csv(&all);
        assert_eq!(verified(&[&whole]).unwrap(), walk(&all).unwrap());
        assert_eq!(verified(&[&csv(&all[..2]), &csv(&all[2..])]).unwrap().position, 5);
        assert!(verified(&[&csv(&all[2..])]).unwrap_err().starts_with("entry 1 is missing"));
        assert!(
            verified(&[&whole.replacen("operator", "manager", 1)]).unwrap_err().starts_with("entry 2 is not")
        );
        assert!(verified(&[&format!("{whole}x\r\n")]).unwrap_err().contains("line 7"));
        assert!(verified(&["{}"]).unwrap_err().contains("must begin with"));
    }
}
