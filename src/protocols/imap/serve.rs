//! One connection from greeting to goodbye: the only place of the room that waits for the client.

use std::io;
use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::command_table::{self, Expunges, Phase};
use super::commands;
use super::limits::{limits, most_appended};
use super::link::Link;
use super::outcome::{Done, Outcome, Trouble};
use super::room::Room;
use super::settings::ImapSettings;
use super::state::{ClientLink, State};
use crate::foundations::address::Address;
use crate::foundations::budget::{Enough, Share};
use crate::foundations::ids::SessionId;
use crate::foundations::mail::Peer;
use crate::foundations::net::Connection;
use crate::foundations::wire::imap::encode::{Code, Condition};
use crate::foundations::wire::imap::{Announced, Command, CommandBody, Fault, Framed, LimitPassed};
use crate::services::cluster::{self, Handed, splice};
use crate::services::guard::{Pass, Penalty, Service};
use crate::services::login::{LoggedIn, Stay};
use crate::storage::mailbox::Visit;

/// Serves one client until it leaves, is sent away, or the server stops.
pub async fn run(connection: Connection, room: Arc<Room>) {
    let settings = room.needs.settings.get();
    let pass = match room.needs.guard.admit(&connection.peer, Service::Imap) {
        Ok(pass) => pass,
        Err(refusal) => {
            let (peer, session) = (&connection.peer, connection.session);
            if let Some(event) = room.needs.guard.turned_away(&refusal, Service::Imap, peer, session) {
                room.needs.journal.record(event);
            }
            // Nothing can be said before a handshake, and an unwanted client gets none.
            if connection.handshake.is_some() {
                return;
            }
            let limits = limits(&settings, Phase::NotAuthenticated);
            let mut link = Link::new(connection.stream, limits, settings.stall_timeout.into());
            link.out.untagged(Condition::Bye, Some(&Code::Word("UNAVAILABLE")), &refusal.public);
            // Whether the refused client reads it is its business.
            let _ = link.flush().await;
            return link.close().await;
        }
    };
    let Some(connection) = connection.secured().await else { return };
    let mut conversation = Conversation::new(connection, room, settings, pass);
    let talked = conversation.greet_and_talk().await;
    // On the heap, so that the task of an idle connection does not hold the space for it.
    Box::pin(conversation.finish(talked)).await;
}

/// Goes on with the session of a client that has logged in at another node.
pub async fn resume(connection: Connection, handed: Handed, logged_in: LoggedIn, room: Arc<Room>) {
    let settings = room.needs.settings.get();
    // The client was let in, and is counted, where it has connected.
    let Ok(pass) = room.needs.guard.admit(&Peer::Unix, Service::Imap) else { return };
    let mut conversation = Conversation::new(connection, room, settings, pass);
    conversation.handed = Some(if handed.is_encrypted { ClientLink::Encrypted } else { ClientLink::Plain });
    let talked = conversation.go_on(&handed.tag, logged_in).await;
    Box::pin(conversation.finish(talked)).await;
}

/// One connection.
#[derive(Debug)]
pub(super) struct Conversation {
    pub link: Link,
    pub room: Arc<Room>,
    pub settings: Arc<ImapSettings>,
    pub session: SessionId,
    pub peer: Peer,
    pub stop: CancellationToken,
    /// How long the user who has logged in may stay.
    pub stay: Option<Stay>,
    /// Among several nodes: counted while the mailboxes are here.
    pub visit: Option<Visit>,
    /// The connection to the node where the session is to go on.
    pub away: Option<Box<cluster::Link>>,
    /// The client's own connection, if that ends at another node.
    pub handed: Option<ClientLink>,
    pub state: State,
    pub pass: Pass,
    /// Failed logins.
    pub failures: u32,
    /// Commands in a row that were BAD.
    bad_commands: u32,
    /// Memory of the messages of the APPEND that is arriving.
    memory: Option<Share<Address>>,
    /// Since when the rest of a command is awaited.
    awaited_since: Option<Instant>,
}

/// Why a session ends when its mailbox is gone.
const MAILBOX_GONE: &str = "The selected mailbox was deleted or renamed";

/// Why a message is not taken now.
const TOO_MANY_APPENDED: &str = "Too many messages are being appended; try again";

/// Why the messages of one command are not taken at all.
const TOO_MUCH_APPENDED: &str = "That is too much for one command; append less at once";

/// What comes next.
enum Next {
    Command(bytes::Bytes),
    Refused(Fault),
    Message(Announced),
    /// Say this and close.
    Bye(&'static str),
    /// The client has closed the connection.
    Gone,
}

impl Conversation {
    fn new(connection: Connection, room: Arc<Room>, settings: Arc<ImapSettings>, pass: Pass) -> Self {
        let limits = limits(&settings, Phase::NotAuthenticated);
        Self {
            link: Link::new(connection.stream, limits, settings.stall_timeout.into()),
            state: State::NotAuthenticated { until: Instant::now() + settings.login_timeout.duration() },
            room,
            settings,
            session: connection.session,
            peer: connection.peer,
            stop: connection.stop,
            stay: None,
            visit: None,
            away: None,
            handed: None,
            pass,
            failures: 0,
            bad_commands: 0,
            memory: None,
            awaited_since: None,
        }
    }

    async fn greet_and_talk(&mut self) -> io::Result<()> {
        let capabilities = Code::Capability(self.capabilities());
        self.link.out.untagged(Condition::Ok, Some(&capabilities), "Postrider is ready");
        self.talk().await
    }

    /// Answers the command by which the client has logged in at another node.
    async fn go_on(&mut self, tag: &str, logged_in: LoggedIn) -> io::Result<()> {
        let outcome = Box::pin(commands::enter(self, logged_in)).await;
        self.answer(tag, outcome)?;
        self.talk().await
    }

    /// Passes the client on to another node, or ends the connection.
    async fn finish(mut self, talked: io::Result<()>) {
        let session = self.session;
        if let Err(error) = talked {
            log::debug!(session:% = session, error:% = error; "An IMAP connection broke");
        } else if let Some(away) = self.away.take() {
            let (stop, stall) = (self.stop.clone(), self.settings.stall_timeout.duration());
            // The right to be connected is held until the end.
            let Self { link, pass: _pass, .. } = self;
            if let Some((stream, begun)) = link.into_transport() {
                Box::pin(splice(stream, *away, begun, stop, stall)).await;
            }
            return;
        }
        self.link.close().await;
    }

    async fn talk(&mut self) -> io::Result<()> {
        loop {
            if self.away.is_some() {
                return self.link.flush().await;
            }
            self.link.share().await;
            match self.next().await? {
                Next::Command(bytes) => Box::pin(self.perform(&bytes)).await?,
                Next::Refused(fault) => self.answer_fault(&fault),
                Next::Message(announced) => self.consider(&announced).await,
                Next::Bye(text) => {
                    self.link.out.untagged(Condition::Bye, None, text);
                    return self.link.flush().await;
                }
                Next::Gone => return Ok(()),
            }
            if self.bad_commands >= self.settings.bad_commands.max(1) {
                self.link.out.untagged(Condition::Bye, None, "Too many invalid commands");
                self.state = State::Logout;
            }
            if matches!(self.state, State::Logout) {
                return self.link.flush().await;
            }
        }
    }

    /// The next thing to do, waiting for the client if need be.
    async fn next(&mut self) -> io::Result<Next> {
        loop {
            match self.link.framed() {
                Framed::Command(bytes) => {
                    self.awaited_since = None;
                    return Ok(Next::Command(bytes));
                }
                Framed::Refused(fault) => {
                    self.awaited_since = None;
                    return Ok(Next::Refused(fault));
                }
                Framed::Message(announced) => return Ok(Next::Message(announced)),
                Framed::Lost => return Ok(Next::Bye("The command is too long")),
                Framed::Continue => _ = self.link.out.continuation("Go on"),
                Framed::More(_) => {
                    self.link.flush().await?;
                    if let Some(end) = self.wait().await? {
                        return Ok(end);
                    }
                }
            }
        }
    }

    /// Waits until octets have arrived. Returns how the conversation ends, if it does.
    async fn wait(&mut self) -> io::Result<Option<Next>> {
        let now = Instant::now();
        let awaited_since = *self.awaited_since.get_or_insert(now);
        if !self.link.in_command() {
            self.awaited_since = None;
        }
        let (deadline, late) = match &self.state {
            State::NotAuthenticated { until } => (*until, "You took too long to log in"),
            _ if self.link.in_command() => {
                let whole = awaited_since + self.settings.command_time.duration();
                (whole.min(now + self.settings.stall_timeout.duration()), "The rest of the command did not arrive")
            }
            State::Authenticated(account) | State::Selected(account, _) => {
                (account.active + self.settings.idle_timeout.duration(), "You have been idle for too long")
            }
            State::Logout => (now, "Goodbye"),
        };
        let between_commands = !self.link.in_command();
        let Self { link, state, stop, .. } = &mut *self;
        let read = tokio::time::timeout_at(deadline, link.read());
        let watches = between_commands && state.watches();
        let wakeup = async {
            // On the heap: few sessions ask for it, and all others would pay.
            if watches { Box::pin(state.wake()).await } else { std::future::pending().await }
        };
        let woken = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(Some(Next::Bye(self.farewell()))),
            read = read => match read {
                // The other node has stopped, or its client has closed its side and can still be told something.
                Ok(Ok(0)) if self.handed.is_some() => return Ok(Some(Next::Bye("The connection has ended"))),
                Ok(Ok(0)) => return Ok(Some(Next::Gone)),
                Ok(Ok(_)) => {
                    self.note_active();
                    return Ok(None);
                }
                Ok(Err(error)) => return Err(error),
                Err(_) => return Ok(Some(Next::Bye(late))),
            },
            woken = wakeup => woken,
        };
        // RFC 5465: the client listens all the time.
        Box::pin(commands::notify::tell(self, woken)).await?;
        Ok(self.selected_is_gone().then_some(Next::Bye(MAILBOX_GONE)))
    }

    /// The client has sent something, or was served.
    fn note_active(&mut self) {
        if let Some(account) = self.state.account_mut() {
            account.active = Instant::now();
        }
    }

    fn selected_is_gone(&self) -> bool {
        matches!(&self.state, State::Selected(_, selected) if selected.is_gone())
    }

    /// What a session says when told to stop.
    pub fn farewell(&self) -> &'static str {
        match &self.stay {
            Some(stay) if stay.is_over() => Stay::FAREWELL,
            _ if self.visit.as_ref().is_some_and(Visit::is_over) => Visit::FAREWELL,
            _ => "The server is stopping; try again in a moment",
        }
    }

    /// The phase of the state.
    pub fn phase(&self) -> Phase {
        match self.state {
            State::NotAuthenticated { .. } | State::Logout => Phase::NotAuthenticated,
            State::Authenticated(_) => Phase::Authenticated,
            State::Selected(..) => Phase::Selected,
        }
    }

    /// Applies the limits of the current state.
    pub fn apply_limits(&mut self) {
        let limits = limits(&self.settings, self.phase());
        self.link.set_limits(limits);
    }

    /// Decides about a message before it is sent (RFC 7889, RFC 7888 §4).
    async fn consider(&mut self, announced: &Announced) {
        let whole = announced.before.saturating_add(announced.size);
        let refusal = match self.state.account() {
            None => Some((Condition::Bad, None, "Log in first")),
            // RFC 7889 §1: the limit is that of one message.
            Some(_) if announced.size > self.settings.append_limit.get() => {
                Some((Condition::No, Some(Code::Word("TOOBIG")), "The message exceeds this server's size limit"))
            }
            Some(_) if whole > most_appended(&self.settings) => {
                Some((Condition::No, Some(Code::Word("LIMIT")), TOO_MUCH_APPENDED))
            }
            Some(_) => {
                let octets = usize::try_from(whole).unwrap_or(usize::MAX);
                let enough = self.reserve(octets).await;
                enough.is_err().then_some((Condition::No, Some(Code::Word("LIMIT")), TOO_MANY_APPENDED))
            }
        };
        match refusal {
            None => {
                if self.link.grant().is_some() {
                    self.link.out.continuation("Send the message");
                }
            }
            Some((condition, code, text)) => {
                self.memory = None;
                self.link.out.tagged(announced.tag.as_deref().unwrap_or("*"), condition, code.as_ref(), text);
                self.link.deny();
            }
        }
    }

    /// Adjusts the memory reserved for the messages of the current command to so many octets.
    pub async fn reserve(&mut self, octets: usize) -> Result<(), Trouble> {
        let account = self.state.logged_in()?;
        let budget = &self.room.append_memory;
        let share = self.memory.get_or_insert_with(|| budget.share(Some(account.login.address.clone())));
        match budget.enlarge(share, octets, self.settings.append_patience.into()).await {
            Enough::Yes => Ok(()),
            Enough::No => Err(Trouble::coded("LIMIT", TOO_MANY_APPENDED)),
        }
    }

    fn answer_fault(&mut self, fault: &Fault) {
        let (code, text) = match fault.limit {
            LimitPassed::Line => (None, "The command is too long"),
            LimitPassed::Literal => (Some(Code::Word("TOOBIG")), "The literal is too large"),
            LimitPassed::Literals => (None, "The command has too many literals"),
        };
        self.memory = None;
        self.bad(fault.tag.as_deref(), code.as_ref(), text);
    }

    /// Answers BAD and counts it.
    fn bad(&mut self, tag: Option<&str>, code: Option<&Code>, text: &str) {
        self.bad_commands += 1;
        if self.phase() == Phase::NotAuthenticated && self.pass.error() == Penalty::Disconnect {
            self.bad_commands = u32::MAX;
        }
        self.link.out.tagged(tag.unwrap_or("*"), Condition::Bad, code, text);
    }

    /// Parses, admits, performs and answers one command.
    async fn perform(&mut self, bytes: &bytes::Bytes) -> io::Result<()> {
        let command = match Command::parse(bytes) {
            Ok(command) => command,
            Err(error) => {
                self.memory = None;
                self.bad(error.tag.as_ref().map(|tag| tag.as_str()), None, &error.cause.to_string());
                return Ok(());
            }
        };
        let tag = command.tag.as_str();
        let (mut outcome, expunges) = match command_table::admit(self.phase(), &command.body) {
            Ok(rule) => {
                let expunges = self.timely(rule.expunges, &command.body);
                (commands::dispatch(self, tag, command.body).await, expunges)
            }
            Err(error) => (Err(error.into()), Expunges::Silent),
        };
        self.memory = None;
        if let State::Selected(account, selected) = &mut self.state
            && expunges != Expunges::Silent
            && !account.attention.ignores_selected()
        {
            selected.tell_updates(account, expunges, &mut self.link).await?;
            outcome = outcome.map(|done| done.after(selected.told()));
        }
        if expunges != Expunges::Silent {
            Box::pin(commands::notify::tell_ready(self)).await?;
        }
        if self.selected_is_gone() {
            self.link.out.untagged(Condition::Bye, None, MAILBOX_GONE);
            self.state = State::Logout;
        }
        if let State::Selected(account, selected) = &self.state
            && expunges != Expunges::Silent
        {
            selected.tell_behind(account, &mut self.link);
        }
        self.answer(tag, outcome)?;
        self.link.relieve().await
    }

    /// Sends a command's tagged response.
    fn answer(&mut self, tag: &str, outcome: Outcome) -> io::Result<()> {
        match outcome {
            Ok(Done { text, .. }) if text.is_empty() => {}
            Ok(Done { code, text }) => {
                self.bad_commands = 0;
                self.link.out.tagged(tag, Condition::Ok, code.as_ref(), &text);
            }
            Err(Trouble::No { code, text }) => {
                self.bad_commands = 0;
                self.link.out.tagged(tag, Condition::No, code.as_ref(), &text);
            }
            Err(Trouble::Bad(text)) => self.bad(Some(tag), None, &text),
            Err(Trouble::Gone(error)) => return Err(error),
        }
        self.note_active();
        Ok(())
    }

    /// RFC 9051 §5.5: if another command waits in the buffer, its sequence numbers must mean what the client believes. So expunges are
    /// held back, unless the present command is one that expunges.
    fn timely(&self, expunges: Expunges, body: &CommandBody) -> Expunges {
        use CommandBody as B;
        let itself = matches!(body, B::Expunge(_) | B::Move(..) | B::Replace(_) | B::Idle);
        match expunges {
            Expunges::Tell if !itself && self.link.has_pipelined() => Expunges::Hold,
            expunges => expunges,
        }
    }

    /// Waits for one bare line: an answer to a challenge.
    pub async fn line(&mut self) -> Result<bytes::Bytes, Trouble> {
        loop {
            match self.link.line() {
                Some(Framed::Command(line)) => return Ok(line),
                Some(_) => return Err(Trouble::bad("The line is too long")),
                None => {
                    self.link.flush().await?;
                    if let Some(end) = self.wait().await? {
                        if let Next::Bye(text) = end {
                            self.link.out.untagged(Condition::Bye, None, text);
                            self.link.flush().await?;
                        }
                        return Err(io::Error::from(io::ErrorKind::ConnectionAborted).into());
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<F: Future>(_: impl FnOnce(Connection, Arc<Room>) -> F) -> usize {
        size_of::<F>()
    }

    /// Thousands of connections idle at the same time: each one's task is small.
    #[test]
    fn a_connection_is_small() {
        let size = size_of_future(run);
        assert!(size <= 2144, "{size}");
    }
}
