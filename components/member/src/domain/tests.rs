//! Given / when / then.

use super::*;

const THEN: Timestamp = Timestamp::from_millis(1_000);
const NOW: Timestamp = Timestamp::from_millis(2_000);

fn newcomer() -> Newcomer {
    Newcomer {
        customer_id: CustomerId::parse(7).unwrap(),
        name: PersonName::parse("홍길동").unwrap(),
        phone: Phone::parse("010-1234-5678").ok(),
        email: Email::parse("gil@example.com").ok(),
        language: Language::Ko,
        roles: vec![],
    }
}

fn register() -> Command {
    Command::Register(newcomer())
}

fn erase() -> Command {
    Command::Erase(newcomer().customer_id)
}

fn given(commands: &[Command]) -> Record {
    commands.iter().fold(Record::default(), |record, command| {
        let event = decide(&record, command, THEN).unwrap().unwrap();
        record.and(&event)
    })
}

#[track_caller]
fn member_after(record: &Record, changes: Changes) -> Member {
    match decide(record, &Command::Change(changes), NOW) {
        Ok(Some(Event::MemberChanged(member))) => member,
        other => panic!("{other:?}"),
    }
}

#[test]
fn somebody_new_becomes_a_member_who_is_a_customer() {
    let event = decide(&Record::default(), &register(), NOW).unwrap().unwrap();
    let Event::MemberRegistered(member) = event else { panic!("{event:?}") };
    assert_eq!((member.customer_id.get(), member.roles, member.at), (7, vec![Role::Customer], NOW));
    assert_eq!(member.name, Some(newcomer().name));
}

#[test]
fn whoever_is_invited_begins_with_that_role() {
    let invited = Newcomer { roles: vec![Role::Manager], ..newcomer() };
    let record = given(&[Command::Register(invited)]);
    assert_eq!(record.member().unwrap().roles, [Role::Customer, Role::Manager]);
}

#[test]
fn what_changes_is_told_with_all_the_rest_and_what_does_not_is_not_told() {
    let record = given(&[register()]);
    let language = Some(Language::En);
    let member = member_after(&record, Changes { language, ..Changes::default() });
    assert_eq!(member, Member { language: Language::En, at: NOW, ..record.member().unwrap().clone() });
    let same = Changes {
        name: Some(newcomer().name),
        language: Some(Language::Ko),
        roles: Some(vec![]),
        ..Changes::default()
    };
    assert_eq!(decide(&record, &Command::Change(same), NOW), Ok(None));
}

#[test]
fn an_address_can_be_taken_away_and_a_role_too() {
    let operator = Newcomer { roles: vec![Role::Operator], ..newcomer() };
    let record = given(&[Command::Register(operator)]);
    let changes = Changes { email: Some(None), roles: Some(vec![Role::Manager]), ..Changes::default() };
    let member = member_after(&record, changes);
    assert_eq!((member.email, member.roles), (None, vec![Role::Customer, Role::Manager]));
}

#[test]
fn whoever_is_erased_is_nobody_and_stays_so() {
    let erased = given(&[register(), erase()]);
    assert_eq!((erased.member(), erased.version), (None, 2));
    assert_eq!(decide(&erased, &erase(), NOW), Ok(None));
    assert_eq!(decide(&erased, &Command::Change(Changes::default()), NOW), Err(Refusal::Unknown));
    assert_eq!(decide(&erased, &register(), NOW), Err(Refusal::NumberTaken));
}

#[test]
fn nobody_is_changed_or_erased_who_never_was() {
    for command in [Command::Change(Changes::default()), erase()] {
        assert_eq!(decide(&Record::default(), &command, NOW), Err(Refusal::Unknown));
    }
    assert_eq!(decide(&given(&[register()]), &register(), NOW), Err(Refusal::NumberTaken));
}

#[test]
fn a_member_without_a_name_is_a_member_all_the_same() {
    let emptied = Member { name: None, phone: None, email: None, ..registered(&newcomer(), THEN) };
    let record = Record::default().and(&Event::MemberRegistered(emptied));
    assert_eq!(record.member().map(|member| member.customer_id.get()), Some(7));
}
