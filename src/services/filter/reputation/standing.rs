//! From experience to a weight. Pure.

use super::book::Found;
use super::party::{Claims, PartyKind};
use super::settings::ReputationSettings;
use crate::services::filter::Signal;

/// The reputation of a sender before the message is read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Standing {
    /// What it adds to the score, and why.
    pub signals: Vec<Signal>,
    /// Whether nobody here has exchanged mail with the author, the author's domain or a signer.
    pub is_stranger: bool,
    /// Whether the author is somebody the recipient, or anybody here, has written to, and is authenticated.
    pub is_correspondent: bool,
}

impl Standing {
    /// What it adds to the score in total.
    pub fn weight(&self) -> f64 {
        self.signals.iter().map(|signal| signal.weight).sum()
    }

    /// Whether the sender is known for good mail.
    pub fn is_good(&self) -> bool {
        self.is_correspondent || self.signals.iter().any(|s| s.name == "REPUTATION_WANTED" && s.weight <= GOOD)
    }
}

/// A reputation with this weight is a good one.
const GOOD: f64 = -0.5;
/// The amount of experience at which a reputation gets half its weight.
const HALF_BELIEVED: f64 = 2.0;
/// How many judgements of others one of the recipient's own outweighs.
const OWN: f64 = 4.0;
/// A smaller weight is not worth a signal.
const LEAST: f64 = 0.05;
/// What an unverified address counts, relative to a verified one.
const UNSHOWN: f64 = 0.25;

/// The reputation of a sender with everybody, and with one account when `account` is given.
pub fn standing(settings: &ReputationSettings, claims: &Claims, found: &Found, account: Option<&str>) -> Standing {
    let mut standing = Standing { is_stranger: true, ..Standing::default() };
    let (mut weight, mut left, mut reasons) = (0.0, 1.0, Vec::new());
    for party in claims.parties() {
        let all = found.get("", &party);
        let own = account.map(|account| found.get(account, &party)).unwrap_or_default();
        // A network is shared with strangers.
        standing.is_stranger &= party.kind == PartyKind::Network || !(all.is_good() || own.is_good());
        let ((all_wanted, all_unwanted), (own_wanted, own_unwanted)) = (all.masses(), own.masses());
        let (wanted, unwanted) = (all_wanted + own_wanted * OWN, all_unwanted + own_unwanted * OWN);
        let count = wanted + unwanted;
        if count < 0.01 {
            continue;
        }
        // The more is known about the more significant name, the less the others count.
        let belief = count / (count + HALF_BELIEVED);
        let balance = (unwanted - wanted) / count;
        weight += left * belief * balance * most(party.kind, balance);
        left *= 1.0 - belief;
        reasons.push(format!("{} (+{wanted:.1} -{unwanted:.1})", party.name));
    }
    let weight: f64 = weight * settings.weight;
    if weight.abs() >= LEAST {
        let name = if weight < 0.0 { "REPUTATION_WANTED" } else { "REPUTATION_UNWANTED" };
        let because = format!("Earlier mail, wanted and unwanted: {}", reasons.join(", "));
        standing.signals.push(Signal::new(name, rounded(weight), because));
    }
    written_to(settings, claims, found, account, &mut standing);
    standing
}

/// Somebody our users write to is not a stranger.
fn written_to(
    settings: &ReputationSettings,
    claims: &Claims,
    found: &Found,
    account: Option<&str>,
    standing: &mut Standing,
) {
    let Some(party) = claims.correspondent() else { return };
    let by_recipient = account.is_some_and(|account| found.get(account, &party).told_wanted > 0.0);
    if !by_recipient && found.get("", &party).told_wanted <= 0.0 {
        return;
    }
    let shown = claims.is_shown();
    standing.is_correspondent = shown;
    standing.is_stranger &= !shown;
    let part = if by_recipient { 1.0 } else { 0.5 } * if shown { 1.0 } else { UNSHOWN };
    if settings.correspondent * part < LEAST {
        return;
    }
    let who = if by_recipient { "The recipient has" } else { "Somebody here has" };
    let doubt = if shown { "" } else { ", if the address is genuine" };
    let because = format!("{who} written to {}{doubt}", party.name);
    standing.signals.push(Signal::new("KNOWN_CORRESPONDENT", rounded(-settings.correspondent * part), because));
}

/// How much of the full weight a name can have.
fn most(kind: PartyKind, balance: f64) -> f64 {
    match kind {
        PartyKind::Author => 1.0,
        PartyKind::Signer | PartyKind::Domain => 0.8,
        PartyKind::Address => 0.6,
        // Good mail from a network says less than bad mail does: anybody can rent the machine next door.
        PartyKind::Network if balance < 0.0 => 0.2,
        PartyKind::Network => 0.6,
        PartyKind::Correspondent => 0.0,
    }
}

fn rounded(weight: f64) -> f64 {
    (weight * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::super::Evidence;
    use super::super::party::Party;
    use super::*;

    fn claims(shown: bool) -> Claims {
        let shown = if shown { vec!["far.test".to_owned()] } else { Vec::new() };
        let client = Some("198.51.100.7".parse().unwrap());
        Claims { author: "ann@far.test".to_owned(), shown, client, ..Claims::default() }
    }

    fn weigh(shown: bool, known: &[(&str, PartyKind, &str, Evidence)]) -> (f64, Standing) {
        let mut found = Found::default();
        for (owner, kind, name, evidence) in known {
            found.set(owner, &Party::new(*kind, *name).unwrap(), *evidence);
        }
        let standing = standing(&ReputationSettings::default(), &claims(shown), &found, Some("bob@example.test"));
        (standing.signals.iter().map(|s| s.weight).sum(), standing)
    }

    fn told(wanted: f64, unwanted: f64) -> Evidence {
        Evidence { told_wanted: wanted, told_unwanted: unwanted, ..Evidence::default() }
    }

    #[test]
    fn nothing_known_weighs_nothing() {
        let (weight, standing) = weigh(true, &[]);
        assert!(weight == 0.0 && standing.is_stranger && !standing.is_correspondent);
    }

    #[test]
    fn experience_makes_the_weight_and_has_a_bound() {
        let author = PartyKind::Author;
        let mut last = 0.0;
        for count in [1.0, 3.0, 10.0, 1000.0] {
            let (weight, standing) = weigh(true, &[("", author, "ann@far.test", told(0.0, count))]);
            assert!(weight > last && weight <= 2.5 && standing.is_stranger, "{count}: {weight}");
            last = weight;
        }
        let (good, standing) = weigh(true, &[("", author, "ann@far.test", told(3.0, 0.0))]);
        assert!(good < -1.0 && !standing.is_stranger, "{good}");
        // The recipient's own judgement outweighs that of others.
        let both = [
            ("", author, "ann@far.test", told(2.0, 0.0)),
            ("bob@example.test", author, "ann@far.test", told(0.0, 2.0)),
        ];
        assert!(weigh(true, &both).0 > 0.8);
        assert!(weigh(true, &[("", PartyKind::Domain, "far.test", told(50.0, 50.0))]).0 == 0.0);
    }

    #[test]
    fn a_mere_address_counts_less_than_one_that_is_shown_to_be_real() {
        let shown = weigh(true, &[("", PartyKind::Author, "ann@far.test", told(5.0, 0.0))]).0;
        let address = weigh(false, &[("", PartyKind::Address, "ann@far.test 198.51.100.0/24", told(5.0, 0.0))]).0;
        assert!(shown < address && address < 0.0, "{shown} {address}");
        // What is known about the real sender says nothing about others who use the address.
        assert_eq!(weigh(false, &[("", PartyKind::Author, "ann@far.test", told(5.0, 0.0))]).0, 0.0);
    }

    #[test]
    fn somebody_the_recipient_has_written_to_is_known() {
        let written = |owner| (owner, PartyKind::Correspondent, "ann@far.test", told(1.0, 0.0));
        assert_eq!(weigh(true, &[written("bob@example.test")]).0, -2.0);
        assert_eq!(weigh(true, &[written("")]).0, -1.0);
        assert_eq!(weigh(true, &[written("eve@example.test")]).0, 0.0);
        let (weight, standing) = weigh(false, &[written("bob@example.test")]);
        assert!(weight == -0.5 && !standing.is_correspondent && standing.is_stranger, "{weight}");
    }
}
