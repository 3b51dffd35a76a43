//! x
mod domain;
mod store;
mod templates;
#[cfg(test)]
mod samples;
