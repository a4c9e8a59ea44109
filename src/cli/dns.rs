use std::net::IpAddr;

use anyhow::Context as _;

use super::context::{Accounts, Context};
use super::exit::{Exit, Outcome};
use super::output::{Output, Shown, print};
use crate::config::{Config, ListenerSettings, Protocol, Role};
use crate::foundations::address::Domain;
use crate::foundations::dns::{SystemResolver, addresses};
use crate::foundations::files;
use crate::foundations::net::Bind;
use crate::services::certificates::public_key_digest;
use crate::services::filter::authentication::dkim;
use crate::services::mta_sts::announcements;
use crate::services::records::{DkimRecord, Record, Service, Wanted, zone_lines};
use crate::storage::directory::Page;

/// Print every DNS record to publish.
#[derive(Debug, clap::Args)]
pub(super) struct Dns {
    /// As lines of a zone file.
    #[arg(long)]
    zone: bool,
    /// An address of this server as others reach it; may be given several times. Without any, those are taken that a
    /// listener names, else those that the DNS has now.
    #[arg(long, value_name = "ADDRESS")]
    address: Vec<IpAddr>,
    /// The authority that issues the host's certificates, for the CAA record, such as `letsencrypt.org`.
    #[arg(long, value_name = "NAME")]
    ca: Vec<String>,
    /// Only the records of this domain, and those of the host.
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
        domains.retain(|domain| *domain == only);
        if domains.is_empty() {
            context.output.failure(&anyhow::anyhow!("`{only}` is none of the domains here"));
            return Ok(Exit::NotFound);
        }
    }
    let found = if arguments.address.is_empty() { addresses_of(config).await } else { arguments.address };
    let records = Wanted { authorities: arguments.ca, ..wanted(config, domains, found)? }.records();
    match context.output {
        Output::People if arguments.zone => print(&zone_lines(&records)),
        output => output.list(&records),
    }
    Ok(Exit::Done)
}

/// The domains in use.
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

/// What the configuration says about the records. Files with keys that this user cannot read are passed over.
pub(super) fn wanted(config: &Config, domains: Vec<Domain>, addresses: Vec<IpAddr>) -> anyhow::Result<Wanted> {
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
    let mut dkim = Vec::new();
    for key in &config.spam.dkim.keys {
        let Some(domain) = key.domain.clone() else { continue };
        let pem = files::read_bounded(&key.file, 1 << 16);
        let pem = pem.with_context(|| format!("the record of the DKIM key of {domain} cannot be made"))?;
        let text = dkim::record_of(&pem, &key.file)?;
        dkim.push(DkimRecord { domain, selector: key.selector.clone(), text });
    }
    let certificates = config.tls.certificates.iter().map(|pair| public_key_digest(&pair.cert));
    let mut public_keys = certificates.collect::<Result<Vec<_>, _>>()?;
    // Those that the server gets by itself may not be there yet.
    let obtained = config.tls.acme.iter().filter(|wanted| wanted.names.contains(&config.hostname));
    let obtained = obtained.filter_map(|wanted| wanted.file(&config.tls.acme_state));
    public_keys.extend(obtained.filter_map(|file| public_key_digest(&file).ok()));
    public_keys.dedup();
    Ok(Wanted {
        autoconfig: config.autoconfig.enabled && config.listener.iter().any(|one| one.protocol == Protocol::Https),
        policies: announcements(&config.mta_sts, &config.hostname),
        hostname: config.hostname.clone(),
        addresses,
        domains,
        services: labels.into_iter().filter_map(service).chain(dav_services(config)).collect(),
        dkim,
        public_keys,
        authorities: Vec::new(),
    })
}

/// Where programs find calendars and contacts (RFC 6764 §3).
fn dav_services(config: &Config) -> Vec<Service> {
    // `https` has them only in the process with the mailboxes.
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

/// The addresses that a listener for mail names, else those that the DNS has for the host now.
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
