//! What is taken as a field, and what is said of what is not.

use super::*;
use kernel::{CardNumber, EduNo, MAX_ID};

fn fields(json: &str) -> Fields {
    Fields::parse(json.as_bytes()).unwrap()
}

#[test]
fn numbers_may_be_texts_of_digits_or_have_a_fraction_of_zero() {
    for json in [
        r#"{"eduNo":101}"#,
        r#"{"eduNo":"101"}"#,
        r#"{"EduNo":"101"}"#,
        r#"{"eduNo":101.0}"#,
        r#"{"eduNo":1.01e2}"#,
        r#"{"eduNo":null,"eduNo":101}"#,
    ] {
        assert_eq!(fields(json).required("eduNo", EduNo::parse).unwrap().get(), 101, "{json}");
    }
}

#[test]
fn a_list_of_numbers_is_read_like_each_of_them() {
    let read = |json: &str| {
        let mut fields = fields(json);
        let numbers = fields.numbers("managers", EduNo::parse);
        (
            numbers.map(|numbers| numbers.iter().map(|one| one.get()).collect::<Vec<_>>()),
            fields.finish().is_ok(),
        )
    };
    assert_eq!(read(r#"{"managers":[1,"2",3.0]}"#), (Some(vec![1, 2, 3]), true));
    assert_eq!(read(r#"{"managers":[]}"#), (Some(vec![]), true));
    assert_eq!(read("{}"), (None, true));
    for json in
        [r#"{"managers":[0]}"#, r#"{"managers":[[1]]}"#, r#"{"managers":[null]}"#, r#"{"managers":7}"#]
    {
        assert_eq!(read(json), (None, false), "{json}");
    }
    let deep = format!(r#"{{"managers":{}{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
    assert!(Fields::parse(deep.as_bytes()).is_err());
}

#[test]
fn what_is_no_such_number_is_refused_with_the_range() {
    for json in [
        r#"{"eduNo":-1}"#,
        r#"{"eduNo":1.5}"#,
        r#"{"eduNo":0}"#,
        r#"{"eduNo":0.0}"#,
        r#"{"eduNo":9007199254740992}"#,
        r#"{"eduNo":9007199254740992.0}"#,
        r#"{"eduNo":9007199254740990.9999}"#,
        r#"{"eduNo":9007199254740991.0000000000000000001}"#,
        r#"{"eduNo":2.0000000000000000001}"#,
        r#"{"eduNo":0.99999999999999999999}"#,
        r#"{"eduNo":15e-1}"#,
        r#"{"eduNo":-1.0}"#,
        r#"{"eduNo":18446744073709551617}"#,
        r#"{"eduNo":1e300}"#,
        r#"{"eduNo":1e400}"#,
        r#"{"eduNo":1e-400}"#,
        r#"{"eduNo":1e99999999999999999999}"#,
        r#"{"eduNo":0e99999999999999999999}"#,
        r#"{"eduNo":"1 "}"#,
        r#"{"eduNo":"+1"}"#,
        r#"{"eduNo":"1.0"}"#,
        r#"{"eduNo":""}"#,
        r#"{"eduNo":true}"#,
        r#"{"eduNo":[1]}"#,
    ] {
        let mut fields = fields(json);
        assert!(fields.required("eduNo", EduNo::parse).is_none(), "{json} was taken");
        let problem = format!("{:?}", fields.finish().unwrap_err());
        assert!(problem.contains("9007199254740991"), "{json}: {problem}");
    }
}

#[test]
fn a_number_is_read_by_its_digits() {
    for (written, number) in [
        ("9007199254740991", Some(MAX_ID)),
        ("9007199254740991.0", Some(MAX_ID)),
        ("9007199254740991.000e+0", Some(MAX_ID)),
        ("9.007199254740991E15", Some(MAX_ID)),
        ("9007199254740991000e-3", Some(MAX_ID)),
        ("1000000000000001.0", Some(1_000_000_000_000_001)),
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("2e0", Some(2)),
        ("2e1", Some(20)),
        ("20e-1", Some(2)),
        ("2000000000000000000000000000000e-30", Some(2)),
        ("0.002e3", Some(2)),
        ("0.002e2", None),
        ("0", Some(0)),
        ("-0", Some(0)),
        ("-0.0e-7", Some(0)),
        ("0.000", Some(0)),
        ("0e99999999999999999999", Some(0)),
        ("-2", None),
        ("1e19", Some(10_000_000_000_000_000_000)),
        ("1e20", None),
        ("1e-99999999999999999999", None),
    ] {
        assert_eq!(whole(written), number, "{written}");
    }
    let zeros = "0".repeat(50_000);
    assert_eq!(whole(&format!("2{zeros}e-50000")), Some(2));
    assert_eq!(whole(&format!("0.{zeros}2e50001")), Some(2));
    assert_eq!(whole(&format!("2.{zeros}1")), None);
}

#[test]
fn what_is_in_a_field_that_nobody_asks_for_is_json_too() {
    let nested = |depth: usize| format!("{{\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(Fields::parse(nested(100).as_bytes()).is_ok());
    for wrong in [r#"{"x":01}"#, r#"{"x":[1,]}"#, r#"{"x":"\uzzzz"}"#, r#"{"x":"\ud8"}"#] {
        let problem = format!("{:?}", Fields::parse(wrong.as_bytes()).unwrap_err());
        assert!(problem.contains("is not JSON"), "{problem}");
    }
}

#[test]
fn what_is_json_and_cannot_be_taken_is_not_said_to_be_none() {
    let lists = |depth: usize| format!("{{\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", "{\"x\":".repeat(depth), "}".repeat(depth));
    for (body, said) in [
        (lists(200), "a hundred levels"),
        (lists(10_000), "a hundred levels"),
        (objects(200), "a hundred levels"),
        (r#"{"eduNo":"\ud800"}"#.to_owned(), "surrogate"),
        (r#"{"eduNo":"\udc00"}"#.to_owned(), "surrogate"),
        (r#"{"eduNo":"\ud800x"}"#.to_owned(), "surrogate"),
        (r#"{"eduNo":"\ud800\u0061"}"#.to_owned(), "surrogate"),
        (r#"{"eduNo":["\ud800"]}"#.to_owned(), "surrogate"),
        (r#"{"\ud800":1}"#.to_owned(), "surrogate"),
        (r#"{"x":[[1e400]]}"#.to_owned(), "too large"),
    ] {
        let problem = format!("{:?}", Fields::parse(body.as_bytes()).unwrap_err());
        assert!(problem.contains("cannot be taken") && problem.contains(said), "{body}: {problem}");
        assert!(!problem.contains("is not JSON"), "{body}: {problem}");
    }
}

#[test]
fn a_text_may_be_a_whole_number_and_the_refusal_says_so() {
    let read = |json: &str| {
        let mut fields = fields(json);
        (fields.text("title", |text| Ok(text.to_owned())), format!("{:?}", fields.finish()))
    };
    for (json, text) in [
        (r#"{"title":101}"#, "101"),
        (r#"{"title":0}"#, "0"),
        (r#"{"title":2.0}"#, "2"),
        (r#"{"title":18446744073709551615}"#, "18446744073709551615"),
    ] {
        assert_eq!(read(json).0.as_deref(), Some(text), "{json}");
    }
    for json in
        [r#"{"title":1.5}"#, r#"{"title":-1}"#, r#"{"title":18446744073709551616}"#, r#"{"title":true}"#]
    {
        let (taken, refused) = read(json);
        assert!(
            taken.is_none() && refused.contains("whole number from 0 to 18446744073709551615"),
            "{refused}"
        );
    }
}

#[test]
fn a_null_is_as_good_as_absent() {
    let mut fields = fields(r#"{"eduNo":null}"#);
    assert!(fields.number("eduNo", EduNo::parse).is_none());
    assert!(fields.required("eduNo", EduNo::parse).is_none());
    assert!(format!("{:?}", fields.finish().unwrap_err()).contains("is required"));
}

#[test]
fn a_field_that_is_given_twice_is_refused() {
    for json in [r#"{"eduNo":1,"eduNo":1}"#, r#"{"eduNo":1,"EduNo":2}"#] {
        let mut fields = fields(json);
        assert!(fields.required("eduNo", EduNo::parse).is_none(), "{json} was taken");
        assert!(format!("{:?}", fields.finish().unwrap_err()).contains("more than once"), "{json}");
    }
    assert!(fields(r#"{"x":1,"x":2,"eduNo":1}"#).number("eduNo", EduNo::parse).is_some());
}

#[test]
fn a_card_number_may_be_a_number_or_a_text() {
    for json in [r#"{"cardNo":1234}"#, r#"{"cardNo":1234.0}"#, r#"{"cardNo":"1234"}"#] {
        assert_eq!(fields(json).text("cardNo", CardNumber::parse).unwrap().digits(), "1234");
    }
    for json in [r#"{"cardNo":4129835309145622.0}"#, r#"{"cardNo":4.129835309145622E15}"#] {
        let mut fields = fields(json);
        assert_eq!(fields.text("cardNo", CardNumber::parse).unwrap().digits(), "4129835309145622");
    }
    for json in [r#"{"cardNo":4129835309145622.1}"#, r#"{"cardNo":-4129835309145622}"#] {
        let mut fields = fields(json);
        assert!(fields.text("cardNo", CardNumber::parse).is_none(), "{json}");
        assert!(format!("{:?}", fields.finish().unwrap_err()).contains("cardNo"), "{json}");
    }
}

#[test]
fn what_is_no_object_is_said_to_be_what_it_is() {
    for (body, said) in [
        ("", "is empty"),
        ("{", "is not JSON"),
        ("{}x", "is not JSON"),
        ("[]", "not an object"),
        ("\u{feff}{}", "is not JSON"),
    ] {
        let problem = format!("{:?}", Fields::parse(body.as_bytes()).unwrap_err());
        assert!(problem.contains(said), "{body:?}: {problem}");
    }
}

#[test]
fn a_yes_or_no_a_list_and_an_object_are_read_as_what_they_are() {
    let mut given = fields(r#"{"a":true,"b":"false","c":["x","y"],"d":{"e":false}}"#);
    assert_eq!((given.flag("a"), given.flag("b"), given.flag("x")), (Some(true), Some(false), None));
    assert_eq!(given.texts("c", |text| Ok(text.to_owned())).unwrap(), ["x", "y"]);
    assert_eq!(given.object("d").unwrap().flag("e"), Some(false));
    assert!(given.finish().is_ok());
    let mut wrong = fields(r#"{"a":1,"b":"x","c":"x","d":[],"e":{"f":3},"g":true,"g":true}"#);
    assert!(wrong.flag("a").is_none() && wrong.texts("b", |_| Ok(())).is_none());
    assert!(wrong.texts("c", |_| Ok(())).is_none() && wrong.object("d").is_none());
    let mut nested = wrong.object("e").unwrap();
    assert!(nested.flag("f").is_none() && wrong.flag("g").is_none());
    wrong.refused_in(nested);
    let problem = format!("{:?}", wrong.finish().unwrap_err());
    assert!(
        ["a", "b", "c", "d", "f", "g"].iter().all(|name| problem.contains(&format!("`{name}`"))),
        "{problem}"
    );
}
