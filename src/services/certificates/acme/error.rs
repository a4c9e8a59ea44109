use std::path::PathBuf;

use super::super::Error as CertificateError;
use crate::foundations::files;

/// Why an authority gave no certificate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The authority cannot be reached, or refused what was asked.
    #[error("the authority `{authority}` {did}: {}", explained(source))]
    Authority {
        /// Its directory URL.
        authority: String,
        /// What went wrong: "gave no account", "did not accept the order".
        did: &'static str,
        /// What it said.
        source: instant_acme::Error,
    },
    /// The authority could not verify that some names are ours.
    #[error("the authority `{authority}` did not accept that {}", told(refused))]
    NotOurs {
        /// Its directory URL.
        authority: String,
        /// The names.
        refused: Vec<Refused>,
    },
    /// The certificate was obtained, but not for all names.
    #[error("it was obtained for the other names only: {0}")]
    Partial(Box<Error>),
    /// The authority does not offer the challenge of the configuration.
    #[error("the authority `{authority}` offers no {wanted} for `{name}`: choose another `challenge`")]
    NoSuchChallenge {
        /// Its directory URL.
        authority: String,
        /// The name.
        name: String,
        /// The challenge of the configuration.
        wanted: String,
    },
    /// `terms_agreed` is not set.
    #[error(
        "the authority `{0}` requires you to agree to its terms of service: read them and set `terms_agreed = true`"
    )]
    Terms(String),
    /// The key of the external account is not base64url.
    #[error("`{}` is not the key of an external account: expected base64url, as the authority gave it", .0.display())]
    ExternalAccountKey(PathBuf),
    /// The stored account cannot be read.
    #[error("`{}` holds no ACME account: {reason}. If you remove it, a new account is created", path.display())]
    Account {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The authority has lost the account, or it is one of another authority that has been at this address.
    #[error(
        "the authority `{authority}` does not know the account of this server. If you remove `{}`, a new account is created",
        path.display()
    )]
    Forgotten {
        /// Its directory URL.
        authority: String,
        /// The file with the account.
        path: PathBuf,
    },
    /// A key or a request could not be made.
    #[error("the certificate request could not be created: {0}")]
    Request(#[from] rcgen::Error),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The certificate from the authority cannot be used.
    #[error("the authority issued a certificate that cannot be used, so the old one stays: {0}")]
    Unusable(CertificateError),
    /// The certificate from the authority is for other names or another time.
    #[error("the authority issued a certificate that cannot be used, so the old one stays: it {0}")]
    Unfit(String),
    /// It took too long.
    #[error("the authority `{0}` did not finish in time")]
    Late(String),
}

/// A name that an authority does not accept as ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The name.
    pub name: String,
    /// What the authority said.
    pub reason: String,
}

fn told(refused: &[Refused]) -> String {
    let each = refused.iter().map(|Refused { name, reason }| format!("`{name}` is ours: {reason}"));
    each.collect::<Vec<_>>().join("; nor that ")
}

/// The problem with its subproblems: each name has its own.
fn explained(error: &instant_acme::Error) -> String {
    match error {
        instant_acme::Error::Api(problem) => {
            let mut text = problem.to_string();
            for part in &problem.subproblems {
                let detail = part.detail.as_deref().unwrap_or_default();
                if !detail.is_empty() && !text.contains(detail) {
                    text.push_str("; ");
                    text.push_str(detail);
                }
            }
            text
        }
        error => error.to_string(),
    }
}
