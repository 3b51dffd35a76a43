//! The search for a history that breaks a promise.

use crate::step::history;
use crate::world::{Stores, play};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use store::StoreError;

/// What to play.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// So many histories.
    pub histories: u32,
    /// Of up to so many steps.
    pub steps: usize,
    /// The same seed plays the same histories.
    pub seed: u64,
    /// With these guards switched off.
    pub without: &'static [&'static str],
    /// With the schemas of these stores altered by these statements.
    pub altered: &'static [(&'static str, &'static str)],
    /// Only what breaks a promise whose words contain this counts.
    pub breaking: &'static str,
}

/// What a search came to.
pub struct Searched {
    /// A history that breaks a promise, as short as could be found.
    pub found: Option<CounterExample>,
    /// In how many histories each thing happened.
    pub reached: BTreeMap<String, u32>,
}

/// A history that breaks a promise.
pub struct CounterExample {
    /// The numbered steps.
    pub history: String,
    /// What is broken.
    pub wrong: Vec<String>,
}

impl fmt::Display for CounterExample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}", self.history)?;
        self.wrong.iter().try_for_each(|wrong| writeln!(f, "   ✗ {wrong}"))
    }
}

impl Search {
    /// Plays until a promise is broken, or all histories are played.
    pub fn run(&self) -> Result<Searched, StoreError> {
        faults::go_without(self.without);
        let searched = self.run_without();
        faults::go_without(&[]);
        searched
    }

    fn run_without(&self) -> Result<Searched, StoreError> {
        let stores = Stores::new(self.altered)?;
        let reached = RefCell::new(BTreeMap::new());
        let mut runner = TestRunner::new_with_rng(self.config(), self.rng());
        let searched =
            runner.run(&history(self.steps), |(setting, steps)| match play(&stores, &setting, &steps) {
                Ok(got_to) => {
                    let mut reached = reached.borrow_mut();
                    got_to.into_iter().for_each(|what| *reached.entry(what).or_default() += 1);
                    Ok(())
                }
                Err(violation) => match violation.wrong.iter().find(|wrong| wrong.contains(self.breaking)) {
                    Some(wrong) => Err(TestCaseError::fail(wrong.clone())),
                    None => Ok(()),
                },
            });
        let found = match searched {
            Ok(()) => None,
            Err(TestError::Abort(reason)) => {
                Some(CounterExample { history: String::new(), wrong: vec![reason.to_string()] })
            }
            Err(TestError::Fail(reason, (setting, steps))) => Some(match play(&stores, &setting, &steps) {
                Err(violation) => CounterExample { history: violation.history, wrong: violation.wrong },
                Ok(_) => CounterExample {
                    history: format!("{steps:?}"),
                    wrong: vec![format!("only once: {reason}")],
                },
            }),
        };
        Ok(Searched { found, reached: reached.into_inner() })
    }

    fn config(&self) -> Config {
        // No file of seeds: the seed above is what to keep.
        Config {
            cases: self.histories,
            failure_persistence: None,
            max_shrink_iters: 3_000,
            ..Config::default()
        }
    }

    fn rng(&self) -> TestRng {
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(self.seed.to_be_bytes()).for_each(|(byte, seed)| *byte = seed);
        TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
    }
}
