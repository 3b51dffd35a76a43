//! What members do, where everybody is asked who they are: signing in by a code, their own pages, leaving; and what guests do there.

use crate::{TOLD, options};
use sugang_tests::browser::Browser;
use sugang_tests::{Api, Sugang, members};

const PHONE: &str = "010-1234-5678";
const MANAGER: &str = "010-9999-0001";

fn system() -> Sugang {
    Sugang::with(options().variable("managers", "01099990001").members())
}

/// The newest code that was sent, from the sandbox's inbox.
fn code(system: &Sugang, phone: &str) -> String {
    let operator = members::member(9000, &[kernel::Role::Customer, kernel::Role::Operator]);
    let digits = phone.replace('-', "");
    sugang_tests::until("a code", || {
        let inbox = Api::new(system.address());
        let inbox =
            inbox.send(inbox.request("GET", "/members/inbox").header("authorization", &operator), None);
        let messages = inbox.items("messages");
        let newest =
            messages.iter().find(|message| message["to"].as_str().unwrap().ends_with(&digits[1..]))?;
        let body = newest["body"].as_str()?;
        body.split(|letter: char| !letter.is_ascii_digit()).find(|word| word.len() == 6).map(str::to_owned)
    })
}

/// Registers in Korean.
fn register(system: &Sugang, browser: &Browser, phone: &str, name: &str) {
    browser.go("/sign-in");
    browser.fill("phone", phone);
    browser.click("인증번호 받기");
    browser.wait_for("인증번호를 보냈습니다");
    browser.fill("code", &code(system, phone));
    browser.click("계속하기");
    browser.wait_for("번호를 확인했습니다");
    browser.fill("name", name);
    for consent in ["#terms", "#privacy", "#age14"] {
        browser.click_on(consent);
    }
    browser.click("가입하기");
    browser.wait_for("신청하신 과정이 없습니다");
}

#[test]
fn somebody_registers_applies_looks_after_themselves_and_leaves() {
    let system = system();
    let told = &TOLD[0];
    let browser = told.browse(&system);
    browser.go("/sign-in");
    browser.fill("phone", "12");
    browser.click("인증번호 받기");
    browser.wait_for("휴대전화 번호를 010-1234-5678과 같이");
    browser.check("sign-in-wrong-ko");
    browser.fill("phone", PHONE);
    browser.click("인증번호 받기");
    browser.wait_for("010-1234-5678");
    browser.check("code-ko");
    browser.fill("code", "000000");
    browser.click("계속하기");
    browser.wait_for("인증번호가 맞지 않거나 만료되었습니다");
    browser.check("code-wrong-ko");
    browser.fill("code", &code(&system, PHONE));
    browser.click("계속하기");
    browser.wait_for("번호를 확인했습니다");
    browser.check("register-ko");
    browser.fill("name", "홍길동 <b>");
    for consent in ["#terms", "#privacy", "#age14"] {
        browser.click_on(consent);
    }
    browser.click("가입하기");
    browser.wait_for("신청하신 과정이 없습니다");

    told.apply(&browser, 101, "1", "1234");
    browser.wait_for(told.confirmed);
    browser.go("/my");
    browser.wait_for(told.confirmed);
    browser.check("mine-member-ko");

    browser.go("/account");
    assert_eq!(browser.attribute("#name", "value").as_deref(), Some("홍길동 <b>"));
    browser.check("account-ko");
    browser.fill("name", "홍길순");
    browser.click_on("#en");
    browser.click("저장");
    browser.wait_for("Saved.");
    browser.check("account-en");
    browser.go("/account/sessions");
    browser.wait_for("this device");
    browser.check("sessions-en");
    browser.go("/account/phone");
    browser.check("phone-en");

    // All that is kept, as one file.
    let data = browser.run_async(
        "const done = arguments[0]; fetch('/account/data.json').then((it) => it.json()).then(done)",
    );
    assert_eq!(data["orders"].as_array().map(Vec::len), Some(1), "{data}");
    assert_eq!(data["notAvailableNow"], serde_json::json!([]), "{data}");

    browser.go("/account/erase");
    browser.check("erase-en");
    browser.click_on("#sure");
    browser.click("Yes, close it");
    browser.wait_for("Your account is closed");
    browser.go("/account");
    assert_eq!(browser.path(), "/sign-in");
}

#[test]
fn an_access_token_that_has_gone_is_renewed_and_signing_out_ends_it() {
    let system = system();
    let browser = TOLD[0].browse(&system);
    register(&system, &browser, PHONE, "홍길동");
    browser.drop_cookie("sugang-access");
    browser.go("/account");
    assert_eq!(browser.path(), "/account");
    browser.click("로그아웃");
    sugang_tests::until("the session to have ended", || {
        browser.go("/account");
        (browser.path() == "/sign-in").then_some(())
    });
}

#[test]
fn a_guest_has_a_key_and_finds_the_order_by_it_and_nobody_else_does() {
    let system = system();
    let told = &TOLD[0];
    let guest = told.browse(&system);
    let order = told.apply(&guest, 101, "1", "1234");
    // The status is followed with the key that the browser has.
    guest.wait_for(told.confirmed);
    let key = guest.text_of(".key code").unwrap();
    assert!(key.starts_with(&format!("{}.", order.trim_start_matches("/my/"))), "{key}");
    guest.go(&format!("{order}/receipt"));
    guest.wait_for("120,000");

    let other = told.browse(&system);
    other.go(&order);
    other.wait_for("로그인이 필요합니다");
    other.check("sign-in-needed-ko");
    other.go("/my");
    other.fill("order", &key);
    other.click("찾기");
    other.wait_for(told.confirmed);
    assert_eq!(other.path(), order);
}

#[test]
fn a_manager_sees_their_own_courses_and_an_applicant_none() {
    let system = system();
    let (manager, applicant) = (TOLD[0].browse(&system), TOLD[0].browse(&system));
    register(&system, &manager, MANAGER, "담당자");
    register(&system, &applicant, PHONE, "신청자");
    applicant.go("/manage");
    applicant.wait_for("볼 수 있는 권한이 없습니다");
    applicant.check("forbidden-ko");
    assert!(!applicant.text_of(".menu").unwrap().contains("과정 관리"));

    manager.go("/manage");
    manager.wait_for("맡고 계신 과정이 없습니다");
    manager.check("manage-none-ko");
    manager.go("/manage/new");
    manager.fill("title", "나의 과정");
    manager.fill("fee", "1000");
    manager.choose("startsAt", "2030-01-01T10:00");
    manager.choose("endsAt", "2030-01-02T18:00");
    manager.click_on("#manual");
    manager.click_on("main form button");
    manager.wait_for("확인할 신청이 없습니다");
    let course: u64 = manager.path().rsplit('/').next().unwrap().parse().unwrap();

    let told = &TOLD[0];
    sugang_tests::until("order to know the course", || {
        applicant.go(&format!("/apply/{course}/form"));
        applicant.fill("cardNo", "1234");
        applicant.click_on("#agree");
        applicant.click(told.pay_and_apply);
        applicant.path().starts_with("/my/").then_some(())
    });
    applicant.wait_for(told.requested);
    sugang_tests::until("the application on the manager's page", || {
        let boxes = manager.run("return document.querySelectorAll('input[name=orderId]').length", &[]);
        (boxes == 1).then_some(())
    });
    manager.wait_for("신청자");
    manager.click_on("input[name=orderId]");
    manager.click("선택한 신청 확정");
    applicant.wait_for(told.confirmed);
}
