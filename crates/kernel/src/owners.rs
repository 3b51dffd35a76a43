//! Whose things somebody may see.

use crate::{CustomerId, OrderId};

/// Those whose things are within somebody's reach: what belongs to any of them is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners {
    /// What this customer applied for.
    pub customer: Option<CustomerId>,
    /// What was applied for at the courses of this manager.
    pub manager: Option<CustomerId>,
    /// What belongs to these orders.
    pub orders: Vec<OrderId>,
}

impl Owners {
    /// Whether an application is one of this customer, or of these orders.
    pub fn applied(&self, order_id: OrderId, customer_id: Option<CustomerId>) -> bool {
        self.orders.contains(&order_id) || (self.customer.is_some() && self.customer == customer_id)
    }

    /// Whether a course with these managers is one of this manager.
    pub fn manage(&self, mut managers: impl Iterator<Item = CustomerId>) -> bool {
        self.manager.is_some_and(|manager| managers.any(|one| one == manager))
    }
}
