//! ENABLE (RFC 5161, RFC 9051 §6.3.1).

use crate::foundations::wire::imap::NameEncoding;
use crate::protocols::imap::outcome::{Done, Outcome};
use crate::protocols::imap::serve::Conversation;

/// Switches on what we know and the client asks for.
pub fn run(talk: &mut Conversation, names: &[String]) -> Outcome {
    let account = talk.state.logged_in_mut()?;
    let mut enabled = Vec::new();
    for name in names {
        let known = match name.as_str() {
            "CONDSTORE" => {
                account.enabled.condstore = true;
                "CONDSTORE"
            }
            "IMAP4REV2" => {
                account.enabled.rev2 = true;
                "IMAP4rev2"
            }
            "QRESYNC" => {
                // RFC 7162 §3.2.3: QRESYNC includes CONDSTORE.
                account.enabled.condstore = true;
                account.enabled.qresync = true;
                "QRESYNC"
            }
            "UTF8=ACCEPT" => {
                account.enabled.utf8 = true;
                "UTF8=ACCEPT"
            }
            _ => continue,
        };
        if !enabled.contains(&known) {
            enabled.push(known);
        }
    }
    talk.link.out.set_utf8_texts(account.enabled.names() == NameEncoding::Utf8);
    talk.link.out.enabled(&enabled);
    Ok(Done::new("Enabled"))
}
