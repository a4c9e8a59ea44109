use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::foundations::address::{Address, Domain};
use crate::foundations::settings::ByteSize;

/// A user for a declaration.
#[derive(Debug, Clone)]
pub struct DeclaredUser {
    /// The address.
    pub address: Address,
    /// The quota; `None` for the module's default.
    pub quota: Option<ByteSize>,
    /// Whether the user may log in.
    pub enabled: bool,
}

/// The content of a domain.
#[derive(Default)]
struct DomainParts<'a> {
    users: Vec<&'a DeclaredUser>,
    /// Destinations by the part before the `@`.
    aliases: BTreeMap<&'a str, Vec<&'a str>>,
}

/// A declaration of these accounts for a NixOS configuration. It does not contain passwords: the users keep theirs.
pub fn declaration(domains: &[Domain], users: &[DeclaredUser], aliases: &[(String, String)]) -> String {
    let mut by_domain: BTreeMap<&str, DomainParts<'_>> = BTreeMap::new();
    for domain in domains {
        by_domain.entry(domain.as_str()).or_default();
    }
    for user in users {
        by_domain.entry(user.address.domain().as_str()).or_default().users.push(user);
    }
    for (source, destination) in aliases {
        let (local, domain) = source.rsplit_once('@').unwrap_or((source, ""));
        // An alias of a domain without a name in front is its catch-all.
        let local = if local.is_empty() { "@" } else { local };
        by_domain.entry(domain).or_default().aliases.entry(local).or_default().push(destination);
    }
    let mut out = String::from("services.postrider.domains = {\n");
    for (domain, DomainParts { users, aliases }) in &by_domain {
        // Writing into a String cannot fail.
        let _ = writeln!(out, "  {} = {{", quoted(domain));
        for user in users {
            let local = quoted(&user.address.local().to_string());
            let quota = user.quota.map(|quota| quoted(&size(quota)));
            let _ = match (quota, user.enabled) {
                (Some(quota), true) => writeln!(out, "    users.{local}.quota = {quota};"),
                (Some(quota), false) => writeln!(out, "    users.{local} = {{ enable = false; quota = {quota}; }};"),
                (None, true) => writeln!(out, "    users.{local} = {{ }};"),
                (None, false) => writeln!(out, "    users.{local}.enable = false;"),
            };
        }
        for (source, destinations) in aliases {
            let list: Vec<String> = destinations.iter().map(|destination| quoted(destination)).collect();
            let _ = match (*source, list.as_slice()) {
                ("@", [one]) => writeln!(out, "    catchAll = {one};"),
                ("@", [first, more @ ..]) => {
                    writeln!(out, "    catchAll = {first}; # only one is possible; left out: {}", more.join(" "))
                }
                (source, _) => writeln!(out, "    aliases.{} = [ {} ];", quoted(source), list.join(" ")),
            };
        }
        out.push_str("  };\n");
    }
    out.push_str("};\n");
    out
}

/// A size as the module's options expect it: `"5G"`.
fn size(size: ByteSize) -> String {
    let units = [("T", 40), ("G", 30), ("M", 20), ("K", 10)];
    let exact = units.into_iter().find(|(_, bits)| size.get() > 0 && size.get().is_multiple_of(1 << bits));
    match exact {
        Some((unit, bits)) => format!("{}{unit}", size.get() >> bits),
        None => format!("{}K", size.get().div_ceil(1 << 10)),
    }
}

/// A Nix string.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace("${", "\\${"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_nix() {
        let users = ["ann@example.test", "anna@example.test", "bob.b@example.test", "eve@example.test"];
        let users: Vec<DeclaredUser> = users
            .iter()
            .map(|address| DeclaredUser {
                address: address.parse().unwrap(),
                quota: address.starts_with("ann").then(|| ByteSize::gib(2)),
                enabled: !matches!(*address, "anna@example.test" | "eve@example.test"),
            })
            .collect();
        let aliases = [
            ("info@example.test", "ann@example.test"),
            ("info@example.test", "x@other.test"),
            ("@example.test", "bob.b@example.test"),
            ("@other.test", "ann@example.test"),
            ("@other.test", "x@far.test"),
            ("@other.test", "y@far.test"),
        ];
        let aliases = aliases.map(|(a, b)| (a.to_owned(), b.to_owned()));
        let text = declaration(&["empty.test".parse().unwrap()], &users, &aliases);
        let wanted = "services.postrider.domains = {\n  \"empty.test\" = {\n  };\n  \"example.test\" = {\n    users.\"ann\".quota = \"2G\";\n    \
             users.\"anna\" = { enable = false; quota = \"2G\"; };\n    users.\"bob.b\" = { };\n    \
             users.\"eve\".enable = false;\n    catchAll = \"bob.b@example.test\";\n    aliases.\"info\" = [ \"ann@example.test\" \"x@other.test\" ];\n  };\n  \"other.test\" = {\n    catchAll = \"ann@example.test\"; \
             # only one is possible; left out: \"x@far.test\" \"y@far.test\"\n  };\n};\n";
        assert_eq!(text, wanted);
        assert_eq!(quoted("a\"${b}\\"), "\"a\\\"\\${b}\\\\\"");
    }
}
