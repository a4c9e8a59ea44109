//! One content line (RFC 5545 §3.1) and its parameters.

use super::super::components::{comparable, mailbox, named, pieces};

/// A content line, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Property {
    name: String,
    /// As they are written, with their names.
    parameters: Vec<String>,
    value: String,
}

impl Property {
    pub(super) fn of(line: &str) -> Self {
        let (pieces, value) = pieces(line);
        let mut pieces = pieces.into_iter();
        let name = pieces.next().unwrap_or_default().to_owned();
        Self { name, parameters: pieces.map(str::to_owned).collect(), value: value.to_owned() }
    }

    /// A parameter's value, without quotation marks.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let piece = self.parameters.iter().find(|piece| named(piece, name))?;
        piece.split_once('=').map(|(_, value)| value.trim().trim_matches('"'))
    }

    pub(super) fn without(mut self, names: &[&str]) -> Self {
        self.parameters.retain(|piece| !names.iter().any(|name| named(piece, name)));
        self
    }

    /// With this value of a parameter; none of ours has characters that need quotation marks beyond `;`.
    pub(super) fn with(self, name: &str, value: &str) -> Self {
        let mut changed = self.without(&[name]);
        let quoted = value.contains([';', ':', ',']);
        changed.parameters.push(if quoted { format!("{name}=\"{value}\"") } else { format!("{name}={value}") });
        changed
    }

    /// The same under another name.
    pub(super) fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// The same with another value.
    pub(super) fn valued(mut self, value: &str) -> Self {
        value.clone_into(&mut self.value);
        self
    }

    /// A time in the form in which times are compared.
    pub(super) fn comparable(&self) -> String {
        let (pieces, value) = (self.parameters.iter().map(String::as_str), self.value.as_str());
        comparable(&std::iter::once(self.name.as_str()).chain(pieces).collect::<Vec<_>>(), value)
    }

    pub(super) fn value(&self) -> &str {
        &self.value
    }

    /// The calendar user it names.
    pub(super) fn address(&self) -> String {
        calendar_user(&self.value)
    }

    /// The same as it is written: whether the case of a mailbox counts, its own server decides (RFC 5321 §2.4).
    pub(super) fn mailbox(&self) -> &str {
        mailbox(&self.value)
    }

    pub(super) fn line(&self) -> String {
        let parameters: String = self.parameters.iter().map(|piece| format!(";{piece}")).collect();
        format!("{}{parameters}:{}", self.name, self.value)
    }
}

/// The address of a calendar user, for comparison: of a `mailto:` the mailbox in lower case, otherwise the whole URI.
pub(in crate::services::dav) fn calendar_user(uri: &str) -> String {
    mailbox(uri.trim()).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_changed_and_the_rest_stays() {
        let line = "ATTENDEE;CN=\"Groß; J:\";partstat=NEEDS-ACTION;SCHEDULE-AGENT=CLIENT:MAILTO:Ann@Example.test";
        let property = Property::of(line);
        assert_eq!(property.line(), line);
        assert_eq!(
            (property.parameter("CN"), property.parameter("PARTSTAT")),
            (Some("Groß; J:"), Some("NEEDS-ACTION"))
        );
        assert_eq!(property.address(), "ann@example.test");
        assert_eq!(
            property.without(&["SCHEDULE-AGENT"]).with("PARTSTAT", "ACCEPTED").with("SCHEDULE-STATUS", "2.0").line(),
            "ATTENDEE;CN=\"Groß; J:\";PARTSTAT=ACCEPTED;SCHEDULE-STATUS=2.0:MAILTO:Ann@Example.test"
        );
        assert_eq!(calendar_user("urn:uuid:A"), "urn:uuid:a");
    }
}
