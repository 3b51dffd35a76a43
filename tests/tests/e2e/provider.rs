//! Signing in at an OpenID provider: as a program with its ID token, and on the pages by way of the provider and back, without a
//! script.

use serde_json::{Value, json};
use sugang_tests::provider::{Key, Provider};
use sugang_tests::{Answer, Sugang};

use crate::members::{ask, bearer, code, register, sign_in};

const PHONE: &str = "010-1234-5678";

fn verified(phone: &str) -> Value {
    json!({ "phone_number": phone, "phone_number_verified": true })
}

fn exchange(sugang: &Sugang, token: &str) -> Answer {
    ask(sugang, "POST", "/sessions", None, Some(&json!({ "idToken": token, "nonce": "n" })))
}

#[test]
fn an_id_token_is_exchanged_for_a_session_once_and_with_the_key_that_the_provider_has_now() {
    let provider = Provider::start(Key::rsa("first"));
    let sugang = Sugang::with(provider.system("oidc"));
    let newcomer = exchange(&sugang, &provider.token("7", "n", &json!({})));
    let newcomer = newcomer.expect_problem(403, "registration-required");
    let form = json!({
        "registrationToken": newcomer.text("/registrationToken"), "name": "홍길동",
        "consents": { "terms": true, "privacy": true, "age14": true },
    });
    let registered = ask(&sugang, "POST", "/members", None, Some(&form)).expect(201);
    ask(&sugang, "GET", "/orders", Some(&bearer(&registered)), None).expect(200);

    let token = provider.token("7", "n", &json!({ "jti": "once" }));
    let again = exchange(&sugang, &token).expect(201);
    assert_eq!(again.at("/member/customerId"), registered.at("/member/customerId"));
    exchange(&sugang, &token).expect_problem(401, "id-token-invalid");
    for (name, value) in
        [("aud", json!("other")), ("exp", json!(1)), ("nonce", json!("m")), ("iss", json!("x"))]
    {
        exchange(&sugang, &provider.token("7", "n", &json!({ name: value })))
            .expect_problem(401, "id-token-invalid");
    }

    // The provider changes its key; that it may be asked again is a minute after it was asked.
    let old = provider.token("7", "n", &json!({ "jti": "old" }));
    provider.change_key(Key::p256("second"));
    let new = || provider.token("7", "n", &json!({ "jti": "new" }));
    exchange(&sugang, &new()).expect_problem(401, "id-token-invalid");
    let earlier = "UPDATE provider_keys SET fetched_at = fetched_at - 60000";
    sugang.state().open("member").unwrap().run(earlier, &[]).unwrap();
    exchange(&sugang, &new()).expect(201);
    exchange(&sugang, &old).expect_problem(401, "id-token-invalid");

    // Codes let nobody in here.
    let asked = ask(&sugang, "POST", "/sign-in-codes", None, Some(&json!({ "phone": PHONE })));
    asked.expect_problem(422, "invalid-fields");
}

#[test]
fn a_provider_that_is_away_is_said_and_codes_let_people_in_meanwhile() {
    let provider = Provider::start(Key::p256("first"));
    let sugang = Sugang::with(provider.system("codes,oidc"));
    register(&sugang, PHONE, "홍길동");
    let token = provider.token("7", "n", &verified(PHONE));
    provider.set_away(true);
    let away = exchange(&sugang, &token).expect_problem(503, "provider-unavailable");
    assert!(!away.header("retry-after").is_empty());
    sign_in(&sugang, &code(&sugang, PHONE)).expect(201);
    let earlier = "UPDATE provider_keys SET failed_at = failed_at - 5000";
    sugang.state().open("member").unwrap().run(earlier, &[]).unwrap();
    provider.set_away(false);
    let linked = exchange(&sugang, &token).expect(201);
    assert_eq!(
        linked.at("/member/customerId"),
        json!(1),
        "the token was not used up, and the number is the member's"
    );
}

/// A browser without scripts: it has cookies, and goes where it is sent.
struct Browser<'a> {
    sugang: &'a Sugang,
    cookies: Vec<(String, String)>,
}

impl<'a> Browser<'a> {
    fn new(sugang: &'a Sugang) -> Self {
        Self { sugang, cookies: vec![("sugang-language".to_owned(), "en".to_owned())] }
    }

    fn ask(&mut self, method: &str, path: &str, form: Option<&str>) -> Answer {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self
            .sugang
            .request(method, path)
            .header("accept", "text/html")
            .header("cookie", cookies.join("; "));
        let request = match form {
            Some(_) => request
                .header("content-type", "application/x-www-form-urlencoded")
                .header("sec-fetch-site", "same-origin"),
            None => request.header("sec-fetch-site", "cross-site"),
        };
        let answer = self.sugang.send(request, form.map(str::to_owned));
        for set in answer.headers.get_all("set-cookie") {
            let (pair, rest) = set.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            assert!(rest.contains("HttpOnly") && rest.contains("SameSite=Lax"), "{rest}");
            self.cookies.retain(|(known, _)| known != name);
            if !rest.contains("Max-Age=0;") {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        answer
    }

    fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, None)
    }

    /// Begins to sign in, and says where at the provider that leads.
    #[track_caller]
    fn begin(&mut self) -> String {
        let answer = self.get("/sign-in/oidc").expect(303);
        answer.header("location").to_owned()
    }

    /// Comes back from the provider.
    fn come_back(&mut self, to: &str) -> Answer {
        let path =
            to.strip_prefix(&self.sugang.url("")).unwrap_or_else(|| panic!("{to} is elsewhere")).to_owned();
        self.get(&path)
    }

    fn is_signed_in(&self) -> bool {
        self.cookies.iter().any(|(name, _)| name == "sugang-access")
    }
}

#[test]
fn a_browser_without_scripts_goes_to_the_provider_and_back_and_is_signed_in() {
    let provider = Provider::start(Key::rsa("first"));
    let sugang = Sugang::with(provider.system("codes,oidc"));
    let mut browser = Browser::new(&sugang);
    let page = browser.get("/sign-in").expect(200);
    assert!(page.body.contains("Sign in with Testpass") && page.body.contains("name=\"phone\""));

    let back = provider.sign_in(&browser.begin(), "7", &verified(PHONE));
    let answer = browser.come_back(&back).expect(303);
    assert_eq!(answer.header("location"), "/register");
    let form = "name=Gildong&terms=1&privacy=1&age14=1";
    let registered = browser.ask("POST", "/register", Some(form)).expect(303);
    assert_eq!(registered.header("location"), "/my");
    assert!(browser.get("/account").expect(200).body.contains("Gildong"));
    browser.ask("POST", "/sign-out", Some("")).expect(303);
    assert!(!browser.is_signed_in());

    let back = provider.sign_in(&browser.begin(), "7", &json!({}));
    assert_eq!(browser.come_back(&back).expect(303).header("location"), "/my");
    assert!(browser.get("/account").expect(200).body.contains("Gildong"));
}

#[test]
fn what_a_browser_comes_back_with_counts_for_it_alone_and_once() {
    let provider = Provider::start(Key::p256("first"));
    let sugang = Sugang::with(provider.system("codes,oidc"));
    register(&sugang, PHONE, "홍길동");
    let refused = |browser: &mut Browser<'_>, to: &str| {
        let answer = browser.come_back(to).expect(422);
        // In Korean once a member was there whose language that is.
        let says = ["You were not signed in", "로그인이 취소되었거나 시간이 지났습니다"];
        assert!(says.iter().any(|says| answer.body.contains(says)) && answer.body.contains("name=\"phone\""));
        assert!(!browser.is_signed_in());
    };
    // Another's code and state, put into this browser: signing it in as somebody else.
    let (mut victim, mut other) = (Browser::new(&sugang), Browser::new(&sugang));
    let stolen = provider.sign_in(&other.begin(), "8", &verified(PHONE));
    refused(&mut victim, &stolen);
    victim.begin();
    refused(&mut victim, &stolen);
    // Another's code with one's own state: the code is bound to the other's verifier.
    let own = provider.sign_in(&victim.begin(), "9", &json!({}));
    let state = own.split_once("state=").unwrap().1;
    let (to, _) = stolen.split_once("state=").unwrap();
    refused(&mut victim, &format!("{to}state={state}"));
    // Used up by that, as the code was; and so is the attempt.
    let again = provider.sign_in(&other.begin(), "8", &verified(PHONE));
    other.come_back(&again).expect(303);
    assert!(other.is_signed_in());
    other.ask("POST", "/sign-out", Some("")).expect(303);
    refused(&mut other, &again);
    // Whoever says no at the provider.
    let location = other.begin();
    let state = location.split_once("state=").unwrap().1.split('&').next().unwrap().to_owned();
    refused(&mut other, &sugang.url(&format!("/sign-in/oidc/callback?error=access_denied&state={state}")));
}

#[test]
fn the_pages_say_that_the_provider_is_away_and_let_people_in_with_a_code() {
    let provider = Provider::start(Key::p256("first"));
    let sugang = Sugang::with(provider.system("codes,oidc"));
    let mut browser = Browser::new(&sugang);
    let back = provider.sign_in(&browser.begin(), "7", &json!({}));
    provider.set_away(true);
    let away = browser.come_back(&back).expect(503);
    assert!(away.body.contains("The provider does not answer") && away.body.contains("name=\"phone\""));
    assert!(!away.header("retry-after").is_empty() && !browser.is_signed_in());
    assert_eq!(
        browser.ask("POST", "/sign-in", Some("phone=010-1234-5678")).expect(303).header("location"),
        "/sign-in/code"
    );
}

#[test]
fn where_there_is_no_provider_there_is_no_way_to_one() {
    let sugang = Sugang::with(sugang_tests::Options::new().members());
    let mut browser = Browser::new(&sugang);
    assert!(!browser.get("/sign-in").expect(200).body.contains("/sign-in/oidc"));
    for path in ["/sign-in/oidc", "/sign-in/oidc/callback?code=x&state=y"] {
        browser.get(path).expect(404);
    }
    exchange(&sugang, "x").expect_problem(422, "invalid-fields");
}
