use std::fmt;
use std::str::FromStr;

/// A part of a bucket: `s3://bucket/prefix`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketPlace {
    /// The bucket.
    pub bucket: String,
    /// What all keys begin with: empty, or ending in a slash.
    pub prefix: String,
}

/// The text is not a bucket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a bucket: expected `s3://bucket` or `s3://bucket/prefix`")]
pub struct InvalidBucketPlace(String);

impl BucketPlace {
    /// How such places begin.
    pub const SCHEME: &'static str = "s3://";

    /// The whole key of an object with this name below the prefix.
    pub fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

impl FromStr for BucketPlace {
    type Err = InvalidBucketPlace;

    fn from_str(text: &str) -> Result<Self, InvalidBucketPlace> {
        let invalid = || InvalidBucketPlace(text.chars().take(200).collect());
        let rest = text.strip_prefix(Self::SCHEME).ok_or_else(invalid)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        // Parts that a server or a library could take for a step upwards, or ignore.
        let is_plain = |part: &str| !part.is_empty() && !matches!(part, "." | "..") && !part.contains(char::is_control);
        if bucket.is_empty() || !bucket.chars().all(is_name) || !(prefix.is_empty() || prefix.split('/').all(is_plain))
        {
            return Err(invalid());
        }
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Self { bucket: bucket.to_owned(), prefix })
    }
}

impl fmt::Display for BucketPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::SCHEME, self.bucket)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix.trim_end_matches('/')) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        for (text, prefix, shown) in [
            ("s3://mail-backups", "", "s3://mail-backups"),
            ("s3://b.c_d/", "", "s3://b.c_d"),
            ("s3://b/one/two/", "one/two/", "s3://b/one/two"),
        ] {
            let place: BucketPlace = text.parse().unwrap();
            assert_eq!((place.prefix.as_str(), place.to_string().as_str()), (prefix, shown));
        }
        for text in ["", "s3://", "s3:///x", "s3://b/../c", "s3://b//c", "s3://b c", "https://b/c", "/srv"] {
            assert!(text.parse::<BucketPlace>().is_err(), "{text}");
        }
    }
}
