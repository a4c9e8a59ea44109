//! Checks for values that have the right type but make no sense, and for files with wrong contents.

use std::fmt::Display;
use std::net::Ipv4Addr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::Config;
use super::check::Places;
use crate::foundations::address::{Address, Domain};
use crate::foundations::clock::SystemClock;
use crate::foundations::settings::Problems;
use crate::services::filter::authentication::spf;
use crate::services::filter::unusable_key;
use crate::services::outbound::{Protection, Roots, RouteSettings, TlsLevel};
use crate::services::routing::Srs;
use crate::storage::mailbox::FolderName;

/// Collects mistakes as they are found.
struct Finder<'a> {
    places: &'a Places<'a>,
    problems: &'a mut Problems,
}

impl Finder<'_> {
    fn add(&mut self, key: impl Into<String>, found: impl Display, wanted: impl Into<String>) {
        self.problems.add(self.places.problem(key, format!("\"{found}\""), wanted));
    }

    /// Reports a required key that is missing. A value of the wrong kind has already been reported as such.
    fn need(&mut self, key: impl Into<String>, wanted: impl Into<String>) {
        let key = key.into();
        if !self.places.has(&key) {
            self.problems.add(self.places.problem(key, "", wanted));
        }
    }
}

/// Checks that need no other file.
pub(super) fn check_values(config: &Config, places: &Places<'_>, problems: &mut Problems) {
    let mut finder = Finder { places, problems };
    check_folders(config, &mut finder);
    check_outbound(config, &mut finder);
    check_spam(config, &mut finder);
    check_places(config, &mut finder);
    if config.smtp.message_size.get() == 0 {
        finder.add(
            "smtp.message_size",
            config.smtp.message_size,
            "a size such as \"50M\": with 0, no mail would be accepted",
        );
    }
    if config.queue.first_retry.duration() > config.queue.longest_retry.duration() {
        let wanted = format!("at most `queue.longest_retry`, which is \"{}\"", config.queue.longest_retry);
        finder.add("queue.first_retry", config.queue.first_retry, wanted);
    }
    if !(4..=16).contains(&config.login.cost) {
        finder.add("login.cost", config.login.cost, "from 4 to 16");
    }
}

/// Checks where things are stored.
fn check_places(config: &Config, finder: &mut Finder<'_>) {
    let storage = &config.storage;
    // With `database_file`, this is just the default.
    if storage.database_file.is_none() {
        if storage.database.path().is_some_and(|path| path.is_relative()) {
            let wanted = "a path that begins with /, such as \"sqlite:/var/lib/postrider/postrider.sqlite\"";
            finder.add("storage.database", &storage.database, wanted);
        }
        if storage.database.lacks_name() {
            let wanted = "the name of the database after the host, such as \"mysql://user@host/database\"";
            finder.add("storage.database", &storage.database, wanted);
        }
    }
    // A queue directory there would be taken for a domain's, and a domain's for one of the queue.
    let (spool, mail) = (without_dots(&config.spool.directory), without_dots(&storage.mail_root));
    if spool.starts_with(&mail) || mail.starts_with(&spool) {
        let wanted = "a directory neither in nor above `storage.mail_root`, which only contains directories of domains";
        finder.add("spool.directory", config.spool.directory.display(), wanted);
    }
}

/// The path with `..` resolved, assuming that no directory is a link.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => _ = plain.pop(),
            part => plain.push(part),
        }
    }
    plain
}

/// The names of the default folders.
fn check_folders(config: &Config, finder: &mut Finder<'_>) {
    let mailbox = &config.mailbox;
    let mut known = vec![FolderName::inbox()];
    for (purpose, name) in [
        ("drafts", &mailbox.drafts),
        ("sent", &mailbox.sent),
        ("junk", &mailbox.junk),
        ("trash", &mailbox.trash),
        ("archive", &mailbox.archive),
    ] {
        let key = format!("mailbox.{purpose}");
        match name.parse::<FolderName>() {
            _ if name.is_empty() => {}
            Ok(folder) if known.contains(&folder) => {
                finder.add(key, name, "a separate folder: this one already has another purpose");
            }
            Ok(folder) => known.push(folder),
            Err(error) => finder.add(key, name, format!("the name of a folder: {error}")),
        }
    }
}

/// Checks outgoing mail.
fn check_outbound(config: &Config, finder: &mut Finder<'_>) {
    let outbound = &config.outbound;
    if let Some(address) = outbound.source_ipv4.filter(|address| !address.is_ipv4()) {
        finder.add("outbound.source_ipv4", address, "an IPv4 address");
    }
    if let Some(address) = outbound.source_ipv6.filter(|address| !address.is_ipv6()) {
        finder.add("outbound.source_ipv6", address, "an IPv6 address");
    }
    for (n, route) in (1..).zip(&outbound.routes) {
        if route.domains.is_empty() {
            finder.add(format!("outbound.routes.{n}.domains"), "", "the domains it is for, such as [\"*\"]");
        }
        for (m, pattern) in (1..).zip(&route.domains) {
            let name = pattern.strip_prefix("*.").unwrap_or(pattern);
            if pattern != "*" && name.parse::<Domain>().is_err() {
                let wanted = "\"example.com\", \"*.example.com\" for those below it, or \"*\" for all";
                finder.add(format!("outbound.routes.{n}.domains.{m}"), pattern, wanted);
            }
        }
        // A name of only digits is not a host name; an address is meant.
        if let Some(host) = route.host.as_ref().filter(|host| host.as_str().parse::<Ipv4Addr>().is_ok()) {
            let wanted = format!("a name, or an address in brackets: \"[{host}]\"");
            finder.add(format!("outbound.routes.{n}.host"), host, wanted);
        }
        if let Some(spf) = route.spf.as_ref().filter(|spf| !spf::Record::is_addition(spf)) {
            let wanted = "mechanisms of SPF without `all`, such as \"include:_spf.relay.example\"";
            finder.add(format!("outbound.routes.{n}.spf"), spf, wanted);
        }
        if route.username.is_some() != route.password_file.is_some() {
            let (missing, wanted) = match route.username {
                Some(_) => ("password_file", "the file with the password of `username`"),
                None => ("username", "the name for the password in `password_file`"),
            };
            finder.add(format!("outbound.routes.{n}.{missing}"), "", wanted);
        }
        // The queue knows a host by its name and port: mail of both routes shares connections.
        let to_the_same = |(_, other): &(usize, &RouteSettings)| other.host == route.host && other.port == route.port;
        if let (Some(host), Some((first, other))) = (&route.host, (1..).zip(&outbound.routes).find(to_the_same))
            && session_of(other) != session_of(route)
        {
            let wanted = format!("another host or port than in route {first}, or its `protection`, `tls` and login");
            finder.add(format!("outbound.routes.{n}.host"), host, wanted);
        }
    }
}

/// How a route's connections are made.
fn session_of(route: &RouteSettings) -> (Protection, TlsLevel, Option<&str>, Option<&Path>) {
    (route.protection, route.tls, route.username.as_deref(), route.password_file.as_deref())
}

/// Checks the filter's lists, keys, milters and recipients.
fn check_spam(config: &Config, finder: &mut Finder<'_>) {
    for (n, list) in (1..).zip(&config.spam.dns_lists) {
        if list.zone.parse::<Domain>().is_err() {
            finder.add(format!("spam.dns_lists.{n}.zone"), &list.zone, "a zone, such as \"zen.spamhaus.org\"");
        }
        for answer in list.answers.keys().filter(|answer| answer.parse::<Ipv4Addr>().is_err()) {
            finder.add(format!("spam.dns_lists.{n}.answers"), answer, "addresses such as \"127.0.0.4\"");
        }
    }
    for (n, key) in (1..).zip(&config.spam.dkim.keys) {
        if key.domain.is_none() {
            finder.need(format!("spam.dkim.keys.{n}.domain"), "a key needs the domain it signs for");
        }
        if key.file.as_os_str().is_empty() {
            let wanted = "a key needs the file with its private key, as written by `postrider dkim generate`";
            finder.need(format!("spam.dkim.keys.{n}.file"), wanted);
        }
    }
    for (n, milter) in (1..).zip(&config.spam.milters) {
        if milter.address.is_none() {
            let wanted = "a milter needs the address on which it listens, such as \"unix:/run/milter.sock\" or \"127.0.0.1:8891\"";
            finder.need(format!("spam.milters.{n}.address"), wanted);
        }
    }
    for recipient in config.spam.recipients.keys() {
        if recipient.parse::<Domain>().is_err() && recipient.parse::<Address>().is_err() {
            finder.add("spam.recipients", recipient, "a domain or an address");
        }
    }
    check_thresholds(config, finder);
}

/// Checks the score thresholds, for everybody and for individual recipients.
fn check_thresholds(config: &Config, finder: &mut Finder<'_>) {
    let spam = &config.spam;
    let site = [("threshold", Some(spam.threshold)), ("refuse", Some(spam.refuse)), ("quarantine", spam.quarantine)];
    let site = site.map(|(name, score)| (format!("spam.{name}"), score));
    let personal = spam.recipients.iter().flat_map(|(recipient, own)| {
        [("threshold", own.threshold), ("refuse", own.refuse), ("quarantine", own.quarantine)]
            .map(|(name, score)| (format!("spam.recipients.\"{recipient}\".{name}"), score))
    });
    for (key, score) in site.into_iter().chain(personal) {
        if let Some(score) = score.filter(|score| *score <= 0.0) {
            finder.add(key, score, "a score above 0, which is the score of an inconspicuous message");
        }
    }
}

/// Checks the contents of files that the process reads when it starts, or when it needs them. Whether they are readable
/// is checked elsewhere.
pub(super) fn check_contents(config: &Config, places: &Places<'_>, problems: &mut Problems) {
    let mut finder = Finder { places, problems };
    if let Some(path) = config.routing.srs.secret_file.as_deref().filter(|path| is_there(path))
        && let Err(error) = Srs::load(&config.routing.srs, &config.hostname, Arc::new(SystemClock))
    {
        finder.add("routing.srs.secret_file", path.display(), error.source.to_string());
    }
    let of_acme = config.tls.acme.iter().enumerate();
    let of_acme = of_acme.map(|(n, one)| (format!("tls.acme.{}.authority_root", n + 1), one.authority_root.as_deref()));
    let others = [
        ("outbound.authorities".to_owned(), config.outbound.authorities.as_deref()),
        ("backup.s3.authorities".to_owned(), config.backup.s3.authorities.as_deref()),
    ];
    for (key, path) in of_acme.chain(others) {
        if let Some(path) = path.filter(|path| is_there(path))
            && let Err(error) = Roots::load(Some(path))
        {
            finder.add(key, path.display(), format!("certificates in PEM: {error}"));
        }
    }
    for (n, key) in (1..).zip(&config.spam.dkim.keys) {
        if let Some(why) = Some(key).filter(|key| is_there(&key.file)).and_then(unusable_key) {
            finder.add(format!("spam.dkim.keys.{n}.file"), key.file.display(), format!("a private key: {why}"));
        }
    }
}

/// Whether this process may look into a file: a role is given only what it needs.
fn is_there(path: &Path) -> bool {
    std::fs::File::open(path).is_ok()
}
