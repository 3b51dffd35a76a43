//! What pages say. Each message of the files under `messages` is a function here, which the build makes: whatever names one
//! that is missing, in either language, does not compile.

use kernel::Language;
use std::fmt::{Display, Write as _};

/// The messages in one language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Messages(pub(crate) Language);

include!(concat!(env!("OUT_DIR"), "/messages.rs"));
