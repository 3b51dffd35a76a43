//! Who may do what: the one table of it.
//!
//! A path that is not in it is not there, and a method that is not in it is not allowed, whatever a component would make of
//! them. `docs/security.md` shows it, and a test holds the one to the other; another tries every line as every role.

use hal::Method;
use kernel::MAX_ID;

/// Somebody that a line is about. Whoever is several of them may do what any of them may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Everybody, known or not.
    Anyone,
    /// Whoever shows the key of an order.
    Guest,
    /// Every member who is signed in.
    Customer,
    /// A member who manages courses.
    Manager,
    /// A member who looks after the whole.
    Operator,
    /// Another context.
    Service,
    /// A program whose token has this scope.
    Scope(&'static str),
}

/// Whose things it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Everybody's, and what is nobody's.
    Everyones,
    /// Their own.
    Own,
    /// Those of the courses that they manage.
    OfTheirCourses,
    /// Those of the orders whose keys they show.
    OfTheirKeys,
}

/// What may be done by one method at one path.
#[derive(Debug)]
pub struct Rule {
    /// The method; `HEAD` goes with `GET`.
    pub method: Method,
    /// Who may, and with whose things.
    pub grants: &'static [(Who, Whose)],
}

/// A path, with what is variable in braces, and what may be done there.
#[derive(Debug)]
pub struct Path {
    /// As OpenAPI spells it.
    pub path: &'static str,
    /// By method.
    pub rules: &'static [Rule],
}

/// What a machine may be given.
pub const SCOPES: [&str; 6] = ["orders", "payments", "reservations", "courses", "messages", "members"];

use Who::{Anyone, Customer, Guest, Manager, Operator, Scope, Service};
use Whose::{Everyones, OfTheirCourses, OfTheirKeys, Own};

const fn get(grants: &'static [(Who, Whose)]) -> Rule {
    Rule { method: Method::GET, grants }
}

const fn post(grants: &'static [(Who, Whose)]) -> Rule {
    Rule { method: Method::POST, grants }
}

const fn patch(grants: &'static [(Who, Whose)]) -> Rule {
    Rule { method: Method::PATCH, grants }
}

const fn delete(grants: &'static [(Who, Whose)]) -> Rule {
    Rule { method: Method::DELETE, grants }
}

const PUBLIC: &[(Who, Whose)] = &[(Anyone, Everyones)];

/// An order, and all that follows from it: its customer's, or whoever's that has its key.
const ORDERS: &[(Who, Whose)] =
    &[(Guest, OfTheirKeys), (Customer, Own), (Operator, Everyones), (Scope("orders"), Everyones)];
const ORDER_LIST: &[(Who, Whose)] = &[(Customer, Own), (Operator, Everyones), (Scope("orders"), Everyones)];

/// To apply. Whoever reaches everything may choose the order's number and say for whom it is.
const APPLY: &[(Who, Whose)] =
    &[(Anyone, Own), (Customer, Own), (Operator, Everyones), (Scope("orders"), Everyones)];

const PAYS: &[(Who, Whose)] =
    &[(Guest, OfTheirKeys), (Customer, Own), (Operator, Everyones), (Scope("payments"), Everyones)];
const PAY_LIST: &[(Who, Whose)] = &[(Customer, Own), (Operator, Everyones), (Scope("payments"), Everyones)];

/// What managers see of an application: neither the order nor the payment, which have the card in them.
const APPLICATIONS: &[(Who, Whose)] = &[
    (Guest, OfTheirKeys),
    (Customer, Own),
    (Manager, OfTheirCourses),
    (Operator, Everyones),
    (Scope("reservations"), Everyones),
];
const APPLICATION_LIST: &[(Who, Whose)] =
    &[(Customer, Own), (Manager, OfTheirCourses), (Operator, Everyones), (Scope("reservations"), Everyones)];
const DECIDE: &[(Who, Whose)] =
    &[(Manager, OfTheirCourses), (Operator, Everyones), (Scope("reservations"), Everyones)];

const OPEN_COURSE: &[(Who, Whose)] = &[(Manager, Own), (Operator, Everyones), (Scope("courses"), Everyones)];
const CHANGE_COURSE: &[(Who, Whose)] =
    &[(Manager, OfTheirCourses), (Operator, Everyones), (Scope("courses"), Everyones)];

const MESSAGES: &[(Who, Whose)] =
    &[(Guest, OfTheirKeys), (Customer, Own), (Operator, Everyones), (Scope("messages"), Everyones)];

/// What is asked before anybody is known.
const SIGN_IN: &[(Who, Whose)] = &[(Anyone, Own)];
const ME: &[(Who, Whose)] = &[(Customer, Own)];
const MEMBERS: &[(Who, Whose)] = &[(Operator, Everyones), (Scope("members"), Everyones)];

/// Who gives roles and tokens away: no machine, so that none can make itself more than it is.
const GRANT: &[(Who, Whose)] = &[(Operator, Everyones)];

/// What shows whether all is well, and mends what is not.
const OPERATE: &[(Who, Whose)] = &[(Operator, Everyones)];

/// The whole table.
pub const TABLE: &[Path] = &[
    Path { path: "/", rules: &[get(PUBLIC)] },
    Path { path: "/openapi.json", rules: &[get(PUBLIC)] },
    Path { path: "/problems", rules: &[get(PUBLIC)] },
    Path { path: "/problems/{slug}", rules: &[get(PUBLIC)] },
    Path { path: "/orders", rules: &[get(ORDER_LIST), post(APPLY)] },
    Path { path: "/orders/search", rules: &[get(PUBLIC)] },
    Path { path: "/orders/search/findByOrderId", rules: &[get(ORDERS)] },
    Path { path: "/orders/{orderId}", rules: &[get(ORDERS), patch(ORDERS), delete(ORDERS)] },
    Path { path: "/orders/{orderId}/payment", rules: &[post(ORDERS)] },
    Path { path: "/pays", rules: &[get(PAY_LIST), post(&[(Service, Everyones)])] },
    Path { path: "/pays/search", rules: &[get(PUBLIC)] },
    Path { path: "/pays/search/findByOrderId", rules: &[get(PAYS)] },
    Path { path: "/pays/{orderId}", rules: &[get(PAYS)] },
    Path { path: "/reservations", rules: &[get(APPLICATION_LIST)] },
    Path { path: "/reservations/search", rules: &[get(PUBLIC)] },
    Path { path: "/reservations/search/findByOrderId", rules: &[get(APPLICATIONS)] },
    Path { path: "/reservations/{orderId}", rules: &[get(APPLICATIONS), patch(DECIDE)] },
    Path { path: "/courses", rules: &[get(PUBLIC), post(OPEN_COURSE)] },
    Path { path: "/courses/{eduNo}", rules: &[get(PUBLIC), patch(CHANGE_COURSE)] },
    Path { path: "/courses/{eduNo}/roster", rules: &[get(DECIDE)] },
    Path { path: "/infomations", rules: &[get(APPLICATION_LIST)] },
    Path { path: "/infomations/search", rules: &[get(PUBLIC)] },
    Path { path: "/infomations/search/findByOrderId", rules: &[get(APPLICATIONS)] },
    Path { path: "/infomations/{orderId}", rules: &[get(APPLICATIONS)] },
    Path { path: "/infomations/{orderId}/events", rules: &[get(APPLICATIONS)] },
    Path { path: "/notifications", rules: &[get(MESSAGES)] },
    Path { path: "/notifications/search", rules: &[get(PUBLIC)] },
    Path { path: "/notifications/search/findByOrderId", rules: &[get(MESSAGES)] },
    Path { path: "/notifications/{id}", rules: &[get(MESSAGES)] },
    Path { path: "/sign-in-codes", rules: &[post(SIGN_IN)] },
    Path { path: "/sessions", rules: &[get(ME), post(SIGN_IN), delete(ME)] },
    Path { path: "/sessions/refresh", rules: &[post(SIGN_IN)] },
    Path { path: "/sessions/{sessionId}", rules: &[delete(ME)] },
    Path { path: "/members", rules: &[get(MEMBERS), post(SIGN_IN)] },
    Path { path: "/members/me", rules: &[get(ME), patch(ME), delete(ME)] },
    Path { path: "/members/me/phone", rules: &[post(ME)] },
    Path { path: "/members/me/data", rules: &[get(ME)] },
    Path { path: "/members/inbox", rules: &[get(GRANT)] },
    Path { path: "/members/{customerId}", rules: &[get(MEMBERS), patch(GRANT), delete(GRANT)] },
    Path { path: "/invitations", rules: &[get(GRANT), post(GRANT)] },
    Path { path: "/invitations/{invitationId}", rules: &[delete(GRANT)] },
    Path { path: "/machines", rules: &[get(GRANT), post(GRANT)] },
    Path { path: "/machines/{id}", rules: &[delete(GRANT)] },
    Path { path: "/audit", rules: &[get(GRANT)] },
    Path { path: "/event-log", rules: &[get(OPERATE)] },
    Path { path: "/event-log/dead-letters", rules: &[get(OPERATE)] },
    Path { path: "/event-log/dead-letters/{deadLetterId}", rules: &[get(OPERATE), delete(OPERATE)] },
    Path { path: "/event-log/dead-letters/{deadLetterId}/replay", rules: &[post(OPERATE)] },
    Path { path: "/circuit-breakers/pay", rules: &[get(OPERATE)] },
];

/// Two spellings of one path: the original's, and the right one.
const ALIASES: [(&str, &str); 1] = [("informations", "infomations")];

/// What is a number of something. What can be none leads nowhere, whatever the method.
const NUMBERS: [&str; 4] = ["{orderId}", "{eduNo}", "{customerId}", "{invitationId}"];

fn is_identifier(given: &str) -> bool {
    kernel::decimal(given).is_some_and(|number| (1..=MAX_ID).contains(&number))
}

/// What the table says of a path, given as its segments.
pub(crate) fn path(segments: &[&str]) -> Option<&'static Path> {
    // What is spelt out goes before what is variable.
    let literal = TABLE.iter().find(|path| path.matches(segments, false));
    literal.or_else(|| TABLE.iter().find(|path| path.matches(segments, true)))
}

/// The line about a method at a path, as the table spells it.
pub(crate) fn rule_for(method: &Method, path: &str) -> Option<&'static Rule> {
    TABLE.iter().find(|known| known.path == path)?.rule(method)
}

impl Path {
    /// What is said of a method.
    pub(crate) fn rule(&self, method: &Method) -> Option<&'static Rule> {
        self.rules.iter().find(|rule| rule.method == *method)
    }

    /// The methods there are.
    pub(crate) fn methods(&self) -> Vec<&'static str> {
        self.rules.iter().map(|rule| rule.method.as_str()).collect()
    }

    fn matches(&self, segments: &[&str], variable: bool) -> bool {
        let fits = |known: &str, given: &str| {
            variable && known.starts_with('{') && (!NUMBERS.contains(&known) || is_identifier(given))
        };
        let mut given = segments.iter();
        let known = self.path.split('/').filter(|segment| !segment.is_empty());
        let all = known.enumerate().all(|(index, known)| {
            given.next().is_some_and(|given| {
                let alias = ALIASES.iter().find(|(alias, _)| index == 0 && alias == given);
                known == alias.map_or(*given, |(_, name)| name) || fits(known, given)
            })
        });
        all && given.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spelt_out_goes_before_what_is_variable() {
        let found = |segments: &[&str]| path(segments).map(|path| path.path);
        assert_eq!(found(&["orders", "search"]), Some("/orders/search"));
        assert_eq!(found(&["orders", "7"]), Some("/orders/{orderId}"));
        assert_eq!(found(&["informations", "7", "events"]), Some("/infomations/{orderId}/events"));
        assert_eq!(found(&[]), Some("/"));
        assert_eq!(found(&["orders", "7", "x"]), None);
        for number in ["0", "9007199254740992", "+7", "x", "\u{11}", ""] {
            assert_eq!(found(&["orders", number]), None, "{number}");
        }
        assert_eq!(found(&["notifications", "pay:1113:1"]), Some("/notifications/{id}"));
        assert_eq!(found(&["orders", "search", "x"]), None);
        assert_eq!(found(&["x", "informations"]), None);
    }

    #[test]
    fn every_path_is_there_once_and_every_line_grants_something() {
        for (index, path) in TABLE.iter().enumerate() {
            assert!(TABLE.iter().skip(index + 1).all(|other| other.path != path.path), "{}", path.path);
            for rule in path.rules {
                assert!(!rule.grants.is_empty(), "{} {}", rule.method, path.path);
            }
        }
    }

    #[test]
    fn only_what_is_public_is_for_everybody() {
        let open = |rule: &&Rule| rule.grants.contains(&(Anyone, Everyones));
        let changes = TABLE.iter().flat_map(|path| path.rules).filter(|rule| rule.method != Method::GET);
        assert_eq!(changes.filter(open).count(), 0);
    }

    /// A line as `docs/security.md` has it.
    fn line(path: &Path, rule: &Rule) -> String {
        let who = |who: Who| match who {
            Anyone => "everybody".to_owned(),
            Guest => "guest".to_owned(),
            Customer => "customer".to_owned(),
            Manager => "manager".to_owned(),
            Operator => "operator".to_owned(),
            Service => "context".to_owned(),
            Scope(scope) => format!("machine with `{scope}`"),
        };
        let whose = |whose: Whose| match whose {
            Everyones => "",
            Own => " (own)",
            OfTheirCourses => " (their courses')",
            OfTheirKeys => " (the keys' orders)",
        };
        let grants: Vec<_> = rule.grants.iter().map(|(one, of)| who(*one) + whose(*of)).collect();
        format!("| `{} {}` | {} |", rule.method, path.path, grants.join(", "))
    }

    #[test]
    fn the_table_is_as_it_is_published() {
        let lines: Vec<_> =
            TABLE.iter().flat_map(|path| path.rules.iter().map(|rule| line(path, rule))).collect();
        let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/security.md");
        let document = std::fs::read_to_string(document).unwrap();
        let published: Vec<_> =
            document.lines().filter(|line| line.starts_with("| `") && line.contains(" /")).collect();
        assert_eq!(published, lines, "docs/security.md should have:\n{}", lines.join("\n"));
    }

    #[test]
    fn every_scope_that_the_table_names_can_be_given() {
        for (who, _) in TABLE.iter().flat_map(|path| path.rules).flat_map(|rule| rule.grants) {
            if let Scope(scope) = who {
                assert!(SCOPES.contains(scope), "{scope}");
            }
        }
    }
}
