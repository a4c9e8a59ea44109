use serde::{Deserialize, Serialize};

crate::words! {
    /// The state of something.
    pub enum Health {
        /// As it should be.
        Well = "well",
        /// It cannot be found out from here.
        Unknown = "unknown",
        /// It works, but should be better.
        Warning = "warning",
        /// Mail is lost, refused or unsafe because of it.
        Wrong = "wrong",
    }
}

impl Serialize for Health {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl<'de> Deserialize<'de> for Health {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        Self::from_word(&word).ok_or_else(|| serde::de::Error::custom(format!("`{word}` is no health")))
    }
}

/// What one check has found about one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which check: `mx`, `spf`, `certificate`…
    pub check: &'static str,
    /// What was looked at: a domain, an address, a listener, a file.
    pub about: String,
    /// Its state.
    pub health: Health,
    /// What was found.
    pub found: String,
    /// What to do, where something is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    pub(super) fn well(check: &'static str, about: impl Into<String>, found: impl Into<String>) -> Self {
        Self { check, about: about.into(), health: Health::Well, found: found.into(), remedy: None }
    }

    /// Something that is not well.
    pub(super) fn ill(
        check: &'static str,
        about: impl Into<String>,
        health: Health,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { check, about: about.into(), health, found: found.into(), remedy: Some(remedy.into()) }
    }
}
