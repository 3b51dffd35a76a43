//! What applicants do.

use crate::{TOLD, browse, open};
use sugang_tests::browser::Size;

#[test]
fn somebody_finds_a_course_applies_pays_and_has_a_seat() {
    let system = open();
    for told in &TOLD {
        let browser = told.browse(&system);
        browser.go("/");
        browser.check(&told.picture("catalogue"));
        browser.fill("q", "소유권");
        browser.press("\u{e007}");
        browser.wait_for("러스트 입문");
        browser.click("러스트 입문: 소유권부터 비동기까지");
        browser.check(&told.picture("course"));
        browser.click(told.apply);
        browser.check(&told.picture("apply"));
        browser.select("guest", "2");
        browser.fill("cardNo", "4000 0000 0000 1234");
        assert_eq!(browser.text_of("[data-total-value]").map(|sum| sum.contains("240,000")), Some(true));
        browser.click_on("#agree");
        browser.click(told.pay_and_apply);
        browser.wait_for(told.confirmed);
        browser.check(&told.picture("order-confirmed"));
        // It is in the list of this browser, with its papers.
        let order = browser.path();
        let order = order.split('?').next().unwrap();
        browser.go(&format!("{order}/receipt"));
        browser.wait_for("240,000");
        assert_eq!(
            browser.text_of(".paper").map(|paper| paper.contains("수강에듀")),
            Some(true),
            "who issued it"
        );
        browser.check(&told.picture("receipt"));
        sugang_tests::until("a message with the amount", || {
            browser.go(&format!("{order}/messages"));
            browser.text().contains("240,000").then_some(())
        });
        browser.check(&told.picture("messages"));
        browser.go("/my");
        browser.wait_for(told.confirmed);
        browser.check(&told.picture("mine"));
    }
}

#[test]
fn a_form_says_what_is_wrong_beside_the_field_and_keeps_what_was_typed() {
    let system = open();
    let mut browser = browse(&system);
    browser.without_scripts();
    browser.go("/apply/101/form");
    browser.select("guest", "7");
    let chosen = browser.text_of("#guest option:checked");
    assert_eq!(chosen.as_deref(), Some("7명: 840,000원"), "the sum is said before anything is paid");
    browser.fill("cardNo", "1");
    browser.click_on("#agree");
    browser.click("결제하고 신청하기");
    let invalid = || browser.attribute("#cardNo", "aria-invalid");
    sugang_tests::until("the form with what is wrong", || invalid().filter(|invalid| invalid == "true"));
    assert_eq!(browser.path(), "/apply/101/form");
    assert_eq!(browser.attribute("#guest option[selected]", "value").as_deref(), Some("7"));
    let named = browser.attribute("#cardNo", "aria-describedby").unwrap();
    assert!(named.contains("card-wrong"), "{named}");
    assert_eq!(browser.attribute("#cardNo", "value"), None, "a card number is in no page");
    let link = browser.attribute("#wrong a", "href").unwrap();
    assert!(link.ends_with("#cardNo"), "what is wrong leads to its field, and not to {link}");
    // Another language is that of the same form.
    browser.click("English");
    sugang_tests::eventually(|| browser.attribute("html", "lang"), Some("en".to_owned()));
    assert_eq!(browser.path(), "/apply/101/form");
}

#[test]
fn a_declined_card_is_followed_by_another() {
    let system = open();
    for told in &TOLD {
        let browser = told.browse(&system);
        told.apply(&browser, 101, "1", "4000000000000002");
        browser.wait_for(told.declined);
        browser.check(&told.picture("order-declined"));
        browser.fill("cardNo", "1234");
        browser.click(told.pay);
        browser.wait_for(told.confirmed);
    }
}

#[test]
fn what_was_never_paid_is_canceled_without_a_word_of_a_seat_or_a_refund() {
    let system = open();
    let told = &TOLD[0];
    let browser = told.browse(&system);
    told.apply(&browser, 101, "1", "4000000000000002");
    browser.wait_for(told.declined);
    browser.click(told.cancel);
    browser.click(told.yes_cancel);
    // The view knows it a moment later, and nobody reloads the page.
    let history = || browser.text_of(".history").unwrap_or_default();
    sugang_tests::until("the end of the history", || {
        history().contains("신청이 취소되었습니다").then_some(())
    });
    assert!(!history().contains("환불") && !history().contains("자리"), "{}", history());
    assert_eq!(browser.run("return document.querySelectorAll('.steps').length", &[]), 0);
    browser.wait_for("요청하신 대로 신청을 취소했습니다.");
    browser.check("order-canceled-unpaid");
}

#[test]
fn whoever_waits_moves_up_on_a_page_that_nobody_reloads() {
    let system = open();
    let told = &TOLD[0];
    let (first, second) = (told.browse(&system), told.browse(&system));
    let order = told.apply(&first, 103, "2", "1234");
    first.wait_for(told.confirmed);
    told.apply(&second, 103, "1", "1234");
    second.wait_for(told.waiting);
    second.check(&told.picture("order-waiting"));
    // What canceling does is said before it is done.
    first.go(&order);
    first.click(told.cancel);
    first.wait_for("160,000원을 모두 돌려 드립니다");
    first.check(&told.picture("cancel"));
    first.click(told.yes_cancel);
    first.wait_for(told.given_back);
    first.check(&told.picture("order-canceled"));
    second.wait_for(told.confirmed);
}

#[test]
fn all_of_it_can_be_done_without_a_script() {
    let system = open();
    for told in &TOLD {
        let mut browser = told.browse(&system);
        browser.without_scripts();
        let order = told.apply(&browser, 101, "1", "4000000000000002");
        browser.wait_for(told.declined);
        browser.fill("cardNo", "1234");
        browser.click(told.pay);
        sugang_tests::until("the seat to be confirmed", || {
            browser.go(&order);
            browser.text().contains(told.confirmed).then_some(())
        });
        browser.click(told.cancel);
        browser.click(told.yes_cancel);
        sugang_tests::until("the money to be given back", || {
            browser.go(&order);
            browser.text().contains(told.given_back).then_some(())
        });
    }
}

#[test]
fn a_guest_finds_an_order_on_another_device() {
    let system = open();
    let told = &TOLD[0];
    let order = told.apply(&told.browse(&system), 101, "1", "1234").replace("/my/", "");
    let other = told.browse(&system);
    other.go("/my");
    other.fill("order", "1");
    other.click("찾기");
    other.wait_for("찾을 수 없습니다");
    other.check("mine-not-found");
    other.fill("order", &order);
    other.click("찾기");
    other.wait_at(&format!("/my/{order}"));
}

#[test]
fn the_keyboard_alone_is_enough_to_apply() {
    let system = open();
    let browser = browse(&system);
    browser.resize(Size::Desktop);
    browser.go("/apply/101/form");
    // From link to field, as far as the number of people.
    let focused = || browser.run("return document.activeElement.id", &[]);
    for _ in 0..40 {
        browser.press("\u{e004}");
        if focused() == "guest" {
            break;
        }
    }
    assert_eq!(focused(), "guest");
    browser.press("\u{e004}");
    browser.press("1234");
    browser.press("\u{e004}");
    browser.press(" ");
    browser.press("\u{e007}");
    browser.wait_for("수강이 확정되었습니다");
}

#[test]
fn what_people_typed_is_shown_as_they_typed_it_and_runs_nowhere() {
    let system = open();
    let title = r#"<img src=x onerror=alert(1)> "따옴표" & </title><script>alert(2)</script>"#;
    let course = serde_json::json!({ "title": title, "capacity": 3, "fee": 1000, "approval": "automatic",
        "startsAt": "2030-01-01T10:00:00+09:00", "endsAt": "2030-01-01T12:00:00+09:00" });
    let opened = system.post("/courses", &course);
    let course = opened.json()["eduNo"].as_u64().unwrap();
    let told = &TOLD[0];
    let browser = told.browse(&system);
    browser.go("/?q=onerror");
    assert!(browser.text().contains(title));
    browser.check("markup-catalogue");
    browser.go(&format!("/apply/{course}"));
    assert!(browser.text().contains(title));
    sugang_tests::until("order to know the course", || {
        browser.go(&format!("/apply/{course}/form"));
        browser.fill("cardNo", "1234");
        browser.click_on("#agree");
        browser.click(told.pay_and_apply);
        browser.path().starts_with("/my/").then_some(())
    });
    browser.wait_for(told.confirmed);
    let order = browser.path().split('?').next().unwrap().to_owned();
    for page in [
        order.clone(),
        format!("{order}/receipt"),
        format!("/manage/{course}"),
        format!("/manage/{course}/roster"),
    ] {
        browser.go(&page);
        assert!(browser.text().contains(title), "{page}: {}", browser.text());
    }
    sugang_tests::until("a message with the title", || {
        browser.go(&format!("{order}/messages"));
        browser.text().contains(title).then_some(())
    });
    assert!(browser.run("return document.querySelectorAll('main img, main script').length", &[]) == 0);
    let calendar = system.get(&format!("{order}/calendar.ics"));
    let calendar = calendar.body.replace("\r\n ", "");
    assert_eq!(calendar.matches("SUMMARY:").count(), 1, "{calendar}");
}
