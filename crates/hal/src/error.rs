//! What an answer can be instead of a response.

use crate::Problem;
use kernel::{Invalid, Unavailable};
use std::any::Any;

/// What an answer can be instead of a [`Response`](crate::Response).
///
/// Any error becomes one by `?`: an [`Invalid`] is the client's to mend, one that was caused by an [`Unavailable`]
/// passes, and whatever else there is is ours to mend. An `Invalid` that is only the cause of another error is ours
/// too: a stored value that cannot be read, for example.
#[derive(Debug)]
pub enum Error {
    /// Expected: the client's to mend.
    Problem(Box<Problem>),
    /// Unexpected: ours to mend. Its causes are logged and not shown.
    Failure(anyhow::Error),
    /// Something that is needed cannot be used right now.
    Unavailable(anyhow::Error),
}

impl Error {
    /// What [`anyhow`] gathered, which `?` alone cannot convert.
    pub fn failure(causes: anyhow::Error) -> Self {
        if causes.chain().any(|cause| cause.is::<Unavailable>()) {
            Self::Unavailable(causes)
        } else {
            Self::Failure(causes)
        }
    }

    /// The problem that a client is shown; what must not be shown goes to the log.
    pub fn into_problem(self, path: &str) -> Problem {
        match self {
            Self::Problem(problem) => *problem,
            Self::Failure(causes) => {
                eprintln!("failed to answer {path}: {causes:#}");
                Problem::internal()
            }
            Self::Unavailable(causes) => {
                eprintln!("could not answer {path}: {causes:#}");
                Problem::unavailable()
            }
        }
        .instance(path)
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        match (&error as &dyn Any).downcast_ref::<Invalid>() {
            Some(refused) => Problem::from(refused.clone()).into(),
            None => Self::failure(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Response, StatusCode};
    use anyhow::Context;
    use serde_json::Value;

    #[derive(Debug, thiserror::Error)]
    enum Outer {
        #[error("locked")]
        Locked(#[source] Unavailable),
        #[error("unreadable")]
        Unreadable(#[source] Invalid),
    }

    /// What the client is told.
    fn told(error: Error) -> (StatusCode, Value) {
        let response = Response::from(error.into_problem("/orders"));
        (response.status(), response.json())
    }

    #[test]
    fn what_a_client_sent_is_its_to_mend() {
        let (status, problem) = told(Invalid::new("guest", "must be an integer from 1 to 20").into());
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(problem["errors"][0]["field"], "guest");
        assert_eq!(problem["instance"], "/orders");
    }

    #[test]
    fn whatever_waits_for_something_that_passes_passes_too() {
        let locked = || Outer::Locked(Unavailable("database is locked".to_owned()));
        let wrapped = Err::<(), _>(locked()).context("deciding").unwrap_err();
        for error in [Error::from(locked()), Error::failure(wrapped)] {
            let (status, problem) = told(error);
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
            assert!(!problem.to_string().contains("locked"), "{problem}");
        }
    }

    #[test]
    fn a_failure_never_shows_its_causes_and_says_what_to_do() {
        let stored = Error::from(Outer::Unreadable(Invalid::new("status", "must be one of …")));
        for error in [stored, Error::failure(anyhow::anyhow!("no such table: orders"))] {
            let (status, problem) = told(error);
            assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
            assert!(!problem.to_string().contains("table"), "{problem}");
            assert!(problem["next"].as_str().is_some_and(|next| next.starts_with("Try again")), "{problem}");
        }
    }
}
