//! Our own listeners, from inside and by the public addresses.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::TcpStream;

use super::{Doctor, Finding, Health};
use crate::foundations::address::Domain;
use crate::foundations::clock::Timestamp;
use crate::services::probe::{Encryption, Probe, Probed, Served};

/// A certificate should have been renewed this long before it expires.
const RENEWED_BEFORE: Duration = Duration::from_secs(14 * 86_400);
/// How long a port may take to be opened.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn check(doctor: &Doctor<'_>, addresses: &[IpAddr]) -> Vec<Finding> {
    let probed = doctor.prober.try_all(&doctor.probes).await;
    let now = doctor.clock.now();
    let mut findings: Vec<Finding> = doctor.unopened.iter().map(Shut::finding).collect();
    for (probe, probed) in doctor.probes.iter().zip(&probed) {
        findings.push(answers(probed));
        if probed.problem.is_none() {
            findings.extend(certificate(&doctor.wanted.hostname, probe, probed, now));
        }
    }
    findings.extend(doctor.lacking.iter().map(Lacking::finding));
    let places = addresses.iter().flat_map(|ip| doctor.ports.iter().map(|port| SocketAddr::new(*ip, *port)));
    findings.extend(join_all(places.map(reachable)).await);
    findings
}

/// A listener that a running role could not open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shut {
    /// Its protocol and place.
    pub about: String,
    /// Why.
    pub reason: String,
    /// What to do.
    pub remedy: String,
}

impl Shut {
    fn finding(&self) -> Finding {
        Finding::ill("listener", self.about.clone(), Health::Wrong, self.reason.clone(), self.remedy.clone())
    }
}

/// A certificate, obtained by ACME, without some of the names that it is meant for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacking {
    /// The names it has.
    pub names: Vec<String>,
    /// Those it lacks.
    pub missing: Vec<String>,
}

impl Lacking {
    fn finding(&self) -> Finding {
        let found = format!("not in the certificate for {}", self.names.join(", "));
        let remedy = "Point it to this server, or remove it from `names` in [[tls.acme]]. It is tried again by itself; \
                      `postrider certificate list` says what the authority objects to.";
        Finding::ill("certificate", self.missing.join(", "), Health::Wrong, found, remedy)
    }
}

fn place(probed: &Probed) -> String {
    format!("{} at {}", probed.protocol, probed.address)
}

fn answers(probed: &Probed) -> Finding {
    match &probed.problem {
        None => Finding::well("listener", place(probed), "answers as it should"),
        Some(problem) => {
            let remedy = "Check with `postrider status` whether the role is running, and read its log.";
            Finding::ill("listener", place(probed), Health::Wrong, problem.clone(), remedy)
        }
    }
}

fn certificate(hostname: &Domain, probe: &Probe, probed: &Probed, now: Timestamp) -> Option<Finding> {
    let about = place(probed);
    let Some(served) = &probed.certificate else {
        let remedy =
            "Name a certificate in [[tls.certificates]]; without one, passwords and mail can be read on the way.";
        let wants_tls = probe.encryption != Encryption::None;
        return wants_tls.then(|| Finding::ill("certificate", about, Health::Wrong, "TLS is not offered", remedy));
    };
    Some(match amiss(hostname, served, now) {
        Some((health, found, remedy)) => Finding::ill("certificate", about, health, found, remedy),
        None => Finding::well("certificate", about, format!("{} until {}", served.names.join(", "), served.not_after)),
    })
}

/// What is wrong with a certificate, and what to do.
fn amiss(hostname: &Domain, served: &Served, now: Timestamp) -> Option<(Health, String, String)> {
    let (health, found, remedy) = if served.not_after <= now {
        let remedy =
            "Renew it and make the server load it: `postrider reload`. If it is new, set the clock.".to_owned();
        (Health::Wrong, format!("expired at {}", served.not_after), remedy)
    } else if served.not_before > now {
        let remedy = "Set the clock of this machine; if that is right, use a certificate that is valid now.".to_owned();
        (Health::Wrong, format!("is not valid before {}", served.not_before), remedy)
    } else if let Some(distrust) = &served.distrust {
        let remedy =
            format!("Use a certificate of a public authority for {hostname}, with its whole chain in the file.");
        (Health::Wrong, distrust.clone(), remedy)
    } else if served.not_after < now + RENEWED_BEFORE {
        let remedy = "It should have been renewed by now; check what renews it.".to_owned();
        (Health::Warning, format!("expires at {}", served.not_after), remedy)
    } else {
        return None;
    };
    Some((health, found, remedy))
}

/// Some networks do not route a machine's connections back to itself, so a closed port is only suspicious.
async fn reachable(place: SocketAddr) -> Finding {
    let connected = tokio::time::timeout(PATIENCE, TcpStream::connect(place)).await;
    let (problem, kind) = match connected {
        Ok(Ok(_)) => return Finding::well("port", place.to_string(), "open"),
        Ok(Err(error)) => (error.to_string(), error.kind()),
        Err(_) => (format!("no answer within {} seconds", PATIENCE.as_secs()), ErrorKind::TimedOut),
    };
    Finding::ill("port", place.to_string(), Health::Warning, problem, remedy_for(kind))
}

/// What to do about a port that cannot be reached.
fn remedy_for(kind: ErrorKind) -> &'static str {
    match kind {
        // Above all IPv6, which the DNS promises and this machine does not have.
        ErrorKind::NetworkUnreachable => {
            "This machine has no route there: give it this kind of address, or remove the record with the address."
        }
        _ => "Open it in the firewall of this machine and of your provider; try it from outside too.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_judged_by_time_and_trust() {
        let (hostname, now): (Domain, _) =
            ("mail.example.test".parse().unwrap(), Timestamp::from_unix_seconds(1 << 30));
        let day = Duration::from_secs(86_400);
        let untrusted = || Some("nobody vouches for it".to_owned());
        for (not_before, not_after, distrust, wanted) in [
            (now - day, now + day * 60, None, None),
            (now - day, now + day * 13, None, Some((Health::Warning, "renews it"))),
            (now - day, now + day * 60, untrusted(), Some((Health::Wrong, "public authority"))),
            // Nobody trusts one whose time is wrong, whatever else it is.
            (now - day, now, untrusted(), Some((Health::Wrong, "Renew it"))),
            (now + day, now + day * 60, untrusted(), Some((Health::Wrong, "Set the clock"))),
        ] {
            let served = Served {
                names: vec![hostname.to_string()],
                issuer: String::new(),
                not_before,
                not_after,
                intermediates: 0,
                fingerprint: String::new(),
                public_key: String::new(),
                distrust,
            };
            let found = amiss(&hostname, &served, now);
            assert_eq!(found.as_ref().map(|(health, ..)| *health), wanted.map(|(health, _)| health), "{found:?}");
            let told = found.map(|(.., remedy)| remedy).unwrap_or_default();
            assert!(told.contains(wanted.map_or("", |(_, words)| words)), "{told}");
        }
    }

    #[test]
    fn a_missing_route_is_no_matter_of_the_firewall() {
        assert!(remedy_for(ErrorKind::NetworkUnreachable).contains("route"));
        for kind in [ErrorKind::TimedOut, ErrorKind::ConnectionRefused] {
            assert!(remedy_for(kind).contains("firewall"), "{kind}");
        }
    }
}
