use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::random::NoRandomness;
use crate::storage::directory;

/// Why a link was not made or a password not set.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory failed, or does not have the user.
    #[error(transparent)]
    Directory(#[from] directory::Error),
    /// Nobody would see the page.
    #[error(
        "no listener serves the page that the link leads to; add a [[listener]] with `protocol = \"https\"`, or say in \
         set_up.address where a proxy serves it"
    )]
    NoPage,
    /// The link was used, has ended, was replaced by another one, or never was.
    #[error("This link is no longer valid. Ask your administrator for a new one.")]
    NotGood,
    /// The password is too short.
    #[error("The password is too short: it needs at least {0} characters.")]
    TooShort(u32),
    /// It cannot be hashed, or not now.
    #[error("{0}")]
    Refused(#[source] Refusal),
    /// The system gives no random numbers.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

impl Error {
    /// The kind, for those who answer a client.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Directory(error) => error.kind(),
            Self::NoPage | Self::TooShort(_) => Kind::Invalid,
            Self::NotGood => Kind::NotFound,
            Self::Refused(refusal) => refusal.kind,
            Self::Randomness(_) => Kind::Temporary,
        }
    }
}
