//! Given these events, when this is asked, then that happens.

use super::*;
use kernel::{EduNo, Guests, Language};

const AT: Timestamp = Timestamp::from_millis(1_000);

fn terms(amount: u64) -> Terms {
    terms_for(101, amount)
}

fn terms_for(edu_no: u64, amount: u64) -> Terms {
    let applicant = Applicant {
        order_id: OrderId::parse(1113).unwrap(),
        customer_id: None,
        edu_no: EduNo::parse(edu_no).unwrap(),
        guest: Guests::ONE,
        language: Language::Ko,
    };
    Terms { applicant, amount: Won::amount(amount).unwrap() }
}

fn approved(attempt: u64, amount: u64) -> Outcome {
    Outcome::Approved {
        attempt: Attempt(attempt),
        amount: Won::amount(amount).unwrap(),
        card_last4: "1234".to_owned(),
        transaction_id: format!("t{attempt}"),
    }
}

fn declined(attempt: u64) -> Outcome {
    let (card_last4, reason) = ("0002".to_owned(), "no".to_owned());
    Outcome::Declined { attempt: Attempt(attempt), card_last4, reason }
}

fn settle_for(terms: Terms, outcome: Outcome) -> Command {
    Command::Settle { terms, outcome, at: AT }
}

fn settle(outcome: Outcome) -> Command {
    settle_for(terms(100), outcome)
}

fn close(undone: Option<u64>, refunded: u64) -> Command {
    let refunded = Won::amount(refunded).unwrap();
    Command::Close { applicant: terms(100).applicant, undone: undone.map(Attempt), refunded, at: AT }
}

/// The record that these commands lead to, one after another.
fn given(commands: &[Command]) -> Record {
    let mut record = Record::default();
    for command in commands {
        for event in decide(&record, command).unwrap() {
            record = record.and(&event);
        }
    }
    record
}

/// The names and amounts of the events that follow.
fn when(record: &Record, command: &Command) -> Result<String, Refusal> {
    let shown = |event: &Event| match event {
        Event::Paid(paid) => format!("Paid {}", paid.amount),
        Event::PaymentDeclined(declined) => format!("PaymentDeclined {}", declined.amount),
        Event::PaymentCanceled(canceled) => format!("PaymentCanceled {}", canceled.amount),
        other => other.name().to_owned(),
    };
    decide(record, command).map(|events| events.iter().map(shown).collect::<Vec<_>>().join(", "))
}

fn check(given_commands: &[Command], command: &Command, then: Result<&str, Refusal>) {
    assert_eq!(when(&given(given_commands), command), then.map(str::to_owned), "{given_commands:?}");
}

#[test]
fn an_approved_charge_pays() {
    check(&[], &settle(approved(1, 100)), Ok("Paid 100"));
    check(&[settle(declined(1))], &settle(approved(2, 100)), Ok("Paid 100"));
}

#[test]
fn what_is_written_down_is_what_was_charged() {
    check(&[], &settle(approved(1, 70)), Ok("Paid 70"));
    let record = given(&[settle(approved(1, 70))]);
    assert_eq!(owed(&record, &terms(100)), Err(Refusal::ContentDiffers));
}

#[test]
fn nothing_to_pay_is_paid_without_a_charge() {
    assert_eq!(owed(&Record::default(), &terms(0)), Ok(Owed::Zero));
    check(&[], &settle_for(terms(0), Outcome::Free), Ok("Paid 0"));
    check(&[settle_for(terms(0), Outcome::Free)], &settle_for(terms(0), Outcome::Free), Ok(""));
}

#[test]
fn the_same_charge_is_written_down_once() {
    check(&[settle(approved(1, 100))], &settle(approved(1, 100)), Ok(""));
    check(&[settle(declined(1))], &settle(declined(1)), Ok(""));
    check(&[settle(approved(1, 100))], &settle(declined(1)), Ok(""));
}

#[test]
fn a_decline_leaves_the_order_to_be_paid_by_another_attempt() {
    check(&[], &settle(declined(1)), Ok("PaymentDeclined 100"));
    let record = given(&[settle(declined(1))]);
    assert_eq!(owed(&record, &terms(100)), Ok(Owed::Charge(Attempt(2))));
    check(&[settle(declined(1))], &settle(declined(2)), Ok("PaymentDeclined 100"));
    let record = given(&[settle(declined(1)), settle(declined(2))]);
    assert_eq!(owed(&record, &terms(100)), Ok(Owed::Charge(Attempt(3))));
}

#[test]
fn everybody_who_asks_before_an_answer_makes_the_same_attempt() {
    assert_eq!(owed(&Record::default(), &terms(100)), Ok(Owed::Charge(Attempt(1))));
    assert_eq!(Attempt(1).key(terms(100).applicant.order_id), "1113-1");
}

#[test]
fn a_charge_that_has_no_place_is_to_be_given_back() {
    check(&[settle_for(terms(0), Outcome::Free)], &settle(approved(1, 100)), Err(Refusal::PaidOtherwise));
    check(&[settle(approved(1, 100))], &settle(approved(2, 100)), Err(Refusal::PaidOtherwise));
    check(&[settle(declined(1))], &settle(approved(1, 100)), Err(Refusal::PaidOtherwise));
    check(&[close(Some(1), 0)], &settle(approved(1, 100)), Err(Refusal::Closed));
}

#[test]
fn the_number_of_a_payment_stands_for_one_course_and_one_amount() {
    for record in [given(&[settle(approved(1, 100))]), given(&[settle(declined(1))])] {
        assert_eq!(owed(&record, &terms(99)), Err(Refusal::ContentDiffers));
        assert_eq!(owed(&record, &terms_for(102, 100)), Err(Refusal::ContentDiffers));
    }
    assert_eq!(owed(&given(&[settle(approved(1, 100))]), &terms(100)), Ok(Owed::Nothing));
}

#[test]
fn closing_gives_back_what_was_paid() {
    let paid = [settle(declined(1)), settle(approved(2, 100))];
    assert_eq!(to_undo(&given(&paid)), ToUndo::Attempt(Attempt(2)));
    check(&paid, &close(Some(2), 100), Ok("PaymentCanceled 100"));
}

#[test]
fn closing_before_anything_is_paid_undoes_the_attempt_that_may_be_under_way() {
    assert_eq!(to_undo(&Record::default()), ToUndo::Attempt(Attempt(1)));
    check(&[], &close(Some(1), 0), Ok("PaymentCanceled 0"));
    check(&[], &close(Some(1), 100), Ok("PaymentCanceled 100"));
    assert_eq!(to_undo(&given(&[settle(declined(1))])), ToUndo::Attempt(Attempt(2)));
}

#[test]
fn closing_what_cost_nothing_undoes_nothing() {
    let free = [settle_for(terms(0), Outcome::Free)];
    assert_eq!(to_undo(&given(&free)), ToUndo::Zero);
    check(&free, &close(None, 0), Ok("PaymentCanceled 0"));
}

#[test]
fn closing_after_undoing_another_attempt_is_refused() {
    check(&[settle(declined(1))], &close(Some(1), 0), Err(Refusal::Overtaken));
    check(&[settle(approved(1, 100))], &close(None, 0), Err(Refusal::Overtaken));
    check(&[settle_for(terms(0), Outcome::Free)], &close(Some(1), 0), Err(Refusal::Overtaken));
}

#[test]
fn a_closed_order_stays_closed() {
    let closed = [settle(approved(1, 100)), close(Some(1), 100)];
    assert_eq!(owed(&given(&closed), &terms(100)), Err(Refusal::Closed));
    assert_eq!(to_undo(&given(&closed)), ToUndo::Closed);
    check(&closed, &close(Some(1), 100), Ok(""));
    check(&closed, &settle(declined(2)), Err(Refusal::Closed));
    check(&closed, &settle_for(terms(0), Outcome::Free), Err(Refusal::Closed));
}

#[test]
fn a_refunded_payment_still_shows_what_was_paid_and_an_unpaid_one_shows_nothing() {
    let refunded = given(&[settle(approved(1, 100)), close(Some(1), 100)]);
    let (status, payment) = refunded.payment().unwrap();
    assert_eq!((status, payment.amount.get()), (PayStatus::PaymentCanceled, 100));
    assert_eq!((payment.card_last4.as_deref(), payment.paid_at), (Some("1234"), Some(AT)));

    let closed = given(&[settle(declined(1)), close(Some(2), 0)]);
    let (status, payment) = closed.payment().unwrap();
    assert_eq!((status, payment.amount.get()), (PayStatus::PaymentCanceled, 0));
    assert_eq!((&payment.card_last4, payment.paid_at, payment.refunded_at), (&None, None, Some(AT)));
}

#[test]
fn who_paid_is_who_gets_it_back() {
    let close = Command::Close {
        applicant: terms_for(999, 0).applicant,
        undone: Some(Attempt(1)),
        refunded: Won::amount(100).unwrap(),
        at: AT,
    };
    let events = decide(&given(&[settle(approved(1, 100))]), &close).unwrap();
    assert_eq!(events.first().and_then(Event::applicant).unwrap().edu_no.get(), 101);
}
