//! Which orders a list shows, and in which order.

use kernel::{CustomerId, EduNo, Invalid, OrderStatus, Owners, PayStatus, ReservationStatus};
use std::str::FromStr;
use store::{Page, Statement};

/// A status to filter by: any of the three that an order has. No two of them share a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnyStatus {
    Order(OrderStatus),
    Pay(PayStatus),
    Reservation(ReservationStatus),
}

impl AnyStatus {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Order(status) => status.as_str(),
            Self::Pay(status) => status.as_str(),
            Self::Reservation(status) => status.as_str(),
        }
    }

    fn all() -> impl Iterator<Item = Self> {
        let order = OrderStatus::ALL.iter().copied().map(Self::Order);
        let pay = PayStatus::ALL.iter().copied().map(Self::Pay);
        order.chain(pay).chain(ReservationStatus::ALL.iter().copied().map(Self::Reservation))
    }
}

impl FromStr for AnyStatus {
    type Err = Invalid;

    fn from_str(raw: &str) -> Result<Self, Invalid> {
        Self::all().find(|status| status.as_str() == raw).ok_or_else(|| {
            let words: Vec<_> = Self::all().map(|status| format!("`{}`", status.as_str())).collect();
            Invalid::new("status", format!("must be one of {}", words.join(", ")))
        })
    }
}

/// Which orders are wanted; what is none does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter<'a> {
    pub(crate) customer_id: Option<CustomerId>,
    pub(crate) edu_no: Option<EduNo>,
    pub(crate) status: Option<AnyStatus>,
    /// Whose; none is everybody's.
    pub(crate) owners: Option<&'a Owners>,
}

impl Filter<'_> {
    fn conditions(self) -> store::Filter {
        let filter = store::Filter::default()
            .equal("i.customer_id", self.customer_id.map(CustomerId::get))
            .equal("i.edu_no", self.edu_no.map(EduNo::get))
            .owned("i.", self.owners);
        let column = match self.status {
            None => return filter,
            Some(AnyStatus::Order(_)) => "i.order_status",
            Some(AnyStatus::Pay(_)) => "i.pay_status",
            Some(AnyStatus::Reservation(_)) => "i.reservation_status",
        };
        filter.equal(column, self.status.map(AnyStatus::as_str))
    }

    /// The name under which the triggers count the rows it lets through, if they do.
    fn counted_as(self) -> Option<String> {
        match self {
            Self { customer_id: None, edu_no: None, status: None, owners: None } => Some("all".to_owned()),
            Self { customer_id: None, edu_no: Some(edu_no), status: None, owners: None } => {
                Some(format!("eduNo {edu_no}"))
            }
            Self { customer_id: None, edu_no: None, status: Some(status), owners: None } => {
                Some(status.as_str().to_owned())
            }
            _ => None,
        }
    }

    pub(super) fn ask_list(self, select: &'static str, page: &Page) -> Statement {
        self.conditions().page(select, KEY, page)
    }

    pub(super) fn ask_total(self) -> Statement {
        match self.counted_as() {
            Some(name) => Statement::new("SELECT rows AS total FROM counts WHERE name = $1").bind(name),
            None => self.conditions().all("SELECT count(*) AS total FROM infomations AS i"),
        }
    }
}

const KEY: &str = "i.order_id";

/// The column by which a list is sorted that is to be sorted by this field of its documents.
pub(crate) fn column(field: &str) -> &'static str {
    match field {
        "eduNo" => "i.edu_no",
        "updatedAt" => "i.updated_at",
        _ => KEY,
    }
}
