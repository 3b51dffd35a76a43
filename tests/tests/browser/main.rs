//! The pages, in a real browser, against a whole system: what people do there, from end to end, and what every page keeps to.
//!
//! One program, so that the host is linked once; every test has a system and browsers of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of it is tests"
)]

mod applying;
mod budgets;
mod managing;
mod members;
mod outages;
mod pages;

use sugang_tests::browser::{Browser, Size};
use sugang_tests::{Options, Sugang};

/// A system in which nobody is asked who they are.
fn open() -> Sugang {
    Sugang::with(options())
}

fn options() -> Options {
    Options::new().variable("access", "open").variable("business_name", "수강에듀")
}

fn browse(system: &Sugang) -> Browser {
    Browser::open(&system.url(""))
}

/// What a story is told in: the words on what is clicked, and the size of the window.
struct Told {
    language: &'static str,
    size: Size,
    apply: &'static str,
    pay_and_apply: &'static str,
    confirmed: &'static str,
    declined: &'static str,
    pay: &'static str,
    requested: &'static str,
    waiting: &'static str,
    cancel: &'static str,
    yes_cancel: &'static str,
    given_back: &'static str,
    rejected: &'static str,
    course_canceled: &'static str,
}

/// In Korean on a telephone, and in English on a wide screen.
const TOLD: [Told; 2] = [
    Told {
        language: "ko",
        size: Size::Phone,
        apply: "신청하기",
        pay_and_apply: "결제하고 신청하기",
        confirmed: "수강이 확정되었습니다",
        declined: "카드가 거절되었습니다",
        pay: "결제하기",
        requested: "담당자 확인을 기다리고 있습니다",
        waiting: "대기 순번은 1번입니다",
        cancel: "신청 취소하기",
        yes_cancel: "취소합니다",
        given_back: "결제하신 금액은 전액 환불되었습니다",
        rejected: "신청이 받아들여지지 않았습니다",
        course_canceled: "과정이 폐강되었습니다",
    },
    Told {
        language: "en",
        size: Size::Desktop,
        apply: "Apply",
        pay_and_apply: "Pay and apply",
        confirmed: "Your seat is confirmed",
        declined: "Your card was declined",
        pay: "Pay",
        requested: "Waiting for the manager",
        waiting: "number 1 on the waiting list",
        cancel: "Cancel this application",
        yes_cancel: "Yes, cancel it",
        given_back: "Your payment was refunded in full",
        rejected: "Application not accepted",
        course_canceled: "The course was canceled",
    },
];

impl Told {
    /// A window in which it is told.
    fn browse(&self, system: &Sugang) -> Browser {
        let browser = browse(system);
        browser.resize(self.size);
        browser.speak(self.language);
        browser
    }

    /// Applies for a course by its form, and gives back the path of the order's page.
    fn apply(&self, browser: &Browser, course: u64, people: &str, card: &str) -> String {
        browser.go(&format!("/apply/{course}/form"));
        browser.select("guest", people);
        browser.fill("cardNo", card);
        browser.click_on("#agree");
        browser.click(self.pay_and_apply);
        let path = browser.wait_at("/my/");
        path.split('?').next().unwrap_or_default().to_owned()
    }

    fn picture(&self, of: &str) -> String {
        format!("{of}-{}", self.language)
    }
}
