//! People: registering and signing in with a code, what they may, and that nothing is left of whoever is erased.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use kernel::Role::{Customer, Operator};
use serde_json::{Value, json};
use sugang_tests::members::member;
use sugang_tests::orders::{AUTOMATIC, GOOD_CARD};
use sugang_tests::{Answer, Options, Sugang, eventually, until, within};

const PHONE: &str = "010-1234-5678";
const AS_KEPT: &str = "+821012345678";
const NAME: &str = "홍길동말소";
const EMAIL: &str = "gildong.erased@example.com";

/// One request as somebody, or as nobody.
#[track_caller]
pub(super) fn ask(
    sugang: &Sugang,
    method: &str,
    path: &str,
    who: Option<&str>,
    body: Option<&Value>,
) -> Answer {
    let request = sugang.json(method, path);
    let request = match who {
        Some(who) => request.header("authorization", who),
        None => request,
    };
    sugang.send(request, body.map(Value::to_string))
}

fn operator() -> String {
    member(9_000, &[Customer, Operator])
}

/// A code, and the token that it counts with.
#[derive(Clone)]
pub(super) struct Code {
    token: String,
    code: String,
}

impl Code {
    /// With another code.
    pub(super) fn wrong(&self) -> Self {
        let code = if self.code == "000000" { "000001" } else { "000000" };
        Self { code: code.to_owned(), ..self.clone() }
    }
}

/// Asks for a code, as after a while where one was asked for already, and reads it from the sandbox's inbox.
#[track_caller]
pub(super) fn code(sugang: &Sugang, phone: &str) -> Code {
    let wanted = json!({ "phone": phone });
    let asked = || ask(sugang, "POST", "/sign-in-codes", None, Some(&wanted));
    let mut answer = asked();
    if answer.status == 429 {
        let earlier = "UPDATE codes SET made_at = made_at - 60001";
        sugang.state().open("member").unwrap().run(earlier, &[]).unwrap();
        answer = asked();
    }
    let token = answer.expect(202).text("/codeToken");
    let inbox = ask(sugang, "GET", "/members/inbox", Some(&operator()), None).expect(200);
    let digits = phone.replace('-', "");
    let newest = inbox
        .items("messages")
        .into_iter()
        .find(|message| message["to"].as_str().unwrap().ends_with(&digits[1..]));
    let body = newest.unwrap()["body"].as_str().unwrap().to_owned();
    let code = body.split(|letter: char| !letter.is_ascii_digit()).find(|word| word.len() == 6);
    Code { token, code: code.unwrap().to_owned() }
}

pub(super) fn sign_in(sugang: &Sugang, Code { token, code }: &Code) -> Answer {
    ask(sugang, "POST", "/sessions", None, Some(&json!({ "codeToken": token, "code": code })))
}

#[track_caller]
pub(super) fn register(sugang: &Sugang, phone: &str, name: &str) -> Answer {
    let code = code(sugang, phone);
    let unknown = sign_in(sugang, &code).expect_problem(403, "registration-required");
    let newcomer = json!({
        "registrationToken": unknown.text("/registrationToken"), "name": name, "email": EMAIL,
        "consents": { "terms": true, "privacy": true, "age14": true },
    });
    ask(sugang, "POST", "/members", None, Some(&newcomer)).expect(201)
}

pub(super) fn bearer(signed_in: &Answer) -> String {
    format!("Bearer {}", signed_in.text("/accessToken"))
}

fn system() -> Sugang {
    Sugang::with(Options::new().members())
}

#[test]
fn somebody_registers_signs_in_again_and_is_signed_out_everywhere_at_once() {
    let sugang = system();
    let first = register(&sugang, PHONE, NAME);
    let who = bearer(&first);
    ask(&sugang, "GET", "/orders", Some(&who), None).expect(200);
    let code = code(&sugang, PHONE);
    let again = sign_in(&sugang, &code).expect(201);
    assert_eq!(again.at("/member/customerId"), first.at("/member/customerId"));
    sign_in(&sugang, &code).expect_problem(401, "code-wrong");
    ask(&sugang, "DELETE", "/sessions/current", Some(&who), None).expect(204);
    ask(&sugang, "GET", "/orders", Some(&who), None).expect(401);
    ask(&sugang, "GET", "/orders", Some(&bearer(&again)), None).expect(200);
}

#[test]
fn wrong_codes_are_one_problem_and_after_five_the_right_one_counts_no_more() {
    let sugang = system();
    let right = code(&sugang, PHONE);
    for _ in 0..5 {
        sign_in(&sugang, &right.wrong()).expect_problem(401, "code-wrong");
    }
    sign_in(&sugang, &right).expect_problem(401, "code-wrong");
    sign_in(&sugang, &Code { token: "none".to_owned(), ..right }).expect_problem(401, "code-wrong");
    let too_soon = ask(&sugang, "POST", "/sign-in-codes", None, Some(&json!({ "phone": PHONE }))).expect(429);
    assert!(!too_soon.header("retry-after").is_empty());
}

#[test]
fn a_refresh_token_counts_once_and_used_again_later_it_ends_its_session() {
    let sugang = system();
    let first = register(&sugang, PHONE, NAME);
    let refresh = |token: &str| {
        ask(&sugang, "POST", "/sessions/refresh", None, Some(&json!({ "refreshToken": token })))
    };
    let old = first.text("/refreshToken");
    let next = refresh(&old).expect(200);
    let later = "UPDATE sessions SET rotated_at = rotated_at - 11000";
    sugang.state().open("member").unwrap().run(later, &[]).unwrap();
    refresh(&old).expect_problem(401, "session-ended");
    refresh(&next.text("/refreshToken")).expect_problem(401, "session-ended");
    ask(&sugang, "GET", "/orders", Some(&bearer(&next)), None).expect(401);
}

#[test]
fn roles_come_from_the_variables_and_from_invitations_and_machines_have_tokens() {
    let options = Options::new().members().variable("operators", "010-7777-7777");
    let sugang = Sugang::with(options.variable("managers", "010-6666-6666"));
    let chief = register(&sugang, "010-7777-7777", "운영자");
    assert_eq!(chief.at("/member/roles"), json!(["customer", "operator"]));
    let manager = register(&sugang, "010-6666-6666", "관리자");
    assert_eq!(manager.at("/member/roles"), json!(["customer", "manager"]));
    let chief = bearer(&chief);
    let invited = json!({ "phone": PHONE, "role": "manager" });
    ask(&sugang, "POST", "/invitations", Some(&bearer(&manager)), Some(&invited)).expect(403);
    ask(&sugang, "POST", "/invitations", Some(&chief), Some(&invited)).expect(201);
    assert_eq!(register(&sugang, PHONE, NAME).at("/member/roles"), json!(["customer", "manager"]));
    let machine = json!({ "name": "reports", "scopes": ["orders"], "expiresInDays": 1 });
    let machine = ask(&sugang, "POST", "/machines", Some(&chief), Some(&machine)).expect(201);
    ask(&sugang, "GET", "/orders", Some(&bearer(&machine)), None).expect(200);
    ask(&sugang, "GET", "/members", Some(&bearer(&machine)), None).expect(403);
}

/// Every file in a folder and those below it.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Which of these files say who somebody is.
fn telling(files: &[std::path::PathBuf], of: &[&str]) -> Vec<String> {
    let tells = |bytes: &[u8], word: &str| bytes.windows(word.len()).any(|found| found == word.as_bytes());
    let found = files.iter().flat_map(|file| {
        let bytes = fs::read(file).unwrap_or_default();
        let told =
            of.iter().filter(|word| tells(&bytes, word)).map(|word| format!("{}: {word}", file.display()));
        told.collect::<Vec<_>>()
    });
    found.collect()
}

/// Everything that is kept outside of Redis, and the log of the host. The sandbox's channel writes a message to a telephone
/// into the log, since nobody's rings: those lines are left out, which a channel that reaches people has not.
#[test]
fn of_whoever_is_erased_nothing_is_left() {
    let sugang = Sugang::with(Options::new().members().process());
    let who = register(&sugang, PHONE, NAME);
    let (bearer, me) = (bearer(&who), who.at("/member/customerId"));
    let application = json!({ "eduNo": AUTOMATIC, "cardNo": GOOD_CARD });
    let order = until("the course to be known", || {
        let answer = ask(&sugang, "POST", "/orders", Some(&bearer), Some(&application));
        (answer.status == 201).then(|| answer.at("/orderId"))
    });
    let view = format!("/infomations/{order}");
    let named = || ask(&sugang, "GET", &view, Some(&bearer), None).text("/customerName");
    eventually(named, NAME);
    assert_eq!(ask(&sugang, "GET", &view, Some(&operator()), None).text("/customerName"), NAME);
    let other = member(9_001, &[Customer]);
    ask(&sugang, "GET", &view, Some(&other), None).expect(404);
    let state = sugang.state().to_path_buf();
    let words = [NAME, AS_KEPT, EMAIL];
    let stores = || -> Vec<_> {
        files(&state).into_iter().filter(|file| file.to_string_lossy().contains(".db")).collect()
    };
    assert!(telling(&stores(), &words).len() >= 3, "they are known before");

    ask(&sugang, "DELETE", "/members/me", Some(&bearer), None).expect(204);
    ask(&sugang, "GET", "/orders", Some(&bearer), None).expect(401);
    // A message that is under way may arrive for a while, and only then its telephone is forgotten.
    within(std::time::Duration::from_secs(60), || telling(&stores(), &words), Vec::<String>::new());

    let mut redis = redis::Client::open(sugang.ground().redis_url()).unwrap().get_connection().unwrap();
    let mut streamed = || {
        let stream = redis::cmd("XRANGE").arg(&["sugang:events:member", "-", "+"]).to_owned();
        let entries: Vec<(String, HashMap<String, String>)> = stream.query(&mut redis).unwrap();
        words.map(|word| format!("{entries:?}").contains(word))
    };
    eventually(&mut streamed, [false; 3]);
    for log in files(&state).iter().filter(|file| file.extension().is_some_and(|kind| kind == "log")) {
        let text = fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<_> = text.lines().filter(|line| !line.contains("[inbox] to ")).collect();
        assert_eq!(words.map(|word| lines.iter().filter(|line| line.contains(word)).count()), [0; 3]);
    }
    let shown = ask(&sugang, "GET", &view, Some(&operator()), None).expect(200);
    assert_eq!((shown.at("/customerName"), shown.at("/customerId")), (Value::Null, me));
    let report =
        operations::check(&sugang.state().stores().unwrap(), None, std::time::Duration::ZERO).unwrap();
    assert_eq!(report.violations, []);
}
