//! Working for one destination: hosts in order, one connection kept between messages.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::attempt::{Attempt, Contact, Outcome, Verified};
use super::demand::{Demand, RequireTls, demand};
use super::hosts::{Host, are_ours, host_addresses, hosts, loops};
use super::mta_sts::Policy;
use super::observed::{Far, Observer};
use super::opening::{Finding, Session, Target, Unopened, open};
use super::route::{OutboundParts, Way, way};
use super::transaction::Others;
use super::{Group, Haste, Outbound, OutboundSettings, Scope, Stage, Trouble};
use crate::foundations::dns::Security;
use crate::foundations::wire::smtp::{Class, EnhancedStatus};
use crate::storage::spool::Destination;

/// One connection's worth of work for a destination.
pub struct Courier {
    outbound: Outbound,
    destination: Destination,
    session: Option<Kept>,
}

/// A session that is kept for the next message, and the settings under which it was opened.
struct Kept {
    session: Session,
    settings: Arc<OutboundSettings>,
}

/// Results as they come in.
struct Slate<'a> {
    stage: &'a Stage,
    /// Nothing more is begun.
    over: &'a CancellationToken,
    attempts: Vec<Option<Attempt>>,
    /// The best reason known for those without a result.
    trouble: Option<(Trouble, Option<Arc<Contact>>)>,
}

impl<'a> Slate<'a> {
    fn new(recipients: usize, stage: &'a Stage, over: &'a CancellationToken) -> Self {
        Self { stage, over, attempts: vec![None; recipients], trouble: None }
    }

    fn open(&self) -> Vec<usize> {
        (0..self.attempts.len()).filter(|place| self.attempts[*place].is_none()).collect()
    }

    /// Whether there is nothing left to do, or no time for it.
    fn is_done(&self) -> bool {
        self.over.is_cancelled() || self.attempts.iter().all(Option::is_some)
    }

    fn settle(&mut self, place: usize, outcome: Outcome, contact: &Arc<Contact>) {
        self.attempts[place] = Some(Attempt { outcome, contact: Some(Arc::clone(contact)) });
    }

    /// Remembers why a host was of no use. While any host may be of use later, the whole may be tried again. A host that is
    /// that this message alone cannot use could be talked to, whatever became of the others.
    fn note(&mut self, mut trouble: Trouble, contact: Option<Arc<Contact>>) {
        if let Some((kept, _)) = &mut self.trouble {
            let is_own = kept.scope == Scope::Message || trouble.scope == Scope::Message;
            let scope = if is_own { Scope::Message } else { Scope::Destination };
            (kept.scope, trouble.scope) = (scope, scope);
        }
        let kept_passes = self.trouble.as_ref().is_some_and(|(kept, _)| kept.status.class() == Class::Transient);
        if !kept_passes || trouble.status.class() == Class::Transient {
            self.trouble = Some((trouble, contact));
        }
    }

    fn finish(self) -> Vec<Attempt> {
        let nobody = || {
            let status = EnhancedStatus::new(4, 4, 1);
            (Trouble::ours(status, "No host of the destination could be talked to", Scope::Destination), None)
        };
        let (trouble, contact) = self.trouble.unwrap_or_else(nobody);
        let rest = Attempt { outcome: trouble.outcome(), contact };
        self.attempts.into_iter().map(|attempt| attempt.unwrap_or_else(|| rest.clone())).collect()
    }
}

impl Courier {
    pub(super) const fn new(outbound: Outbound, destination: Destination) -> Self {
        Self { outbound, destination, session: None }
    }

    /// Tries to pass a message on to every recipient of the group; one attempt per recipient, in their order.
    ///
    /// A host that cannot be talked to is followed by the next one, within the limits of the settings. A host's no to
    /// the message or a recipient is final for this attempt.
    /// When the time for the whole attempt is over, or it is to make room for others, the connection is closed, but not before
    /// the reply to a message that may have arrived. Those without a result are put off.
    pub async fn attempt(&mut self, group: Group<'_>, haste: Haste<'_>) -> Vec<Attempt> {
        let settings = self.outbound.0.settings.get();
        let Haste { give_up, stage } = haste;
        let over = CancellationToken::new();
        let mut slate = Slate::new(group.recipients.len(), stage, &over);
        let before_end = |places: Vec<usize>| -> Pin<Box<dyn Future<Output = Result<(), Trouble>> + Send + '_>> {
            stage.end();
            (group.before_end)(places)
        };
        let Group { id, envelope, recipients, message, .. } = group;
        let watched = Group { id, envelope, recipients, message, before_end: &before_end };
        let limit = settings.timeouts.attempt.duration();
        let mut attempt = Box::pin(self.try_all(&watched, &settings, &mut slate));
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
            // RFC 5321 §4.5.3.2.6: who does not wait for the reply to the end of a message sends it twice. That wait has a limit
            // of its own.
            over.cancel();
            attempt.await;
        } else {
            drop(attempt);
        }
        if let Some((detail, why)) = cut_short {
            slate.note(Trouble::ours(EnhancedStatus::new(4, 4, detail), why, Scope::Destination), None);
        }
        slate.finish()
    }

    async fn try_all(&mut self, group: &Group<'_>, settings: &Arc<OutboundSettings>, slate: &mut Slate<'_>) {
        if let Some(session) = self.reuse(group, settings).await {
            self.serve(session, group, settings, slate).await;
        }
        if !slate.is_done()
            && let Err(trouble) = self.seek(group, settings, slate).await
        {
            slate.note(trouble, None);
        }
    }

    /// Ends the connection, if there is one.
    pub async fn finish(&mut self) {
        if let Some(Kept { session, .. }) = self.session.take() {
            session.dialogue.quit(self.outbound.0.settings.get().timeouts.quit.duration()).await;
        }
    }

    /// Whether a connection is open.
    pub const fn is_connected(&self) -> bool {
        self.session.is_some()
    }

    /// The open session, if it still works and is good enough for the group.
    async fn reuse(&mut self, group: &Group<'_>, settings: &Arc<OutboundSettings>) -> Option<Session> {
        let Kept { mut session, settings: before } = self.session.take()?;
        // After a reload the route may demand what this session never had to show.
        if !Arc::ptr_eq(&before, settings) || missing_for_require_tls(group, &session).is_some() {
            session.dialogue.quit(settings.timeouts.quit.duration()).await;
            return None;
        }
        // A host may close an idle connection at any time: that is no failure.
        session.reset(&settings.timeouts).await.ok()?;
        Some(session)
    }

    /// Goes through the hosts until every recipient has its result.
    async fn seek(
        &mut self,
        group: &Group<'_>,
        settings: &Arc<OutboundSettings>,
        slate: &mut Slate<'_>,
    ) -> Result<(), Trouble> {
        let (outbound, destination) = (self.outbound.clone(), self.destination.clone());
        let parts = &outbound.0;
        let sts = policy(&outbound, settings, &destination).await;
        let approach = Approach::new(parts, settings, &destination, sts.as_deref());
        let require = if group.envelope.require_tls { RequireTls::Yes } else { RequireTls::No };
        let mut addresses_left = settings.addresses_tried.max(1);
        let mut sessions_left = settings.sessions_tried.max(1);
        for host in hosts(&*parts.resolver, &destination, &parts.hostname, group.id).await? {
            if slate.is_done() {
                return Ok(());
            }
            let found = host_addresses(&*parts.resolver, &host, settings.families, group.id).await;
            let (addresses, security, canonical) = match found {
                Ok(found) => found,
                Err(trouble) => {
                    slate.note(trouble, None);
                    continue;
                }
            };
            // RFC 5321 §5.1: what is no nearer to the goal than this server would send the mail back to it.
            if approach.finding == Finding::ByDns && are_ours(&*parts.resolver, &parts.hostname, &addresses).await {
                return Err(loops(&host.name));
            }
            let demand = match approach.demand((&host, security, canonical.as_deref()), require).await {
                Ok(demand) => demand,
                Err(trouble) => {
                    slate.note(trouble, None);
                    continue;
                }
            };
            for address in addresses {
                if slate.is_done() || addresses_left == 0 || sessions_left == 0 {
                    return Ok(());
                }
                addresses_left -= 1;
                match approach.open(&host, address, &demand).await {
                    Ok(session) => {
                        sessions_left -= 1;
                        self.serve(session, group, settings, slate).await;
                    }
                    Err((trouble, contact)) => {
                        let is_loop = trouble == loops(&host.name);
                        slate.note(trouble, Some(Arc::new(contact)));
                        if is_loop {
                            return Ok(());
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Sends the message over a session, in as many transactions as it takes.
    async fn serve(
        &mut self,
        mut session: Session,
        group: &Group<'_>,
        settings: &Arc<OutboundSettings>,
        slate: &mut Slate<'_>,
    ) {
        let contact = Arc::clone(&session.contact);
        if let Some(trouble) = missing_for_require_tls(group, &session) {
            slate.note(trouble, Some(contact));
            return session.dialogue.quit(settings.timeouts.quit.duration()).await;
        }
        let most = session.extensions.limits.recipients.map_or(usize::MAX, |limit| limit.max(1) as usize);
        loop {
            if slate.is_done() {
                break;
            }
            let mut places = slate.open();
            let others = if places.len() > most { Others::Wait } else { Others::None };
            places.truncate(most);
            if session.transactions > 0
                && let Err(trouble) = session.reset(&settings.timeouts).await
            {
                slate.note(trouble, Some(contact));
                return;
            }
            slate.stage.send();
            let settled = session.transact(group, &places, others, &settings.timeouts).await;
            slate.stage.open();
            let progress = !settled.outcomes.is_empty();
            for (place, outcome) in settled.outcomes {
                slate.settle(place, outcome, &contact);
            }
            if let Some(trouble) = settled.over {
                slate.note(trouble, Some(contact));
                return;
            }
            if !progress {
                // Cannot happen while a host answers every RCPT, but must not become a circle if one does not.
                break;
            }
        }
        if session.transactions < session.most_transactions(settings) {
            self.session = Some(Kept { session, settings: Arc::clone(settings) });
        } else {
            session.dialogue.quit(settings.timeouts.quit.duration()).await;
        }
    }
}

/// How the hosts of a destination are approached, and who hears what was seen there.
struct Approach<'a> {
    parts: &'a OutboundParts,
    settings: &'a OutboundSettings,
    destination: &'a Destination,
    way: Way,
    finding: Finding,
    sts: Option<&'a Policy>,
    observer: Option<Observer<'a>>,
}

impl<'a> Approach<'a> {
    fn new(
        parts: &'a OutboundParts,
        settings: &'a OutboundSettings,
        destination: &'a Destination,
        sts: Option<&'a Policy>,
    ) -> Self {
        let name = match destination {
            Destination::Exchangers(domain) if domain.literal().is_none() => Some(domain.as_str()),
            _ => None,
        };
        let observer = name.map(|name| Observer::new(parts, settings, name, sts));
        let finding = match destination {
            Destination::Exchangers(_) => Finding::ByDns,
            _ => Finding::ByRoute,
        };
        Self { parts, settings, destination, way: way(settings, destination), finding, sts, observer }
    }

    /// What a host must show; see [`demand`].
    async fn demand(&self, host: (&Host, Security, Option<&str>), require: RequireTls) -> Result<Demand, Trouble> {
        let ways = (self.destination, &self.way);
        let demanded = demand(self.parts, self.settings, ways, host, self.sts, require).await;
        demanded.map_err(|Unopened { trouble, tls }| {
            if let (Some(observer), Some(failure)) = (&self.observer, tls) {
                observer.excluded(failure, Far { host: &host.0.name, address: None });
            }
            trouble
        })
    }

    /// Opens a session with a host at one of its addresses.
    async fn open(&self, host: &Host, address: IpAddr, demand: &Demand) -> Result<Session, (Trouble, Contact)> {
        let Demand { policy, by } = demand;
        let socket = SocketAddr::new(address, self.way.port);
        let target = Target {
            host: &host.name,
            address: socket,
            way: &self.way,
            policy: policy.clone(),
            by,
            finding: self.finding,
        };
        let far = Far { host: &host.name, address: Some(address) };
        let opened = open(self.parts, self.settings, &target).await;
        if let Some(observer) = &self.observer {
            match &opened {
                Ok(session) => observer.opened(demand, session, far),
                Err(unopened) => observer.not_opened(demand, unopened, far),
            }
        }
        opened.map_err(|unopened| {
            let host = host.name.clone();
            let contact = Contact { host, address: Some(socket), tls: None, verified: Verified::No, policy: by };
            (unopened.trouble, contact)
        })
    }
}

/// The MTA-STS policy of a destination, where its mail exchangers get the mail.
async fn policy(outbound: &Outbound, settings: &OutboundSettings, destination: &Destination) -> Option<Arc<Policy>> {
    let Destination::Exchangers(domain) = destination else { return None };
    if !settings.mta_sts.enabled || domain.literal().is_some() {
        return None;
    }
    let Outbound(parts, policies) = outbound;
    policies.find(parts, settings, domain.as_str()).await
}

/// What a session lacks for a message that must not travel without verified TLS (RFC 8689 §4.2.1).
fn missing_for_require_tls(group: &Group<'_>, session: &Session) -> Option<Trouble> {
    if !group.envelope.require_tls {
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
mod tests {
    use std::io;

    use parking_lot::Mutex;
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};

    use super::*;
    use crate::foundations::address::ReversePath;
    use crate::foundations::clock::{SystemClock, Timestamp};
    use crate::foundations::dns::ZoneResolver;
    use crate::foundations::ids::QueueId;
    use crate::foundations::mail::{BodyKind, DsnWish, Envelope, Message, Recipient};
    use crate::foundations::settings::Live;
    use crate::services::outbound::{Carried, Connecting, Connector, Io, Roots};

    /// The way to one host, once.
    struct ToOne(Mutex<Option<DuplexStream>>);

    impl Connector for ToOne {
        fn connect(&self, _: SocketAddr, _: Option<IpAddr>) -> Connecting<'_> {
            let stream = self.0.lock().take();
            Box::pin(async move {
                let stream = stream.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionRefused))?;
                Ok(Box::new(stream) as Box<dyn Io>)
            })
        }
    }

    /// A host that takes a message for one recipient at a time. Before it answers the end of one, its sender is to give up. How
    /// many messages it was sent.
    async fn one_at_a_time(stream: DuplexStream, give_up: &CancellationToken) -> usize {
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 x ESMTP\r\n").await.unwrap();
        let (mut messages, mut in_message, mut line) = (0, false, String::new());
        loop {
            line.clear();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return messages;
            }
            let verb = line.split_whitespace().next().unwrap_or_default();
            let reply = match verb {
                "." if in_message => {
                    messages += 1;
                    give_up.cancel();
                    // The sender sees that first, whoever of the two has the next turn.
                    tokio::task::yield_now().await;
                    tokio::task::yield_now().await;
                    "250 2.0.0 Taken"
                }
                _ if in_message => continue,
                "EHLO" => "250-x\r\n250 LIMITS RCPTMAX=1",
                "DATA" => "354 Go on",
                _ => "250 2.0.0 Fine",
            };
            in_message = verb == "DATA";
            stream.write_all(format!("{reply}\r\n").as_bytes()).await.unwrap();
        }
    }

    fn outbound(host: DuplexStream) -> Outbound {
        let resolver = ZoneResolver::new();
        resolver.add("x.test A 192.0.2.1").unwrap();
        Outbound::new(OutboundParts {
            settings: Live::default(),
            hostname: "mail.example.test".parse().unwrap(),
            resolver: Arc::new(resolver),
            connector: Arc::new(ToOne(Mutex::new(Some(host)))),
            roots: Roots::of(rustls::RootCertStore::empty()),
            clock: Arc::new(SystemClock),
            reports: None,
            database: None,
            filter: None,
        })
    }

    fn envelope() -> Envelope {
        Envelope {
            reverse_path: ReversePath::Null,
            recipients: Vec::new(),
            body: BodyKind::SevenBit,
            smtputf8: false,
            require_tls: false,
            dsn: DsnWish::default(),
        }
    }

    /// What comes of a message.
    async fn sent(courier: &mut Courier) -> Outcome {
        let group = Group {
            id: QueueId::generate(Timestamp::EPOCH),
            envelope: &envelope(),
            recipients: &[Recipient::plain("a@x.test".parse().unwrap())],
            message: &Carried::new(Message::new("Subject: x\r\n\r\nx\r\n"), ()),
            before_end: &|_| Box::pin(std::future::ready(Ok(()))),
        };
        let haste = Haste { give_up: &CancellationToken::new(), stage: &Stage::default() };
        courier.attempt(group, haste).await.remove(0).outcome
    }

    #[tokio::test]
    async fn a_connection_from_before_a_reload_is_not_used_again() {
        let (near, far) = tokio::io::duplex(1 << 12);
        let outbound = outbound(near);
        let mut courier = outbound.courier(Destination::Exchangers("x.test".parse().unwrap()));
        let sending = async {
            let before = [sent(&mut courier).await, sent(&mut courier).await];
            outbound.0.settings.set(OutboundSettings::default());
            (before, sent(&mut courier).await)
        };
        let unused = CancellationToken::new();
        let ((before, after), messages) = tokio::join!(sending, one_at_a_time(far, &unused));
        assert!(before.iter().all(|outcome| matches!(outcome, Outcome::Relayed { .. })), "{before:?}");
        // There is no way to the host any more.
        assert!(matches!(after, Outcome::Deferred(_)), "{after:?}");
        assert_eq!(messages, 2);
    }

    #[tokio::test]
    async fn who_gives_up_waits_for_the_message_on_its_way_and_sends_no_other() {
        let (near, far) = tokio::io::duplex(1 << 12);
        let mut courier = outbound(near).courier(Destination::Exchangers("x.test".parse().unwrap()));
        let envelope = envelope();
        let recipients = ["a@x.test", "b@x.test"].map(|to| Recipient::plain(to.parse().unwrap()));
        let message = Carried::new(Message::new("Subject: x\r\n\r\nx\r\n"), ());
        let (give_up, stage) = (CancellationToken::new(), Stage::default());
        let sending = async {
            let group = Group {
                id: QueueId::generate(Timestamp::EPOCH),
                envelope: &envelope,
                recipients: &recipients,
                message: &message,
                before_end: &|_| Box::pin(std::future::ready(Ok(()))),
            };
            let attempts = courier.attempt(group, Haste { give_up: &give_up, stage: &stage }).await;
            courier.finish().await;
            attempts
        };
        let (attempts, messages) = tokio::join!(sending, one_at_a_time(far, &give_up));
        assert!(matches!(attempts[0].outcome, Outcome::Relayed { .. }), "{attempts:?}");
        let put_off = match &attempts[1].outcome {
            Outcome::Deferred(trouble) => trouble.status.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!((put_off.as_str(), messages), ("4.4.5", 1));
    }
}
