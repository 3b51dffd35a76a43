//! The breaker before `pay`: whether it lets calls through, and when it did not.

use crate::documents::Breaker;
use crate::format;
use crate::messages::Messages;

/// How many times of opening and closing are shown.
const SHOWN: usize = 5;

pub(super) struct Shown {
    /// How good that is (a class of badges), and in a word.
    pub(super) state: (&'static str, &'static str),
    pub(super) text: String,
    /// What it did when, newest first.
    pub(super) history: Vec<String>,
}

impl Shown {
    pub(super) fn of(breaker: &Breaker, t: Messages) -> Self {
        let since = breaker.since.map(|since| format::moment(since, t.0)).unwrap_or_default();
        let (state, text) = match breaker.state.as_str() {
            "closed" => {
                let (failures, seconds) = (format::number(breaker.failures), breaker.window_seconds);
                (("good", t.breaker_closed()), t.breaker_closed_text(failures, seconds))
            }
            "half-open" => (("warn", t.breaker_half_open()), t.breaker_half_open_text(since)),
            _ => (("bad", t.breaker_open()), t.breaker_open_text(since)),
        };
        let line = |opened: bool, at: String| if opened { t.breaker_opened(at) } else { t.breaker_shut(at) };
        let history = breaker.history.iter().take(SHOWN);
        let history = history.map(|change| line(change.state == "open", format::moment(change.at, t.0)));
        Self { state, text, history: history.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::BreakerChange;
    use kernel::{Language, Timestamp};

    #[test]
    fn it_says_whether_calls_go_through_and_when_they_did_not() {
        let at = Timestamp::from_millis(1_795_309_323_004);
        let of = |state: &str| {
            let history = vec![BreakerChange { state: "open".to_owned(), at }];
            let breaker = Breaker {
                state: state.to_owned(),
                since: Some(at),
                failures: 3,
                window_seconds: 10,
                history,
            };
            Shown::of(&breaker, Messages(Language::En))
        };
        let closed = of("closed");
        assert_eq!(closed.state.0, "good");
        assert!(closed.text.contains('3') && closed.text.contains("10"), "{}", closed.text);
        assert_eq!((of("open").state.0, of("half-open").state.0), ("bad", "warn"));
        assert_eq!(closed.history.len(), 1);
    }
}
