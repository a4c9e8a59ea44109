//! Apple's configuration profiles, which iPhones, iPads and Macs install.

use aws_lc_rs::digest::{SHA256, digest};

use super::offer::escaped;
use super::{Offer, Server, ServerKind};
use crate::foundations::address::Address;

impl Offer {
    /// The profile for an address: its mail, and calendars and contacts where this server has them. The device asks for the
    /// password itself. The same address gets the same identifiers, so that a profile takes the place of an older one.
    pub fn apple(&self, address: &Address, display_name: Option<&str>) -> String {
        let name = escaped(display_name.unwrap_or(address.domain().as_str()));
        let login = escaped(&address.to_string());
        let mut payloads = self.mail(&name, &login);
        if let Some(port) = self.dav {
            payloads += &self.dav("caldav", "CalDAV", port, &name, &login);
            payloads += &self.dav("carddav", "CardDAV", port, &name, &login);
        }
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
             <plist version=\"1.0\">\n<dict>\n{}{}<key>PayloadContent</key>\n<array>\n{payloads}</array>\n</dict>\n</plist>\n",
            self.head("Configuration", "profile", &name, &login),
            text("PayloadDescription", &format!("Mail settings of {login}")),
        )
    }

    /// What every payload begins with (Apple's "Configuration Profile Reference").
    fn head(&self, kind: &str, what: &str, name: &str, login: &str) -> String {
        let identifier: Vec<&str> = self.hostname.as_str().rsplit('.').collect();
        [
            text("PayloadType", kind),
            integer("PayloadVersion", 1),
            text("PayloadIdentifier", &format!("{}.{what}.{login}", identifier.join("."))),
            text("PayloadUUID", &uuid(&format!("{what}:{login}@{}", self.hostname.as_str()))),
            text("PayloadDisplayName", name),
        ]
        .concat()
    }

    /// The account for mail; nothing where it could not be read or not be sent, since a device wants both.
    fn mail(&self, name: &str, login: &str) -> String {
        let first = |kind| self.servers.iter().find(|server| server.kind == kind);
        let reading = first(ServerKind::Imap).or_else(|| first(ServerKind::Pop3));
        let (Some(reading), Some(sending)) = (reading, first(ServerKind::Smtp)) else { return String::new() };
        let kind = if reading.kind == ServerKind::Imap { "EmailTypeIMAP" } else { "EmailTypePOP" };
        let parts = [
            self.head("com.apple.mail.managed", "mail", name, login),
            text("EmailAccountType", kind),
            text("EmailAccountDescription", name),
            text("EmailAddress", login),
            self.server("IncomingMailServer", *reading, login),
            self.server("OutgoingMailServer", *sending, login),
            flag("OutgoingPasswordSameAsIncomingPassword"),
        ];
        format!("<dict>\n{}</dict>\n", parts.concat())
    }

    fn server(&self, side: &str, server: Server, login: &str) -> String {
        [
            text(&format!("{side}HostName"), self.hostname.as_str()),
            integer(&format!("{side}PortNumber"), u64::from(server.port)),
            // For both ways: the device knows by the port whether TLS begins at once.
            flag(&format!("{side}UseSSL")),
            text(&format!("{side}Authentication"), "EmailAuthPassword"),
            text(&format!("{side}Username"), login),
        ]
        .concat()
    }

    fn dav(&self, kind: &str, prefix: &str, port: u16, name: &str, login: &str) -> String {
        let parts = [
            self.head(&format!("com.apple.{kind}.account"), kind, name, login),
            text(&format!("{prefix}AccountDescription"), name),
            text(&format!("{prefix}HostName"), self.hostname.as_str()),
            integer(&format!("{prefix}Port"), u64::from(port)),
            flag(&format!("{prefix}UseSSL")),
            text(&format!("{prefix}Username"), login),
        ];
        format!("<dict>\n{}</dict>\n", parts.concat())
    }
}

/// The value must have been escaped.
fn text(key: &str, value: &str) -> String {
    format!("<key>{key}</key>\n<string>{value}</string>\n")
}

fn integer(key: &str, value: u64) -> String {
    format!("<key>{key}</key>\n<integer>{value}</integer>\n")
}

fn flag(key: &str) -> String {
    format!("<key>{key}</key>\n<true/>\n")
}

/// RFC 9562 §5.8: a UUID of version 8, made of a hash of the name.
fn uuid(name: &str) -> String {
    let mut octets = [0; 16];
    octets.copy_from_slice(&digest(&SHA256, name.as_bytes()).as_ref()[..16]);
    octets[6] = 0x80 | (octets[6] & 0x0f);
    octets[8] = 0x80 | (octets[8] & 0x3f);
    let hex: String = octets.iter().map(|octet| format!("{octet:02X}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::super::offer::example;
    use super::*;

    #[test]
    fn holds_mail_calendars_and_contacts() {
        let address = "o'neil@example.test".parse().unwrap();
        let profile = example().apple(&address, Some("Ann & Bob"));
        for part in [
            "<string>com.apple.mail.managed</string>",
            "<key>EmailAddress</key>\n<string>o&apos;neil@example.test</string>",
            "<key>IncomingMailServerPortNumber</key>\n<integer>993</integer>",
            "<key>OutgoingMailServerPortNumber</key>\n<integer>465</integer>",
            "<string>com.apple.caldav.account</string>",
            "<key>CardDAVPort</key>\n<integer>443</integer>",
            "<string>test.example.mail.profile.o&apos;neil@example.test</string>",
            "<string>Ann &amp; Bob</string>",
        ] {
            assert!(profile.contains(part), "{part}: {profile}");
        }
        assert!(!profile.contains("Password</key>\n<string>"), "{profile}");
        assert_eq!(example().apple(&address, Some("Ann & Bob")), profile);
    }

    #[test]
    fn identifiers_differ_by_what_they_name() {
        let one = uuid("mail:ann@example.test");
        assert_eq!((one.len(), &one[14..15]), (36, "8"));
        assert_ne!(one, uuid("caldav:ann@example.test"));
    }

    #[test]
    fn mail_that_can_only_be_read_is_no_account() {
        let mut offer = example();
        offer.servers.retain(|server| server.kind != ServerKind::Smtp);
        offer.dav = None;
        let profile = offer.apple(&"ann@example.test".parse().unwrap(), None);
        assert!(profile.contains("<array>\n</array>"), "{profile}");
    }
}
