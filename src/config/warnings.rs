//! Warnings about settings that are valid but probably not intended.

use ipnet::IpNet;

use super::{Checks, Config, Protocol};
use crate::foundations::net::Bind;
use crate::services::outbound::TlsLevel;

/// Warnings about a valid configuration, one sentence each. Where only texts are checked, as for a build, its machine and the
/// users of that are elsewhere: nothing is said of them.
pub fn warnings(config: &Config, checks: Checks) -> Vec<String> {
    let mut warnings = Vec::new();
    let is_here = !matches!(checks, Checks::Syntax | Checks::Texts);
    if !config.hostname.as_str().contains('.') {
        warnings.push(format!(
            "`hostname` is \"{}\", a name without a domain: other servers refuse mail from such hosts",
            config.hostname
        ));
    }
    if config.hostname.as_str().contains('_') {
        warnings.push(format!(
            "`hostname` is \"{}\", and names of hosts have no `_` (RFC 952, RFC 1123 §2.1): some servers refuse mail from such hosts",
            config.hostname
        ));
    }
    for (key, networks, effect) in [
        (
            "acceptance.relay_networks",
            &config.acceptance.relay_networks,
            "strangers may send mail to anywhere through this server (an open relay)",
        ),
        ("guard.trusted", &config.guard.trusted, "strangers may guess passwords without being slowed down or banned"),
        ("spam.trusted", &config.spam.trusted, "mail from strangers is accepted unexamined"),
    ] {
        if let Some(network) = networks.iter().find(|network| is_internet(network)) {
            warnings.push(format!("`{key}` has \"{network}\", a large part of the Internet: {effect}"));
        }
    }
    for (number, route) in (1..).zip(&config.outbound.routes) {
        if route.username.is_some() && route.tls != TlsLevel::Verify {
            warnings.push(format!(
                "`outbound.routes.{number}` logs in with a password, and would tell it to a host with any certificate: set \
                 `tls = \"verify\"` there"
            ));
        }
    }
    if config.storage.database_file.is_none() && config.storage.database.has_password() {
        warnings.push(
            "`storage.database` holds a password, visible to everyone who can read the configuration; name a \
             file in `database.password_file` instead"
                .to_owned(),
        );
    }
    let tls = &config.tls;
    let has_tls = !tls.certificates.is_empty() || !tls.acme.is_empty() || tls.self_signed.is_some();
    for listener in &config.listener {
        let on_network = listener.bind.iter().any(|bind| match bind {
            Bind::Tcp(address) => !address.ip().is_loopback(),
            Bind::Systemd(_) | Bind::Unix(_) => false,
        });
        if !has_tls && wants_starttls(listener.protocol) {
            warnings.push(format!(
                "nobody can log in to the listener \"{}\": passwords are accepted only under TLS, and there is no certificate; \
                 name one in `tls.certificates` or `tls.acme`",
                listener.protocol
            ));
        }
        if on_network && listener.protocol == Protocol::Lmtp {
            warnings.push(
                "the listener \"lmtp\" is on an address that other machines can reach: they can write into every mailbox, \
                 past the filter"
                    .to_owned(),
            );
        }
        let is_open = is_here && config.dashboard.password_file.is_none();
        if is_open && listener.protocol == Protocol::Dashboard && !listener.bind.iter().all(is_file) {
            warnings.push(
                "every user and program on this machine can read the monitoring page, and with it who writes to whom: name a \
                 file with the hash of a password in `dashboard.password_file` (`postrider user hash`)"
                    .to_owned(),
            );
        }
    }
    warnings
}

/// Whether a network is larger than any that somebody has at home or in a company: 10.0.0.0/8 (RFC 1918) and fc00::/7 (RFC
/// 4193) are not.
const fn is_internet(network: &IpNet) -> bool {
    match network {
        IpNet::V4(network) => network.prefix_len() < 8,
        IpNet::V6(network) => network.prefix_len() < 7,
    }
}

/// Whether the mode of a file decides who may connect.
const fn is_file(bind: &Bind) -> bool {
    matches!(bind, Bind::Unix(_))
}

/// Whether clients of a protocol log in, and use STARTTLS for that.
const fn wants_starttls(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Submission | Protocol::Imap | Protocol::Pop3 | Protocol::ManageSieve)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::understand;

    fn warned_by(text: &str, checks: Checks) -> Vec<String> {
        let text = format!("{text}[[listener]]\nprotocol = \"smtp\"\nbind = [\"[::]:25\"]\n");
        let config = understand(&text, Path::new("x.toml"), Checks::Syntax, None);
        warnings(&config.unwrap_or_else(|error| panic!("{error}")), checks)
    }

    fn warned(text: &str) -> Vec<String> {
        warned_by(text, Checks::EveryFile)
    }

    #[test]
    fn what_is_hardly_meant_is_told() {
        let name = "hostname = \"mail.example.test\"\n";
        let listener = |protocol: &str, bind: &str| {
            format!("{name}[[listener]]\nprotocol = \"{protocol}\"\nbind = [\"{bind}\"]\n")
        };
        let route = |tls: &str| {
            let login = "username = \"ann\"\npassword_file = \"/x\"\n";
            format!("[[outbound.routes]]\ndomains = [\"*\"]\nhost = \"relay.test\"\ntls = \"{tls}\"\n{login}")
        };
        for (text, word) in [
            ("hostname = \"mail\"\n".to_owned(), "without a domain"),
            ("hostname = \"my_mail.example.test\"\n".to_owned(), "have no `_`"),
            (format!("{name}[acceptance]\nrelay_networks = [\"10.0.0.0/8\", \"0.0.0.0/0\"]\n"), "an open relay"),
            (format!("{name}{}", route("encrypt")), "any certificate"),
            (format!("{name}[guard]\ntrusted = [\"::/0\"]\n"), "guess passwords"),
            (format!("{name}[spam]\ntrusted = [\"0.0.0.0/1\"]\n"), "unexamined"),
            (format!("{name}[storage]\ndatabase = \"mysql://mail:s3cret@db.test/mail\"\n"), "holds a password"),
            (listener("submission", "[::]:587"), "nobody can log in to the listener \"submission\""),
            (listener("pop3", "127.0.0.1:110"), "nobody can log in to the listener \"pop3\""),
            (listener("lmtp", "0.0.0.0:24"), "past the filter"),
            (listener("dashboard", "127.0.0.1:8080"), "who writes to whom"),
        ] {
            let told = warned(&text);
            assert!(told.len() == 1 && told[0].contains(word) && !told[0].contains("s3cret"), "{text}: {told:?}");
        }
        for text in [
            name.to_owned(),
            format!("{name}{}", route("verify")),
            format!("{name}[acceptance]\nrelay_networks = [\"10.0.0.0/8\", \"fc00::/7\", \"192.0.2.7/32\"]\n"),
            format!("{}[tls]\nself_signed = \"/var/lib/x\"\n", listener("imap", "[::]:143")),
            format!("{name}[storage]\ndatabase = \"mysql://mail@db.test/mail\"\n"),
            listener("lmtp", "127.0.0.1:24"),
            listener("lmtp", "unix:/run/x.sock"),
            listener("dashboard", "unix:/run/x.sock"),
            format!("{}[dashboard]\npassword_file = \"/x\"\n", listener("dashboard", "127.0.0.1:8080")),
        ] {
            assert_eq!(warned(&text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn a_build_knows_nothing_of_the_users_of_the_machine() {
        let page =
            "hostname = \"mail.example.test\"\n[[listener]]\nprotocol = \"dashboard\"\nbind = [\"[::1]:8080\"]\n";
        assert_eq!(warned_by(page, Checks::EveryFile).len(), 1);
        assert_eq!(warned_by(page, Checks::Texts), Vec::<String>::new());
        let mail = "hostname = \"mail\"\n";
        assert_eq!(warned_by(mail, Checks::Texts), warned_by(mail, Checks::EveryFile));
    }
}
