//! Bans in the kernel's packet filter: elements of a set that the administrator has made.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use ipnet::IpNet;

use crate::foundations::clock::Timestamp;

crate::settings! {
    /// A set of nftables that takes bans, so that banned clients do not even reach this server. The sets must be there, with
    /// `flags interval, timeout`, and this process must be allowed to change them (`CAP_NET_ADMIN`).
    pub struct NftablesSettings {
        /// The table they are in, with its family: `inet filter`. Nothing is called when unset.
        pub table: Option<String> = None,
        /// The set for IPv4, of type `ipv4_addr`.
        pub set_ipv4: String = "postrider4".to_owned(),
        /// The set for IPv6, of type `ipv6_addr`.
        pub set_ipv6: String = "postrider6".to_owned(),
        /// The program that changes them.
        pub program: PathBuf = PathBuf::from("nft"),
    }
}

/// How long the program may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Adds a network until its ban ends, or takes it out when that is over. Whether the set is as it should be.
pub(super) async fn tell(
    settings: &NftablesSettings,
    network: IpNet,
    until: Option<Timestamp>,
    now: Timestamp,
) -> bool {
    let Some(arguments) = arguments(settings, network, until, now) else { return false };
    let mut command = tokio::process::Command::new(&settings.program);
    command.args(&arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let failure = match tokio::time::timeout(PATIENCE, command.output()).await {
        Ok(Ok(output)) if output.status.success() => return true,
        Ok(Ok(output)) => String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no end within {PATIENCE:?}"),
    };
    log::warn!(network:% = network; "The packet filter does not know of the ban of {network}: {failure}");
    false
}

/// The command, argument by argument: no shell reads it, and every word of it is a setting or a number.
fn arguments(
    settings: &NftablesSettings,
    network: IpNet,
    until: Option<Timestamp>,
    now: Timestamp,
) -> Option<Vec<OsString>> {
    let table = settings.table.as_ref()?;
    let is_name =
        |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let set = if network.addr().is_ipv4() { &settings.set_ipv4 } else { &settings.set_ipv6 };
    let words: Vec<&str> = table.split_whitespace().collect();
    if !(1..=2).contains(&words.len()) || !words.iter().all(|word| is_name(word)) || !is_name(set) {
        log::warn!("`guard.nftables` names no table and sets; bans are not passed on to the packet filter");
        return None;
    }
    let left = until.map(|until| until.since(now).as_secs());
    let verb = if left == Some(0) { "delete" } else { "add" };
    let mut all = vec![verb.to_owned(), "element".to_owned()];
    all.extend(words.iter().map(|word| (*word).to_owned()));
    all.extend([set.clone(), "{".to_owned(), network.to_string()]);
    if let Some(left) = left.filter(|left| *left > 0) {
        all.extend(["timeout".to_owned(), format!("{left}s")]);
    }
    all.push("}".to_owned());
    Some(all.into_iter().map(OsString::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(table: &str, network: &str, seconds: Option<i64>) -> Option<String> {
        let settings = NftablesSettings { table: Some(table.to_owned()), ..NftablesSettings::default() };
        let until = seconds.map(Timestamp::from_unix_seconds);
        let all = arguments(&settings, network.parse().unwrap(), until, Timestamp::from_unix_seconds(100))?;
        Some(all.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn commands_are_made_of_names_and_numbers() {
        for (table, network, until, wanted) in [
            (
                "inet filter",
                "192.0.2.1/32",
                Some(160),
                Some("add element inet filter postrider4 { 192.0.2.1/32 timeout 60s }"),
            ),
            ("filter", "2001:db8::/56", None, Some("add element filter postrider6 { 2001:db8::/56 }")),
            ("inet filter", "192.0.2.0/24", Some(99), Some("delete element inet filter postrider4 { 192.0.2.0/24 }")),
            ("inet filter; flush", "192.0.2.1/32", None, None),
            ("a b c", "192.0.2.1/32", None, None),
            ("", "192.0.2.1/32", None, None),
        ] {
            assert_eq!(line(table, network, until).as_deref(), wanted, "{table}");
        }
    }
}
