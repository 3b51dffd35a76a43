use super::*;
use crate::{PersonName, Phone, Role};

fn applicant() -> Applicant {
    Applicant {
        order_id: OrderId::parse(1113).unwrap(),
        customer_id: Some(CustomerId::parse(1).unwrap()),
        edu_no: EduNo::parse(101).unwrap(),
        guest: Guests::ONE,
        language: Language::Ko,
    }
}

#[test]
fn an_event_reads_back_from_its_name_and_data() {
    let event = Event::Reserved(Reserved {
        applicant: applicant(),
        status: ReservationStatus::Waitlisted,
        waiting_position: Some(2),
        reserved_at: Timestamp::from_millis(1),
    });
    assert_eq!(event.name(), "Reserved");
    assert_eq!(event.subject(), "1113");
    assert_eq!(
        event.to_data(),
        r#"{"orderId":1113,"customerId":1,"eduNo":101,"guest":1,"language":"ko","status":"Waitlisted","waitingPosition":2,"reservedAt":"1970-01-01T00:00:00.001Z"}"#
    );
    assert_eq!(Event::parse(event.name(), &event.to_data()).unwrap(), event);
}

fn member(customer_id: u64) -> Member {
    Member {
        customer_id: CustomerId::parse(customer_id).unwrap(),
        name: Some(PersonName::parse("홍길동").unwrap()),
        phone: Some(Phone::parse("010-1234-5678").unwrap()),
        email: None,
        language: Language::Ko,
        messages: crate::WantedMessages::All,
        roles: vec![Role::Customer],
        at: Timestamp::from_millis(1),
    }
}

#[test]
fn a_member_is_told_as_they_stand_and_may_be_nobody_any_more() {
    let event = Event::MemberRegistered(member(7));
    assert_eq!(event.subject(), "member/7");
    assert_eq!(
        event.to_data(),
        r#"{"customerId":7,"name":"홍길동","phone":"+821012345678","language":"ko","roles":["customer"],"at":"1970-01-01T00:00:00.001Z"}"#
    );
    assert_eq!(Event::parse(event.name(), &event.to_data()).unwrap(), event);
    let emptied = r#"{"customerId":7,"language":"ko","roles":["customer"],"at":"1970-01-01T00:00:00.001Z"}"#;
    let nobody = Event::parse("MemberChanged", emptied).unwrap();
    assert_eq!(nobody.person().map(|member| (&member.name, &member.phone)), Some((&None, &None)));
}

#[test]
fn of_a_batch_the_newest_event_of_each_member_counts() {
    let (at, customer_id) = (Timestamp::from_millis(2), CustomerId::parse(7).unwrap());
    let erased = Event::MemberErased(MemberErased { customer_id, at });
    let [seven, eight] = [7, 8].map(|id| Event::MemberRegistered(member(id)));
    let told = [(2, &erased), (1, &seven), (1, &eight)];
    assert_eq!(newest_members(told), [(2, &erased), (1, &eight)]);
}

#[test]
fn fields_that_a_later_version_adds_are_ignored() {
    let read = Event::parse("ReservationConfirmed", r#"{"orderId":1,"eduNo":2,"seat":"A1"}"#).unwrap();
    assert_eq!(read.applicant().unwrap().guest, Guests::ONE);
}

#[test]
fn an_event_nobody_knows_is_refused_by_name() {
    assert_eq!(
        Event::parse("Refunded", "{}").unwrap_err().to_string(),
        "there is no event called `Refunded`"
    );
    assert!(Event::parse("Ordered", r#"{"orderId":0}"#).is_err());
}
