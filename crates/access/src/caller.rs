//! Who asks: read from the credentials of a request.

use crate::token::{Claims, Keys};
use crate::{ACCESS_COOKIE, ON_BEHALF_OF, ORDER_COOKIE, ORDER_KEY, Role, Secrets, is_safe, order_key};
use hal::{Kind, Problem, Request};
use kernel::{Actor, CustomerId, OrderId};
use std::cell::RefCell;
use std::collections::HashMap;

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// Who they are.
    pub identity: Identity,
    /// The guests' orders whose keys they showed.
    pub orders: Vec<OrderId>,
    /// For whom another context asks, if it says so. Of nobody else that is believed.
    pub on_behalf_of: Option<Actor>,
}

/// Who somebody is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Identity {
    /// Nobody that is known.
    #[default]
    Stranger,
    /// A member who is signed in.
    Member {
        /// Their number.
        customer_id: CustomerId,
        /// Their roles.
        roles: Vec<Role>,
        /// The session they signed in with.
        session: String,
    },
    /// A program.
    Machine {
        /// Its name.
        name: String,
        /// What it may do.
        scopes: Vec<String>,
        /// What its token can be ended by.
        session: String,
    },
    /// Another context.
    Service,
}

impl Caller {
    /// The number of the member who asks.
    pub const fn customer_id(&self) -> Option<CustomerId> {
        match &self.identity {
            Identity::Member { customer_id, .. } => Some(*customer_id),
            _ => None,
        }
    }

    /// Whether a member with this role asks.
    pub fn has(&self, role: Role) -> bool {
        match &self.identity {
            Identity::Member { roles, .. } => role == Role::Customer || roles.contains(&role),
            _ => false,
        }
    }

    /// What the token that was shown can be ended by.
    pub fn session(&self) -> Option<&str> {
        match &self.identity {
            Identity::Member { session, .. } | Identity::Machine { session, .. } => Some(session),
            Identity::Stranger | Identity::Service => None,
        }
    }

    /// As logs and the audit trail name them: without anything that is personal or a secret.
    pub fn name(&self) -> String {
        match &self.identity {
            Identity::Member { customer_id, .. } => customer_id.to_string(),
            Identity::Machine { name, .. } => format!("machine:{name}"),
            Identity::Service => "service".to_owned(),
            Identity::Stranger => "guest".to_owned(),
        }
    }
}

impl From<Claims> for Identity {
    fn from(claims: Claims) -> Self {
        let Claims { sub, sid, roles, scope, .. } = claims;
        if let Some(name) = sub.strip_prefix("machine:") {
            let scopes = scope.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
            return Self::Machine { name: name.to_owned(), scopes, session: sid };
        }
        // `member` signs no other subjects.
        sub.parse().map_or(Self::Stranger, |customer_id| Self::Member { customer_id, roles, session: sid })
    }
}

/// How many tokens an instance remembers having verified.
const REMEMBERED: usize = 256;

thread_local! {
    /// Tokens that were verified, until when they count (in seconds of Unix time), and whose they are: verifying one costs
    /// more than all else that is done here.
    static VERIFIED: RefCell<HashMap<String, (u64, Identity)>> = RefCell::default();
}

/// What credentials are held against.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// Whether everybody may do everything.
    pub(crate) open: bool,
    pub(crate) tokens: Keys,
    pub(crate) guest_keys: Secrets,
    pub(crate) service_keys: Secrets,
}

impl Gate {
    /// Who asks; 401 for credentials that are shown and do not count. A cookie is sent along unasked, so one that does not
    /// count is as none.
    pub(crate) fn identify(&self, request: &Request) -> Result<Caller, Problem> {
        // A page of another site can have a browser send our cookies, but only ours can have it change something with them.
        let with_cookies = is_safe(&request.method) || request.is_same_origin();
        let identity = match request.credential("authorization") {
            Some(value) => self.authorized(value)?,
            None if with_cookies => {
                let token = request.cookies().find(|(name, _)| *name == ACCESS_COOKIE);
                token.and_then(|(_, token)| self.verified(token).ok()).unwrap_or_default()
            }
            None => Identity::Stranger,
        };
        let mut orders = Vec::new();
        if let Some(key) = request.credential(ORDER_KEY) {
            let order_id = key.and_then(|key| order_key::read(&self.guest_keys, key));
            orders.push(order_id.ok_or_else(|| invalid("The `Order-Key` is not one of ours."))?);
        }
        if with_cookies {
            let keys = request.cookies().filter(|(name, _)| name.starts_with(ORDER_COOKIE));
            orders.extend(keys.filter_map(|(_, key)| order_key::read(&self.guest_keys, key)));
        }
        let on_behalf_of = match (&identity, request.credential(ON_BEHALF_OF)) {
            (Identity::Service, Some(Some(actor))) => actor.parse().ok(),
            _ => None,
        };
        Ok(Caller { identity, orders, on_behalf_of })
    }

    /// The same where nothing depends on it.
    pub(crate) fn identify_if_possible(&self, request: &Request) -> Caller {
        self.identify(request).unwrap_or_default()
    }

    fn authorized(&self, value: Option<&str>) -> Result<Identity, Problem> {
        let value = value.ok_or_else(|| invalid("`Authorization` must be there once."))?;
        let (scheme, credential) = value.split_once(' ').unwrap_or((value, ""));
        let credential = credential.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return self.verified(credential).map_err(|invalid_token| invalid(&invalid_token.to_string()));
        }
        if scheme.eq_ignore_ascii_case("service") && self.service_keys.include(credential) {
            return Ok(Identity::Service);
        }
        Err(invalid("`Authorization` must be `Bearer` with an access token."))
    }

    fn verified(&self, token: &str) -> Result<Identity, crate::token::Invalid> {
        let now = u64::try_from(kernel::Timestamp::now().millis() / 1000).unwrap_or(0);
        let known = VERIFIED.with_borrow(|verified| {
            verified.get(token).filter(|(until, _)| *until > now).map(|(_, identity)| identity.clone())
        });
        if let Some(identity) = known {
            return Ok(identity);
        }
        let claims = self.tokens.verify(token)?;
        let until = claims.exp;
        let identity = Identity::from(claims);
        VERIFIED.with_borrow_mut(|verified| {
            if verified.len() >= REMEMBERED {
                verified.clear();
            }
            verified.insert(token.to_owned(), (until, identity.clone()));
        });
        Ok(identity)
    }
}

/// The credentials that were shown do not count.
pub(crate) fn invalid(detail: &str) -> Problem {
    Problem::new(Kind::TOKEN_INVALID)
        .detail(detail)
        .header("www-authenticate", "Bearer realm=\"sugang\", error=\"invalid_token\"")
}

/// No credentials were shown, and some are needed.
pub fn sign_in_required() -> Problem {
    Problem::new(Kind::SIGN_IN_REQUIRED).header("www-authenticate", "Bearer realm=\"sugang\"")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::OrderKeys;
    use crate::token::Claims;
    use crate::token::tests::{key, keys, now};
    use hal::Method;
    use proptest::prelude::*;

    pub(crate) const SERVICE_KEY: &str = "service-service-service";

    /// Members' tokens are signed by the key `a` of ones.
    pub(crate) fn gate() -> Gate {
        Gate {
            open: false,
            tokens: keys(&[&key("a", 1)]),
            guest_keys: Secrets::parse("guest_keys", "guest-guest-guest-guest").unwrap(),
            service_keys: Secrets::parse("service_keys", SERVICE_KEY).unwrap(),
        }
    }

    pub(crate) fn token(customer: u64, roles: &[Role]) -> String {
        let customer = CustomerId::parse(customer).unwrap();
        key("a", 1).sign(&Claims::of_member(customer, "s1", roles, now(), now() + 300)).unwrap()
    }

    fn identify(method: Method, headers: &[(&str, &str)]) -> Result<Caller, Problem> {
        gate().identify(&Request::new(method, "/orders", headers, "").unwrap())
    }

    #[test]
    fn a_member_shows_a_token_in_a_header_or_a_cookie() {
        let token = token(7, &[Role::Manager]);
        let cookie = format!("x=y; sugang-access={token}");
        let bearer = format!("Bearer {token}");
        for headers in [[("authorization", &*bearer)], [("cookie", &*cookie)]] {
            let caller = identify(Method::GET, &headers).unwrap();
            assert_eq!(caller.customer_id().map(CustomerId::get), Some(7));
            assert!(caller.has(Role::Manager) && caller.has(Role::Customer) && !caller.has(Role::Operator));
            assert_eq!((caller.session(), &*caller.name()), (Some("s1"), "7"));
        }
    }

    #[test]
    fn a_cookie_changes_something_only_from_a_page_of_ours() {
        let cookie = format!("sugang-access={}", token(7, &[]));
        let post = |more: &[(&'static str, &'static str)]| {
            let mut headers = vec![("cookie", &*cookie), ("host", "h")];
            headers.extend(more);
            identify(Method::POST, &headers).unwrap().customer_id()
        };
        assert_eq!(post(&[]), None);
        assert_eq!(post(&[("sec-fetch-site", "cross-site")]), None);
        assert_eq!(post(&[("origin", "https://evil.example")]), None);
        assert!(post(&[("sec-fetch-site", "same-origin")]).is_some());
        assert!(post(&[("origin", "http://h")]).is_some());
    }

    #[test]
    fn what_is_shown_and_does_not_count_is_refused_and_a_cookie_passed_over() {
        for headers in [
            &[("authorization", "Bearer x")][..],
            &[("authorization", "Bearer")],
            &[("authorization", "Basic eDp5")],
            &[("authorization", "")],
            &[("authorization", "Service wrong")],
            &[("authorization", "Bearer 한")],
            &[("order-key", "7.x")],
            &[("order-key", "")],
        ] {
            let refused = identify(Method::GET, headers).unwrap_err();
            assert_eq!(refused.status().as_u16(), 401, "{headers:?}");
        }
        assert_eq!(identify(Method::GET, &[("cookie", "sugang-access=x")]).unwrap(), Caller::default());
    }

    proptest! {
        #[test]
        fn nobody_is_anybody_by_what_they_make_up(
            authorization in prop::option::of("(Bearer|service|Basic|) ?[ -~]{0,40}|\\PC*"),
            key in prop::option::of("[0-9]{0,20}\\.?[A-Za-z0-9_-]{0,24}|\\PC*"),
            cookie in "(sugang-access|sugang-order-7|x|;|=|\\PC){0,12}",
        ) {
            let mut headers = vec![("cookie", &*cookie), (ON_BEHALF_OF, "operator:12")];
            headers.extend(authorization.as_deref().map(|value| ("authorization", value)));
            headers.extend(key.as_deref().map(|value| (ORDER_KEY, value)));
            match identify(Method::GET, &headers) {
                Ok(caller) => {
                    prop_assert!(authorization.is_none() && key.is_none());
                    prop_assert_eq!(caller, Caller::default());
                }
                Err(refused) => prop_assert_eq!(refused.status().as_u16(), 401),
            }
        }
    }

    #[test]
    fn a_guest_shows_the_keys_of_orders() {
        let keys = OrderKeys::new(&gate().guest_keys).unwrap();
        let key = |number| keys.key_of(OrderId::parse(number).unwrap());
        let (seven, eight) = (key(7), key(8));
        let cookie = format!("sugang-order-8={eight}; sugang-order-9={eight}x");
        let caller = identify(Method::GET, &[("order-key", &seven), ("cookie", &cookie)]).unwrap();
        assert_eq!(caller.orders.iter().map(|id| id.get()).collect::<Vec<_>>(), [7, 8]);
        assert_eq!(caller.identity, Identity::Stranger);
    }

    #[test]
    fn another_context_and_a_machine_are_known_by_theirs() {
        let service =
            identify(Method::POST, &[("authorization", &format!("Service {SERVICE_KEY}"))]).unwrap();
        assert_eq!(service.identity, Identity::Service);
        let behalf = |credential: &str| {
            let headers = [("authorization", credential), (ON_BEHALF_OF, "operator:12")];
            identify(Method::POST, &headers).unwrap().on_behalf_of.map(|actor| actor.to_string())
        };
        assert_eq!(behalf(&format!("Service {SERVICE_KEY}")).as_deref(), Some("operator:12"));
        assert_eq!(behalf(&format!("Bearer {}", token(7, &[]))), None, "who is no context is who they are");
        let claims = Claims::of_machine("nightly", "m1", &["orders", "courses"], now(), now() + 60);
        let token = format!("Bearer {}", key("a", 1).sign(&claims).unwrap());
        let machine = identify(Method::GET, &[("authorization", &token)]).unwrap();
        assert_eq!(machine.name(), "machine:nightly");
        assert!(
            matches!(machine.identity, Identity::Machine { scopes, .. } if scopes == ["orders", "courses"])
        );
    }
}
