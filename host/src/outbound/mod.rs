//! What components may reach outside of themselves, and how.

pub mod allowed_hosts;
pub mod http;
