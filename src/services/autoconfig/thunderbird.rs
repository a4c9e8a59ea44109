//! Mozilla's format, version 1.1.

use super::offer::escaped;
use super::{Offer, Protection, Server, ServerKind};
use crate::foundations::address::Domain;

impl Offer {
    /// The answer for the users of a domain, who see its provider under this name.
    pub fn thunderbird(&self, domain: &Domain, display_name: Option<&str>) -> String {
        let name = escaped(display_name.unwrap_or(domain.as_str()));
        let servers: String = self.servers.iter().map(|server| self.element(*server)).collect();
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<clientConfig version=\"1.1\">\n<emailProvider id=\"{domain}\">\n\
             <domain>{domain}</domain>\n<displayName>{name}</displayName>\n<displayShortName>{name}</displayShortName>\n\
             {servers}</emailProvider>\n</clientConfig>\n",
            domain = domain.as_str(),
        )
    }

    fn element(&self, server: Server) -> String {
        let (element, kind) = match server.kind {
            ServerKind::Imap => ("incomingServer", "imap"),
            ServerKind::Pop3 => ("incomingServer", "pop3"),
            ServerKind::Smtp => ("outgoingServer", "smtp"),
        };
        let socket = match server.protection {
            Protection::Immediate => "SSL",
            Protection::StartTls => "STARTTLS",
        };
        format!(
            "<{element} type=\"{kind}\">\n<hostname>{}</hostname>\n<port>{}</port>\n<socketType>{socket}</socketType>\n\
             <username>%EMAILADDRESS%</username>\n<authentication>password-cleartext</authentication>\n</{element}>\n",
            self.hostname.as_str(),
            server.port
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::offer::example;

    #[test]
    fn servers_stand_in_order() {
        let text = example().thunderbird(&"example.test".parse().unwrap(), Some("Ann & Bob <Ltd>"));
        assert!(text.contains("<displayName>Ann &amp; Bob &lt;Ltd&gt;</displayName>"), "{text}");
        let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} is missing in {text}"));
        assert!(place("<port>993</port>\n<socketType>SSL") < place("<port>465</port>"));
        assert!(place("<port>465</port>") < place("<port>587</port>\n<socketType>STARTTLS"));
        assert!(!text.contains("pop3"));
    }
}
