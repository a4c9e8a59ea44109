use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::config_files::{declared, each_path, is_secret};
use super::context::Context;
use super::dns;
use super::exit::{Exit, Outcome};
use super::output::{Output, Shown, print, told};
use crate::config::{Config, Protocol, Role};
use crate::daemon::control::look_at_status;
use crate::daemon::{Roles, Unopened, database_url, probes};
use crate::foundations::address::Domain;
use crate::foundations::clock::SystemClock;
use crate::foundations::dns::SystemResolver;
use crate::foundations::net::Bind;
use crate::foundations::settings::{Live, Setting as _};
use crate::services::accounts::DeclaredFile;
use crate::services::backup::Destination;
use crate::services::certificates::{names_of, read_chain};
use crate::services::doctor::{DatabaseHealth, Doctor, Finding, Guarded, Health, Lacking, OTHERS, Shut, Volume};
use crate::services::outbound::{Outbound, OutboundParts, Roots, TcpConnector};
use crate::services::probe::Prober;
use crate::storage::{database, directory};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Check only this domain and the host itself; may be given several times.
    #[arg(long, value_name = "DOMAIN")]
    domain: Vec<Domain>,
    /// Also show what is fine.
    #[arg(long, short)]
    all: bool,
    /// Do not test the ports at the public addresses.
    #[arg(long)]
    no_ports: bool,
    /// Do not connect to mail servers of others (to test whether mail can leave) or to certificate authorities (to
    /// compare the clock).
    #[arg(long)]
    no_outgoing: bool,
}

impl Shown for Finding {
    const COLUMNS: &'static [&'static str] = &["HEALTH", "CHECK", "ABOUT", "FOUND", "REMEDY"];

    fn cells(&self) -> Vec<String> {
        let remedy = self.remedy.clone().unwrap_or_default();
        vec![self.health.to_string(), self.check.to_owned(), self.about.clone(), self.found.clone(), remedy]
    }
}

pub(super) async fn run(arguments: Arguments, context: &Context) -> Outcome {
    let config = &context.config()?;
    let (mut domains, database) = match known_domains(context).await {
        Ok(known) => known,
        // This is itself a finding; the rest is checked as far as possible without it.
        Err(error) if error.chain().any(|cause| cause.is::<database::Error>()) => {
            (arguments.domain.clone(), DatabaseHealth::Away(told(&error)))
        }
        Err(error) => return Err(error),
    };
    if let Some(unknown) =
        arguments.domain.iter().find(|domain| !domains.contains(domain) && **domain != config.hostname)
    {
        return Err(directory::Error::NoDomain(unknown.clone()).into());
    }
    if !arguments.domain.is_empty() {
        domains.retain(|domain| arguments.domain.contains(domain) || *domain == config.hostname);
    }
    let resolver = Arc::new(SystemResolver::new(&config.dns)?);
    let outbound = Outbound::new(OutboundParts {
        settings: Live::new(config.outbound.clone()),
        hostname: config.hostname.clone(),
        resolver: Arc::clone(&resolver) as _,
        connector: Arc::new(TcpConnector),
        roots: Roots::load(config.outbound.authorities.as_deref())?,
        clock: Arc::new(SystemClock),
        reports: None,
        database: None,
        filter: None,
    });
    let (wanted, unread) = dns::wanted(config, domains, Vec::new());
    let of_host = config.tls.acme.iter().filter(|certificate| certificate.names.contains(&config.hostname));
    let doctor = Doctor {
        wanted,
        chains: dns::chains(config),
        authorities: of_host.filter_map(|certificate| host_of(&certificate.authority)).collect(),
        rotated: &config.spam.dkim.rotation.domains,
        unread,
        resolver: &*resolver,
        outbound,
        lists: &config.spam.dns_lists,
        prober: Prober::new(config.hostname.clone(), PATIENCE),
        probes: probes(config, &Roles::all(), &[]),
        unopened: unopened(config).await,
        lacking: lacking(config),
        ports: if arguments.no_ports { Vec::new() } else { ports(config) },
        reach: (!arguments.no_outgoing).then_some(config.outbound.doctor_domains.as_slice()),
        guarded: guarded(config, &named(context, config)?),
        volumes: volumes(config),
        database,
        clocks: if arguments.no_outgoing { &[] } else { config.tls.acme.as_slice() },
        connections: config.guard.connections.into(),
        clock: Arc::new(SystemClock),
    };
    let findings = doctor.examine().await;
    let worst = findings.iter().map(|finding| finding.health).max_by_key(|health| *health as u8);
    match context.output {
        Output::Json => context.output.list(&findings),
        Output::People => tell(&findings, arguments.all),
    }
    Ok(if worst == Some(Health::Wrong) { Exit::Failed } else { Exit::Done })
}

/// The enabled domains, from the database, and whether it can be written.
async fn known_domains(context: &Context) -> anyhow::Result<(Vec<Domain>, DatabaseHealth)> {
    let accounts = context.accounts().await?;
    let domains = dns::domains(&accounts).await;
    let writing = accounts.database.check_writing().await;
    accounts.closed().await;
    let health = writing.map_or_else(|error| DatabaseHealth::NotWritable(error.to_string()), |()| DatabaseHealth::Good);
    Ok((domains?, health))
}

/// The host in a URL.
fn host_of(url: &str) -> Option<String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', ':']).next()?;
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

/// Prints a paragraph for each finding, and a line of totals.
fn tell(findings: &[Finding], all: bool) {
    let count = |health| findings.iter().filter(|finding| finding.health == health).count();
    for finding in findings.iter().filter(|finding| all || finding.health != Health::Well) {
        print(&format!("{:8} {}: {}: {}\n", finding.health.word(), finding.check, finding.about, finding.found));
        if let Some(remedy) = &finding.remedy {
            print(&format!("         -> {remedy}\n"));
        }
    }
    print(&format!(
        "{} wrong, {} to improve, {} that cannot be checked from here, {} fine\n",
        count(Health::Wrong),
        count(Health::Warning),
        count(Health::Unknown),
        count(Health::Well)
    ));
}

/// Certificates whose authorities did not accept all of their names.
fn lacking(config: &Config) -> Vec<Lacking> {
    let obtained = config.tls.acme.iter().filter_map(|wanted| {
        // While there is none, a certificate that nobody trusts stands in, which the listeners show.
        let file = wanted.file(&config.tls.acme_state)?;
        let names = names_of(read_chain(&file).ok()?.first()?);
        let is_missing = |name: &&Domain| !names.iter().any(|known| known == name.as_str());
        let missing: Vec<String> = wanted.names.iter().filter(is_missing).map(ToString::to_string).collect();
        (!missing.is_empty()).then_some(Lacking { names, missing })
    });
    obtained.collect()
}

/// Listeners that the running roles could not open.
async fn unopened(config: &Config) -> Vec<Shut> {
    let mut places: Vec<Unopened> = Vec::new();
    for role in Role::ALL {
        // Roles that are not running, or may not be asked, are noticed by their listeners.
        let Ok(status) = look_at_status(&config.server, *role).await else { continue };
        // A process with several roles answers once for each.
        let added: Vec<_> = status.unopened.into_iter().filter(|place| !places.contains(place)).collect();
        places.extend(added);
    }
    let shut = |place: Unopened| Shut {
        about: format!("{} at {}", place.protocol, place.listener),
        remedy: place.remedy(),
        reason: place.reason,
    };
    places.into_iter().map(shut).collect()
}

/// The ports that must be publicly reachable: standard ports of listeners that are not for this machine alone.
fn ports(config: &Config) -> Vec<u16> {
    let is_public = |protocol| {
        !matches!(
            protocol,
            Protocol::Lmtp | Protocol::Webmail | Protocol::Dashboard | Protocol::Metrics | Protocol::Cluster
        )
    };
    let listeners = config.listener.iter().filter(|listener| is_public(listener.protocol));
    let mut ports: Vec<u16> = listeners
        .flat_map(|listener| &listener.bind)
        .filter_map(|bind| match bind {
            Bind::Tcp(address) if !address.ip().is_loopback() => Some(address.port()),
            _ => None,
        })
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// The files and directories with secrets that the configuration names, and the declared accounts, with their settings.
fn named(context: &Context, config: &Config) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let source = context.source();
    let document: toml::Table = std::fs::read_to_string(&source.path)?.parse()?;
    let mut named = Vec::new();
    let mut take = |key: &str, text: &str| {
        let path = match (text.strip_prefix("credential:"), &source.credentials) {
            (None, _) => PathBuf::from(text),
            (Some(name), Some(directory)) => directory.join(name),
            // systemd makes them visible only to the roles.
            (Some(_), None) => return,
        };
        if is_secret(key) && !text.is_empty() {
            // The certificates beside it are public.
            let path = if key == "tls.self_signed" { path.join("key.pem") } else { path };
            named.push((key.to_owned(), path));
        }
    };
    each_path(&Config::shape(), &toml::Value::Table(document), "", &mut take);
    // An unreadable one was reported together with the configuration.
    if let Some(document) = config.accounts.declared.as_deref().and_then(|path| declared(path).ok().flatten()) {
        each_path(&DeclaredFile::shape(), &document, "", &mut take);
    }
    Ok(named)
}

fn guarded(config: &Config, named: &[(String, PathBuf)]) -> Vec<Guarded> {
    let own =
        |path: &Path, forbidden, holds: &str| Guarded { path: path.to_owned(), forbidden, holds: holds.to_owned() };
    let mut guarded =
        vec![own(&config.storage.mail_root, 0o077, "mailboxes"), own(&config.spool.directory, 0o077, "queued mail")];
    guarded.extend(config.storage.database.path().map(|path| own(&path, OTHERS, "the database")));
    if !config.tls.acme.is_empty() {
        guarded.push(own(&config.tls.acme_state, OTHERS, "keys and certificates by ACME"));
    }
    // Mail in it is unencrypted. The first backup creates it.
    guarded.extend(backups(config).filter(|path| path.exists()).map(|path| own(path, 0o077, "backups")));
    // Without a password it is no secret, and may be where everybody can read it, such as in /nix/store.
    let has_password = database_url(config).map_or(true, |url| url.has_password());
    let is_one = |(key, _): &&(String, PathBuf)| has_password || key != "storage.database_file";
    guarded.extend(named.iter().filter(is_one).map(|(key, path)| own(path, OTHERS, &content(key))));
    guarded
}

/// What a setting's file contains, in words.
fn content(key: &str) -> String {
    let known = match key {
        "dashboard.password_file" => "the monitoring page's password",
        "database.password_file" => "the database's password",
        "login.two_factor_key_file" => "the key of two-factor logins",
        "routing.srs.secret_file" => "the secret of rewritten senders",
        "spam.dkim.keys.file" => "a DKIM key",
        "spam.dkim.rotation.directory" => "DKIM keys",
        "storage.database_file" => "the database's address",
        "tls.certificates.key" | "tls.self_signed" => "a TLS key",
        key => return format!("the secret of `{key}`"),
    };
    known.to_owned()
}

/// The directory of the backups, if it is on this machine.
fn backups(config: &Config) -> impl Iterator<Item = &Path> {
    match &config.backup.destination {
        Destination::Directory(path) => Some(path.as_path()),
        Destination::Bucket(_) => None,
    }
    .into_iter()
}

fn volumes(config: &Config) -> Vec<Volume> {
    let mut volumes = vec![
        Volume { path: config.storage.mail_root.clone(), purpose: "mailboxes" },
        Volume { path: config.spool.directory.clone(), purpose: "the queue" },
    ];
    volumes.extend(config.storage.database.path().map(|path| Volume { path, purpose: "the database" }));
    let backups = backups(config).filter(|path| path.exists());
    volumes.extend(backups.map(|path| Volume { path: path.to_owned(), purpose: "backups" }));
    volumes
}

/// How long a listener may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
