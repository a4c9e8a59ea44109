//! Corrections where mail-auth's canonical forms differ from RFC 6376.

/// The body without what its relaxed form ignores at the end, except line ends. RFC 6376 §3.4.4 removes white space at the end of lines
/// before it ignores empty lines at the end of the body; mail-auth keeps the first of the lines there that are blank but not empty.
pub(super) fn relaxed_body(body: &[u8]) -> &[u8] {
    let end = body.iter().rposition(|octet| !is_blank(*octet)).map_or(0, |last| last + 1);
    &body[..end]
}

/// Whether a blank line at the end of the body may be one that mail-auth keeps.
pub(super) fn ends_in_white_space(body: &[u8]) -> bool {
    body.iter().rev().take_while(|octet| is_blank(**octet)).any(|octet| matches!(octet, b' ' | b'\t'))
}

const fn is_blank(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n')
}
