use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::s3::BucketPlace;
use crate::foundations::settings::{Place, Problems, Setting, Shape};

/// Where backups are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// In a directory on this machine.
    Directory(PathBuf),
    /// In a bucket of an S3 storage.
    Bucket(BucketPlace),
}

/// The text is not a destination for backups.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a destination for backups: expected a directory or `s3://bucket/prefix`")]
pub struct InvalidDestination(String);

impl FromStr for Destination {
    type Err = InvalidDestination;

    fn from_str(text: &str) -> Result<Self, InvalidDestination> {
        let invalid = || InvalidDestination(text.chars().take(200).collect());
        if text.starts_with(BucketPlace::SCHEME) {
            return text.parse().map(Self::Bucket).map_err(|_| invalid());
        }
        if text.is_empty() || text.contains("://") { Err(invalid()) } else { Ok(Self::Directory(PathBuf::from(text))) }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => path.display().fmt(f),
            Self::Bucket(place) => place.fmt(f),
        }
    }
}

impl Setting for Destination {
    fn read(place: &Place<'_>, problems: &mut Problems) -> Option<Self> {
        let wanted = "a directory or \"s3://bucket/prefix\", in quotes";
        let text = place.text(wanted, problems)?;
        text.parse().ok().or_else(|| place.wrong(wanted, problems))
    }

    fn shape() -> Shape {
        Shape::Value("path or s3://…")
    }

    fn write(&self) -> Option<String> {
        Some(toml::Value::String(self.to_string()).to_string())
    }
}
