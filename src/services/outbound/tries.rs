//! How many addresses an attempt still tries, and which of a host first.

use std::net::IpAddr;

use super::OutboundSettings;

/// What is left of the limits of an attempt.
#[derive(Debug)]
pub(super) struct Tries {
    hosts: u32,
    addresses: u32,
    /// Of the present host.
    here: u32,
    sessions: u32,
    /// With the present host.
    sessions_here: u32,
    /// Addresses without a route that are passed over.
    passes: u32,
    /// How many addresses of each kind have not answered.
    silent_v4: u32,
    silent_v6: u32,
}

impl Tries {
    /// For so many hosts.
    pub(super) fn new(settings: &OutboundSettings, hosts: usize) -> Self {
        Self {
            hosts: u32::try_from(hosts).unwrap_or(u32::MAX),
            addresses: settings.addresses_tried.max(1),
            here: 0,
            sessions: settings.sessions_tried.max(1),
            sessions_here: 0,
            passes: settings.addresses_tried,
            silent_v4: 0,
            silent_v6: 0,
        }
    }

    /// The next host has its turn. One address and one session are left for each of those after it: a site that is down may have many
    /// addresses, and those of one machine answer alike.
    pub(super) fn turn_to_next_host(&mut self) {
        self.hosts = self.hosts.saturating_sub(1);
        self.here = self.addresses.saturating_sub(self.hosts).max(1);
        self.sessions_here = self.sessions.saturating_sub(self.hosts).max(1);
    }

    /// The addresses of the present host in the order in which they are tried. Among many hosts each may get one try only. Where IPv6
    /// leads nowhere, without an error that says so, that must not be an IPv6 address at every host.
    pub(super) fn ordered(&self, mut all: Vec<IpAddr>) -> Vec<IpAddr> {
        let is_ipv4_better = self.silent_v6 > 0 && self.silent_v6 >= self.silent_v4;
        if is_ipv4_better && let Some(place) = all.iter().position(IpAddr::is_ipv4) {
            all[..=place].rotate_right(1);
        }
        all
    }

    /// Whether nothing more is tried at any host.
    pub(super) const fn are_over(&self) -> bool {
        self.addresses == 0 || self.sessions == 0
    }

    /// Takes one try; `false` if none is left for the present host.
    pub(super) const fn take(&mut self) -> bool {
        if self.are_over() || self.here == 0 || self.sessions_here == 0 {
            return false;
        }
        self.here -= 1;
        self.addresses -= 1;
        true
    }

    /// Whether nothing can be tried after the try that was taken and has led to a session, if the present host has so many more
    /// addresses.
    pub(super) const fn is_last(&self, more_here: usize) -> bool {
        (self.hosts == 0 && more_here == 0) || self.sessions == 1 || self.addresses == 0
    }

    /// There was a session.
    pub(super) const fn answered(&mut self) {
        self.sessions = self.sessions.saturating_sub(1);
        self.sessions_here = self.sessions_here.saturating_sub(1);
    }

    /// There was no session at this address.
    pub(super) const fn was_silent(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(_) => self.silent_v4 += 1,
            IpAddr::V6(_) => self.silent_v6 += 1,
        }
    }

    /// This machine has no way to such addresses: without IPv6, say, every other address would be in the way of those that may answer.
    pub(super) const fn had_no_route(&mut self) {
        if self.passes > 0 {
            self.passes -= 1;
            self.here += 1;
            self.addresses += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of so many hosts with these numbers of addresses, all of them silent: which are tried, as "host:kind".
    fn tried(hosts: &[(u8, u8)]) -> String {
        let mut tries = Tries::new(&OutboundSettings::default(), hosts.len());
        let mut tried = Vec::new();
        for (host, (v6, v4)) in (1..=9_u8).zip(hosts) {
            let mut all = Vec::new();
            for n in 1..=*v6.max(v4) {
                all.extend((n <= *v6).then(|| IpAddr::from([0x2001_u16, 0xdb8, 0, 0, 0, 0, host.into(), n.into()])));
                all.extend((n <= *v4).then(|| IpAddr::from([192, 0, host, n])));
            }
            tries.turn_to_next_host();
            for address in tries.ordered(all) {
                if !tries.take() {
                    break;
                }
                tried.push(format!("{host}:{}", if address.is_ipv4() { 4 } else { 6 }));
                tries.was_silent(address);
            }
        }
        tried.join(" ")
    }

    #[test]
    fn every_host_gets_a_try_and_both_kinds_of_addresses_do() {
        for (hosts, wanted) in [
            (vec![(0, 9), (0, 1)], "1:4 1:4 1:4 1:4 2:4"),
            (vec![(1, 1); 5], "1:6 2:4 3:4 4:6 5:4"),
            (vec![(1, 1); 2], "1:6 1:4 2:4 2:6"),
            (vec![(2, 2), (1, 1), (1, 0)], "1:6 1:4 1:6 2:4 3:6"),
            (vec![(0, 1); 7], "1:4 2:4 3:4 4:4 5:4"),
            (vec![(1, 0); 2], "1:6 2:6"),
        ] {
            assert_eq!(tried(&hosts), wanted, "{hosts:?}");
        }
    }

    #[test]
    fn what_has_no_route_takes_no_try() {
        let settings = OutboundSettings { addresses_tried: 2, sessions_tried: 2, ..OutboundSettings::default() };
        let mut tries = Tries::new(&settings, 1);
        tries.turn_to_next_host();
        for is_left in [true, true, true, true, false] {
            assert_eq!(tries.take(), is_left);
            if is_left {
                tries.had_no_route();
            }
        }
        assert!(tries.are_over());
    }

    #[test]
    fn hosts_that_answer_leave_a_session_for_the_next_one() {
        let mut tries = Tries::new(&OutboundSettings::default(), 2);
        tries.turn_to_next_host();
        assert!(tries.take() && !tries.is_last(1));
        tries.answered();
        // Its other address is not asked.
        assert!(!tries.take() && !tries.are_over());
        tries.turn_to_next_host();
        assert!(tries.take() && tries.is_last(1));
        tries.answered();
        assert!(tries.are_over());
        // Without another host, its other address is.
        let mut tries = Tries::new(&OutboundSettings::default(), 1);
        tries.turn_to_next_host();
        assert!(tries.take() && !tries.is_last(1));
        tries.answered();
        assert!(tries.take() && tries.is_last(1));
    }
}
