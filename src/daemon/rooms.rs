use std::sync::Arc;

use super::build::Stages;
use super::listeners::Bound;
use super::posting::OverControl;
use super::probes::probes;
use super::{Listening, Parts, other_roles};
use crate::config::{Config, Protocol};
use crate::foundations::budget::Budget;
use crate::foundations::net::{Bind, Connection, Listener};
use crate::protocols::web::{Bodies, Scheme, dashboard, dav, site, webmail};
use crate::protocols::{cluster, imap, managesieve, metrics, pop3, smtp};
use crate::services::autoconfig::{Offer, Protection, Server, ServerKind};
use crate::services::dav::scheduling::{Scheduler, SchedulerParts};
use crate::services::dav::{Calendars, Contacts};
use crate::services::handover::Submitting;
use crate::services::intake::Intake;
use crate::services::lessons::{Lessons, LessonsParts};
use crate::services::outbound::OverSubmission;
use crate::services::overview::Overviewer;
use crate::services::set_up::SetUp;
use crate::services::submission::{Submission, Submitter};
use crate::storage::dav::Collections;
use crate::storage::logins::{BrowserLogins, Page};
use crate::storage::personal::Personal;

/// The protocol rooms of a process, each made when the first listener asks for it.
struct Rooms<'a> {
    parts: &'a Arc<Parts>,
    smtp: SmtpRooms,
    imap: Option<Arc<imap::Room>>,
    pop3: Option<Arc<pop3::Room>>,
    webmail: Option<Arc<webmail::Room>>,
    managesieve: Option<Arc<managesieve::Room>>,
    cluster: Option<Arc<cluster::Room>>,
    http: Arc<site::Room>,
    https: Arc<site::Room>,
    dashboard: Arc<dashboard::Room>,
    metrics: Arc<metrics::Room>,
}

/// The SMTP room, by the clients it serves.
struct SmtpRooms {
    relay: Arc<smtp::Room>,
    submission: Arc<smtp::Room>,
    programs: Arc<smtp::Room>,
    lmtp: Arc<smtp::Room>,
    /// LMTP from other nodes.
    here: Option<Arc<smtp::Room>>,
}

/// Gives each listener the room of its protocol, and starts accepting.
pub(super) fn serve(parts: &Arc<Parts>, stages: &Stages, bound: Vec<Bound>) -> Vec<Listening> {
    let listening: Vec<Listening> = bound.iter().map(|bound| bound.listening.clone()).collect();
    let submission = parts.submission();
    let lessons = lessons(parts, stages);
    let webmail = webmail_room(parts, &listening, &submission, &lessons, stages);
    if let Some(room) = &webmail {
        let (room, running) = (Arc::clone(room), stages.sessions.clone());
        stages
            .sessions
            .keep("the sending of letters that are due", move || Arc::clone(&room).send_what_is_due(running.clone()));
    }
    let (smtp, imap) = (smtp_rooms(parts, &submission), imap_room(parts, &lessons));
    let (pop3, managesieve) = (pop3_room(parts), managesieve_room(parts));
    let rooms = Rooms {
        parts,
        cluster: cluster_room(parts, &smtp, imap.as_ref(), pop3.as_ref(), managesieve.as_ref(), webmail.as_ref()),
        smtp,
        imap,
        pop3,
        managesieve,
        http: Arc::new(site_room(parts, &listening, None, Scheme::Http)),
        https: Arc::new(site_room(parts, &listening, webmail.clone(), Scheme::Https)),
        webmail,
        dashboard: Arc::new(dashboard_room(parts, &listening)),
        metrics: Arc::new(super::figures::room(parts)),
    };
    for Bound { listening, listener } in bound {
        rooms.give(listening.protocol, listener, stages);
    }
    listening
}

impl Rooms<'_> {
    fn give(&self, protocol: Protocol, listener: Listener, stages: &Stages) {
        /// Runs a room's `run` for each connection.
        macro_rules! accept {
            ($room:expr, $run:path) => {{
                let room = Arc::clone(&$room);
                let protocol = move |connection: Connection| $run(connection, Arc::clone(&room));
                let (accepting, sessions) = (stages.accepting.clone(), stages.sessions.clone());
                let clock = Arc::clone(&self.parts.clock);
                stages.accepting.spawn(listener.serve(accepting, sessions, clock, protocol));
            }};
        }
        match protocol {
            Protocol::Smtp => accept!(self.smtp.relay, smtp::run),
            Protocol::Submission | Protocol::Submissions => accept!(self.smtp.submission, smtp::run),
            Protocol::Sendmail => accept!(self.smtp.programs, smtp::run),
            Protocol::Lmtp => accept!(self.smtp.lmtp, smtp::run),
            Protocol::Imap | Protocol::Imaps => {
                if let Some(room) = &self.imap {
                    accept!(room, imap::run);
                }
            }
            Protocol::Pop3 | Protocol::Pop3s => {
                if let Some(room) = &self.pop3 {
                    accept!(room, pop3::run);
                }
            }
            Protocol::Webmail => {
                if let Some(room) = &self.webmail {
                    accept!(room, webmail::run);
                }
            }
            Protocol::ManageSieve => {
                if let Some(room) = &self.managesieve {
                    accept!(room, managesieve::run);
                }
            }
            Protocol::Cluster => {
                if let Some(room) = &self.cluster {
                    accept!(room, cluster::run);
                }
            }
            Protocol::Http => accept!(self.http, site::run),
            Protocol::Https => accept!(self.https, site::run),
            Protocol::Dashboard => accept!(self.dashboard, dashboard::run),
            Protocol::Metrics => accept!(self.metrics, metrics::run),
        }
    }
}

fn smtp_rooms(parts: &Arc<Parts>, submission: &Arc<Submission>) -> SmtpRooms {
    let smtp = &parts.config.smtp;
    let budget = Budget::new(smtp.memory, smtp.memory_per_network);
    let room = |mode, intake: &Arc<Intake>| {
        Arc::new(smtp::Room {
            mode,
            settings: parts.live.smtp.clone(),
            hostname: parts.live.hostname.clone(),
            tls: if mode == smtp::Mode::Programs { None } else { parts.certificates.context() },
            budget: budget.clone(),
            guard: parts.guard.clone(),
            login: parts.login.clone(),
            acceptance: parts.acceptance.clone(),
            submission: Arc::clone(submission),
            intake: Arc::clone(intake),
            journal: parts.journal.clone(),
            clock: Arc::clone(&parts.clock),
        })
    };
    let intake = &parts.intake;
    SmtpRooms {
        relay: room(smtp::Mode::Relay, intake),
        submission: room(smtp::Mode::Submission, intake),
        programs: room(smtp::Mode::Programs, intake),
        lmtp: room(smtp::Mode::Lmtp, intake),
        here: parts.intake_here.as_ref().map(|intake| room(smtp::Mode::Lmtp, intake)),
    }
}

fn lessons(parts: &Parts, stages: &Stages) -> Arc<Lessons> {
    Arc::new(Lessons::new(LessonsParts {
        filter: Arc::clone(&parts.filter),
        settings: parts.live.spam.clone(),
        delivery: parts.live.delivery.clone(),
        tasks: stages.services.clone(),
    }))
}

fn webmail_room(
    parts: &Parts,
    listening: &[Listening],
    submission: &Arc<Submission>,
    lessons: &Arc<Lessons>,
    stages: &Stages,
) -> Option<Arc<webmail::Room>> {
    let mailboxes = parts.mailboxes.clone()?;
    let personal = Personal::new(parts.database.clone());
    let contacts = Contacts::new(personal.clone(), Collections::new(parts.database.clone()));
    let bodies = Bodies::new(&parts.live.http.get());
    Some(Arc::new(webmail::Room::new(webmail::Needs {
        http: parts.live.http.clone(),
        settings: parts.live.webmail.clone(),
        hostname: parts.live.hostname.clone(),
        guard: parts.guard.clone(),
        login: parts.login.clone(),
        directory: parts.directory.clone(),
        routing: parts.routing.clone(),
        mailboxes,
        logins: BrowserLogins::new(parts.database.clone(), Page::Webmail),
        personal,
        autoconfig: parts.live.autoconfig.clone(),
        offer: offer(&parts.config, listening, true),
        beside: Some(dav_pages(parts, &contacts, bodies.clone(), submission, stages)),
        bodies,
        contacts,
        calendars: Calendars::new(Collections::new(parts.database.clone())),
        dav: parts.live.dav.clone(),
        scripts: parts.scripts.clone()?,
        sieve: parts.live.sieve.clone(),
        submitting: submitting(parts, submission),
        cluster: parts.cluster.clone(),
        // A process without the queue makes no outside connections (its sandbox prevents them).
        leaving: match parts.queue {
            Some(_) => Arc::new(parts.outbound.clone()),
            None => Arc::new(OverControl::new(parts.config.server.clone())),
        },
        lessons: Arc::clone(lessons),
        journal: parts.journal.clone(),
        clock: Arc::clone(&parts.clock),
        tasks: stages.sessions.clone(),
    })))
}

/// Calendars and contacts, also served by the webmail's listeners.
fn dav_pages(
    parts: &Parts,
    contacts: &Contacts,
    bodies: Bodies,
    submission: &Arc<Submission>,
    stages: &Stages,
) -> webmail::Beside {
    let scheduler = Scheduler::new(SchedulerParts {
        collections: Collections::new(parts.database.clone()),
        personal: Personal::new(parts.database.clone()),
        routing: parts.routing.clone(),
        submission: Arc::clone(submission),
        submitting: submitting(parts, submission),
        hostname: parts.live.hostname.clone(),
        journal: parts.journal.clone(),
        clock: Arc::clone(&parts.clock),
    });
    let room = Arc::new(dav::Room::new(dav::Needs {
        settings: parts.live.dav.clone(),
        login: parts.login.clone(),
        directory: parts.directory.clone(),
        collections: Collections::new(parts.database.clone()),
        contacts: contacts.clone(),
        bodies,
        scheduler,
        tasks: stages.sessions.clone(),
        journal: parts.journal.clone(),
        clock: Arc::clone(&parts.clock),
    }));
    let trusted = parts.live.webmail.clone();
    Box::new(move |peer, scheme| {
        let webmail = trusted.get();
        let trust = dav::Trust { proxies: webmail.proxies.clone(), plain_http: webmail.plain_http };
        dav::pages(&room, peer, scheme, trust)
    })
}

/// How mail written in the webmail is sent.
fn submitting(parts: &Parts, submission: &Arc<Submission>) -> Arc<dyn Submitting> {
    let socket = parts.config.webmail.submission.clone().filter(|_| parts.queue.is_none());
    let elsewhere = socket.map(|socket| -> Arc<dyn Submitting> {
        let hostname = parts.config.hostname.clone();
        Arc::new(OverSubmission::new(socket, hostname, parts.live.outbound.clone()))
    });
    Arc::new(Submitter {
        acceptance: parts.acceptance.clone(),
        submission: Arc::clone(submission),
        intake: Arc::clone(&parts.intake),
        elsewhere,
        journal: parts.journal.clone(),
        clock: Arc::clone(&parts.clock),
    })
}

/// For what other nodes pass on.
fn cluster_room(
    parts: &Parts,
    smtp: &SmtpRooms,
    imap: Option<&Arc<imap::Room>>,
    pop3: Option<&Arc<pop3::Room>>,
    managesieve: Option<&Arc<managesieve::Room>>,
    webmail: Option<&Arc<webmail::Room>>,
) -> Option<Arc<cluster::Room>> {
    let (lmtp, imap, pop3) = (Arc::clone(smtp.here.as_ref()?), Arc::clone(imap?), Arc::clone(pop3?));
    let (managesieve, webmail) = (Arc::clone(managesieve?), Arc::clone(webmail?));
    Some(Arc::new(cluster::Room::new(cluster::Needs {
        cluster: parts.cluster.clone()?,
        login: parts.login.clone(),
        lmtp: Box::new(move |connection| Box::pin(smtp::run(connection, Arc::clone(&lmtp)))),
        imap: Box::new(move |connection, handed, logged_in| {
            Box::pin(imap::resume(connection, handed, logged_in, Arc::clone(&imap)))
        }),
        pop3: Box::new(move |connection, _, logged_in| {
            Box::pin(pop3::resume(connection, logged_in, Arc::clone(&pop3)))
        }),
        managesieve: Box::new(move |connection, _, logged_in| {
            Box::pin(managesieve::resume(connection, logged_in, Arc::clone(&managesieve)))
        }),
        web: Box::new(move |connection, asked| Box::pin(webmail::respond(connection, asked, Arc::clone(&webmail)))),
    })))
}

fn imap_room(parts: &Parts, lessons: &Arc<Lessons>) -> Option<Arc<imap::Room>> {
    let mailboxes = parts.mailboxes.clone()?;
    Some(Arc::new(imap::Room::new(imap::Needs {
        settings: parts.live.imap.clone(),
        guard: parts.guard.clone(),
        login: parts.login.clone(),
        directory: parts.directory.clone(),
        mailboxes,
        journal: parts.journal.clone(),
        clock: Arc::clone(&parts.clock),
        lessons: Some(Arc::clone(lessons)),
        cluster: parts.cluster.clone(),
        tls: parts.certificates.context(),
    })))
}

fn pop3_room(parts: &Parts) -> Option<Arc<pop3::Room>> {
    let mailboxes = parts.mailboxes.clone()?;
    Some(Arc::new(pop3::Room::new(pop3::Needs {
        settings: parts.live.pop3.clone(),
        guard: parts.guard.clone(),
        login: parts.login.clone(),
        mailboxes,
        journal: parts.journal.clone(),
        clock: Arc::clone(&parts.clock),
        cluster: parts.cluster.clone(),
        tls: parts.certificates.context(),
    })))
}

fn managesieve_room(parts: &Parts) -> Option<Arc<managesieve::Room>> {
    Some(Arc::new(managesieve::Room::new(managesieve::Needs {
        settings: parts.live.managesieve.clone(),
        sieve: parts.live.sieve.clone(),
        guard: parts.guard.clone(),
        login: parts.login.clone(),
        scripts: parts.scripts.clone()?,
        journal: parts.journal.clone(),
        clock: Arc::clone(&parts.clock),
        cluster: parts.cluster.clone(),
        tls: parts.certificates.context(),
    })))
}

fn site_room(
    parts: &Parts,
    listening: &[Listening],
    webmail: Option<Arc<webmail::Room>>,
    scheme: Scheme,
) -> site::Room {
    let has_pages = webmail.is_some();
    let pages =
        webmail.map(|room| -> site::Pages { Box::new(move |peer, stop| webmail::pages(&room, peer, scheme, stop)) });
    site::Room {
        pages,
        guard: parts.guard.clone(),
        http: parts.live.http.clone(),
        hostname: parts.live.hostname.clone(),
        policies: parts.live.mta_sts.clone(),
        autoconfig: parts.live.autoconfig.clone(),
        offer: offer(&parts.config, listening, has_pages),
        directory: parts.directory.clone(),
        certificates: Arc::clone(&parts.certificates),
        set_up: SetUp {
            directory: parts.directory.clone(),
            login: parts.login.clone(),
            journal: parts.journal.clone(),
            settings: parts.live.set_up.clone(),
            clock: Arc::clone(&parts.clock),
        },
        scheme,
    }
}

/// What listeners offer to mail programs: those of this process at their actual addresses, others as configured.
fn offer(config: &Config, listening: &[Listening], has_pages: bool) -> Offer {
    let port = |protocol, usual| {
        let listener = config.listener.iter().find(|listener| listener.protocol == protocol)?;
        let here = listening.iter().filter(|place| place.protocol == protocol).map(|place| &place.bind);
        let named = here.chain(&listener.bind).find_map(|bind| match bind {
            Bind::Tcp(address) => Some(address.port()),
            Bind::Unix(_) | Bind::Systemd(_) => None,
        });
        Some(named.unwrap_or(usual))
    };
    let server = |(protocol, kind, protection, usual)| Some(Server { kind, port: port(protocol, usual)?, protection });
    let servers = [
        (Protocol::Imaps, ServerKind::Imap, Protection::Immediate, 993),
        (Protocol::Imap, ServerKind::Imap, Protection::StartTls, 143),
        (Protocol::Pop3s, ServerKind::Pop3, Protection::Immediate, 995),
        (Protocol::Pop3, ServerKind::Pop3, Protection::StartTls, 110),
        (Protocol::Submissions, ServerKind::Smtp, Protection::Immediate, 465),
        (Protocol::Submission, ServerKind::Smtp, Protection::StartTls, 587),
    ];
    let servers = servers.into_iter().filter_map(server).collect();
    let dav = config.dav.public_port.or_else(|| port(Protocol::Https, 443)).filter(|_| has_pages && config.dav.enabled);
    Offer { hostname: config.hostname.clone(), servers, dav }
}

fn dashboard_room(parts: &Arc<Parts>, listening: &[Listening]) -> dashboard::Room {
    dashboard::Room::new(dashboard::Needs {
        http: parts.live.http.clone(),
        settings: parts.live.dashboard.clone(),
        hostname: parts.config.hostname.clone(),
        overviewer: Overviewer::new(parts.sources(), parts.config.dashboard.fresh_for.duration()),
        probes: probes(&parts.config, &parts.roles, listening),
        login: parts.live.login.clone(),
        logins: BrowserLogins::new(parts.database.clone(), Page::Dashboard),
        guard: parts.guard.clone(),
        others_bans: other_roles::bans(parts),
        certificates: other_roles::certificates(parts),
        troubles: other_roles::troubles(parts),
        reports: parts.reports.clone(),
        journal: parts.journal.clone(),
        readiness: super::figures::readiness(parts),
        clock: Arc::clone(&parts.clock),
    })
}
