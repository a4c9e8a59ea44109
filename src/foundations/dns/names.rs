//! Names as the resolver takes and gives them, and as this room does.

use hickory_resolver::proto::ProtoError;
use hickory_resolver::proto::rr::Name;

/// A name to ask for. With a final dot no search list is applied. Labels may contain more than letters and digits (RFC 2181 §11): the
/// macros of SPF records make names of senders' addresses.
pub(super) fn name_of(text: &str) -> Result<Name, ProtoError> {
    let is_plain = text.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'\\');
    let mut name = match Name::from_ascii(text) {
        Err(_) if is_plain => Name::from_labels(text.trim_end_matches('.').split('.').map(str::as_bytes))?,
        name => name?,
    };
    name.set_fqdn(true);
    Ok(name)
}

/// The name in the form this room promises.
pub(super) fn plain(name: &Name) -> String {
    let mut text = name.to_ascii().to_ascii_lowercase();
    if text.ends_with('.') {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_contain_more_than_letters() {
        for (text, labels) in [
            ("a.test", Some(vec!["a", "test"])),
            ("_dmarc.a.test.", Some(vec!["_dmarc", "a", "test"])),
            ("ann@a.test._spf.b.test", Some(vec!["ann@a", "test", "_spf", "b", "test"])),
            ("x+y=z.b.test", Some(vec!["x+y=z", "b", "test"])),
            ("-a.[192.b.test", Some(vec!["-a", "[192", "b", "test"])),
            ("a..@test", None),
            ("a b.test", None),
            ("grün.test", None),
        ] {
            let name = name_of(text).ok();
            let of =
                |name: &Name| name.iter().map(|label| String::from_utf8_lossy(label).into_owned()).collect::<Vec<_>>();
            let found = name.as_ref().map(of);
            let labels = labels.map(|labels| labels.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(found, labels, "{text}");
            assert!(name.is_none_or(|name| name.is_fqdn()), "{text}");
        }
        assert!(name_of(&format!("@{}.test", "x".repeat(63))).is_err());
    }
}
