//! Working for one destination: hosts in order, one connection kept between messages.

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::approach::{Approach, policy};
use super::attempt::{Attempt, By, Contact, Outcome, Verified};
use super::demand::{Demand, SenderWish, requires_tls};
use super::hosts::{Host, Shuffle, are_ours, host_addresses, hosts, loops};
use super::mta_sts::Certainty;
use super::opening::{Finding, Session, Unopened};
use super::terms::{Standing, Terms};
use super::transaction::{Others, Settled};
use super::tries::Tries;
use super::{Group, Haste, Outbound, OutboundSettings, Scope, Stage, Trouble};
use crate::foundations::wire::smtp::{Class, EnhancedStatus};
use crate::storage::spool::Destination;

/// One connection's worth of work for a destination.
pub struct Courier {
    outbound: Outbound,
    destination: Destination,
    session: Option<Kept>,
}

/// A session, and the terms on which it was opened.
struct Opened {
    session: Session,
    terms: Terms,
}

/// A session that is kept for the next message, and the settings under which it was opened.
struct Kept {
    opened: Opened,
    settings: Arc<OutboundSettings>,
}

/// What has come of a host at one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Visit {
    /// There is nothing more to be had of it.
    Over,
    /// It lacks what the sender requires.
    Unfit,
    /// There was no session.
    Unopened,
    /// This machine has no way to addresses of that kind.
    NoRoute,
    /// The host is this server.
    Loop,
}

/// How a session has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Served {
    /// There is nothing more to be had of the host.
    Over,
    /// The host takes nothing now; another one, or another address of it, may.
    Refused,
    /// The host lacks what the sender requires.
    Unfit,
    /// The host takes no more messages in one session, and some recipients are left.
    Full,
}

/// Whether another host, or another address of the same one, can be tried in the same attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NextHost {
    Left,
    None,
}

/// What an attempt is to do, and results as they come in.
struct Work<'a> {
    group: Group<'a>,
    settings: Arc<OutboundSettings>,
    stage: &'a Stage,
    /// Once this is cancelled, nothing more is begun.
    over: CancellationToken,
    attempts: Vec<Option<Attempt>>,
    /// For recipients without a result: what a host has said that does not take them now.
    put_off: Vec<Option<Attempt>>,
    /// Where a host has just said so over a session that was kept.
    passed: Option<IpAddr>,
    /// The best reason known for recipients without a result.
    trouble: Option<(Trouble, Option<Arc<Contact>>)>,
}

impl<'a> Work<'a> {
    fn new(group: Group<'a>, settings: Arc<OutboundSettings>, stage: &'a Stage, over: CancellationToken) -> Self {
        let (attempts, put_off) = (vec![None; group.recipients.len()], vec![None; group.recipients.len()]);
        Self { group, settings, stage, over, attempts, put_off, passed: None, trouble: None }
    }

    /// The places of the recipients without a result.
    fn left(&self) -> Vec<usize> {
        (0..self.attempts.len()).filter(|place| self.attempts[*place].is_none()).collect()
    }

    /// Whether there is nothing left to do, or no time for it.
    fn is_done(&self) -> bool {
        self.over.is_cancelled() || self.attempts.iter().all(Option::is_some)
    }

    /// If a better host may take a recipient later, one that never will does not matter.
    fn settle(&mut self, place: usize, outcome: Outcome, contact: &Arc<Contact>) {
        let is_refused = matches!(&outcome, Outcome::Trouble(trouble) if trouble.is_permanent());
        let before = self.put_off[place].take().filter(|_| is_refused);
        self.attempts[place] = before.or_else(|| Some(Attempt { outcome, contact: Some(Arc::clone(contact)) }));
    }

    /// Whether a host has said that it takes nothing now of what it was asked to, which another host may take instead.
    fn may_go_elsewhere(settled: &Settled) -> bool {
        // If no reply has come to the end of the message, that is our word: it may have arrived.
        let is_put_off = |outcome: &Outcome| match outcome {
            Outcome::Trouble(trouble) => trouble.by == By::Remote && !trouble.is_permanent(),
            Outcome::Relayed { .. } => false,
        };
        !settled.outcomes.is_empty() && settled.outcomes.iter().all(|(_, outcome)| is_put_off(outcome))
    }

    /// Remembers why a host was of no use. As long as any host may be of use later, the message may be tried again. If a host is of no
    /// use to this message alone, it could be talked to, so the destination as a whole is not to blame.
    fn note(&mut self, mut trouble: Trouble, contact: Option<Arc<Contact>>) {
        if let Some((kept, _)) = &mut self.trouble {
            let is_of_message = kept.scope == Scope::Message || trouble.scope == Scope::Message;
            let scope = if is_of_message { Scope::Message } else { Scope::Destination };
            (kept.scope, trouble.scope) = (scope, scope);
        }
        let keeps_transient = self.trouble.as_ref().is_some_and(|(kept, _)| kept.status.class() == Class::Transient);
        if !keeps_transient || trouble.status.class() == Class::Transient {
            self.trouble = Some((trouble, contact));
        }
    }

    /// A host is not asked in this attempt: what the others have said is not for good then.
    fn leave_host(&mut self) {
        if let Some((Trouble { status, .. }, _)) = &mut self.trouble
            && status.class() == Class::Permanent
        {
            *status = EnhancedStatus::new(4, status.subject(), status.detail());
        }
    }

    fn finish(self) -> Vec<Attempt> {
        let nobody = || {
            let status = EnhancedStatus::new(4, 4, 1);
            (Trouble::ours(status, "No host of the destination could be reached", Scope::Destination), None)
        };
        let (trouble, contact) = self.trouble.unwrap_or_else(nobody);
        let rest = Attempt { outcome: Outcome::Trouble(trouble), contact };
        let each = self.attempts.into_iter().zip(self.put_off);
        each.map(|(attempt, put_off)| attempt.or(put_off).unwrap_or_else(|| rest.clone())).collect()
    }
}

impl Courier {
    pub(super) const fn new(outbound: Outbound, destination: Destination) -> Self {
        Self { outbound, destination, session: None }
    }

    /// Tries to pass a message on to every recipient of the group; one attempt per recipient, in their order.
    ///
    /// If a host cannot be talked to or takes nothing now, its next address or the next host is tried (RFC 5321 §5.1), within the limits
    /// of the settings. If a host refuses the message or a recipient for good, or takes it for other recipients, that is final for this
    /// attempt. When the time for the whole attempt is over, or it must make room for others, the connection is closed, but not before
    /// the reply to a message that may have arrived. Recipients without a result are put off.
    pub async fn attempt(&mut self, group: Group<'_>, haste: Haste<'_>) -> Vec<Attempt> {
        let settings = self.outbound.parts.settings.get();
        let Haste { give_up, stage } = haste;
        let over = CancellationToken::new();
        let before_end = |places: Vec<usize>| -> Pin<Box<dyn Future<Output = Result<(), Trouble>> + Send + '_>> {
            stage.end();
            (group.before_end)(places)
        };
        let Group { id, envelope, recipients, message, .. } = group;
        let watched = Group { id, envelope, recipients, message, before_end: &before_end };
        let limit = settings.timeouts.attempt.duration();
        let mut work = Work::new(watched, settings, stage, over.clone());
        let mut attempt = Box::pin(self.try_all(&mut work));
        // RFC 3463 §3.5: 4.4.7, the time is over; 4.4.5, congestion.
        let cut_short = tokio::select! {
            biased;
            () = &mut attempt => None,
            () = tokio::time::sleep(limit) => {
                Some((7, format!("The attempt took longer than {limit:?} (`outbound.timeouts.attempt`)")))
            }
            () = give_up.cancelled() => {
                Some((5, "The attempt took long while others were waiting (`queue.slow_connections`)".to_owned()))
            }
        };
        if cut_short.is_some() && stage.is_ending() {
            // RFC 5321 §4.5.3.2.6: without waiting for the reply to the end of a message, it would be sent twice. The wait has its own
            // limit.
            over.cancel();
            attempt.await;
        } else {
            drop(attempt);
        }
        if let Some((detail, why)) = cut_short {
            work.note(Trouble::ours(EnhancedStatus::new(4, 4, detail), why, Scope::Destination), None);
        }
        work.finish()
    }

    async fn try_all(&mut self, work: &mut Work<'_>) {
        if let Some(opened) = self.reuse(&work.group, &work.settings).await {
            let next = if opened.terms.has_next { NextHost::Left } else { NextHost::None };
            let address = opened.session.contact.address.map(|address| address.ip());
            if self.serve(opened, next, work).await == Served::Refused {
                work.passed = address;
            }
        }
        // What the sender wants of TLS is read from the message.
        if !work.is_done()
            && work.group.message.is_to_be_had().await
            && let Err(trouble) = self.seek(work).await
        {
            work.note(trouble, None);
        }
    }

    /// Ends the connection, if there is one.
    pub async fn finish(&mut self) {
        if let Some(Kept { opened: Opened { session, .. }, .. }) = self.session.take() {
            session.dialogue.quit(self.outbound.parts.settings.get().timeouts.quit.duration()).await;
        }
    }

    /// Whether a connection is open.
    pub const fn is_connected(&self) -> bool {
        self.session.is_some()
    }

    /// The open session, if it still works and is good enough for the group.
    async fn reuse(&mut self, group: &Group<'_>, settings: &Arc<OutboundSettings>) -> Option<Opened> {
        let Kept { opened: Opened { mut session, mut terms }, settings: before } = self.session.take()?;
        // After a reload the route may demand what this session never had to show.
        let is_good = Arc::ptr_eq(&before, settings)
            && missing_for_require_tls(group, &session).is_none()
            && hold(&mut terms, &self.outbound, settings, &self.destination, group).await;
        if !is_good {
            session.dialogue.quit(settings.timeouts.quit.duration()).await;
            return None;
        }
        // A host may close an idle connection at any time: that is no failure.
        session.reset(&settings.timeouts).await.ok()?;
        Some(Opened { session, terms })
    }

    /// Goes through the hosts until every recipient has its result.
    async fn seek(&mut self, work: &mut Work<'_>) -> Result<(), Trouble> {
        let (outbound, destination) = (self.outbound.clone(), self.destination.clone());
        let (parts, settings) = (&outbound.parts, Arc::clone(&work.settings));
        let wish = SenderWish::of(&work.group);
        let (sts, certainty) = match wish {
            SenderWish::Waived => (None, Certainty::Sure),
            _ => policy(&outbound, &settings, &destination).await,
        };
        let approach = Approach::new(parts, &settings, &destination, (sts.as_deref(), certainty), wish);
        let shuffle = Shuffle::of(work.group.id, approach.begun);
        let hosts = hosts(&*parts.resolver, &destination, &parts.hostname, shuffle).await?;
        let mut tries = Tries::new(&settings, hosts.len());
        for host in hosts {
            tries.turn_to_next_host();
            if work.is_done() {
                return Ok(());
            }
            let found = host_addresses(&*parts.resolver, &host, settings.families, shuffle).await;
            let mut addresses = match found {
                Ok(found) => found,
                Err(trouble) => {
                    work.note(trouble, None);
                    continue;
                }
            };
            // RFC 5321 §5.1: a host that is this server itself is no nearer to the goal, nor are those after it.
            if approach.finding == Finding::ByDns && are_ours(&*parts.resolver, &parts.hostname, &addresses.all).await {
                return Err(loops(&host.name));
            }
            let demand = match approach.demand(&host, &addresses).await {
                Ok(demand) => demand,
                Err(trouble) => {
                    work.note(trouble, None);
                    continue;
                }
            };
            addresses.all.retain(|address| work.passed != Some(*address));
            let found = (&host, tries.ordered(addresses.all));
            if self.visit_each(&approach, found, &demand, &mut tries, work).await.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Goes through the addresses of a host. Breaks off if no other host is to be tried after it.
    async fn visit_each(
        &mut self,
        approach: &Approach<'_>,
        (host, addresses): (&Host, Vec<IpAddr>),
        demand: &Demand,
        tries: &mut Tries,
        work: &mut Work<'_>,
    ) -> ControlFlow<()> {
        let count = addresses.len();
        for (address, after) in addresses.into_iter().zip((0..count).rev()) {
            if work.is_done() {
                return ControlFlow::Break(());
            }
            if !tries.take() {
                if after + 1 == count {
                    work.leave_host();
                }
                return if tries.are_over() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
            }
            // Where a host has refused it after its end, it is no longer in memory.
            if !work.group.message.is_to_be_had().await {
                return ControlFlow::Break(());
            }
            let next = if tries.is_last(after) { NextHost::None } else { NextHost::Left };
            match self.visit(approach, (host, address), demand, next, work).await {
                Visit::Over => tries.answered(),
                // RFC 8689 §4.2.1: each host of the domain may be the one that has it.
                Visit::Unfit => break,
                Visit::Unopened => tries.was_silent(address),
                Visit::NoRoute => tries.had_no_route(),
                Visit::Loop => return ControlFlow::Break(()),
            }
        }
        ControlFlow::Continue(())
    }

    /// Opens sessions with a host, one after the other, until there is nothing more to be had of it.
    async fn visit(
        &mut self,
        approach: &Approach<'_>,
        (host, address): (&Host, IpAddr),
        demand: &Demand,
        next: NextHost,
        work: &mut Work<'_>,
    ) -> Visit {
        loop {
            match approach.open(host, address, demand).await {
                Ok(session) => {
                    let (opened, found) = (approach.parts.clock.now(), approach.begun);
                    let (host, wish, demand) = (host.clone(), approach.wish, demand.clone());
                    let terms = Terms { opened, found, host, wish, demand, has_next: next == NextHost::Left };
                    match self.serve(Opened { session, terms }, next, work).await {
                        // RFC 9422 §4.1: it may take the others in another session.
                        Served::Full => {}
                        Served::Over | Served::Refused => return Visit::Over,
                        Served::Unfit => return Visit::Unfit,
                    }
                }
                Err((Unopened { trouble, has_route, .. }, contact)) => {
                    let visit = match has_route {
                        true if trouble == loops(&host.name) => Visit::Loop,
                        true => Visit::Unopened,
                        false => Visit::NoRoute,
                    };
                    work.note(trouble, Some(Arc::new(contact)));
                    return visit;
                }
            }
        }
    }

    /// Sends the message over a session, in as many transactions as it takes and the host grants.
    async fn serve(&mut self, Opened { mut session, terms }: Opened, next: NextHost, work: &mut Work<'_>) -> Served {
        let (contact, settings) = (Arc::clone(&session.contact), Arc::clone(&work.settings));
        if let Some(trouble) = missing_for_require_tls(&work.group, &session) {
            work.note(trouble, Some(contact));
            session.dialogue.quit(settings.timeouts.quit.duration()).await;
            return Served::Unfit;
        }
        let most = session.extensions.limits.recipients.map_or(usize::MAX, |limit| limit.max(1) as usize);
        loop {
            if work.is_done() {
                break;
            }
            let mut places = work.left();
            let others = if places.len() > most { Others::Wait } else { Others::None };
            places.truncate(most);
            if session.transactions > 0
                && let Err(trouble) = session.reset(&settings.timeouts).await
            {
                work.note(trouble, Some(contact));
                return Served::Over;
            }
            work.stage.send();
            let settled = session.transact(&work.group, &places, others, &settings.timeouts).await;
            work.stage.open();
            if next == NextHost::Left && Work::may_go_elsewhere(&settled) {
                for (place, outcome) in settled.outcomes {
                    work.put_off[place] = Some(Attempt { outcome, contact: Some(Arc::clone(&contact)) });
                }
                let Some(trouble) = settled.over else {
                    session.dialogue.quit(settings.timeouts.quit.duration()).await;
                    return Served::Refused;
                };
                work.note(trouble, Some(contact));
                return Served::Over;
            }
            let progress = !settled.outcomes.is_empty();
            for (place, outcome) in settled.outcomes {
                work.settle(place, outcome, &contact);
            }
            if let Some(trouble) = settled.over {
                work.note(trouble, Some(contact));
                return Served::Over;
            }
            if !progress {
                // Cannot happen if the host answers every RCPT. If it does not, this must not go on for ever.
                break;
            }
            if session.transactions >= session.most_transactions(&settings) && !work.is_done() {
                session.dialogue.quit(settings.timeouts.quit.duration()).await;
                return Served::Full;
            }
        }
        if session.transactions < session.most_transactions(&settings) {
            self.session = Some(Kept { opened: Opened { session, terms }, settings });
        } else {
            session.dialogue.quit(settings.timeouts.quit.duration()).await;
        }
        Served::Over
    }
}

/// Whether a session may still be used on these terms.
async fn hold(
    terms: &mut Terms,
    outbound: &Outbound,
    settings: &OutboundSettings,
    destination: &Destination,
    group: &Group<'_>,
) -> bool {
    match terms.standing(outbound.parts.clock.now(), group) {
        Standing::Over => false,
        Standing::Sure => true,
        Standing::Unsure => {
            let (sts, _) = policy(outbound, settings, destination).await;
            terms.look_up(&outbound.parts, settings, destination, sts.as_deref(), group.id).await
        }
    }
}

/// What a session lacks for a message that must not travel without verified TLS (RFC 8689 §4.2.1).
fn missing_for_require_tls(group: &Group<'_>, session: &Session) -> Option<Trouble> {
    if !requires_tls(group.envelope) {
        return None;
    }
    if session.contact.verified == Verified::Yes && session.extensions.require_tls {
        return None;
    }
    let text =
        format!("The sender requires TLS all the way (REQUIRETLS), which {} does not offer", session.contact.host);
    Some(Trouble::ours(EnhancedStatus::new(5, 7, 30), text, Scope::Message))
}

#[cfg(test)]
#[path = "courier_tests.rs"]
mod tests;
