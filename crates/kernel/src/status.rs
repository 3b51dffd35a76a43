//! The statuses, exactly as the seed spells them, and the other closed sets of words.

/// A closed set of words, each as it is spelt: an enum that reads and writes itself. `$field` is what a refusal is about.
#[macro_export]
macro_rules! words {
    ($(#[$doc:meta])* $vis:vis $name:ident, $field:literal { $($(#[$word_doc:meta])* $word:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ::serde::Serialize, ::serde::Deserialize,
        )]
        $vis enum $name {
            $($(#[$word_doc])* #[serde(rename = $text)] $word),+
        }

        impl $name {
            /// Every one of them, in the order in which they are declared.
            pub const ALL: &'static [Self] = &[$(Self::$word),+];

            /// As the API spells it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$word => $text),+
                }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::Invalid;

            fn from_str(raw: &str) -> Result<Self, $crate::Invalid> {
                Self::ALL.iter().copied().find(|word| word.as_str() == raw).ok_or_else(|| {
                    let known: Vec<_> = Self::ALL.iter().map(|word| format!("`{word}`")).collect();
                    $crate::Invalid::new($field, format!("must be one of {}", known.join(", ")))
                })
            }
        }
    };
}

words!(
    /// Where an order stands.
    pub OrderStatus, "status" {
        /// Applied for, and alive.
        Ordered = "Ordered",
        /// Canceled by the customer, or closed by the system (expired, rejected, the course canceled).
        OrderCanceled = "Order Canceled",
    }
);

words!(
    /// Where the payment of an order stands.
    pub PayStatus, "status" {
        /// Accepted, but not paid yet: `pay` was slow or down, or no card was given.
        PaymentDelayed = "Payment Delayed",
        /// Paid, or nothing to pay.
        Paid = "Paid",
        /// The card company said no; another card may be tried until the order expires.
        PaymentDeclined = "Payment Declined",
        /// Refunded, or closed before anything was paid.
        PaymentCanceled = "Payment Canceled",
    }
);

words!(
    /// Where the seat of an order stands.
    pub ReservationStatus, "status" {
        /// A seat is held until the course manager decides.
        ReservationRequested = "Reservation Requested",
        /// The course is full: on the waiting list.
        Waitlisted = "Waitlisted",
        /// The seat is theirs.
        ReservationConfirmed = "Reservation Confirmed",
        /// The course manager, or the course's state, said no.
        ReservationRejected = "Reservation Rejected",
        /// Given back.
        ReservationCanceled = "Reservation Canceled",
    }
);

impl ReservationStatus {
    /// Whether a seat is taken in this state.
    pub const fn takes_seats(self) -> bool {
        matches!(self, Self::ReservationRequested | Self::ReservationConfirmed)
    }
}

words!(
    /// Where a course stands.
    pub CourseStatus, "status" {
        /// Taking applications.
        Open = "Open",
        /// Under way.
        Started = "Started",
        /// Over.
        Finished = "Finished",
        /// Will not take place.
        CourseCanceled = "Course Canceled",
    }
);

words!(
    /// Who confirms a reservation.
    pub Approval, "approval" {
        /// The course manager.
        Manual = "manual",
        /// A free seat is enough.
        Automatic = "automatic",
    }
);

words!(
    /// The language a customer is written to in.
    #[derive(Default)]
    pub Language, "language" {
        /// Korean, the default.
        #[default]
        Ko = "ko",
        /// English.
        En = "en",
    }
);

words!(
    /// Which messages about their applications a member wants.
    #[derive(Default)]
    pub WantedMessages, "messages" {
        /// Every one, the default.
        #[default]
        All = "all",
        /// Without those that only say that something is under way.
        Needed = "needed",
    }
);

words!(
    /// What a member may do.
    pub Role, "role" {
        /// Apply for courses. Every member may.
        Customer = "customer",
        /// Open courses, and decide about the reservations of their own.
        Manager = "manager",
        /// Everything.
        Operator = "operator",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_reads_back_from_its_own_spelling() {
        for status in ReservationStatus::ALL {
            assert_eq!(status.as_str().parse::<ReservationStatus>().unwrap(), *status);
            assert_eq!(serde_json::to_string(status).unwrap(), format!("{:?}", status.as_str()));
        }
    }

    #[test]
    fn an_unknown_status_is_refused_with_the_known_ones() {
        let refusal = "ordered".parse::<OrderStatus>().unwrap_err();
        assert_eq!(refusal.problem, "must be one of `Ordered`, `Order Canceled`");
    }
}
