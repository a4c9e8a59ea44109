//! The text of a policy, and of the record that announces it.

use std::time::Duration;

/// What a domain demands of those who send to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Policy {
    /// How serious it is.
    pub(in super::super) mode: Mode,
    /// Names of its hosts, in lower case; `*.` in front stands for one label.
    hosts: Vec<String>,
    /// How long the policy may be kept.
    pub(super) max_age: Duration,
}

/// How serious a policy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Mode {
    /// Mail goes to its hosts with a valid certificate, or nowhere.
    Enforce,
    /// There is none any more.
    None,
    /// Mail goes as if there were none.
    Testing,
}

/// Most hosts of a policy, and the longest name: many policies are kept in memory.
const MOST_HOSTS: usize = 100;
const LONGEST_HOST: usize = 255;
/// Longest time a policy is kept: RFC 8461 §3.2 allows a year.
const LONGEST: u64 = 31_557_600;

impl Policy {
    /// RFC 8461 §3.2: lines of a key, a colon and a value; unknown keys are skipped, of a repeated one the first
    /// counts. The error says what is missing.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (mut version, mut mode, mut age) = (None, None, None);
        let mut hosts = Vec::new();
        for line in text.lines() {
            let Some((key, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            match key.trim() {
                "version" => version = version.or(Some(value)),
                "mode" => mode = mode.or(Some(value)),
                "max_age" => age = age.or(Some(value)),
                "mx" => hosts.push(value.trim_end_matches('.').to_ascii_lowercase()),
                _ => {}
            }
        }
        if version != Some("STSv1") {
            return Err("it is not a policy of version STSv1");
        }
        let mode = match mode {
            Some("enforce") => Mode::Enforce,
            Some("testing") => Mode::Testing,
            Some("none") => Mode::None,
            _ => return Err("its mode is unknown"),
        };
        let age = age.filter(|age| age.len() <= 10).and_then(|age| age.parse::<u64>().ok());
        let max_age = Duration::from_secs(age.ok_or("it has no max_age")?.min(LONGEST));
        if hosts.len() > MOST_HOSTS || hosts.iter().any(|host| host.len() > LONGEST_HOST) {
            return Err("it names too many hosts, or one with too long a name");
        }
        if hosts.is_empty() && mode != Mode::None {
            return Err("it names no host");
        }
        Ok(Self { mode, hosts, max_age })
    }

    /// The hosts it names.
    pub(in super::super) fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// Its lines, as a report quotes them (RFC 8460 §4.2) and [`Policy::parse`] reads them.
    pub(in super::super) fn lines(&self) -> Vec<String> {
        let mode = match self.mode {
            Mode::Enforce => "enforce",
            Mode::Testing => "testing",
            Mode::None => "none",
        };
        let mut lines = vec!["version: STSv1".to_owned(), format!("mode: {mode}")];
        lines.extend(self.hosts.iter().map(|host| format!("mx: {host}")));
        lines.push(format!("max_age: {}", self.max_age.as_secs()));
        lines
    }

    /// Whether a host may get the domain's mail (RFC 8461 §4.1).
    pub(in super::super) fn allows(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.hosts.iter().any(|pattern| match pattern.strip_prefix("*.") {
            Some(rest) => host.split_once('.').is_some_and(|(label, parent)| !label.is_empty() && parent == rest),
            None => *pattern == host,
        })
    }
}

/// The id in the records of `_mta-sts.` and the domain (RFC 8461 §3.1). Several announcements are none.
pub(super) fn announced(records: &[String]) -> Option<String> {
    let mut ours = records.iter().filter(|text| text.split(';').next().is_some_and(|v| v.trim() == "v=STSv1"));
    let (Some(record), None) = (ours.next(), ours.next()) else { return None };
    let id = record.split(';').skip(1).find_map(|field| field.trim().strip_prefix("id=")).map(str::trim)?;
    let fits = (1..=32).contains(&id.len()) && id.bytes().all(|octet| octet.is_ascii_alphanumeric());
    fits.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read() {
        let text =
            "version: STSv1\r\nmode: enforce\r\nmx: mail.x.test\r\nmx: *.Y.test\r\nmax_age: 604800\r\nnew: 1\r\n";
        let policy = Policy::parse(text).unwrap();
        assert_eq!((policy.mode, policy.max_age.as_secs()), (Mode::Enforce, 604_800));
        for (host, yes) in [
            ("mail.x.test", true),
            ("MAIL.x.test.", true),
            ("other.x.test", false),
            ("a.y.test", true),
            ("a.b.y.test", false),
            ("y.test", false),
            (".y.test", false),
        ] {
            assert_eq!(policy.allows(host), yes, "{host}");
        }
        let of_hosts =
            |hosts: usize| format!("version: STSv1\nmode: enforce\nmax_age: 1\n{}", "mx: a.test\n".repeat(hosts));
        assert!(Policy::parse(&of_hosts(100)).is_ok());
        for text in [
            of_hosts(101).as_str(),
            format!("{}mx: {}\n", of_hosts(1), "a".repeat(256)).as_str(),
            "",
            "version: STSv2\nmode: enforce\nmx: a\nmax_age: 1",
            "version: STSv1\nmode: strict\nmx: a\nmax_age: 1",
            "version: STSv1\nmode: enforce\nmax_age: 1",
            "version: STSv1\nmode: enforce\nmx: a",
            "version: STSv1\nmode: enforce\nmx: a\nmax_age: -1",
        ] {
            assert!(Policy::parse(text).is_err(), "{text}");
        }
        assert_eq!(Policy::parse("version: STSv1\nmode: none\nmax_age: 99999999999").map(|p| p.mode).ok(), None);
        let longest = Policy::parse("version: STSv1\nmode: none\nmax_age: 9999999999").unwrap();
        assert_eq!(longest.max_age.as_secs(), LONGEST);
    }

    #[test]
    fn announcements_are_read() {
        for (records, wanted) in [
            (vec!["v=STSv1; id=20160831085700Z;"], Some("20160831085700Z")),
            (vec!["v=spf1 -all", "v=STSv1;id=1"], Some("1")),
            (vec!["v=STSv1; id=1", "v=STSv1; id=2"], None),
            (vec!["v=STSv1; id="], None),
            (vec!["v=STSv1; id=a b"], None),
            (vec!["v=STSv10; id=1"], None),
            (vec![], None),
        ] {
            let records: Vec<String> = records.into_iter().map(str::to_owned).collect();
            assert_eq!(announced(&records).as_deref(), wanted, "{records:?}");
        }
    }
}
