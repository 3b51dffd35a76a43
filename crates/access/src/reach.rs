//! Whose things the one who asks may see, or change.

use crate::caller::unknown;
use crate::table::{Rule, Who, Whose, rule_for};
use crate::{Caller, Identity, Role};
use hal::{Kind, Method, Problem};
use kernel::event::Applicant;
use kernel::{CustomerId, OrderId};

/// What the request that is being answered may reach.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// Who asks.
    pub caller: Caller,
    /// Whether nobody is asked who they are.
    open: bool,
    everything: bool,
    customer: Option<CustomerId>,
    courses_of: Option<CustomerId>,
    orders: Vec<OrderId>,
}

impl Reach {
    /// Everything there is, as everybody has it in an open system.
    pub const fn open(caller: Caller) -> Self {
        Self { caller, open: true, everything: true, customer: None, courses_of: None, orders: Vec::new() }
    }

    /// What `rule` gives to the one who asks; 401 or 403 where it gives them nothing.
    pub(crate) fn of(rule: &Rule, caller: Caller) -> Result<Self, Problem> {
        let mut reach = Self::default();
        let mut granted = false;
        for (who, whose) in rule.grants {
            if !who.is(&caller) {
                continue;
            }
            granted = true;
            match whose {
                Whose::Everyones => reach.everything = true,
                Whose::Own => reach.customer = caller.customer_id(),
                Whose::OfTheirCourses => reach.courses_of = caller.customer_id(),
                Whose::OfTheirKeys => reach.orders.clone_from(&caller.orders),
            }
        }
        if granted {
            return Ok(Self { caller, ..reach });
        }
        Err(match caller.identity {
            Identity::Stranger => unknown(),
            _ => Problem::new(Kind::NOT_ALLOWED),
        })
    }

    /// What the same caller may reach by another method and path, for links to what may be done next. Nothing, where that
    /// may not be done at all.
    #[must_use]
    pub fn by(&self, method: &Method, path: &'static str) -> Self {
        if self.open {
            return self.clone();
        }
        let of = |rule| Self::of(rule, self.caller.clone()).ok();
        rule_for(method, path).and_then(of).unwrap_or_default()
    }

    /// Whether nobody is asked who they are.
    pub const fn is_open(&self) -> bool {
        self.open
    }

    /// Whether it is all there is.
    pub const fn is_everything(&self) -> bool {
        self.everything
    }

    /// The member whose own things are in reach, if not everything is.
    pub const fn customer(&self) -> Option<CustomerId> {
        if self.everything { None } else { self.customer }
    }

    /// The manager whose courses' things are in reach, if not everything is.
    pub const fn courses_of(&self) -> Option<CustomerId> {
        if self.everything { None } else { self.courses_of }
    }

    /// The orders whose keys were shown, if not everything is in reach.
    pub fn orders(&self) -> &[OrderId] {
        if self.everything { &[] } else { &self.orders }
    }

    /// Whether something is in reach that belongs to this application, whoever manages its course.
    pub fn includes(&self, applicant: &Applicant) -> bool {
        let own = self.customer.is_some() && self.customer == applicant.customer_id;
        self.everything || own || self.orders.contains(&applicant.order_id)
    }

    /// Whether something is in reach that belongs to a course with these managers.
    pub fn includes_course(&self, managers: &[CustomerId]) -> bool {
        self.everything || self.courses_of.is_some_and(|manager| managers.contains(&manager))
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
    use kernel::{EduNo, Guests, Language};

    fn number(raw: u64) -> CustomerId {
        CustomerId::parse(raw).unwrap()
    }

    fn member(raw: u64, roles: &[Role]) -> Caller {
        let identity =
            Identity::Member { customer_id: number(raw), roles: roles.to_vec(), session: "s".to_owned() };
        Caller { identity, orders: vec![] }
    }

    fn applicant(order_id: u64, customer: Option<u64>) -> Applicant {
        Applicant {
            order_id: OrderId::parse(order_id).unwrap(),
            customer_id: customer.map(number),
            edu_no: EduNo::parse(101).unwrap(),
            guest: Guests::ONE,
            language: Language::Ko,
        }
    }

    fn reach(method: &Method, path: &'static str, caller: Caller) -> Result<Reach, u16> {
        Reach::of(rule_for(method, path).unwrap(), caller).map_err(|problem| problem.status().as_u16())
    }

    #[test]
    fn a_customer_reaches_their_own() {
        let reach = reach(&Method::GET, "/orders/{orderId}", member(7, &[])).unwrap();
        assert!(reach.includes(&applicant(1, Some(7))));
        assert!(!reach.includes(&applicant(1, Some(8))) && !reach.includes(&applicant(1, None)));
    }

    #[test]
    fn a_guest_reaches_the_orders_of_their_keys_and_a_stranger_nothing() {
        let guest = Caller { orders: vec![OrderId::parse(1).unwrap()], ..Caller::default() };
        let reached = reach(&Method::GET, "/orders/{orderId}", guest).unwrap();
        assert!(reached.includes(&applicant(1, None)) && !reached.includes(&applicant(2, None)));
        assert_eq!(reach(&Method::GET, "/orders/{orderId}", Caller::default()).unwrap_err(), 401);
    }

    #[test]
    fn a_manager_reaches_the_reservations_of_their_courses_and_no_payments() {
        let manager = member(7, &[Role::Manager]);
        let reached = reach(&Method::PATCH, "/reservations/{orderId}", manager.clone()).unwrap();
        assert!(reached.includes_course(&[number(8), number(7)]) && !reached.includes_course(&[number(8)]));
        // Their own payments, as everybody's.
        let pays = reach(&Method::GET, "/pays", manager).unwrap();
        assert_eq!((pays.courses_of(), pays.customer()), (None, Some(number(7))));
        assert_eq!(reach(&Method::PATCH, "/reservations/{orderId}", member(7, &[])).unwrap_err(), 403);
    }

    #[test]
    fn an_operator_reaches_everything_but_charges_nobody() {
        let operator = member(7, &[Role::Operator]);
        assert!(reach(&Method::GET, "/orders", operator.clone()).unwrap().is_everything());
        assert_eq!(reach(&Method::POST, "/pays", operator).unwrap_err(), 403);
        let service = Caller { identity: Identity::Service, orders: vec![] };
        assert!(reach(&Method::POST, "/pays", service).unwrap().is_everything());
    }

    #[test]
    fn what_may_be_done_next_is_read_from_the_same_table() {
        let shown = reach(&Method::GET, "/courses", member(7, &[])).unwrap();
        assert!(shown.is_everything());
        assert!(!shown.by(&Method::PATCH, "/courses/{eduNo}").includes_course(&[number(7)]));
        let shown = reach(&Method::GET, "/courses", member(7, &[Role::Manager])).unwrap();
        assert!(shown.by(&Method::PATCH, "/courses/{eduNo}").includes_course(&[number(7)]));
    }
}
