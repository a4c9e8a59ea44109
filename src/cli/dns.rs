use std::net::IpAddr;
use std::path::PathBuf;

use serde::Serialize;

use super::context::{Accounts, Context};
use super::exit::{Exit, Outcome};
use super::output::{Output, Shown, print, told};
use crate::config::{Config, ListenerSettings, Protocol, Role};
use crate::foundations::address::Domain;
use crate::foundations::dns::{SystemResolver, addresses};
use crate::foundations::files;
use crate::foundations::net::Bind;
use crate::services::certificates::{names_of, public_key_digest, read_chain};
use crate::services::doctor::Unread;
use crate::services::filter::authentication::dkim;
use crate::services::filter::rotation::{self, KeyPairState, Phase};
use crate::services::mta_sts::announcements;
use crate::services::records::{DkimRecord, KeyState, Record, Senders, Service, Wanted, zone_lines};
use crate::storage::directory::{Error, Page};

#[derive(Debug, clap::Args)]
pub(super) struct Dns {
    /// Print lines for a zone file.
    #[arg(long)]
    zone: bool,
    /// A public address of this server; may be given several times. By default, the addresses named by listeners, or else
    /// those now in the DNS.
    #[arg(long, value_name = "ADDRESS")]
    address: Vec<IpAddr>,
    /// The authority that issues the host's certificates, for the CAA record, such as `letsencrypt.org`.
    #[arg(long, value_name = "NAME")]
    ca: Vec<String>,
    /// Print only the records of this domain and those of the host.
    domain: Option<Domain>,
}

impl Shown for Record {
    const COLUMNS: &'static [&'static str] = &["NAME", "TYPE", "VALUE", "ONLY WHEN"];

    fn cells(&self) -> Vec<String> {
        let when = self.when.unwrap_or_default().to_owned();
        vec![self.name.clone(), self.kind.to_owned(), self.value.clone(), when]
    }
}

pub(super) async fn run(arguments: Dns, context: &Context) -> Outcome {
    let accounts = context.accounts().await?;
    let config = &accounts.config;
    let mut domains = domains(&accounts).await?;
    if let Some(only) = arguments.domain {
        if !domains.contains(&only) {
            return Err(Error::NoDomain(only).into());
        }
        domains.retain(|domain| *domain == only || *domain == config.hostname);
    }
    let found = if arguments.address.is_empty() { addresses_of(config).await } else { arguments.address };
    let mut unknown = Vec::new();
    if found.is_empty() {
        unknown.push(Unread {
            about: format!("A, AAAA and PTR of {}", config.hostname),
            because: "no address of the host is known; give it with `--address`".to_owned(),
        });
    }
    let (wanted, unread) = wanted(config, domains, found);
    unknown.extend(unread);
    if let Some(relay) = wanted.senders.unnamed() {
        unknown.push(Unread {
            about: format!("{relay}, by which mail leaves, in the SPF records"),
            because:
                "its SPF mechanisms are not configured, so the records end in `?all`, which refuses nobody; ask its \
                 operator, and set `spf` of its route"
                    .to_owned(),
        });
    }
    let records = Wanted { authorities: arguments.ca, ..wanted }.records();
    for Unread { about, because } in &unknown {
        eprintln!("postrider: without {about}: {because}");
    }
    match context.output {
        Output::Json => context.output.done("", &RecordsShown { records, unknown }),
        Output::People if arguments.zone => {
            unknown.iter().for_each(|one| print(&format!("; without {}: {}\n", one.about, one.because)));
            print(&zone_lines(&records));
        }
        Output::People => context.output.list(&records),
    }
    Ok(Exit::Done)
}

/// What is to be published, and which parts of it are unknown.
#[derive(Debug, Serialize)]
struct RecordsShown {
    records: Vec<Record>,
    unknown: Vec<Unread>,
}

/// The enabled domains.
pub(super) async fn domains(accounts: &Accounts) -> anyhow::Result<Vec<Domain>> {
    let mut domains = Vec::new();
    let mut page = Page { domain: None, after: None, limit: Page::USUAL };
    loop {
        let entries = accounts.directory.domains(&page).await?;
        let Some(last) = entries.last() else { return Ok(domains) };
        page.after = Some(last.name.to_string());
        domains.extend(entries.into_iter().filter(|entry| entry.archived_at.is_none()).map(|entry| entry.name));
    }
}

/// The records according to the configuration, and the files that could not be read for them.
pub(super) fn wanted(config: &Config, domains: Vec<Domain>, addresses: Vec<IpAddr>) -> (Wanted, Vec<Unread>) {
    let service = |(label, protocol): (&'static str, Protocol)| {
        let listener = config.listener.iter().find(|listener| listener.protocol == protocol)?;
        let port = listener.bind.iter().find_map(|bind| match bind {
            Bind::Tcp(address) => Some(address.port()),
            Bind::Unix(_) | Bind::Systemd(_) => None,
        });
        Some(Service { label, port: port? })
    };
    let labels = [
        ("imaps", Protocol::Imaps),
        ("submissions", Protocol::Submissions),
        ("submission", Protocol::Submission),
        ("pop3s", Protocol::Pop3s),
        ("sieve", Protocol::ManageSieve),
    ];
    let mut unread = Vec::new();
    let wanted = Wanted {
        autoconfig: autoconfig(config),
        policies: announcements(&config.mta_sts, &config.hostname),
        hostname: config.hostname.clone(),
        addresses,
        domains,
        senders: Senders::of(&config.outbound),
        services: labels.into_iter().filter_map(service).chain(dav_services(config)).collect(),
        dkim: signing_keys(config, &mut unread),
        public_keys: public_keys(config, &mut unread),
        authorities: Vec::new(),
    };
    (wanted, unread)
}

/// Where mail programs find their settings: on this server, or on a proxy in front of it.
fn autoconfig(config: &Config) -> Vec<&'static str> {
    if config.autoconfig.enabled && config.listener.iter().any(|one| one.protocol == Protocol::Https) {
        vec!["autoconfig", "autodiscover"]
    } else if config.autoconfig.proxied {
        vec!["autoconfig"]
    } else {
        Vec::new()
    }
}

/// The records of configured keys and of rotated keys.
fn signing_keys(config: &Config, unread: &mut Vec<Unread>) -> Vec<DkimRecord> {
    let mut records = Vec::new();
    for key in &config.spam.dkim.keys {
        let Some(domain) = key.domain.clone() else { continue };
        let read = files::read_bounded(&key.file, 1 << 16).map_err(anyhow::Error::from);
        match read.and_then(|pem| Ok(dkim::record_of(&pem, &key.file)?)) {
            Ok(text) => {
                records.push(DkimRecord { domain, selector: key.selector.clone(), text, state: KeyState::Signs });
            }
            Err(error) => unread
                .push(Unread { about: format!("the DKIM key {} of {domain}", key.selector), because: told(&error) }),
        }
    }
    let rotation = &config.spam.dkim.rotation;
    for domain in rotation.domains.iter().filter(|_| rotation.directory.is_some()) {
        match rotation::pairs(rotation, domain) {
            Ok(pairs) => records.extend(pairs.into_iter().flat_map(|pair| rotated(domain, pair))),
            Err(error) => {
                unread.push(Unread { about: format!("the DKIM keys of {domain}"), because: error.to_string() })
            }
        }
    }
    records
}

fn rotated(domain: &Domain, pair: KeyPairState) -> impl Iterator<Item = DkimRecord> {
    let state = match pair.phase {
        Phase::Announced => KeyState::Announced,
        Phase::Active => KeyState::Signs,
        Phase::Retired => KeyState::Retired,
    };
    pair.keys.into_iter().map(move |key| DkimRecord {
        domain: domain.clone(),
        selector: key.selector,
        text: key.record,
        state,
    })
}

/// The chains of the certificates in the files that are for the host, in DER: those that clients are shown who ask for it.
pub(super) fn chains(config: &Config) -> Vec<Vec<Vec<u8>>> {
    let named = config.tls.certificates.iter().map(|pair| pair.cert.clone());
    // Unreadable files are reported with their public keys.
    let chains = named.chain(obtained(config)).filter_map(|file| read_chain(&file).ok());
    let ranked: Vec<(Rank, Vec<Vec<u8>>)> = chains
        .map(|chain| {
            let rank = chain.first().map_or(Rank::Other, |own| rank(&names_of(own), config.hostname.as_str()));
            (rank, chain.into_iter().map(|certificate| certificate.to_vec()).collect())
        })
        .collect();
    let best = ranked.iter().map(|(rank, _)| *rank).min();
    ranked.into_iter().filter(|(rank, _)| Some(*rank) == best).map(|(_, chain)| chain).collect()
}

/// How well a certificate fits a name, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Exact,
    Wildcard,
    Other,
}

fn rank(names: &[String], host: &str) -> Rank {
    let wildcard = host.split_once('.').map(|(_, above)| format!("*.{above}"));
    if names.iter().any(|name| name == host) {
        Rank::Exact
    } else if names.iter().any(|name| Some(name) == wildcard.as_ref()) {
        Rank::Wildcard
    } else {
        Rank::Other
    }
}

/// The files of the host's certificates that the server obtains itself, whether or not they exist yet.
fn obtained(config: &Config) -> impl Iterator<Item = PathBuf> {
    let wanted = config.tls.acme.iter().filter(|wanted| wanted.names.contains(&config.hostname));
    wanted.filter_map(|wanted| wanted.file(&config.tls.acme_state))
}

fn public_keys(config: &Config, unread: &mut Vec<Unread>) -> Vec<String> {
    let mut keys = Vec::new();
    for pair in &config.tls.certificates {
        match public_key_digest(&pair.cert) {
            Ok(key) => keys.push(key),
            Err(error) => unread.push(Unread {
                about: format!("the certificate `{}`", pair.cert.display()),
                because: error.to_string(),
            }),
        }
    }
    keys.extend(obtained(config).filter_map(|file| public_key_digest(&file).ok()));
    keys.dedup();
    keys
}

/// Where clients find calendars and contacts (RFC 6764 §3).
fn dav_services(config: &Config) -> Vec<Service> {
    // `https` serves them only in the process with the mailboxes.
    let is_here = |listener: &&ListenerSettings| {
        listener.protocol == Protocol::Https && (listener.role() == Role::Access || config.webmail.submission.is_none())
    };
    let own = config.listener.iter().filter(is_here).flat_map(|listener| &listener.bind).find_map(|bind| match bind {
        Bind::Tcp(address) => Some(address.port()),
        Bind::Unix(_) | Bind::Systemd(_) => None,
    });
    match config.dav.public_port.or(own).filter(|_| config.dav.enabled) {
        Some(port) => ["caldavs", "carddavs"].map(|label| Service { label, port }).to_vec(),
        None => Vec::new(),
    }
}

/// The addresses that a mail listener names, or else those the DNS now has for the host.
async fn addresses_of(config: &Config) -> Vec<IpAddr> {
    let mail = config.listener.iter().filter(|listener| listener.protocol == Protocol::Smtp);
    let named: Vec<IpAddr> = mail
        .flat_map(|listener| &listener.bind)
        .filter_map(|bind| match bind {
            Bind::Tcp(address) => Some(address.ip()).filter(|ip| !ip.is_unspecified() && !ip.is_loopback()),
            Bind::Unix(_) | Bind::Systemd(_) => None,
        })
        .collect();
    if !named.is_empty() {
        return named;
    }
    match SystemResolver::new(&config.dns) {
        Ok(resolver) => {
            addresses(&resolver, config.hostname.as_str()).await.map_or_else(|_| vec![], |found| found.records)
        }
        Err(_) => vec![],
    }
}
