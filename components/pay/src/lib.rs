//! Payments.
mod cashier;
mod domain;
