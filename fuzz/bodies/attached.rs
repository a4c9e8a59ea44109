//! Attached files as the filter reads them: archives, archives in archives, containers of Outlook, pages, documents.

use postrider::services::filter::LimitSettings;
use postrider::services::filter::view::View;

pub fn run(data: &[u8]) {
    let fields = b"Content-Type: application/octet-stream; name=a\r\nContent-Disposition: attachment\r\n\r\n";
    let message = [&fields[..], data].concat();
    let limits = LimitSettings::default();
    let view = View::new(&message, &limits);
    // A file is no text of the message.
    assert_eq!(view.own_text(), "\n");
    assert!(view.parts.len() <= limits.parts);
    assert!(view.archived.kinds().all(|kind| kind.extension.len() <= 20 && kind.name.chars().count() <= 60));
}
