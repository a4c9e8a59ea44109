use crate::foundations::failure::Kind;

/// A request to the storage failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} `{object}`: {because}")]
pub struct Error {
    /// What was tried: `read`, `write`, `list`, `remove`, `use`.
    pub verb: &'static str,
    /// With what, as `s3://bucket/key`.
    pub object: String,
    /// What the storage or the network said.
    pub because: String,
    /// The kind of failure.
    pub kind: Kind,
}
