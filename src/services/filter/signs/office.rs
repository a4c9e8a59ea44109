//! Macros in documents of older programs of Office.

use aho_corasick::AhoCorasick;

/// What every compound file begins with (MS-CFB §2.2).
const COMPOUND: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
/// The stream with the names that macros use (MS-OVBA §2.2.1), as directories of compound files write it, in UTF-16.
const PROJECT: &[u8] = b"_\0V\0B\0A\0_\0P\0R\0O\0J\0E\0C\0T\0";
/// Names of macros that run by themselves. Many tables have a project without any macro.
const RUNNING: [&str; 9] = [
    "auto_open",
    "autoopen",
    "autoexec",
    "auto_close",
    "autoclose",
    "document_open",
    "document_close",
    "workbook_open",
    "workbook_activate",
];

/// Whether something that begins with these octets may be such a document.
pub fn is_document(octets: &[u8]) -> bool {
    octets.starts_with(COMPOUND)
}

/// Whether a document has macros that run when it is opened or closed. Takes time linear in it.
pub fn runs(octets: &[u8]) -> bool {
    let names = || AhoCorasick::builder().ascii_case_insensitive(true).build(RUNNING);
    memchr::memmem::find(octets, PROJECT).is_some() && names().is_ok_and(|names| names.is_match(octets))
}

/// Something like a document with this name in its project.
#[cfg(test)]
pub fn sample(name: &str) -> Vec<u8> {
    [COMPOUND, &[0; 1000], PROJECT, &[0; 100], name.as_bytes(), &[0; 100]].concat()
}
