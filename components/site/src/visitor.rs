//! Who looks at a page, by what their browser sends: the language, the member's token, the keys of a guest's orders.
//!
//! What is in a token is only read here to show who is signed in. Whether it counts is decided by the contexts that are
//! asked with it.

use crate::client::PASSED_ON;
use data_encoding::BASE64URL_NOPAD;
use hal::{Request, Response};
use kernel::{Language, OrderId, Timestamp};
use serde::Deserialize;

/// The member's access token.
pub(crate) const ACCESS: &str = "sugang-access";
/// What brings a new one. Nobody but this component reads it.
pub(crate) const REFRESH: &str = "sugang-refresh";
/// The language that was chosen.
pub(crate) const LANGUAGE: &str = "sugang-language";
/// Before the number of an order that a guest has the key of.
const ORDER: &str = "sugang-order-";
/// How long a guest's keys and a chosen language are kept, in seconds: a year.
pub(crate) const LONG: i64 = 31_536_000;
/// A token that ends this soon is as good as ended, in seconds.
const MARGIN: i64 = 10;
/// In the place of a guest's key, where orders are open to everybody and so have none.
pub(crate) const NO_KEY: &str = "open";

/// What is shown of a token.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) struct Claims {
    #[serde(default)]
    sub: String,
    #[serde(default)]
    roles: Vec<String>,
    exp: i64,
}

impl Claims {
    fn read(token: &str) -> Option<Self> {
        let payload = token.split('.').nth(1)?;
        serde_json::from_slice(&BASE64URL_NOPAD.decode(payload.as_bytes()).ok()?).ok()
    }

    fn is_over(&self) -> bool {
        self.exp.saturating_mul(1000) <= Timestamp::now().plus_seconds(MARGIN).millis()
    }
}

/// Whoever looks.
#[derive(Debug)]
pub(crate) struct Visitor {
    pub(crate) language: Language,
    /// The token, if it has not ended.
    pub(crate) access: Option<String>,
    pub(crate) claims: Option<Claims>,
    pub(crate) refresh: Option<String>,
    /// The orders that a guest has keys of, the latest first.
    pub(crate) orders: Vec<(OrderId, String)>,
    /// What goes along to whoever is asked, as it came.
    pub(crate) passed_on: [Option<String>; 4],
    /// Whether cookies may go over HTTP without TLS.
    is_loopback: bool,
    /// Cookies to be set with whatever is answered.
    cookies: Vec<String>,
}

impl Visitor {
    pub(crate) fn of(request: &Request) -> Self {
        let mut visitor = Self {
            language: request.language(),
            access: None,
            claims: None,
            refresh: None,
            orders: Vec::new(),
            passed_on: PASSED_ON.map(|name| request.header(name).map(str::to_owned)),
            is_loopback: is_loopback(&request.base),
            cookies: Vec::new(),
        };
        for (name, value) in request.cookies() {
            match name {
                LANGUAGE => visitor.language = value.parse().unwrap_or(visitor.language),
                ACCESS => visitor.sign_in(value),
                REFRESH => visitor.refresh = Some(value.to_owned()),
                _ => {
                    let order = name.strip_prefix(ORDER).and_then(|number| number.parse().ok());
                    visitor.orders.extend(order.map(|order| (order, value.to_owned())));
                }
            }
        }
        visitor.orders.sort_by_key(|(order, _)| std::cmp::Reverse(order.get()));
        visitor
    }

    fn sign_in(&mut self, token: &str) {
        self.claims = Claims::read(token).filter(|claims| !claims.is_over());
        self.access = self.claims.as_ref().map(|_| token.to_owned());
    }

    /// Whether a new token has to be fetched before anything is asked.
    pub(crate) const fn needs_refresh(&self) -> bool {
        self.access.is_none() && self.refresh.is_some()
    }

    /// Signed in from now on.
    pub(crate) fn keep_session(&mut self, session: &Session) {
        self.sign_in(&session.access_token);
        self.refresh = Some(session.refresh_token.clone());
        self.set(ACCESS, &session.access_token, session.expires_in);
        self.set(REFRESH, &session.refresh_token, session.refresh_expires_in);
    }

    /// Signed in no longer.
    pub(crate) fn drop_session(&mut self) {
        (self.access, self.claims, self.refresh) = (None, None, None);
        self.set(ACCESS, "", 0);
        self.set(REFRESH, "", 0);
    }

    /// Has a guest's order found again by this browser.
    pub(crate) fn keep_order(&mut self, order: OrderId, key: Option<&str>) {
        let key = key.unwrap_or(NO_KEY);
        self.set(&format!("{ORDER}{order}"), key, LONG);
        self.orders.push((order, key.to_owned()));
    }

    /// The key of an order.
    pub(crate) fn order_key(&self, order: OrderId) -> Option<&str> {
        let key = self.orders.iter().find(|(known, _)| *known == order).map(|(_, key)| key.as_str());
        key.filter(|key| *key != NO_KEY)
    }

    /// Has a cookie set, for so many seconds; 0 removes it. A value that is none for a cookie is left out.
    pub(crate) fn set(&mut self, name: &str, value: &str, seconds: i64) {
        if value.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\')) {
            let secure = if self.is_loopback { "" } else { "; Secure" };
            let rest = format!("Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
            self.cookies.push(format!("{name}={value}; {rest}"));
        }
    }

    /// An answer with the cookies that are to be set.
    pub(crate) fn with_cookies(&self, response: Response) -> Response {
        self.cookies.iter().fold(response, |response, cookie| response.header("set-cookie", cookie))
    }

    pub(crate) fn is_signed_in(&self) -> bool {
        self.claims.is_some()
    }

    /// The member that the token is of.
    pub(crate) fn customer_id(&self) -> Option<u64> {
        self.claims.as_ref().and_then(|claims| claims.sub.parse().ok())
    }

    /// Whether the token names this role.
    pub(crate) fn has_role(&self, role: &str) -> bool {
        self.claims.as_ref().is_some_and(|claims| claims.roles.iter().any(|has| has == role))
    }
}

/// The tokens of a session, as `member` answers them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Session {
    access_token: String,
    expires_in: i64,
    refresh_token: String,
    refresh_expires_in: i64,
}

/// Whether the browser is on this machine, to which no TLS is needed.
fn is_loopback(base: &str) -> bool {
    let authority = base.split_once("://").map_or(base, |(_, authority)| authority);
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    matches!(host, "localhost" | "127.0.0.1" | "::1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use hal::Method;

    fn request(headers: &[(&str, &str)]) -> Request {
        Request::new(Method::POST, "/", headers, "").unwrap()
    }

    fn token(exp: i64) -> String {
        let payload = format!(r#"{{"sub":"7","exp":{exp},"roles":["customer","manager"]}}"#);
        format!("e30.{}.c2ln", BASE64URL_NOPAD.encode(payload.as_bytes()))
    }

    #[test]
    fn a_visitor_is_known_by_cookies_and_an_ended_token_is_none() {
        let cookie =
            format!("a=b; sugang-access={}; sugang-order-7=7.x; sugang-order-9=open", token(99_999_999_999));
        let visitor = Visitor::of(&request(&[("cookie", &cookie), ("accept-language", "en")]));
        assert!(visitor.is_signed_in() && visitor.has_role("manager") && !visitor.has_role("operator"));
        let orders: Vec<_> = visitor.orders.iter().map(|(order, _)| order.get()).collect();
        assert_eq!((orders, visitor.language), (vec![9, 7], Language::En));
        let seven = OrderId::parse(7).unwrap();
        assert_eq!(
            (visitor.order_key(seven), visitor.order_key(OrderId::parse(9).unwrap())),
            (Some("7.x"), None)
        );

        let ended = format!("sugang-access={}; sugang-refresh=r; sugang-language=ko", token(1));
        let visitor = Visitor::of(&request(&[("cookie", &ended), ("accept-language", "en")]));
        assert!(visitor.needs_refresh() && !visitor.is_signed_in());
        assert_eq!(visitor.language, Language::Ko);
    }

    #[test]
    fn cookies_are_out_of_reach_of_scripts_and_of_lines_without_tls() {
        for (host, secure) in
            [("sugang.kr", true), ("127.0.0.1:8080", false), ("[::1]:1", false), ("localhost", false)]
        {
            let mut visitor = Visitor::of(&request(&[("host", host)]));
            visitor.set("a", "b", 5);
            visitor.set("bad", "b; Domain=x", 5);
            let cookies = visitor.cookies;
            assert_eq!(cookies.len(), 1, "a value cannot add attributes");
            assert!(cookies[0].starts_with("a=b; Path=/; Max-Age=5; HttpOnly; SameSite=Lax"), "{cookies:?}");
            assert_eq!(cookies[0].ends_with("; Secure"), secure, "{host}");
        }
    }
}
