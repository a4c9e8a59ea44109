use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::build::Stages;
use super::control::look_at_bans;
use super::listeners::Bound;
use super::probes::probes;
use super::{Listening, Parts};
use crate::config::{Protocol, Role};
use crate::foundations::net::{Connection, Listener};
use crate::protocols::web::{dashboard, site};
use crate::protocols::{imap, managesieve, metrics, pop3, smtp};
use crate::services::overview::Overviewer;

/// The protocol rooms of a process, each made when the first listener asks for it.
struct Rooms<'a> {
    parts: &'a Arc<Parts>,
    smtp: SmtpRooms,
    imap: Option<Arc<imap::Room>>,
    pop3: Option<Arc<pop3::Room>>,
    managesieve: Option<Arc<managesieve::Room>>,
    http: Arc<site::Room>,
    https: Arc<site::Room>,
    dashboard: Arc<dashboard::Room>,
    metrics: Arc<metrics::Room>,
}

/// The SMTP room by whom it serves.
struct SmtpRooms {
    relay: Arc<smtp::Room>,
    submission: Arc<smtp::Room>,
    lmtp: Arc<smtp::Room>,
}

/// Gives each listener the room of its protocol, and lets it accept.
pub(super) fn serve(parts: &Arc<Parts>, stages: &Stages, bound: Vec<Bound>) -> Vec<Listening> {
    let listening: Vec<Listening> = bound.iter().map(|bound| bound.listening.clone()).collect();
    let rooms = Rooms {
        parts,
        smtp: smtp_rooms(parts),
        imap: imap_room(parts, stages),
        pop3: pop3_room(parts),
        managesieve: managesieve_room(parts),
        http: Arc::new(site_room(parts, false)),
        https: Arc::new(site_room(parts, true)),
        dashboard: Arc::new(dashboard_room(parts, &listening)),
        metrics: Arc::new(super::figures::room(parts, &listening)),
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
            Protocol::ManageSieve => {
                if let Some(room) = &self.managesieve {
                    accept!(room, managesieve::run);
                }
            }
            Protocol::Http => accept!(self.http, site::run),
            Protocol::Https => accept!(self.https, site::run),
            Protocol::Dashboard => accept!(self.dashboard, dashboard::run),
            Protocol::Metrics => accept!(self.metrics, metrics::run),
        }
    }
}

fn smtp_rooms(parts: &Arc<Parts>) -> SmtpRooms {
    let budget = smtp::Budget::new(parts.config.smtp.memory);
    let submission = parts.submission();
    let room = |mode| {
        Arc::new(smtp::Room {
            mode,
            settings: parts.lives.smtp.clone(),
            hostname: parts.lives.hostname.clone(),
            tls: parts.certificates.context(),
            budget: budget.clone(),
            guard: parts.guard.clone(),
            login: parts.login.clone(),
            acceptance: parts.acceptance.clone(),
            submission: Arc::clone(&submission),
            intake: Arc::clone(&parts.intake),
            journal: parts.journal.clone(),
            clock: Arc::clone(&parts.clock),
        })
    };
    SmtpRooms { relay: room(smtp::Mode::Relay), submission: room(smtp::Mode::Submission), lmtp: room(smtp::Mode::Lmtp) }
}

fn imap_room(parts: &Parts, stages: &Stages) -> Option<Arc<imap::Room>> {
    let mailboxes = parts.mailboxes.clone()?;
    let lessons = imap::Lessons::new(imap::LessonsParts {
        filter: Arc::clone(&parts.filter),
        settings: parts.lives.spam.clone(),
        delivery: parts.lives.delivery.clone(),
        tasks: stages.services.clone(),
    });
    Some(Arc::new(imap::Room::new(imap::Needs {
        settings: parts.lives.imap.clone(),
        guard: parts.guard.clone(),
        login: parts.login.clone(),
        directory: parts.directory.clone(),
        mailboxes,
        journal: parts.journal.clone(),
        clock: Arc::clone(&parts.clock),
        lessons: Some(Arc::new(lessons)),
        tls: parts.certificates.context(),
    })))
}

fn pop3_room(parts: &Parts) -> Option<Arc<pop3::Room>> {
    let mailboxes = parts.mailboxes.clone()?;
    Some(Arc::new(pop3::Room::new(pop3::Needs {
        settings: parts.lives.pop3.clone(),
        guard: parts.guard.clone(),
        login: parts.login.clone(),
        mailboxes,
        journal: parts.journal.clone(),
        clock: Arc::clone(&parts.clock),
        tls: parts.certificates.context(),
    })))
}

fn managesieve_room(parts: &Parts) -> Option<Arc<managesieve::Room>> {
    Some(Arc::new(managesieve::Room::new(managesieve::Needs {
        settings: parts.lives.managesieve.clone(),
        sieve: parts.lives.sieve.clone(),
        guard: parts.guard.clone(),
        login: parts.login.clone(),
        scripts: parts.scripts.clone()?,
        journal: parts.journal.clone(),
        clock: Arc::clone(&parts.clock),
        tls: parts.certificates.context(),
    })))
}

fn site_room(parts: &Parts, encrypted: bool) -> site::Room {
    site::Room {
        http: parts.lives.http.clone(),
        hostname: parts.lives.hostname.clone(),
        policies: parts.lives.mta_sts.clone(),
        certificates: Arc::clone(&parts.certificates),
        encrypted,
    }
}

fn dashboard_room(parts: &Parts, listening: &[Listening]) -> dashboard::Room {
    dashboard::Room::new(dashboard::Needs {
        http: parts.lives.http.clone(),
        settings: parts.lives.dashboard.clone(),
        hostname: parts.config.hostname.clone(),
        overviewer: Overviewer::new(parts.sources(), parts.config.dashboard.fresh_for.duration()),
        probes: probes(&parts.config, &parts.roles, listening),
        guard: parts.guard.clone(),
        others_bans: others_bans(parts),
        journal: parts.journal.clone(),
        clock: Arc::clone(&parts.clock),
    })
}

/// Roles that other processes have, and that do not answer, have no bans to show.
fn others_bans(parts: &Parts) -> dashboard::OthersBans {
    let server = parts.config.server.clone();
    let others: Vec<Role> = Role::ALL.iter().copied().filter(|role| !parts.roles.has(*role)).collect();
    Box::new(move || {
        let (server, others) = (server.clone(), others.clone());
        Box::pin(async move {
            let asked = join_all(others.iter().map(|role| look_at_bans(&server, *role)));
            match tokio::time::timeout(PATIENCE, asked).await {
                Ok(answers) => answers.into_iter().flatten().flatten().collect(),
                Err(_) => Vec::new(),
            }
        })
    })
}

/// Roles on this machine answer within this time.
const PATIENCE: Duration = Duration::from_secs(2);
