//! The hosts by which mail leaves, as SPF names them (RFC 7208).

use crate::foundations::address::Domain;
use crate::services::outbound::OutboundSettings;

/// Who sends our mail besides this server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Senders {
    /// The host that takes all mail for others, if there is one: a smarthost.
    pub relay: Option<Domain>,
    /// The mechanisms by which hosts of routes are known, in the order of the routes: `include:_spf.relay.example`.
    pub mechanisms: Vec<String>,
    /// Whether those of the relay are among them.
    pub is_relay_named: bool,
}

impl Senders {
    /// Those that the routes lead to. The first route for all domains decides, as when mail is sent.
    pub fn of(outbound: &OutboundSettings) -> Self {
        let for_all = outbound.routes.iter().find(|route| route.domains.iter().any(|pattern| pattern == "*"));
        let relay = for_all.filter(|route| route.host.is_some());
        let mut mechanisms: Vec<String> = Vec::new();
        for mechanism in outbound.routes.iter().filter_map(|route| route.spf.as_deref()).flat_map(str::split_whitespace)
        {
            if !mechanisms.iter().any(|known| known == mechanism) {
                mechanisms.push(mechanism.to_owned());
            }
        }
        Self {
            relay: relay.and_then(|route| route.host.clone()),
            mechanisms,
            is_relay_named: relay.is_some_and(|route| route.spf.is_some()),
        }
    }

    /// The relay whose mechanisms are not configured.
    pub fn unnamed(&self) -> Option<&Domain> {
        self.relay.as_ref().filter(|_| !self.is_relay_named)
    }

    /// The record of a name whose own servers one mechanism means. It refuses nobody (RFC 7208 §8.2) where mail leaves by a
    /// host that it cannot name: `-all` would have that mail refused.
    pub fn record(&self, own: &str) -> String {
        let end = if self.unnamed().is_some() { "?all" } else { "-all" };
        let terms = ["v=spf1", own].into_iter().chain(self.mechanisms.iter().map(String::as_str)).chain([end]);
        terms.collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::outbound::RouteSettings;

    #[test]
    fn records_name_the_hosts_of_routes() {
        let route = |domains: &str, host: Option<&str>, spf: Option<&str>| RouteSettings {
            domains: vec![domains.to_owned()],
            host: host.map(|host| host.parse().unwrap()),
            spf: spf.map(str::to_owned),
            ..RouteSettings::default()
        };
        let relay = || Some("relay.test");
        for (routes, wanted) in [
            (vec![], "v=spf1 mx -all"),
            (vec![route("*", relay(), None)], "v=spf1 mx ?all"),
            (vec![route("*", relay(), Some("include:_spf.relay.test"))], "v=spf1 mx include:_spf.relay.test -all"),
            (vec![route("*", relay(), Some("a:one.test  a:two.test"))], "v=spf1 mx a:one.test a:two.test -all"),
            // Straight to its servers: there is nobody to name.
            (vec![route("partner.test", Some("mx.partner.test"), None)], "v=spf1 mx -all"),
            (vec![route("*", None, None), route("*", relay(), None)], "v=spf1 mx -all"),
            (vec![route("a.test", relay(), Some("a:b.test")), route("*", relay(), None)], "v=spf1 mx a:b.test ?all"),
            (
                vec![route("a.test", relay(), Some("mx:b.test")), route("*", relay(), Some("mx:b.test"))],
                "v=spf1 mx mx:b.test -all",
            ),
        ] {
            let senders = Senders::of(&OutboundSettings { routes, ..OutboundSettings::default() });
            assert_eq!(senders.record("mx"), wanted, "{senders:?}");
        }
    }
}
