//! Every page that needs nothing to have happened, in both languages, light and dark, from narrow to wide.

use crate::{browse, open};
use sugang_tests::browser::Size;

const PAGES: [(&str, &str); 15] = [
    ("catalogue-all", "/?status=all"),
    ("catalogue-empty", "/?q=%EC%97%86%EB%8A%94%EA%B3%BC%EC%A0%95"),
    ("course", "/apply/102"),
    ("apply", "/apply/102/form"),
    ("apply-free", "/apply/105/form"),
    ("mine-empty", "/my"),
    ("sign-in", "/sign-in"),
    ("manage", "/manage"),
    ("manage-course", "/manage/102"),
    ("manage-roster-empty", "/manage/102/roster"),
    ("operate", "/operate"),
    ("dead-letters-none", "/operate/dead-letters"),
    ("terms", "/terms"),
    ("privacy", "/privacy"),
    ("refunds", "/refunds"),
];

fn look(size: Size, name: &str) {
    let system = open();
    let browser = browse(&system);
    browser.resize(size);
    for dark in [false, true] {
        browser.prefer_dark(dark);
        for language in ["ko", "en"] {
            browser.speak(language);
            for (page, path) in PAGES {
                browser.go(path);
                let shade = if dark { "dark" } else { "light" };
                browser.check(&format!("{page}-{language}-{shade}-{name}"));
                assert_eq!(browser.attribute("html", "lang").as_deref(), Some(language), "{path}");
            }
        }
    }
}

#[test]
fn every_page_is_accessible_on_the_narrowest_window() {
    look(Size::Narrow, "narrow");
}

#[test]
fn every_page_is_accessible_on_a_telephone() {
    look(Size::Phone, "phone");
}

#[test]
fn every_page_is_accessible_on_a_wide_screen() {
    look(Size::Desktop, "desktop");
}

#[test]
fn a_language_is_chosen_by_the_one_button_on_every_page_and_kept() {
    let system = open();
    let browser = browse(&system);
    browser.speak("ko");
    browser.go("/apply/101?x=1");
    let is_in = |language: &str| {
        sugang_tests::eventually(|| browser.attribute("html", "lang"), Some(language.to_owned()));
    };
    browser.click("English");
    is_in("en");
    assert_eq!(browser.path(), "/apply/101?x=1");
    browser.go("/terms");
    browser.click("한국어");
    is_in("ko");
    assert_eq!(browser.path(), "/terms");
}
