use std::path::{Path, PathBuf};

use crate::foundations::files;

/// Why a certificate cannot be used. Every variant names the file to look at.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The file holds no certificate in PEM.
    #[error("`{}` holds no certificate: expected a block `-----BEGIN CERTIFICATE-----`", .0.display())]
    NoCertificate(PathBuf),
    /// The file holds no private key in PEM.
    #[error("`{}` holds no private key: expected a block `-----BEGIN PRIVATE KEY-----` (or RSA, or EC)", .0.display())]
    NoKey(PathBuf),
    /// A block of the file is not what it says it is.
    #[error("`{}` is damaged: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The key belongs to another certificate.
    #[error("the key `{}` does not belong to the certificate `{}`", key.display(), cert.display())]
    Mismatch {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// It is worse than the one it would replace.
    #[error("the certificate `{}` does not replace the one in force: {reason}", file.display())]
    Unfit {
        /// The certificate.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No certificate is configured, but there were some before.
    #[error("`tls.certificates` is empty")]
    None,
}

impl Error {
    /// Whether the error is about this file.
    pub fn is_about(&self, file: &Path) -> bool {
        match self {
            Self::File(error) => error.path == file,
            Self::NoCertificate(path) | Self::NoKey(path) | Self::Malformed { path, .. } => path == file,
            Self::Mismatch { key, .. } => key == file,
            Self::Unfit { file: path, .. } => path == file,
            Self::None => false,
        }
    }
}
