//! One observation about a message.

use std::borrow::Cow;

use serde::Serialize;

/// Something the filter noticed, what it weighs and why it is there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Signal {
    /// Its name in upper case, such as `SPF_FAIL`; unique within a verdict.
    pub name: Cow<'static, str>,
    /// What it adds to the score; negative speaks for the message.
    pub weight: f64,
    /// A sentence for people: what was seen and where.
    pub because: Cow<'static, str>,
}

impl Signal {
    /// A signal with its reason.
    pub fn new(name: impl Into<Cow<'static, str>>, weight: f64, because: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), weight, because: because.into() }
    }
}
