//! Whose things the one who asks may see, or change.

use crate::caller::sign_in_required;
use crate::table::{Rule, Who, Whose, rule_for};
use crate::{Caller, Identity, Role, sessions};
use hal::{Kind, Method, Problem};
use kernel::{Actor, CustomerId, OrderId, Owners};

/// What the request that is being answered may reach.
#[derive(Clone, Debug)]
pub struct Reach {
    /// Who asks.
    pub caller: Caller,
    /// Whether nobody is asked who they are.
    open: bool,
    /// Whose things are in reach; none where everybody's are.
    owners: Option<Owners>,
    /// Who asks, as events have it.
    actor: Option<Actor>,
}

impl Reach {
    /// Everything there is, as everybody has it in an open system.
    pub const fn open(caller: Caller) -> Self {
        Self { caller, open: true, owners: None, actor: Some(Actor::Open) }
    }

    /// What `rule` gives to the one who asks; 401 or 403 where it gives them nothing.
    pub(crate) fn of(rule: &Rule, caller: Caller) -> Result<Self, Problem> {
        let granted: Vec<_> = rule.grants.iter().filter(|(who, _)| who.is(&caller)).copied().collect();
        if granted.is_empty() {
            return Err(match caller.identity {
                Identity::Stranger => sign_in_required(),
                _ => Problem::new(Kind::NOT_ALLOWED),
            });
        }
        let has = |whose| granted.iter().any(|(_, of)| *of == whose);
        let owners = (!has(Whose::Everyones)).then(|| Owners {
            customer: caller.customer_id().filter(|_| has(Whose::Own)),
            manager: caller.customer_id().filter(|_| has(Whose::OfTheirCourses)),
            orders: if has(Whose::OfTheirKeys) { caller.orders.clone() } else { vec![] },
        });
        let actor = actor(&caller, &granted);
        Ok(Self { caller, open: false, owners, actor })
    }

    /// What the same caller may reach by another method and path, for links to what may be done next. Nothing, where that
    /// may not be done at all.
    #[must_use]
    pub fn by(&self, method: &Method, path: &'static str) -> Self {
        if self.open {
            return self.clone();
        }
        let of = |rule| Self::of(rule, self.caller.clone()).ok();
        let nothing = || Self {
            caller: self.caller.clone(),
            open: false,
            owners: Some(Owners::default()),
            actor: None,
        };
        rule_for(method, path).and_then(of).unwrap_or_else(nothing)
    }

    /// An `Idempotency-Key` as it is kept: what one member sends is not what another sends. A client's key has no space in it.
    pub fn own_key(&self, key: &str) -> String {
        if self.open { key.to_owned() } else { format!("{} {key}", self.caller.name()) }
    }

    /// Who asks, in the role that lets them; none for another context that acts by itself.
    pub const fn actor(&self) -> Option<&Actor> {
        self.actor.as_ref()
    }

    /// Whether nobody is asked who they are.
    pub const fn is_open(&self) -> bool {
        self.open
    }

    /// Whose things are in reach, for lists to be filtered by; none where everybody's are.
    pub const fn owners(&self) -> Option<&Owners> {
        self.owners.as_ref()
    }

    /// Whether everybody's things are in reach.
    pub const fn is_everything(&self) -> bool {
        self.owners.is_none()
    }

    /// Whether the session that was shown has not ended since: for answers that go on for a while.
    pub async fn still_counts(&self) -> bool {
        match self.caller.session() {
            Some(session) if !self.open => !sessions::has_ended(session).await,
            _ => true,
        }
    }

    /// Whether what belongs to this application is in reach, whoever manages its course.
    pub fn includes(&self, order_id: OrderId, customer_id: Option<CustomerId>) -> bool {
        self.owners.as_ref().is_none_or(|owners| owners.applied(order_id, customer_id))
    }

    /// Whether what belongs to a course with these managers is in reach.
    pub fn includes_course(&self, managers: impl Iterator<Item = CustomerId>) -> bool {
        self.owners.as_ref().is_none_or(|owners| owners.manage(managers))
    }
}

/// Who acts where this was granted. Whoever may as several acts as the most that they are.
fn actor(caller: &Caller, granted: &[(Who, Whose)]) -> Option<Actor> {
    let is_granted = |who| granted.iter().any(|(granted, _)| *granted == who);
    match &caller.identity {
        Identity::Stranger => Some(Actor::Guest),
        Identity::Member { customer_id, .. } => {
            let role = if is_granted(Who::Operator) {
                Role::Operator
            } else if is_granted(Who::Manager) {
                Role::Manager
            } else {
                Role::Customer
            };
            Some(Actor::Member(*customer_id, role))
        }
        Identity::Machine { session, .. } => Some(Actor::Machine(session.clone())),
        Identity::Service => caller.on_behalf_of.clone(),
    }
}

impl Who {
    /// Whether it is the one who asks.
    fn is(self, caller: &Caller) -> bool {
        match self {
            Self::Anyone => true,
            Self::Guest => !caller.orders.is_empty(),
            Self::Customer => caller.has(Role::Customer),
            Self::Manager => caller.has(Role::Manager),
            Self::Operator => caller.has(Role::Operator),
            Self::Service => caller.identity == Identity::Service,
            Self::Scope(wanted) => match &caller.identity {
                Identity::Machine { scopes, .. } => scopes.iter().any(|scope| scope == wanted),
                _ => false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    fn number(raw: u64) -> CustomerId {
        CustomerId::parse(raw).unwrap()
    }

    fn member(raw: u64, roles: &[Role]) -> Caller {
        let identity =
            Identity::Member { customer_id: number(raw), roles: roles.to_vec(), session: "s".to_owned() };
        Caller { identity, ..Caller::default() }
    }

    fn order(raw: u64) -> OrderId {
        OrderId::parse(raw).unwrap()
    }

    fn reach(method: &Method, path: &'static str, caller: Caller) -> Result<Reach, u16> {
        Reach::of(rule_for(method, path).unwrap(), caller).map_err(|problem| problem.status().as_u16())
    }

    #[test]
    fn a_customer_reaches_their_own() {
        let reach = reach(&Method::GET, "/orders/{orderId}", member(7, &[])).unwrap();
        assert!(reach.includes(order(1), Some(number(7))));
        assert!(!reach.includes(order(1), Some(number(8))) && !reach.includes(order(1), None));
    }

    #[test]
    fn a_guest_reaches_the_orders_of_their_keys_and_a_stranger_nothing() {
        let guest = Caller { orders: vec![order(1)], ..Caller::default() };
        let reached = reach(&Method::GET, "/orders/{orderId}", guest).unwrap();
        assert!(reached.includes(order(1), None) && !reached.includes(order(2), None));
        assert_eq!(reach(&Method::GET, "/orders/{orderId}", Caller::default()).unwrap_err(), 401);
    }

    #[test]
    fn a_manager_reaches_the_reservations_of_their_courses_and_no_payments() {
        let manager = member(7, &[Role::Manager]);
        let reached = reach(&Method::PATCH, "/reservations/{orderId}", manager.clone()).unwrap();
        assert!(
            reached.includes_course([8, 7].map(number).into_iter())
                && !reached.includes_course([number(8)].into_iter())
        );
        // Their own payments, as everybody's.
        let pays = reach(&Method::GET, "/pays", manager).unwrap();
        let own = Owners { customer: Some(number(7)), ..Owners::default() };
        assert_eq!(pays.owners(), Some(&own));
        assert_eq!(reach(&Method::PATCH, "/reservations/{orderId}", member(7, &[])).unwrap_err(), 403);
    }

    #[test]
    fn an_operator_reaches_everything_but_charges_nobody() {
        let operator = member(7, &[Role::Operator]);
        assert!(reach(&Method::GET, "/orders", operator.clone()).unwrap().is_everything());
        assert_eq!(reach(&Method::POST, "/pays", operator).unwrap_err(), 403);
        let service = Caller { identity: Identity::Service, ..Caller::default() };
        assert!(reach(&Method::POST, "/pays", service).unwrap().is_everything());
    }

    #[test]
    fn whoever_may_as_several_acts_as_the_most_that_they_are() {
        let everything = member(7, &[Role::Customer, Role::Manager, Role::Operator]);
        let acts = |method: &Method, path, caller: &Caller| {
            reach(method, path, caller.clone()).unwrap().actor().map(ToString::to_string)
        };
        let confirm = (&Method::PATCH, "/reservations/{orderId}");
        assert_eq!(acts(confirm.0, confirm.1, &everything).as_deref(), Some("operator:7"));
        let manager = member(7, &[Role::Manager]);
        assert_eq!(acts(confirm.0, confirm.1, &manager).as_deref(), Some("manager:7"));
        // What is one's own is no business of a manager or an operator.
        assert_eq!(acts(&Method::PATCH, "/members/me", &everything).as_deref(), Some("customer:7"));
        assert_eq!(acts(&Method::POST, "/orders", &manager).as_deref(), Some("customer:7"));
        assert_eq!(acts(&Method::POST, "/orders", &Caller::default()).as_deref(), Some("guest"));
        let machine = Identity::Machine {
            name: "nightly".to_owned(),
            scopes: vec!["orders".to_owned()],
            session: "m1".to_owned(),
        };
        let machine = Caller { identity: machine, ..Caller::default() };
        assert_eq!(acts(&Method::POST, "/orders", &machine).as_deref(), Some("machine:m1"));
        let service = Caller { identity: Identity::Service, ..Caller::default() };
        assert_eq!(acts(&Method::POST, "/pays", &service), None);
        let service = Caller { on_behalf_of: Some(Actor::Guest), ..service };
        assert_eq!(acts(&Method::POST, "/pays", &service).as_deref(), Some("guest"));
        assert_eq!(Reach::open(Caller::default()).actor(), Some(&Actor::Open));
    }

    #[test]
    fn what_may_be_done_next_is_read_from_the_same_table() {
        let shown = reach(&Method::GET, "/courses", member(7, &[])).unwrap();
        assert!(shown.is_everything());
        assert!(!shown.by(&Method::PATCH, "/courses/{eduNo}").includes_course([number(7)].into_iter()));
        let shown = reach(&Method::GET, "/courses", member(7, &[Role::Manager])).unwrap();
        assert!(shown.by(&Method::PATCH, "/courses/{eduNo}").includes_course([number(7)].into_iter()));
    }
}
