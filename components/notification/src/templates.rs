//! The words of the messages: one template for each occasion, and the filling-in of its blanks.
//!
//! The texts are files under `templates/`, since KakaoTalk approves every template before it may be sent and
//! whoever submits them should not have to read Rust: Korean, a line `---`, English. A blank is written as KakaoTalk
//! writes it, `#{order}`. What is not here: whom a message goes to, and when.

use kernel::event::{CancelReason, DelayReason, Event};
use kernel::{Guests, Language, ReservationStatus, Won};

/// One text in both languages, and the name of its file.
#[derive(Clone, Copy, Debug)]
struct Template {
    name: &'static str,
    texts: &'static str,
}

macro_rules! template {
    ($file:literal) => {
        Template { name: $file, texts: include_str!(concat!("../templates/", $file, ".txt")) }
    };
}

const RESERVATION_CONFIRMED: Template = template!("reservation-confirmed");
const RESERVATION_REJECTED: Template = template!("reservation-rejected");
const RESERVATION_CANCELED: Template = template!("reservation-canceled");

/// The template for an event; none for the events of a course or a member, which nobody is written to about.
fn template(event: &Event) -> Option<Template> {
    Some(match event {
        Event::Ordered(_) => template!("ordered"),
        Event::PaymentDelayed(delayed) => match delayed.reason {
            DelayReason::CardMissing => template!("card-missing"),
            DelayReason::Deadline | DelayReason::Unavailable | DelayReason::BreakerOpen => {
                template!("payment-delayed")
            }
        },
        Event::OrderCanceled(_) => template!("order-canceled"),
        Event::Paid(paid) if paid.amount.get() == 0 => template!("paid-free"),
        Event::Paid(_) => template!("paid"),
        Event::PaymentDeclined(_) => template!("payment-declined"),
        Event::PaymentCanceled(canceled) if canceled.amount.get() == 0 => template!("payment-closed"),
        Event::PaymentCanceled(_) => template!("payment-canceled"),
        Event::Reserved(reserved) => match reserved.status {
            ReservationStatus::ReservationRequested => template!("reservation-requested"),
            ReservationStatus::Waitlisted => template!("waitlisted"),
            ReservationStatus::ReservationConfirmed => RESERVATION_CONFIRMED,
            ReservationStatus::ReservationRejected => RESERVATION_REJECTED,
            ReservationStatus::ReservationCanceled => RESERVATION_CANCELED,
        },
        Event::ReservationConfirmed(_) => RESERVATION_CONFIRMED,
        Event::ReservationRejected(_) => RESERVATION_REJECTED,
        Event::ReservationCanceled(_) => RESERVATION_CANCELED,
        Event::CourseOpened(_)
        | Event::CourseChanged(_)
        | Event::CourseStarted(_)
        | Event::CourseFinished(_)
        | Event::CourseCanceled(_)
        | Event::MemberRegistered(_)
        | Event::MemberChanged(_)
        | Event::MemberErased(_) => return None,
    })
}

/// What a template says in one language.
fn text(template: &str, language: Language) -> &str {
    let (korean, english) = template.split_once("\n---\n").unwrap_or((template, template));
    match language {
        Language::Ko => korean,
        Language::En => english.trim_end(),
    }
}

/// What is written to somebody: a text, and the words in its blanks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    /// The text's code: `PaidFree` is in `paid-free.txt`.
    pub(crate) template: String,
    /// The words, by the names of the blanks, in the order in which they stand there.
    pub(crate) variables: Vec<(String, String)>,
    /// The text with the words in it.
    pub(crate) body: String,
}

/// What the customer reads about `event`, in the language of the application. `title` is the course's, if it
/// is known. None for events that nobody is written to about.
pub(crate) fn text_about(event: &Event, title: Option<&str>) -> Option<Text> {
    let language = event.applicant()?.language;
    let template = template(event)?;
    let mut variables: Vec<(String, String)> = Vec::new();
    let body = fill(text(template.texts, language), |blank| {
        let word = word(blank, event, title, language)?;
        if variables.iter().all(|(name, _)| name != blank) {
            variables.push((blank.to_owned(), word.clone()));
        }
        Some(word)
    });
    Some(Text { template: code(template.name), variables, body })
}

/// The code of a text, by the name of its file: codes are written as the names of events are.
fn code(name: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    name.split('-').map(capital).collect()
}

/// Replaces every `#{blank}` by its word, once: a word that looks like a blank (a course may be called
/// anything) is left as it is, and so is a blank without a word.
fn fill(text: &str, mut word: impl FnMut(&str) -> Option<String>) -> String {
    let mut filled = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("#{") {
        filled.push_str(before);
        match after.split_once('}') {
            Some((blank, after)) => {
                match word(blank) {
                    Some(word) => filled.push_str(&word),
                    None => filled.extend(["#{", blank, "}"]),
                }
                rest = after;
            }
            None => {
                filled.push_str("#{");
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}

/// The word for a blank; none where the event does not have what is asked for.
fn word(blank: &str, event: &Event, title: Option<&str>, language: Language) -> Option<String> {
    let applicant = event.applicant()?;
    match blank {
        "course" => Some(match (title, event) {
            (Some(title), _) => title.to_owned(),
            (None, Event::Ordered(ordered)) => ordered.course_title.clone(),
            (None, _) => in_words(
                language,
                format!("과정 {}", applicant.edu_no),
                format!("course {}", applicant.edu_no),
            ),
        }),
        "order" => Some(applicant.order_id.to_string()),
        "guests" => Some(people(applicant.guest, language)),
        "amount" => amount(event).map(|amount| money(amount, language)),
        "card" => Some(card(event, language)),
        "position" => Some(position(event, language)),
        "reason" => Some(reason(event, language)),
        _ => None,
    }
}

fn in_words(language: Language, korean: impl Into<String>, english: impl Into<String>) -> String {
    match language {
        Language::Ko => korean.into(),
        Language::En => english.into(),
    }
}

fn people(guests: Guests, language: Language) -> String {
    let en = if guests == Guests::ONE { "1 person".to_owned() } else { format!("{guests} people") };
    in_words(language, format!("{guests}명"), en)
}

fn money(amount: Won, language: Language) -> String {
    if amount.get() == 0 {
        return in_words(language, "무료", "free of charge");
    }
    in_words(language, format!("{amount}원"), format!("₩{amount}"))
}

fn amount(event: &Event) -> Option<Won> {
    match event {
        Event::Ordered(ordered) => Some(ordered.amount),
        Event::Paid(paid) => Some(paid.amount),
        Event::PaymentDeclined(declined) => Some(declined.amount),
        Event::PaymentCanceled(canceled) => Some(canceled.amount),
        _ => None,
    }
}

fn card(event: &Event, language: Language) -> String {
    let last4 = match event {
        Event::Paid(paid) => paid.card_last4.as_deref(),
        Event::PaymentDeclined(declined) => declined.card_last4.as_deref(),
        _ => None,
    };
    match last4 {
        Some(last4) => in_words(language, format!("카드(끝자리 {last4})"), format!("card ending in {last4}")),
        None => in_words(language, "카드", "card"),
    }
}

fn position(event: &Event, language: Language) -> String {
    match event {
        Event::Reserved(reserved) => match reserved.waiting_position {
            Some(position) => in_words(language, format!("{position}번"), format!("no. {position}")),
            None => in_words(language, "확인 중", "to be confirmed"),
        },
        _ => String::new(),
    }
}

fn reason(event: &Event, language: Language) -> String {
    match event {
        Event::OrderCanceled(canceled) => canceled_because(canceled.reason, language),
        Event::ReservationCanceled(canceled) => canceled_because(canceled.reason, language),
        Event::PaymentDeclined(declined) => as_told(&declined.reason, language),
        Event::ReservationRejected(rejected) => as_told(&rejected.reason, language),
        _ => String::new(),
    }
}

fn canceled_because(reason: CancelReason, language: Language) -> String {
    match reason {
        CancelReason::Customer => in_words(language, "고객님의 취소 요청", "you canceled it"),
        CancelReason::Expired => in_words(language, "결제 기한이 지남", "it was not paid in time"),
        CancelReason::ReservationRejected => {
            in_words(language, "수강이 확정되지 않음", "the seat could not be confirmed")
        }
        CancelReason::CourseCanceled => {
            in_words(language, "과정이 열리지 않음", "the course will not take place")
        }
    }
}

/// A reason that another context or the card company told: those with a fixed wording are said in the
/// customer's language, and somebody's own words are passed on as they are.
fn as_told(reason: &str, language: Language) -> String {
    match reason.trim() {
        "" => in_words(language, "알려진 사유 없음", "none was given"),
        "rejected-by-manager" => in_words(language, "교육 관리자의 결정", "the course manager decided so"),
        "unknown-course" => in_words(language, "없는 과정", "there is no such course"),
        "too-many-guests" => {
            in_words(language, "신청 인원이 정원보다 많음", "there are more of you than the course has seats")
        }
        "course-started" => in_words(language, "교육이 이미 시작됨", "the course has started"),
        "course-finished" => in_words(language, "교육이 이미 끝남", "the course is over"),
        "course-canceled" => canceled_because(CancelReason::CourseCanceled, language),
        "the card was declined by its issuer" => {
            in_words(language, "카드사에서 승인을 거절함", "the card was declined by its issuer")
        }
        told => told.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use std::collections::BTreeSet;

    fn body(event: &Event, title: Option<&str>) -> Option<String> {
        Some(text_about(event, title)?.body)
    }

    #[test]
    fn every_order_event_in_every_language_becomes_a_complete_message() {
        for language in Language::ALL {
            for event in samples::order_events(*language) {
                let body = body(&event, Some("Rust로 배우는 시스템 프로그래밍")).unwrap();
                assert!(!body.contains("#{"), "{} in {language} leaves a blank: {body}", event.name());
                assert!(body.contains("1113"), "{} in {language} does not name the order", event.name());
                assert!(body.contains("Rust로"), "{} in {language} does not name the course", event.name());
                assert!(body.lines().all(|line| line.trim_end() == line), "stray spaces in {body:?}");
                assert!(body.chars().count() <= 1000, "KakaoTalk takes at most 1000 characters");
            }
        }
    }

    /// All templates, as they are in their files.
    fn files() -> BTreeSet<String> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
    }

    #[test]
    fn every_template_is_used_by_some_event() {
        let events = samples::order_events(Language::Ko);
        let used = events.iter().filter_map(|event| Some(template(event)?.texts.to_owned()));
        assert_eq!(used.collect::<BTreeSet<_>>(), files());
    }

    #[test]
    fn both_languages_of_a_template_tell_the_same_facts() {
        let blanks = |text: &str| -> BTreeSet<String> {
            text.split("#{").skip(1).map(|rest| rest.split('}').next().unwrap().to_owned()).collect()
        };
        for template in files() {
            let [korean, english] = [Language::Ko, Language::En].map(|language| text(&template, language));
            assert_eq!(blanks(korean), blanks(english), "{english}");
            assert!(korean.starts_with("[수강] ") && english.starts_with("[Sugang] "));
        }
    }

    #[test]
    fn a_korean_message_reads_as_an_alimtalk() {
        let event = samples::paid(Language::Ko);
        assert_eq!(
            body(&event, Some("자바 입문")).unwrap(),
            "[수강] 결제가 완료되었습니다.\n\n\
             ■ 과정: 자바 입문\n\
             ■ 신청 번호: 1113\n\
             ■ 결제 금액: 1,250,000원\n\
             ■ 결제 수단: 카드(끝자리 1234)\n\n\
             다음은 자리 배정입니다. 결과가 나오는 대로 알려 드리겠습니다."
        );
    }

    /// What the text `code` says about order 1113 in a language.
    fn said(code: &str, language: Language) -> String {
        let mut texts =
            samples::order_events(language).into_iter().filter_map(|event| text_about(&event, None));
        texts.find(|text| text.template == code).unwrap().body
    }

    /// Whether the course is manual, automatic or full is not known before its seats are looked at.
    #[test]
    fn only_somebody_who_waits_for_the_manager_is_told_of_one() {
        let names_manager = |text: &str| {
            let [korean, english] = [Language::Ko, Language::En].map(|language| said(text, language));
            assert_eq!(korean.contains("관리자"), english.contains("manager"), "{text}");
            korean.contains("관리자")
        };
        assert!(names_manager("ReservationRequested"));
        for text in ["Ordered", "Paid", "PaidFree", "ReservationConfirmed", "Waitlisted"] {
            assert!(!names_manager(text), "{text}");
        }
    }

    #[test]
    fn each_text_ends_with_what_comes_next() {
        for (text, korean, english) in [
            (
                "Ordered",
                "자리가 정해질 때까지 진행 상황을 단계마다 알려 드리겠습니다.",
                "We will let you know about each step from here to your seat.",
            ),
            (
                "Paid",
                "다음은 자리 배정입니다. 결과가 나오는 대로 알려 드리겠습니다.",
                "Your seat is next. We will let you know as soon as it is decided.",
            ),
            (
                "PaidFree",
                "다음은 자리 배정입니다. 결과가 나오는 대로 알려 드리겠습니다.",
                "Your seat is next. We will let you know as soon as it is decided.",
            ),
            (
                "ReservationRequested",
                "교육 관리자가 확인하는 대로 확정 여부를 알려 드리겠습니다.",
                "The course manager will check your request, and we will let you know the outcome.",
            ),
            (
                "ReservationConfirmed",
                "교육이 시작되는 날 뵙겠습니다. 참석하기 어려우시면 시작 전에 신청 내역에서 취소해 주세요.",
                "We look forward to seeing you. If you cannot come, please cancel from your application before the course starts.",
            ),
            (
                "Waitlisted",
                "지금은 배정해 드릴 자리가 없어 대기자 명단에 올려 드렸습니다. 자리가 나면 순서대로 배정하고 알려 드립니다. \
                 교육이 시작될 때까지 자리가 나지 않으면 결제하신 금액은 모두 환불해 드립니다.",
                "There is no seat for you at the moment, so we have put you on the waiting list. Seats that become free are \
                 given in order, and we will let you know. If there is none by the time the course starts, anything you have \
                 paid will be refunded.",
            ),
        ] {
            for (language, ending) in [(Language::Ko, korean), (Language::En, english)] {
                let said = said(text, language);
                assert_eq!(said.lines().last(), Some(ending), "{text}");
            }
        }
    }

    #[test]
    fn an_amount_is_written_as_it_is_in_the_language() {
        assert!(said("Paid", Language::Ko).contains("결제 금액: 1,250,000원"));
        assert!(said("Paid", Language::En).contains("Paid: ₩1,250,000"));
        assert_eq!(money(Won::amount(0).unwrap(), Language::En), "free of charge");
    }

    #[test]
    fn the_waiting_position_and_the_reason_are_told() {
        let told = |name: &str, language| {
            samples::order_events(language)
                .iter()
                .filter(|event| event.name() == name)
                .filter_map(|event| body(event, None))
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert!(told("Reserved", Language::Ko).contains("대기 순번: 3번"));
        assert!(told("Reserved", Language::En).contains("Waiting position: no. 3"));
        assert!(told("OrderCanceled", Language::Ko).contains("사유: 결제 기한이 지남"));
        assert!(told("OrderCanceled", Language::En).contains("Reason: it was not paid in time"));
        assert!(told("ReservationRejected", Language::Ko).contains("사유: 선수 과목 미이수"));
    }

    #[test]
    fn a_reason_with_a_fixed_wording_is_said_in_the_customers_language() {
        assert_eq!(as_told("course-started", Language::Ko), "교육이 이미 시작됨");
        assert_eq!(as_told("course-started", Language::En), "the course has started");
        assert_eq!(as_told("선수 과목 미이수", Language::En), "선수 과목 미이수");
        assert_eq!(as_told(" ", Language::En), "none was given");
    }

    #[test]
    fn a_course_nobody_has_heard_of_is_named_by_its_number() {
        assert!(body(&samples::paid(Language::Ko), None).unwrap().contains("과정: 과정 101"));
        assert!(body(&samples::paid(Language::En), None).unwrap().contains("Course: course 101"));
    }

    #[test]
    fn a_title_that_looks_like_a_blank_is_not_filled_in() {
        let body = body(&samples::paid(Language::Ko), Some("#{order} #{")).unwrap();
        assert!(body.contains("과정: #{order} #{"));
    }

    #[test]
    fn nobody_is_written_to_about_a_course_alone() {
        assert_eq!(body(&samples::course_opened("자바 입문"), None), None);
    }

    #[test]
    fn no_customer_reads_a_reason_as_the_contexts_spell_it() {
        for reason in [
            "rejected-by-manager",
            "unknown-course",
            "too-many-guests",
            "course-started",
            "course-finished",
            "course-canceled",
        ] {
            for language in [Language::Ko, Language::En] {
                assert!(!as_told(reason, language).contains('-'), "{reason} in {language:?}");
            }
        }
        let declined = "the card was declined by its issuer";
        assert_ne!(as_told(declined, Language::Ko), declined);
    }

    #[test]
    fn a_text_is_told_with_its_code_and_the_words_in_its_blanks() {
        let told = text_about(&samples::paid(Language::Ko), Some("자바 입문")).unwrap();
        let words: Vec<_> = told.variables.iter().map(|(name, word)| format!("{name}={word}")).collect();
        assert_eq!(words, ["course=자바 입문", "order=1113", "amount=1,250,000원", "card=카드(끝자리 1234)"]);
        assert_eq!((&*told.template, &*code("paid-free")), ("Paid", "PaidFree"));
    }
}
