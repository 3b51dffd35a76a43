//! What course managers do, and how fast applicants see it.

use crate::{TOLD, open};
use std::time::{Duration, Instant};
use sugang_tests::browser::Size;

#[test]
fn a_manager_opens_a_course_confirms_a_batch_and_cancels_the_course() {
    let system = open();
    let words = [
        (
            "과정 열기",
            "선택한 신청 확정",
            "처리했습니다",
            "폐강",
            "폐강합니다",
            "신청 2건(3명)이 모두 취소됩니다",
        ),
        (
            "Open the course",
            "Confirm selected",
            "2 applications were handled",
            "Cancel the course",
            "Yes, cancel the course",
            "All 2 applications (3 people)",
        ),
    ];
    for (told, (open_it, confirm, decided, cancel, yes_cancel, consequence)) in TOLD.iter().zip(words) {
        let (manager, applicant) = (told.browse(&system), told.browse(&system));
        manager.go("/manage/new");
        manager.check(&told.picture("manage-new"));
        manager.fill("title", "직접 만든 과정");
        manager.fill("capacity", "10");
        manager.fill("fee", "30000");
        manager.choose("startsAt", "2030-01-01T10:00");
        manager.choose("endsAt", "2030-01-02T18:00");
        manager.click_on("#manual");
        manager.click_on("main form button");
        manager.wait_for("직접 만든 과정");
        assert!(!manager.text().contains(open_it), "{}", manager.text());
        let course: u64 = manager.path().rsplit('/').next().unwrap().parse().unwrap();

        sugang_tests::until("order to know the course", || {
            let order = serde_json::json!({ "eduNo": course, "guest": 1, "cardNo": "1234" });
            (system.post("/orders", &order).status == 201).then_some(())
        });
        let order = told.apply(&applicant, course, "2", "1234");
        applicant.wait_for(told.requested);
        applicant.check(&told.picture("order-requested"));

        // They come in by themselves.
        sugang_tests::until("two applications on the manager's page", || {
            let boxes = manager.run("return document.querySelectorAll('input[name=orderId]').length", &[]);
            (boxes == 2).then_some(())
        });
        manager.check(&told.picture("manage-course"));
        manager.click_on("[data-every]");
        manager.click(confirm);
        let confirmed_at = Instant::now();
        applicant.wait_for(told.confirmed);
        let took = confirmed_at.elapsed();
        assert!(took < Duration::from_secs(3), "the applicant saw it after {took:?}");
        manager.wait_for(decided);
        manager.go(&format!("/manage/{course}/roster"));
        manager.check(&told.picture("manage-roster"));
        assert_eq!(manager.run("return document.querySelectorAll('tbody tr').length", &[]), 2);

        manager.go(&format!("/manage/{course}"));
        manager.click(cancel);
        manager.wait_for(consequence);
        manager.wait_for("90,000");
        manager.check(&told.picture("manage-cancel"));
        manager.click(yes_cancel);
        applicant.wait_for(told.course_canceled);
        applicant.wait_for(told.given_back);
        applicant.check(&told.picture("order-course-canceled"));
        assert!(applicant.path().starts_with(&order));
    }
}

#[test]
fn an_application_that_is_rejected_is_given_back_while_the_applicant_looks() {
    let system = open();
    let told = &TOLD[1];
    let (manager, applicant) = (told.browse(&system), told.browse(&system));
    told.apply(&applicant, 102, "1", "1234");
    applicant.wait_for(told.requested);
    manager.go("/manage/102");
    manager.click("Reject selected");
    manager.wait_for("No application was selected");
    manager.click_on("input[name=orderId]");
    manager.click("Reject selected");
    applicant.wait_for(told.rejected);
    applicant.wait_for(told.given_back);
}

#[test]
fn a_course_is_changed_started_and_finished() {
    let system = open();
    let told = &TOLD[0];
    let manager = told.browse(&system);
    manager.go("/manage");
    manager.check("manage-ko");
    manager.go("/manage/105/edit");
    manager.check("manage-edit-ko");
    manager.fill("title", "새 이름");
    manager.click("저장");
    manager.wait_for("새 이름");
    // A smaller course than it has seats taken is refused beside the form.
    manager.go("/manage/105/edit");
    manager.choose("endsAt", "2020-01-01T00:00");
    manager.click("저장");
    manager.wait_for("종료 일시는 시작 일시보다 늦어야 합니다");
    manager.resize(Size::Narrow);
    manager.check("manage-edit-wrong-ko");
    manager.go("/manage/105");
    manager.click("과정 시작");
    manager.check("manage-start-ko");
    manager.click("시작합니다");
    manager.wait_for("진행 중");
    manager.click("과정 마치기");
    manager.click("마칩니다");
    manager.wait_for("종료");
}

#[test]
fn an_operator_sees_what_could_not_be_handled_and_has_it_handled_again_or_drops_it() {
    let system = open();
    let words = [
        ("처리하지 못한 이벤트 1건 보기", "다시 처리", "이 이벤트를 버립니다", "버렸습니다"),
        ("See what could not be handled: 1", "Handle again", "Drop this event", "It was dropped"),
    ];
    for (told, (see, again, yes_drop, dropped)) in TOLD.iter().zip(words) {
        let operator = told.browse(&system);
        operator.go("/operate");
        system.ground().hand_rubbish_to("order").unwrap();
        // It comes by itself.
        operator.wait_for(see);
        operator.check(&told.picture("operate-dead-letter"));
        operator.click(see);
        operator.wait_for(again);
        operator.check(&told.picture("dead-letters"));
        operator.click_on("summary");
        operator.click(yes_drop);
        operator.wait_for(dropped);
        operator.check(&told.picture("dead-letters-none"));
    }
}
