//! Names of mailboxes in modified UTF-7, and names of folders.

use postrider::foundations::wire::imap::{decode_utf7, encode_utf7};
use postrider::storage::mailbox::FolderName;

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let encoded = encode_utf7(text);
    assert!(encoded.is_ascii());
    assert_eq!(decode_utf7(&encoded).as_deref(), Some(text), "{encoded}");
    if let Some(decoded) = decode_utf7(text) {
        // Each name has only one form, or a folder could be reached under two.
        assert_eq!(encode_utf7(&decoded), text);
    }
    if let Ok(name) = FolderName::parse(text) {
        assert_eq!(FolderName::parse(name.as_str()).as_ref(), Ok(&name));
    }
}
