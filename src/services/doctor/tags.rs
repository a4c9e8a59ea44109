/// The tags of a record in the form that DKIM, DMARC, MTA-STS and TLS reports share (RFC 6376 §3.2): `name=value; …`.
pub(super) struct Tags<'t>(Vec<(&'t str, &'t str)>);

impl<'t> Tags<'t> {
    pub(super) fn read(record: &'t str) -> Self {
        let tags = record.split(';').filter_map(|tag| tag.split_once('='));
        Self(tags.map(|(name, value)| (name.trim(), value.trim())).collect())
    }

    /// The value of a tag.
    pub(super) fn get(&self, name: &str) -> Option<&'t str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// The value of a tag in lower case, where its name may be in any.
    pub(super) fn word(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_ascii_lowercase())
    }

    /// The value of a tag without the white space that zone files bring in.
    pub(super) fn without_space(&self, name: &str) -> Option<String> {
        self.get(name).map(|value| value.chars().filter(|c| !c.is_whitespace()).collect())
    }

    /// The name of the first tag.
    pub(super) fn first(&self) -> Option<&'t str> {
        self.0.first().map(|(name, _)| *name)
    }

    /// Whether it begins with this version.
    pub(super) fn begins(&self, version: &str) -> bool {
        self.0.first() == Some(&("v", version))
    }
}
