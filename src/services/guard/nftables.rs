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

/// Networks that one call of the program is told of: far fewer than fit into its arguments.
const TOGETHER: usize = 500;

/// A network, and when its ban ends; `None` is without an end.
pub(super) type Element = (IpNet, Option<Timestamp>);

/// Adds networks until their bans end, or takes them out when these are over. Returns those of which the set is as it should be.
/// The program is called once for what can be told together. It does all it was told or nothing: where it refuses several,
/// it is asked for each.
pub(super) async fn tell(settings: &NftablesSettings, elements: &[Element], now: Timestamp) -> Vec<Element> {
    let (Some(table), false) = (words(settings), elements.is_empty()) else { return Vec::new() };
    let kind = |element: &Element| (element.0.addr().is_ipv4(), is_over(element, now));
    let mut told = Vec::with_capacity(elements.len());
    for wanted in [(true, false), (true, true), (false, false), (false, true)] {
        let alike: Vec<Element> = elements.iter().filter(|element| kind(element) == wanted).copied().collect();
        for together in alike.chunks(TOGETHER) {
            let several = together.len() > 1;
            if several && call(settings, &arguments(&table, settings, together, now)).await.is_ok() {
                told.extend_from_slice(together);
            } else {
                told.extend(tell_each(&table, settings, together, now).await);
            }
        }
    }
    told
}

/// Tells of networks one by one, and returns those that were taken.
async fn tell_each(
    table: &[String],
    settings: &NftablesSettings,
    elements: &[Element],
    now: Timestamp,
) -> Vec<Element> {
    let mut told = Vec::new();
    for element in elements {
        match call(settings, &arguments(table, settings, &[*element], now)).await {
            Ok(()) => told.push(*element),
            Err(failure) => {
                let network = element.0;
                log::warn!(network:% = network; "The packet filter does not know of the ban of {network}: {failure}");
            }
        }
    }
    told
}

fn is_over((_, until): &Element, now: Timestamp) -> bool {
    until.is_some_and(|until| until.since(now).as_secs() == 0)
}

async fn call(settings: &NftablesSettings, arguments: &[OsString]) -> Result<(), String> {
    let mut command = tokio::process::Command::new(&settings.program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    match tokio::time::timeout(PATIENCE, command.output()).await {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => Err(String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no end within {PATIENCE:?}")),
    }
}

/// The words that name the table, when these and the sets are names.
fn words(settings: &NftablesSettings) -> Option<Vec<String>> {
    let table = settings.table.as_ref()?;
    let is_name =
        |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let words: Vec<String> = table.split_whitespace().map(str::to_owned).collect();
    let sets = [&*settings.set_ipv4, &*settings.set_ipv6];
    let are_names = words.iter().map(String::as_str).chain(sets).all(is_name);
    if !(1..=2).contains(&words.len()) || !are_names {
        log::warn!("`guard.nftables` names no table and sets; bans are not passed on to the packet filter");
        return None;
    }
    Some(words)
}

/// The command for elements of one set, argument by argument: no shell reads it, and every word of it is a setting or a number.
fn arguments(table: &[String], settings: &NftablesSettings, elements: &[Element], now: Timestamp) -> Vec<OsString> {
    let is_ipv4 = elements.first().is_some_and(|(network, _)| network.addr().is_ipv4());
    let set = if is_ipv4 { &settings.set_ipv4 } else { &settings.set_ipv6 };
    let verb = if elements.first().is_some_and(|element| is_over(element, now)) { "delete" } else { "add" };
    let mut all = vec![verb.to_owned(), "element".to_owned()];
    all.extend_from_slice(table);
    all.extend([set.clone(), "{".to_owned()]);
    for (place, (network, until)) in elements.iter().enumerate() {
        if place > 0 {
            all.push(",".to_owned());
        }
        all.push(network.to_string());
        if let Some(left) = until.map(|until| until.since(now).as_secs()).filter(|left| *left > 0) {
            all.extend(["timeout".to_owned(), format!("{left}s")]);
        }
    }
    all.push("}".to_owned());
    all.into_iter().map(OsString::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(table: &str, network: &str, seconds: Option<i64>) -> Option<String> {
        let settings = NftablesSettings { table: Some(table.to_owned()), ..NftablesSettings::default() };
        let until = seconds.map(Timestamp::from_unix_seconds);
        let elements: Vec<Element> = network.split(' ').map(|network| (network.parse().unwrap(), until)).collect();
        let all = arguments(&words(&settings)?, &settings, &elements, Timestamp::from_unix_seconds(100));
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
            (
                "inet filter",
                "192.0.2.1/32 192.0.2.2/32",
                Some(160),
                Some("add element inet filter postrider4 { 192.0.2.1/32 timeout 60s , 192.0.2.2/32 timeout 60s }"),
            ),
            ("inet filter; flush", "192.0.2.1/32", None, None),
            ("a b c", "192.0.2.1/32", None, None),
            ("", "192.0.2.1/32", None, None),
        ] {
            assert_eq!(line(table, network, until).as_deref(), wanted, "{table}");
        }
    }
}
