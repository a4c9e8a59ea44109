//! Macros: what a milter is told about a stage, with the names used by Sendmail and Postfix. Unknown values are left out.

use super::client::Told;
use crate::foundations::address::Address;
use crate::foundations::mail::Peer;

/// Names, with braces where they have more than one letter, and values. An empty value is none.
pub type Macros = Vec<(&'static str, String)>;

/// The client as milters know it: its name, or its address in brackets.
pub fn client_name(told: &Told) -> String {
    match (&told.client_name, told.origin.peer.ip()) {
        (Some(name), _) => name.clone(),
        (None, Some(address)) => format!("[{address}]"),
        (None, None) => "localhost".to_owned(),
    }
}

/// Macros of the connection.
pub fn connection(told: &Told) -> Macros {
    let name = client_name(told);
    let mut macros = vec![
        ("j", told.hostname.clone()),
        ("{daemon_name}", told.hostname.clone()),
        ("v", "Postrider".to_owned()),
        ("{client_name}", name.clone()),
        ("{client_ptr}", told.client_name.clone().unwrap_or_default()),
    ];
    if let Some(local) = told.origin.local {
        macros.push(("{daemon_addr}", local.ip().to_canonical().to_string()));
        macros.push(("{daemon_port}", local.port().to_string()));
    }
    let Peer::Tcp(peer) = told.origin.peer else {
        macros.push(("_", name));
        return macros;
    };
    let address = peer.ip().to_canonical();
    let whole = told.client_name.as_ref().map_or_else(|| name.clone(), |name| format!("{name} [{address}]"));
    macros.push(("_", whole));
    macros.push(("{client_addr}", address.to_string()));
    macros.push(("{client_port}", peer.port().to_string()));
    macros
}

/// Macros of the greeting.
pub fn hello(told: &Told) -> Macros {
    let Some(tls) = &told.origin.tls else { return Vec::new() };
    vec![
        ("{tls_version}", tls.version.to_owned()),
        ("{cipher}", tls.cipher.clone()),
        ("{cipher_bits}", bits(&tls.cipher).to_owned()),
    ]
}

/// Macros of the sender.
pub fn sender(told: &Told) -> Macros {
    let address = told.reverse_path.address();
    let login = told.origin.login.as_ref().map(|login| login.address.to_string()).unwrap_or_default();
    // Every login method passes a name and a password, as this one does. Milters only need to know whether there was a login.
    let mechanism = if login.is_empty() { "" } else { "PLAIN" };
    vec![
        ("i", told.id.to_string()),
        ("{auth_type}", mechanism.to_owned()),
        ("{auth_authen}", login),
        ("{mail_addr}", address.map(ToString::to_string).unwrap_or_default()),
        ("{mail_host}", address.map(|address| address.domain().to_string()).unwrap_or_default()),
    ]
}

/// Macros of a recipient.
pub fn recipient(told: &Told, address: &Address) -> Macros {
    vec![
        ("i", told.id.to_string()),
        ("{rcpt_addr}", address.to_string()),
        ("{rcpt_host}", address.domain().to_string()),
    ]
}

/// How long the key of a cipher suite is, by its IANA name; empty for a suite that does not say so.
fn bits(cipher: &str) -> &'static str {
    if cipher.contains("AES_128") || cipher.contains("AES128") {
        "128"
    } else if cipher.contains("AES_256") || cipher.contains("AES256") || cipher.contains("CHACHA20") {
        "256"
    } else {
        ""
    }
}
