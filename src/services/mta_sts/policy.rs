//! The text of a policy and of the record that announces it.

use serde::Serialize;

use super::settings::{PolicySettings, PublishedSettings};
use crate::foundations::address::Domain;
use crate::foundations::hexadecimal::hexadecimal;

/// A record to be put into a domain's zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Announcement {
    /// The domain.
    pub domain: Domain,
    /// The name of the TXT record.
    pub name: String,
    /// Its text.
    pub record: String,
    /// What the policy says.
    pub policy: String,
}

/// RFC 8461 §3.2: lines of a key, a colon and a value.
fn text(policy: &PolicySettings, hostname: &Domain) -> String {
    let mut text = format!("version: STSv1\r\nmode: {}\r\n", policy.mode);
    let own = [hostname.as_str().to_owned()];
    let hosts = if policy.mx.is_empty() { own.as_slice() } else { policy.mx.as_slice() };
    for host in hosts {
        text.push_str(&format!("mx: {}\r\n", host.to_ascii_lowercase()));
    }
    text + &format!("max_age: {}\r\n", policy.max_age.duration().as_secs())
}

/// The policy that is served under a host name; `None` where none of ours is.
pub fn policy(settings: &PublishedSettings, hostname: &Domain, host: &str) -> Option<String> {
    let asked = host.strip_prefix("mta-sts.")?.trim_end_matches('.');
    let found = settings.policies.iter().find(|policy| policy.domain.as_ref().is_some_and(|d| d.as_str() == asked));
    found.map(|policy| text(policy, hostname))
}

/// The records that announce the policies. The id comes from the policy's text (RFC 8461 §3.1: it changes with it).
pub fn announcements(settings: &PublishedSettings, hostname: &Domain) -> Vec<Announcement> {
    let one = |policy: &PolicySettings| {
        let domain = policy.domain.clone()?;
        let text = text(policy, hostname);
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        let id = hexadecimal(&digest.as_ref()[..10]);
        let name = format!("_mta-sts.{domain}");
        Some(Announcement { domain, name, record: format!("v=STSv1; id={id};"), policy: text })
    };
    settings.policies.iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::mta_sts::PolicyMode;

    #[test]
    fn a_changed_policy_has_another_id() {
        let hostname = "mail.example.test".parse().unwrap();
        let policy = PolicySettings { domain: "example.test".parse().ok(), ..PolicySettings::default() };
        assert_eq!(
            text(&policy, &hostname),
            "version: STSv1\r\nmode: testing\r\nmx: mail.example.test\r\nmax_age: 604800\r\n"
        );
        let mut settings = PublishedSettings { policies: vec![policy] };
        let before = announcements(&settings, &hostname);
        assert_eq!(before, announcements(&settings, &hostname));
        settings.policies[0].mode = PolicyMode::Enforce;
        settings.policies[0].mx = vec!["MX.example.test".to_owned(), "*.backup.test".to_owned()];
        let after = announcements(&settings, &hostname);
        assert!(after[0].policy.contains("mode: enforce\r\nmx: mx.example.test\r\nmx: *.backup.test\r\n"));
        assert_ne!(before[0].record, after[0].record);
    }
}
