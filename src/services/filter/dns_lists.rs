//! DNS lists: what others think of the client's address and of domains in the message (RFC 5782).

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::Signal;
use super::authentication::dkim;
use super::settings::{DnsListSettings, ListSubject};
use super::signs::{is_address, registered};
use super::view::{View, is_public};
use crate::foundations::dns::Resolver;

/// Most domains of one message that are asked about.
const MAX_DOMAINS: usize = 20;

/// Most signatures whose domains are among them, so that many signatures cannot hide a link.
const MAX_SIGNERS: usize = 5;

/// Queries every list for everything it covers, all at the same time. A list that does not answer in time contributes nothing, and
/// does not delay the others.
pub async fn ask(
    resolver: &dyn Resolver,
    lists: &[DnsListSettings],
    client: Option<IpAddr>,
    domains: &[String],
    patience: Duration,
) -> Vec<Signal> {
    let questions = lists.iter().filter(|l| !l.zone.is_empty()).flat_map(|list| match list.about {
        ListSubject::Client => {
            let subject = client.filter(|c| is_public(*c)).map(|c| (c.to_string(), reversed(c)));
            subject.map(|(shown, label)| (list, shown, label)).into_iter().collect::<Vec<_>>()
        }
        ListSubject::Domain => domains.iter().take(MAX_DOMAINS).map(|d| (list, d.clone(), d.clone())).collect(),
    });
    let answers = join_all(questions.map(|(list, shown, label)| async move {
        let name = format!("{label}.{}", list.zone.trim_matches('.'));
        let answer = timeout(patience, resolver.a(&name)).await.ok()?.ok()?;
        Some((list, shown, answer.records))
    }))
    .await;
    let (mut signals, mut refusing): (Vec<Signal>, HashSet<&str>) = (Vec::new(), HashSet::new());
    for (list, shown, records) in answers.into_iter().flatten() {
        if let Some(answer) = records.iter().find(|answer| is_refusal(list, **answer))
            && refusing.insert(&list.zone)
        {
            log::warn!(zone:% = list.zone, answer:% = answer; "filter: the DNS list refuses to answer; query it through your own name server");
        }
        let Some(weight) = weigh(list, &records) else { continue };
        let signal = Signal::new(signal_name(list), weight, format!("On a DNS list: `{shown}`, {}", list.zone));
        // If several domains are on one list, the worst counts.
        match signals.iter_mut().find(|s| s.name == signal.name) {
            Some(known) if known.weight.abs() >= weight.abs() => {}
            Some(known) => *known = signal,
            None => signals.push(signal),
        }
    }
    signals
}

/// Why a list without a hit for a client says nothing about it; `None` when it has answered.
pub async fn silence(resolver: &dyn Resolver, list: &DnsListSettings, client: IpAddr) -> Option<String> {
    if !is_public(client) {
        return None;
    }
    match resolver.a(&format!("{}.{}", reversed(client), list.zone.trim_matches('.'))).await {
        Ok(answer) => answer.records.iter().find(|answer| is_refusal(list, **answer)).map(|answer| {
            format!("it refuses to answer ({answer}), as lists do for public resolvers and too many queries")
        }),
        Err(error) if error.is_absence() => None,
        Err(error) => Some(error.to_string()),
    }
}

/// Whether the list refuses to answer us (too many questions, a public resolver): most answer 127.255.255.0/24 then, URIBL and SURBL
/// 127.0.0.1, which is a hit only where the settings say so.
fn is_refusal(list: &DnsListSettings, answer: Ipv4Addr) -> bool {
    let is_unknown = answer == Ipv4Addr::LOCALHOST && !list.answers.contains_key(&answer.to_string());
    is_unknown || answer.octets().starts_with(&[127, 255, 255])
}

/// The total weight of a list's answers; `None` when they are no hit.
fn weigh(list: &DnsListSettings, answers: &[Ipv4Addr]) -> Option<f64> {
    let mut heaviest: Option<f64> = None;
    for answer in answers {
        // Answers outside 127.0.0.0/8 come from an abandoned zone or a lying resolver.
        if !answer.is_loopback() || is_refusal(list, *answer) {
            continue;
        }
        let weight = list.answers.get(&answer.to_string()).copied().unwrap_or(list.weight);
        if weight != 0.0 && heaviest.is_none_or(|h| h.abs() < weight.abs()) {
            heaviest = Some(weight);
        }
    }
    heaviest
}

/// What the names of the signals begin with: lists of clients, and lists of domains.
pub const PREFIXES: [&str; 2] = ["RCVD_IN_", "URIBL_"];

fn signal_name(list: &DnsListSettings) -> String {
    let [of_clients, of_domains] = PREFIXES;
    let prefix = match list.about {
        ListSubject::Client => of_clients,
        ListSubject::Domain => of_domains,
    };
    let zone: String =
        list.zone.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    format!("{prefix}{}", zone.trim_matches('_'))
}

/// RFC 5782 §2.1, §2.4: octets, or nibbles, from the last to the first.
fn reversed(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}")
        }
        IpAddr::V6(v6) => {
            let nibbles = v6.octets().into_iter().rev().flat_map(|o| [o & 15, o >> 4]);
            nibbles.map(|n| format!("{n:x}")).collect::<Vec<_>>().join(".")
        }
    }
}

/// The domains of a message to look up in lists, each once: of its author and envelope sender, of those that claim to
/// have signed it, and of its links. The reverse-path is without brackets; empty when it is null.
pub fn domains_of(view: &View<'_>, reverse_path: &str) -> Vec<String> {
    let of_address = |address: &str| address.rsplit_once('@').map_or("", |(_, d)| d).to_lowercase();
    let senders = [of_address(view.from_address()), of_address(reverse_path)];
    let signatures = view.all("DKIM-Signature").take(MAX_SIGNERS);
    let signers = signatures.filter_map(|field| dkim::tag(&field.raw, b"d")).map(|domain| domain.to_lowercase());
    let links = view.likeliest_links().map(|l| l.host.clone());
    let mut domains: Vec<String> = Vec::new();
    for host in senders.into_iter().chain(signers).chain(links) {
        // Lists know names as the DNS has them.
        let host = idna::domain_to_ascii(&host).unwrap_or(host);
        let domain = registered(&host);
        let usable = !domain.is_empty() && domain.contains('.') && domain.is_ascii() && !is_address(domain);
        if usable && !domains.iter().any(|d| d == domain) {
            domains.push(domain.to_owned());
        }
        if domains.len() >= MAX_DOMAINS {
            break;
        }
    }
    domains
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::dns::ZoneResolver;
    use crate::services::filter::LimitSettings;

    #[test]
    fn domains_of_senders_signatures_and_links() {
        let signature = "DKIM-Signature: v=1; a=rsa-sha256;\r\n d=Signer.test; s=x; bh=; b=\r\n";
        let message = format!("{signature}From: a@news.author.test\r\n\r\nhttps://www.link.test/x\r\n");
        let heap: String = (0..30).map(|n| signature.replace("Signer", &format!("s{n}"))).collect();
        for (message, reverse_path, wanted) in [
            (message.clone(), "b@Bounces.path.test", &["author.test", "path.test", "signer.test", "link.test"][..]),
            (message.clone(), "", &["author.test", "signer.test", "link.test"]),
            (message.replace("www.link", "ｌink。bücher"), "", &["author.test", "signer.test", "xn--bcher-kva.test"]),
            (message.replace("Signer", "bücher"), "", &["author.test", "xn--bcher-kva.test", "link.test"]),
            (message.clone(), "b@author.test", &["author.test", "signer.test", "link.test"]),
            (
                format!("{heap}From: a@author.test\r\n\r\nhttps://link.test/\r\n"),
                "",
                &["author.test", "s0.test", "s1.test", "s2.test", "s3.test", "s4.test", "link.test"],
            ),
        ] {
            let view = View::new(message.as_bytes(), &LimitSettings::default());
            assert_eq!(domains_of(&view, reverse_path), wanted, "{message} {reverse_path}");
        }
    }

    #[test]
    fn no_heap_of_links_hides_one() {
        let heap = |link: &str| (0..60).map(|n| link.replace('#', &n.to_string())).collect::<String>();
        let texts = heap("https://d#.test/\r\n");
        let unseen = heap("<a href='https://d#.test/'></a><img src='https://i#.test/'>");
        for (kind, body) in [
            ("plain", format!("{texts}https://evil.test/\r\n")),
            ("plain", format!("https://evil.test/\r\n{texts}")),
            ("html", format!("{unseen}<a href='https://evil.test/'>here</a>{unseen}")),
            ("html", format!("{texts}<a href='https://evil.test/'>here</a>")),
            ("html", format!("{0}<a href='https://evil.test/'><img></a>{0}", heap("<img src='https://i#.test/'>"))),
        ] {
            let message = format!("From: a@author.test\r\nContent-Type: text/{kind}\r\n\r\n{body}");
            let domains = domains_of(&View::new(message.as_bytes(), &LimitSettings::default()), "");
            assert!(domains.iter().any(|domain| domain == "evil.test"), "{domains:?}: {message}");
            assert_eq!(domains.len(), MAX_DOMAINS);
        }
    }

    // The others answer at once.
    const PATIENCE: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn answers_have_meanings() {
        let resolver = ZoneResolver::new();
        resolver
            .add("7.100.51.198.bl.test A 127.0.0.2\n7.100.51.198.bl.test A 127.0.0.4\n7.100.51.198.full.test A 127.255.255.254\n7.100.51.198.dead.test A 192.0.2.1\n7.100.51.198.busy.test A 127.0.0.1\n7.100.51.198.white.test A 127.0.0.1\n7.100.51.198.good.test A 127.0.0.3\nevil.test.dbl.test A 127.0.1.2\n7.100.51.198.down.test FAIL\n7.100.51.198.mute.test SILENT")
            .unwrap();
        let list = |zone: &str, about, weight, answers: &[(&str, f64)]| DnsListSettings {
            zone: zone.to_owned(),
            about,
            weight,
            answers: answers.iter().map(|(a, w)| ((*a).to_owned(), *w)).collect(),
        };
        let lists = [
            list("bl.test", ListSubject::Client, 1.0, &[("127.0.0.4", 3.0)]),
            list("full.test", ListSubject::Client, 9.0, &[]),
            list("dead.test", ListSubject::Client, 9.0, &[]),
            list("busy.test", ListSubject::Client, 9.0, &[]),
            list("white.test", ListSubject::Client, 9.0, &[("127.0.0.1", -1.0)]),
            list("down.test", ListSubject::Client, 9.0, &[]),
            list("mute.test", ListSubject::Client, 9.0, &[]),
            list("good.test", ListSubject::Client, -1.5, &[]),
            list("dbl.test", ListSubject::Domain, 2.5, &[]),
        ];
        let client = "198.51.100.7".parse().ok();
        let found = ask(&resolver, &lists, client, &["fine.test".to_owned(), "evil.test".to_owned()], PATIENCE).await;
        let mut found: Vec<(String, f64)> = found.into_iter().map(|s| (s.name.into_owned(), s.weight)).collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(
            found,
            [
                ("RCVD_IN_BL_TEST".into(), 3.0),
                ("RCVD_IN_GOOD_TEST".into(), -1.5),
                ("RCVD_IN_WHITE_TEST".into(), -1.0),
                ("URIBL_DBL_TEST".into(), 2.5)
            ]
        );
        // The reason names the one that counts.
        resolver.add("worse.test.dbl.test A 127.0.1.3").unwrap();
        let lists = [list("dbl.test", ListSubject::Domain, 2.5, &[("127.0.1.3", 4.0)])];
        let found = ask(&resolver, &lists, None, &["evil.test".to_owned(), "worse.test".to_owned()], PATIENCE).await;
        assert_eq!((found[0].weight, &*found[0].because), (4.0, "On a DNS list: `worse.test`, dbl.test"));
        let before = resolver.questions();
        assert!(ask(&resolver, &lists, "10.0.0.1".parse().ok(), &[], PATIENCE).await.is_empty());
        assert_eq!(resolver.questions(), before);
    }
}
