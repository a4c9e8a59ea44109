//! Bans in the kernel's packet filter: elements of a set that the administrator has made.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use ipnet::IpNet;

use crate::foundations::clock::Timestamp;

crate::settings! {
    /// A set of nftables that takes bans, so that banned clients do not even reach this server. The sets must be there, with
    /// `flags interval, timeout` and without `auto-merge`, and this process must be allowed to change them (`CAP_NET_ADMIN`).
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

/// What the set is to be told.
pub(super) struct Orders<'a> {
    /// Networks to take out, which are put in before.
    pub(super) gone: &'a [IpNet],
    /// Networks to put in until their bans end.
    pub(super) wanted: &'a [Element],
    /// All networks that are banned. Those of them that are in the set and overlap with a wanted one are in its way.
    pub(super) banned: &'a [Element],
}

/// What the set has taken.
#[derive(Default)]
pub(super) struct Told {
    pub(super) gone: Vec<IpNet>,
    pub(super) wanted: Vec<Element>,
}

/// The bans that a set can hold together: elements of an interval set must not overlap, so a network inside a banned one
/// waits until that ban is over. What ends within a second is over.
pub(super) fn outermost(bans: &[Element], now: Timestamp) -> Vec<Element> {
    let mut bans: Vec<Element> = bans.iter().filter(|ban| is_lasting(ban.1, now)).copied().collect();
    // Of several bans of one network the longest comes first.
    let end = |until: Option<Timestamp>| std::cmp::Reverse(until.map_or(i64::MAX, Timestamp::unix_micros));
    bans.sort_by_key(|(network, until)| (*network, end(*until)));
    let mut outermost: Vec<Element> = Vec::new();
    for ban in bans {
        // Networks lie in each other or apart, and a wider one is sorted before those in it.
        if outermost.last().is_none_or(|(last, _)| !last.contains(&ban.0)) {
            outermost.push(ban);
        }
    }
    outermost
}

/// Whether a ban goes on for so long that the set can be told of it.
pub(super) fn is_lasting(until: Option<Timestamp>, now: Timestamp) -> bool {
    until.is_none_or(|until| until.since(now).as_secs() > 0)
}

/// Takes networks out, then puts others in. The program is called once for what can be told together. It does all it was told or
/// nothing: where it refuses several, it is asked for each.
pub(super) async fn tell(settings: &NftablesSettings, orders: &Orders<'_>, now: Timestamp) -> Told {
    let Some(table) = words(settings) else { return Told::default() };
    let mut told = Told::default();
    let gone: Vec<Element> = orders.gone.iter().map(|network| (*network, None)).collect();
    for (verb, elements) in [("delete", &gone[..]), ("add", orders.wanted)] {
        for is_ipv4 in [true, false] {
            let alike: Vec<Element> =
                elements.iter().filter(|(network, _)| network.addr().is_ipv4() == is_ipv4).copied().collect();
            for together in alike.chunks(TOGETHER) {
                let several = together.len() > 1;
                let taken =
                    if several && call(settings, &arguments(verb, &table, settings, together, now)).await.is_ok() {
                        together.to_vec()
                    } else {
                        tell_each(verb, &table, settings, together, orders.banned, now).await
                    };
                match verb {
                    "delete" => told.gone.extend(taken.into_iter().map(|(network, _)| network)),
                    _ => told.wanted.extend(taken),
                }
            }
        }
    }
    told
}

/// Passes networks one by one, and returns those for which the set is now as it should be.
async fn tell_each(
    verb: &str,
    table: &[String],
    settings: &NftablesSettings,
    elements: &[Element],
    banned: &[Element],
    now: Timestamp,
) -> Vec<Element> {
    let mut told = Vec::new();
    for element in elements {
        let command = arguments(verb, table, settings, &[*element], now);
        let mut outcome = call(settings, &command).await;
        let network = element.0;
        match &outcome {
            // Its time was up, or another process has taken it out.
            Err(failure) if verb == "delete" && is_missing(failure) => outcome = Ok(()),
            // A process that was before us has put them in, or another one does not know of this ban yet.
            Err(failure) if verb == "add" && is_overlap(failure) => {
                for (inside, _) in banned.iter().filter(|(other, _)| *other != network && network.contains(other)) {
                    let _ = call(settings, &arguments("delete", table, settings, &[(*inside, None)], now)).await;
                }
                outcome = call(settings, &command).await;
            }
            _ => {}
        }
        match outcome {
            Ok(()) => told.push(*element),
            Err(failure) => {
                log::warn!(network:% = network; "The packet filter does not enforce the ban of {network}: {failure}");
            }
        }
    }
    told
}

/// What the program says when an element is not there: its own words, and the kernel's.
fn is_missing(failure: &str) -> bool {
    ["element does not exist", "No such file or directory"].iter().any(|words| failure.contains(words))
}

/// What it says when elements overlap.
fn is_overlap(failure: &str) -> bool {
    ["overlap", "conflicting intervals", "File exists"].iter().any(|words| failure.contains(words))
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
        log::warn!("`guard.nftables` does not name a table and sets; bans are not passed on to the packet filter");
        return None;
    }
    Some(words)
}

/// The command for elements of one set, argument by argument: no shell reads it, and every word of it is a setting or a number.
fn arguments(
    verb: &str,
    table: &[String],
    settings: &NftablesSettings,
    elements: &[Element],
    now: Timestamp,
) -> Vec<OsString> {
    let is_ipv4 = elements.first().is_some_and(|(network, _)| network.addr().is_ipv4());
    let set = if is_ipv4 { &settings.set_ipv4 } else { &settings.set_ipv6 };
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

    fn line(verb: &str, table: &str, network: &str, seconds: Option<i64>) -> Option<String> {
        let settings = NftablesSettings { table: Some(table.to_owned()), ..NftablesSettings::default() };
        let until = seconds.map(Timestamp::from_unix_seconds);
        let elements: Vec<Element> = network.split(' ').map(|network| (network.parse().unwrap(), until)).collect();
        let all = arguments(verb, &words(&settings)?, &settings, &elements, Timestamp::from_unix_seconds(100));
        Some(all.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn commands_are_made_of_names_and_numbers() {
        for (verb, table, network, until, wanted) in [
            (
                "add",
                "inet filter",
                "192.0.2.1/32",
                Some(160),
                Some("add element inet filter postrider4 { 192.0.2.1/32 timeout 60s }"),
            ),
            ("add", "filter", "2001:db8::/56", None, Some("add element filter postrider6 { 2001:db8::/56 }")),
            (
                "delete",
                "inet filter",
                "192.0.2.0/24",
                None,
                Some("delete element inet filter postrider4 { 192.0.2.0/24 }"),
            ),
            (
                "add",
                "inet filter",
                "192.0.2.1/32 192.0.2.2/32",
                Some(160),
                Some("add element inet filter postrider4 { 192.0.2.1/32 timeout 60s , 192.0.2.2/32 timeout 60s }"),
            ),
            ("add", "inet filter; flush", "192.0.2.1/32", None, None),
            ("add", "a b c", "192.0.2.1/32", None, None),
            ("add", "", "192.0.2.1/32", None, None),
        ] {
            assert_eq!(line(verb, table, network, until).as_deref(), wanted, "{table}");
        }
    }

    #[test]
    fn of_bans_that_overlap_a_set_takes_the_widest() {
        let ban = |network: &str, seconds: Option<i64>| -> Element {
            (network.parse().unwrap(), seconds.map(Timestamp::from_unix_seconds))
        };
        let bans = [
            ban("192.0.2.7/32", Some(900)),
            ban("2001:db8::/64", None),
            ban("192.0.2.0/24", Some(200)),
            ban("192.0.2.0/24", Some(300)),
            ban("192.0.2.0/32", None),
            ban("192.0.3.0/32", Some(300)),
            ban("2001:db8::/48", Some(300)),
            ban("192.0.0.0/16", Some(100)),
        ];
        let at = |seconds| outermost(&bans, Timestamp::from_unix_seconds(seconds));
        let wide = [ban("192.0.2.0/24", Some(300)), ban("192.0.3.0/32", Some(300)), ban("2001:db8::/48", Some(300))];
        assert_eq!(at(100), wide);
        // When these are over, those inside them are left.
        let narrow = [ban("192.0.2.0/32", None), ban("192.0.2.7/32", Some(900)), ban("2001:db8::/64", None)];
        assert_eq!(at(300), narrow);
    }

    #[test]
    fn the_programs_words_are_known() {
        for words in ["Error: element does not exist", "Error: Could not process rule: No such file or directory"] {
            assert!(is_missing(words) && !is_overlap(words), "{words}");
        }
        for words in [
            "Error: interval overlaps with an existing one",
            "Error: conflicting intervals specified",
            "Error: Could not process rule: File exists",
        ] {
            assert!(is_overlap(words) && !is_missing(words), "{words}");
        }
        assert!(!is_missing("Operation not permitted (you must be root)"));
    }
}
