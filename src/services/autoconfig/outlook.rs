//! Microsoft's "plain old XML" autodiscover, as Outlook asks for IMAP, POP3 and SMTP.

use super::offer::escaped;
use super::{Offer, Protection, Server, ServerKind};
use crate::foundations::address::Address;

/// The address that a question is about; `None` when it names none.
pub fn asked_address(question: &str) -> Option<Address> {
    let (_, rest) = question.split_once("<EMailAddress>")?;
    let (text, _) = rest.split_once("</EMailAddress>")?;
    text.trim().replace("&apos;", "'").replace("&amp;", "&").parse().ok()
}

impl Offer {
    /// The answer for an address.
    pub fn outlook(&self, address: &Address, display_name: Option<&str>) -> String {
        let name = escaped(display_name.unwrap_or(address.domain().as_str()));
        let login = escaped(&address.to_string());
        let servers: String = self.servers.iter().map(|server| self.protocol(*server, &login)).collect();
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
             <Autodiscover xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006\">\n\
             <Response xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a\">\n\
             <User><DisplayName>{name}</DisplayName></User>\n\
             <Account>\n<AccountType>email</AccountType>\n<Action>settings</Action>\n{servers}</Account>\n</Response>\n\
             </Autodiscover>\n"
        )
    }

    fn protocol(&self, server: Server, login: &str) -> String {
        let kind = match server.kind {
            ServerKind::Imap => "IMAP",
            ServerKind::Pop3 => "POP3",
            ServerKind::Smtp => "SMTP",
        };
        // `SSL` is what old versions read, `Encryption` goes before it in newer ones.
        let (ssl, encryption) = match server.protection {
            Protection::Immediate => ("on", "SSL"),
            Protection::StartTls => ("off", "TLS"),
        };
        format!(
            "<Protocol>\n<Type>{kind}</Type>\n<Server>{}</Server>\n<Port>{}</Port>\n<DomainRequired>off</DomainRequired>\n\
             <LoginName>{login}</LoginName>\n<SPA>off</SPA>\n<SSL>{ssl}</SSL>\n<Encryption>{encryption}</Encryption>\n\
             <AuthRequired>on</AuthRequired>\n</Protocol>\n",
            self.hostname.as_str(),
            server.port
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::offer::example;
    use super::*;

    #[test]
    fn answers_for_the_address_asked_for() {
        let question = "<?xml version=\"1.0\"?><Autodiscover xmlns=\"…\"><Request><EMailAddress>o&apos;neil@example.test\
                        </EMailAddress><AcceptableResponseSchema>…</AcceptableResponseSchema></Request></Autodiscover>";
        let address = asked_address(question).unwrap();
        let answer = example().outlook(&address, None);
        assert!(answer.contains("<LoginName>o&apos;neil@example.test</LoginName>"), "{answer}");
        assert!(answer.contains("<Type>IMAP</Type>\n<Server>mail.example.test</Server>\n<Port>993</Port>"), "{answer}");
        for nonsense in ["", "<EMailAddress>", "<EMailAddress></EMailAddress>", "<EMailAddress>a<b>@c</EMailAddress>"] {
            assert_eq!(asked_address(nonsense), None, "{nonsense}");
        }
    }
}
