//! Checks across rooms, which no room can do alone.

mod backups;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::Path;

use toml::de::DeValue;

use super::{Checks, Config, Protocol, Role};
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::foundations::net::Bind;
use crate::foundations::secret::Secret;
use crate::foundations::settings::{Problem, Problems};
use crate::services::certificates::{self, acme::AcmeChallenge};
use crate::services::cluster::{BadSecret, Keys};
use crate::services::delivery::{global_scripts, site_script};
use crate::services::filter::authentication::dkim::is_selector;
use crate::services::login::{SealError, one_time_step, read_key};
use crate::storage::database::{DatabaseUrl, Dialect};
use crate::storage::mailbox::FolderName;

/// The positions of keys in the file.
pub(super) struct Places<'a>(&'a DeValue<'a>);

impl<'a> Places<'a> {
    pub(super) const fn new(root: &'a DeValue<'a>) -> Self {
        Self(root)
    }

    /// The position of a dotted key (`listener.2.bind.1`, numbers from 1), or of the innermost existing table above it.
    pub(super) fn of(&self, key: &str) -> Range<usize> {
        self.walk(key).0
    }

    /// Whether the file has the key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.walk(key).1
    }

    fn walk(&self, key: &str) -> (Range<usize>, bool) {
        let (mut value, mut at) = (self.0, 0..0);
        for name in key.split('.') {
            let next = match value {
                DeValue::Table(table) => {
                    table.iter().find(|(key, _)| key.get_ref().as_ref() == name).map(|(_, value)| value)
                }
                DeValue::Array(items) => name.parse::<usize>().ok().and_then(|n| items.get(n.checked_sub(1)?)),
                _ => None,
            };
            match next {
                Some(next) => (value, at) = (next.get_ref(), next.span()),
                None => return (at, false),
            }
        }
        (at, true)
    }

    pub(super) fn problem(
        &self,
        key: impl Into<String>,
        found: impl Into<String>,
        wanted: impl Into<String>,
    ) -> Problem {
        let key = key.into();
        Problem { at: self.of(&key), key, found: found.into(), wanted: wanted.into() }
    }
}

/// Checks trust and delivery: policies, quarantine, quotas, keys.
fn check_trust(config: &Config, places: &Places<'_>, problems: &mut Problems) {
    for (n, _) in config.mta_sts.policies.iter().enumerate().filter(|(_, policy)| policy.domain.is_none()) {
        let key = format!("mta_sts.policies.{}.domain", n + 1);
        if !places.has(&key) {
            problems.add(places.problem(key, "", "a policy needs the domain it is for"));
        }
    }
    for (n, share) in config.delivery.nearly_full.iter().enumerate().filter(|(_, share)| !(1..=100).contains(*share)) {
        let key = format!("delivery.nearly_full.{}", n + 1);
        problems.add(places.problem(key, share.to_string(), "a share of the quota in per cent, from 1 to 100"));
    }
    let folder = &config.delivery.quarantine_folder;
    if let Err(error) = folder.parse::<FolderName>() {
        let wanted = format!("the name of a folder: {error}");
        problems.add(places.problem("delivery.quarantine_folder", format!("\"{folder}\""), wanted));
    }
    if let Some(address) = config.set_up.address.as_ref().filter(|address| !address.starts_with("https://")) {
        let found = format!("\"{address}\"");
        problems.add(places.problem("set_up.address", found, "an address that begins with https://"));
    }
    for (n, key) in config.spam.dkim.keys.iter().enumerate().filter(|(_, key)| !is_selector(&key.selector)) {
        let wanted = "letters, digits, `-` and `_`, in labels with dots between them, such as \"mail\"";
        let found = format!("\"{}\"", key.selector.escape_debug());
        problems.add(places.problem(format!("spam.dkim.keys.{}.selector", n + 1), found, wanted));
    }
    for (n, program) in config.submission.programs.iter().enumerate() {
        let key = format!("submission.programs.{}", n + 1);
        if program.user.is_empty() {
            problems.add(places.problem(format!("{key}.user"), "", "the system user whose programs may send"));
        }
        if program.account.is_none() {
            problems.add(places.problem(format!("{key}.account"), "", "the address of the account they send for"));
        }
    }
    let rotation = &config.spam.dkim.rotation;
    if rotation.directory.is_none() && !rotation.domains.is_empty() {
        let wanted = "a directory for the keys of `spam.dkim.rotation.domains`";
        problems.add(places.problem("spam.dkim.rotation.directory", "", wanted));
    }
}

/// Checks the settings of a cluster node.
fn check_cluster(config: &Config, places: &Places<'_>, problems: &mut Problems) {
    let cluster = &config.cluster;
    let listens = config.listener.iter().position(|listener| listener.protocol == Protocol::Cluster);
    if !cluster.is_on() {
        if let Some(n) = listens {
            let wanted = "a `cluster` listener belongs to a node: give `cluster.node` its name";
            problems.add(places.problem(format!("listener.{}.protocol", n + 1), "\"cluster\"", wanted));
        }
        return;
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if cluster.node.len() > 64 || !cluster.node.chars().all(is_name) {
        let found = format!("\"{}\"", cluster.node);
        problems.add(places.problem("cluster.node", found, "letters, digits, `-` and `.`, at most 64"));
    }
    if config.storage.database_file.is_none() && config.storage.database.dialect() == Dialect::Sqlite {
        let wanted = "a MariaDB or PostgreSQL database shared by all nodes: SQLite belongs to one machine, and `[cluster]` to several";
        problems.add(places.problem("storage.database", format!("\"{}\"", config.storage.database), wanted));
    }
    if listens.is_none() {
        let wanted = "a [[listener]] with `protocol = \"cluster\"`, where the other nodes reach this one";
        problems.add(places.problem("listener", "", wanted));
    }
    if !cluster.address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) {
        let found = format!("\"{}\"", cluster.address);
        problems.add(places.problem("cluster.address", found, "\"host:port\", where the other nodes reach this one"));
    }
    if cluster.secret.as_os_str().is_empty() {
        problems.add(places.problem("cluster.secret", "", "a file with the secret that all nodes share"));
    }
    let (lease, renew, margin) = (cluster.lease.duration(), cluster.renew.duration(), cluster.margin.duration());
    if renew.is_zero() || renew * 3 > lease {
        let wanted = "above zero, and at most a third of `cluster.lease`, so that one lost renewal does no harm";
        problems.add(places.problem("cluster.renew", format!("\"{}\"", cluster.renew), wanted));
    }
    if margin.is_zero() || margin * 3 > lease {
        let wanted = "above zero, and at most a third of `cluster.lease`";
        problems.add(places.problem("cluster.margin", format!("\"{}\"", cluster.margin), wanted));
    }
    if config.spool.node_lease.duration().is_zero() {
        let wanted = "above zero: the queue of a node that is gone for this long is taken over by the others";
        problems.add(places.problem("spool.node_lease", format!("\"{}\"", config.spool.node_lease), wanted));
    }
}

/// The longest host name at which every user of the machine has an address, which begins with up to `uid-4294967295@`.
const LONGEST_HOSTNAME: usize = Address::MAX_LENGTH - "uid-4294967295@".len();

/// Checks that need only the file itself.
pub(super) fn check_rooms(config: &Config, places: &Places<'_>, problems: &mut Problems) {
    check_trust(config, places, problems);
    if !places.has("hostname") {
        problems.add(places.problem(
            "hostname",
            "",
            "the name of this server must be given, such as \"mail.example.com\"",
        ));
    } else if config.hostname.literal().is_some() || config.hostname.as_str().parse::<Ipv4Addr>().is_ok() {
        let found = format!("\"{}\"", config.hostname);
        problems.add(places.problem("hostname", found, "a name, not an address"));
    } else if config.hostname.as_str().len() > LONGEST_HOSTNAME {
        let found = format!("{} octets", config.hostname.as_str().len());
        let wanted = format!("at most {LONGEST_HOSTNAME} octets: the addresses of this machine's users end in it");
        problems.add(places.problem("hostname", found, wanted));
    }
    check_listeners(config, places, problems);
    check_acme(config, places, problems);
    check_cluster(config, places, problems);
    backups::check_backups(config, places, problems);
    for n in 1..=config.tls.certificates.len() {
        for part in ["cert", "key"] {
            let key = format!("tls.certificates.{n}.{part}");
            if !places.has(&key) {
                problems.add(places.problem(key, "", "a certificate needs both `cert` and `key`"));
            }
        }
    }
}

/// What an ACME certificate requires elsewhere in the configuration; the authority is not contacted.
fn check_acme(config: &Config, places: &Places<'_>, problems: &mut Problems) {
    let mut files = BTreeMap::new();
    for (n, wanted) in config.tls.acme.iter().enumerate() {
        let key = format!("tls.acme.{}", n + 1);
        match wanted.names.first() {
            None => problems.add(places.problem(format!("{key}.names"), "", "at least one host name is needed")),
            Some(first) => {
                if let Some(other) = files.insert(first, n + 1) {
                    let wanted =
                        format!("another first name: certificate {other} has this one, and the file is named after it");
                    problems.add(places.problem(format!("{key}.names.1"), format!("\"{first}\""), wanted));
                }
            }
        }
        for (m, name) in wanted.names.iter().enumerate().filter(|(_, name)| name.literal().is_some()) {
            problems.add(places.problem(
                format!("{key}.names.{}", m + 1),
                format!("\"{name}\""),
                "a name, not an address",
            ));
        }
        if !wanted.terms_agreed {
            let text = "true, once you have read and agree to the authority's terms of service";
            problems.add(places.problem(format!("{key}.terms_agreed"), "false", text));
        }
        if !wanted.authority.starts_with("https://") {
            let found = format!("\"{}\"", wanted.authority);
            problems.add(places.problem(format!("{key}.authority"), found, "an address that begins with https://"));
        }
        if wanted.external_account.is_some() != wanted.external_account_key_file.is_some() {
            let text = "`external_account` and `external_account_key_file` belong together";
            problems.add(places.problem(format!("{key}.external_account"), "", text));
        }
        let listener = match wanted.challenge {
            AcmeChallenge::Http01 => Protocol::Http,
            AcmeChallenge::TlsAlpn01 => Protocol::Https,
        };
        if !config.listener.iter().any(|one| one.protocol == listener) {
            let text = format!("a [[listener]] with `protocol = \"{listener}\"` is needed for this challenge");
            problems.add(places.problem(format!("{key}.challenge"), format!("\"{}\"", wanted.challenge), text));
        }
    }
}

fn check_listeners(config: &Config, places: &Places<'_>, problems: &mut Problems) {
    if config.listener.is_empty() && !places.has("listener") {
        let wanted = "at least one [[listener]] with `protocol` and `bind` is needed";
        problems.add(places.problem("listener", "", wanted));
    }
    let has_tls =
        !config.tls.certificates.is_empty() || !config.tls.acme.is_empty() || config.tls.self_signed.is_some();
    let mut taken = BTreeMap::<&Bind, usize>::new();
    for (n, listener) in config.listener.iter().enumerate() {
        let key = format!("listener.{}", n + 1);
        if !places.has(&format!("{key}.protocol")) {
            problems.add(places.problem(format!("{key}.protocol"), "", "a listener needs a protocol"));
        }
        let bind = format!("{key}.bind");
        if listener.bind.is_empty() && !places.has(&format!("{bind}.1")) && !problems.are_about(&bind) {
            problems.add(places.problem(bind, "", "a listener needs at least one address in `bind`"));
        }
        if let Some(role) = listener.role.filter(|role| *role != listener.protocol.role())
            && listener.protocol != Protocol::Metrics
            && (listener.protocol, role) != (Protocol::Https, Role::Access)
        {
            let wanted = format!(
                "\"{}\" or unset: only figures, and `https` for the webmail, can be served by another role",
                listener.protocol.role()
            );
            problems.add(places.problem(format!("{key}.role"), format!("\"{role}\""), wanted));
        }
        if listener.protocol.has_implicit_tls() && !has_tls {
            let found = format!("\"{}\"", listener.protocol);
            let wanted = "this protocol requires TLS: name a certificate in `tls.certificates` or `tls.acme`, or a directory \
                          in `tls.self_signed` for a trial";
            problems.add(places.problem(format!("{key}.protocol"), found, wanted));
        }
        if listener.protocol == Protocol::Sendmail {
            let by_port = listener.bind.iter().position(|bind| matches!(bind, Bind::Tcp(_)));
            if let Some(m) = by_port {
                let wanted = "\"unix:\" and a path: over a TCP port, the user of the program would be unknown";
                let found = format!("\"{}\"", listener.bind[m]);
                problems.add(places.problem(format!("{key}.bind.{}", m + 1), found, wanted));
            }
        }
        for (m, bind) in listener.bind.iter().enumerate() {
            // Port 0 is a different port every time.
            if matches!(bind, Bind::Tcp(address) if address.port() == 0) {
                continue;
            }
            if let Some(other) = taken.insert(bind, n + 1) {
                let wanted = format!("an address that no other listener has; listener {other} already listens there");
                problems.add(places.problem(format!("{key}.bind.{}", m + 1), format!("\"{bind}\""), wanted));
            } else if let Some((wide, other)) = covering(bind, &taken) {
                let wanted = format!(
                    "an address that no other listener has; listener {other} listens on \"{wide}\", which includes it"
                );
                problems.add(places.problem(format!("{key}.bind.{}", m + 1), format!("\"{bind}\""), wanted));
            }
        }
    }
}

/// A listener on all addresses of the same port, or on one of them when this one is on all.
fn covering<'a>(bind: &Bind, taken: &BTreeMap<&'a Bind, usize>) -> Option<(&'a Bind, usize)> {
    let Bind::Tcp(address) = bind else { return None };
    let collides =
        |other: &SocketAddr| other.port() == address.port() && (includes(other, address) || includes(address, other));
    taken.iter().find_map(|(other, n)| matches!(other, Bind::Tcp(other) if collides(other)).then_some((*other, *n)))
}

/// Whether a socket on `wide` takes the connections to `one`. `[::]` takes IPv4 too, and leaves it only to `0.0.0.0`.
fn includes(wide: &SocketAddr, one: &SocketAddr) -> bool {
    wide.ip().is_unspecified() && !one.ip().is_unspecified() && (wide.is_ipv6() || one.is_ipv4())
}

/// Checks that need the files named in the configuration, without starting anything.
pub(super) fn check_files(config: &Config, checks: Checks, places: &Places<'_>, problems: &mut Problems) {
    let obtained = config.tls.acme.iter().any(|wanted| wanted.names.contains(&config.hostname));
    let none = config.tls.certificates.is_empty() && config.tls.acme.is_empty();
    let mut covers_hostname = obtained || none || config.tls.self_signed.is_some();
    let mut all_loaded = true;
    let mut names = Vec::new();
    for (n, pair) in config.tls.certificates.iter().enumerate() {
        if pair.cert.as_os_str().is_empty() || pair.key.as_os_str().is_empty() {
            all_loaded = false;
            continue;
        }
        match certificates::load(pair) {
            Ok(loaded) => {
                covers_hostname |= loaded.covers(config.hostname.as_str());
                names.extend(loaded.names);
            }
            Err(error) => {
                all_loaded = false;
                let part = if pair.cert != pair.key && error.is_about(&pair.key) { "key" } else { "cert" };
                let key = format!("tls.certificates.{}.{part}", n + 1);
                problems.add(places.problem(key, "", error.to_string()));
                if part == "cert" && pair.cert != pair.key {
                    check_readable(&format!("tls.certificates.{}.key", n + 1), Some(&pair.key), places, problems);
                }
            }
        }
    }
    if !covers_hostname && all_loaded && !problems.are_about("hostname") {
        let theirs = if names.is_empty() { "no name".to_owned() } else { format!("`{}`", names.join("`, `")) };
        let wanted = format!("no certificate is for the host name `{}`; they are for {theirs}", config.hostname);
        problems.add(places.problem("tls.certificates", "", wanted));
    }
    for (n, listener) in config.listener.iter().enumerate() {
        if let Err(name) = listener.access() {
            let key = format!("listener.{}.owner", n + 1);
            problems.add(places.problem(key, format!("\"{name}\""), "a user or group of this machine"));
        }
    }
    check_storage(config, checks, places, problems);
}

/// Checks the site's Sieve scripts, and reports every mistake in them.
pub(super) fn check_scripts(config: &Config, checks: Checks, places: &Places<'_>, problems: &mut Problems) {
    let sieve = &config.delivery.sieve;
    // A script that is missing in a build may exist on the machine.
    let meant = |path: &Path| checks != Checks::Texts || path.exists();
    let mut judge = |key: String, path: &Path| {
        if let Err(mistakes) = site_script(path, &config.sieve) {
            let wanted = format!("a Sieve script without mistakes: {mistakes}");
            problems.add(places.problem(key, format!("\"{}\"", path.display()), wanted));
        }
    };
    for (list, paths) in [("before", &sieve.before), ("after", &sieve.after)] {
        for (n, path) in paths.iter().enumerate().filter(|(_, path)| meant(path)) {
            judge(format!("delivery.sieve.{list}.{}", n + 1), path);
        }
    }
    let key = "delivery.sieve.global";
    let Some(directory) = sieve.global.as_ref().filter(|path| meant(path)) else { return };
    match global_scripts(directory) {
        // A mistake in one of them makes scripts that include it fail, but is no reason to stop the server.
        Ok(scripts) if matches!(checks, Checks::Texts | Checks::EveryFile) => {
            scripts.iter().for_each(|script| judge(key.to_owned(), script));
        }
        Ok(_) => {}
        Err(error) => {
            let wanted = format!("a directory that can be read: {error}");
            problems.add(places.problem(key, format!("\"{}\"", directory.display()), wanted));
        }
    }
}

/// Checks files of which each role reads only its own, or that are only read when needed.
pub(super) fn check_secrets(config: &Config, places: &Places<'_>, problems: &mut Problems) {
    // One that is missing has been reported already.
    let cluster =
        Some(config.cluster.secret.as_path()).filter(|path| config.cluster.is_on() && !path.as_os_str().is_empty());
    for (key, path) in [
        ("dashboard.password_file", config.dashboard.password_file.as_deref()),
        ("dashboard.one_time_secret_file", config.dashboard.one_time_secret_file.as_deref()),
        ("login.two_factor_key_file", config.login.two_factor_key_file.as_deref()),
        ("cluster.secret", cluster),
        ("routing.srs.secret_file", config.routing.srs.secret_file.as_deref()),
        ("outbound.authorities", config.outbound.authorities.as_deref()),
        ("backup.s3.secret_key_file", config.backup.s3.secret_key_file.as_deref()),
        ("backup.s3.authorities", config.backup.s3.authorities.as_deref()),
    ] {
        check_readable(key, path, places, problems);
    }
    for (n, route) in config.outbound.routes.iter().enumerate() {
        let key = format!("outbound.routes.{}.password_file", n + 1);
        check_readable(&key, route.password_file.as_deref(), places, problems);
    }
    if let Some(path) = &config.dashboard.one_time_secret_file
        && let Ok(text) = std::fs::read_to_string(path)
        && let Err(error) = one_time_step(&Secret::new(text.trim().to_owned()), "", Timestamp::EPOCH)
    {
        let found = format!("\"{}\"", path.display());
        problems.add(places.problem("dashboard.one_time_secret_file", found, error.to_string()));
    }
}

fn check_readable(key: &str, path: Option<&Path>, places: &Places<'_>, problems: &mut Problems) {
    // A credential that was not passed has been reported already.
    if let Some(path) = path.filter(|path| !path.to_string_lossy().starts_with("credential:"))
        && let Err(error) = crate::foundations::files::read_bounded(path, 1 << 20)
    {
        problems.add(places.problem(key, "", error.to_string()));
    }
}

fn check_storage(config: &Config, checks: Checks, places: &Places<'_>, problems: &mut Problems) {
    let directories = [
        ("storage.mail_root", Some(config.storage.mail_root.as_path())),
        ("spool.directory", Some(config.spool.directory.as_path())),
        ("server.control_directory", Some(config.server.control_directory.as_path())),
        ("tls.acme_state", (!config.tls.acme.is_empty()).then_some(config.tls.acme_state.as_path())),
        ("tls.self_signed", config.tls.self_signed.as_deref()),
    ];
    for (key, path) in directories {
        let Some(path) = path else { continue };
        let shown = format!("\"{}\"", path.display());
        if !path.is_absolute() {
            problems.add(places.problem(key, shown, "a path that begins with /"));
        } else if let Some(file) = path.ancestors().find(|above| above.exists() && !above.is_dir()) {
            problems.add(places.problem(key, shown, format!("a directory; `{}` is a file", file.display())));
        }
    }
    let mut readable = |key: &str, path: Option<&Path>| check_readable(key, path, places, problems);
    readable("database.password_file", config.database.password_file.as_deref());
    readable("storage.database_file", config.storage.database_file.as_deref());
    for (n, file) in config.spam.rules.files.iter().enumerate() {
        readable(&format!("spam.rules.files.{}", n + 1), Some(file));
    }
    if checks.include(Role::Mta) {
        check_files_of_mta(config, places, problems);
    }
    if checks.include(Role::Access) {
        check_scripts(config, checks, places, problems);
    }
    // Only the role that serves the pages may be able to read this one.
    if let Some(path) = &config.dashboard.password_file
        && let Ok(text) = std::fs::read_to_string(path)
        && let Err(error) = crate::services::login::recognise(text.trim())
    {
        let wanted = format!("a file with the hash of a password: {error}");
        problems.add(places.problem("dashboard.password_file", format!("\"{}\"", path.display()), wanted));
    }
    if let Some(path) = &config.login.two_factor_key_file
        && let Err(error @ SealError::Short) = read_key(path)
    {
        let found = format!("\"{}\"", path.display());
        problems.add(places.problem("login.two_factor_key_file", found, error.to_string()));
    }
    if config.cluster.is_on()
        && let Err(error @ BadSecret::Short(_)) = Keys::read(&config.cluster.secret)
    {
        problems.add(places.problem("cluster.secret", "", error.to_string()));
    }
    if let Some(path) = &config.storage.database_file
        && let Ok(text) = std::fs::read_to_string(path)
        && let Err(error) = text.trim().parse::<DatabaseUrl>()
    {
        problems.add(places.problem("storage.database_file", "", error.to_string()));
    }
}

/// Checks files that only the role that signs mail and obtains certificates can read.
fn check_files_of_mta(config: &Config, places: &Places<'_>, problems: &mut Problems) {
    let mut readable = |key: String, path: Option<&Path>| check_readable(&key, path, places, problems);
    for (n, wanted) in config.tls.acme.iter().enumerate() {
        readable(format!("tls.acme.{}.authority_root", n + 1), wanted.authority_root.as_deref());
        let key = wanted.external_account_key_file.as_deref();
        readable(format!("tls.acme.{}.external_account_key_file", n + 1), key);
    }
    for (n, key) in config.spam.dkim.keys.iter().enumerate() {
        let name = format!("spam.dkim.keys.{}.file", n + 1);
        // One that is missing has been reported already.
        let file = places.has(&name).then_some(key.file.as_path());
        readable(name, file);
    }
}
