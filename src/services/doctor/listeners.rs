//! Our own listeners, from inside and by the public addresses.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::TcpStream;

use super::{Doctor, Finding, Health};
use crate::foundations::clock::Timestamp;
use crate::services::probe::{Encryption, Probe, Probed};

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
            findings.extend(certificate(doctor, probe, probed, now));
        }
    }
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

fn certificate(doctor: &Doctor<'_>, probe: &Probe, probed: &Probed, now: Timestamp) -> Option<Finding> {
    let about = place(probed);
    let Some(served) = &probed.certificate else {
        let remedy =
            "Name a certificate in [[tls.certificates]]; without one, passwords and mail can be read on the way.";
        let wants_tls = probe.encryption != Encryption::None;
        return wants_tls.then(|| Finding::ill("certificate", about, Health::Wrong, "TLS is not offered", remedy));
    };
    if served.not_after <= now {
        let remedy = "Renew it and make the server load it: `postrider reload`.";
        return Some(Finding::ill(
            "certificate",
            about,
            Health::Wrong,
            format!("expired at {}", served.not_after),
            remedy,
        ));
    }
    if let Some(distrust) = &served.distrust {
        let remedy = format!(
            "Use a certificate of a public authority for {}, with its whole chain in the file.",
            doctor.wanted.hostname
        );
        return Some(Finding::ill("certificate", about, Health::Wrong, distrust.clone(), remedy));
    }
    if served.not_after < now + RENEWED_BEFORE {
        let remedy = "It should have been renewed by now; check what renews it.";
        return Some(Finding::ill(
            "certificate",
            about,
            Health::Warning,
            format!("expires at {}", served.not_after),
            remedy,
        ));
    }
    Some(Finding::well("certificate", about, format!("{} until {}", served.names.join(", "), served.not_after)))
}

/// Some networks do not route a machine's connections back to itself, so a closed port is only suspicious.
async fn reachable(place: SocketAddr) -> Finding {
    let connected = tokio::time::timeout(PATIENCE, TcpStream::connect(place)).await;
    let problem = match connected {
        Ok(Ok(_)) => return Finding::well("port", place.to_string(), "open"),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} seconds", PATIENCE.as_secs()),
    };
    let remedy = "Open it in the firewall of this machine and of your provider; try it from outside too.";
    Finding::ill("port", place.to_string(), Health::Warning, problem, remedy)
}
