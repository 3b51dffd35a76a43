//! x
mod domain;
#[cfg(test)]
mod samples;
