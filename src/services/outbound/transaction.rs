//! One message over one session: MAIL, RCPT, DATA.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;

use super::attempt::{Form, NextDsn, Outcome, Scope, Trouble, brief};
use super::content::Content;
use super::dialogue::Broken;
use super::needs::{Manner, Needs, Transfer, no_utf8};
use super::opening::{Mode, Session};
use super::{Group, Timeouts};
use crate::foundations::address::ForwardPath;
use crate::foundations::mail::{Envelope, Message, Recipient};
use crate::foundations::wire::smtp::{Class, Command, DotStuffer, EnhancedStatus, Extensions, RcptParameters, Reply};
use crate::services::filter::Filter;

/// Most RCPT commands sent before their replies are read, so that both ends' buffers have room (RFC 2920 §3.1).
const PIPELINED: usize = 50;
/// How long to look for a reply on a connection that takes nothing more. What has come is there, but may not have been noticed.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What one transaction has settled.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Results by place in the group's list.
    pub(super) outcomes: Vec<(usize, Outcome)>,
    /// Recipients that another transaction must serve: the host takes no more in this one (RFC 5321 §4.5.3.1.10).
    pub(super) postponed: Vec<usize>,
    /// The session is over, and why; recipients without an outcome may be served by another host.
    pub(super) over: Option<Trouble>,
}

impl Settled {
    /// Gives the recipients at these places the same trouble.
    fn refuse(&mut self, places: &[usize], trouble: &Trouble) {
        self.outcomes.extend(places.iter().map(|place| (*place, Outcome::Trouble(trouble.clone()))));
    }
}

/// Whether recipients of the group are left for another transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    None,
    Wait,
}

/// What one transaction is about.
struct Job<'a, 'g> {
    group: &'a Group<'g>,
    places: &'a [usize],
    others: Others,
    manner: &'a Manner,
    times: &'a Timeouts,
}

impl Session {
    /// Clears the session for another message. Fails when the host has closed it meanwhile.
    pub(super) async fn reset(&mut self, times: &Timeouts) -> Result<(), Trouble> {
        let broken = |broken: Broken| broken.trouble("RSET");
        if let Some(early) = self.dialogue.early_reply().map_err(broken)? {
            return Err(about_session(&early));
        }
        match self.dialogue.ask(b"RSET\r\n", times.hello.duration()).await.map_err(broken)? {
            reply if reply.is_success() => Ok(()),
            reply => Err(about_session(&reply)),
        }
    }

    /// Sends the group's message to the recipients at these places.
    pub(super) async fn transact(
        &mut self,
        group: &Group<'_>,
        places: &[usize],
        others: Others,
        times: &Timeouts,
    ) -> Settled {
        let mut settled = Settled::default();
        // One international address is no reason to send nobody else the message.
        let refused = |place: &&usize| !self.extensions.smtputf8 && group.recipients[**place].address.needs_smtputf8();
        settled.outcomes.extend(places.iter().filter(refused).map(|place| (*place, Outcome::Trouble(no_utf8()))));
        let places: Vec<usize> = places.iter().filter(|place| !refused(place)).copied().collect();
        if places.is_empty() {
            return settled;
        }
        let chosen: Vec<Recipient> = places.iter().map(|place| group.recipients[*place].clone()).collect();
        let Some(message) = group.message.message() else {
            // Only a message that has been sent to everybody is let go.
            let text = "The message is no longer in memory";
            let gone = Trouble::ours(EnhancedStatus::new(4, 3, 0), text, Scope::Message);
            settled.refuse(&places, &gone);
            return settled;
        };
        let needs = Needs::of(group.envelope, &chosen, &message);
        let (content, manner) =
            match prepare(&needs, group.envelope, message, &self.extensions, self.filter.clone()).await {
                Ok(prepared) => prepared,
                Err(trouble) => {
                    settled.refuse(&places, &trouble);
                    return settled;
                }
            };
        self.transactions += 1;
        let job = Job { group, places: &places, others, manner: &manner, times };
        if let Err(trouble) = self.run(&job, content, &mut settled).await {
            settled.over = Some(trouble);
        }
        settled
    }

    async fn run(&mut self, job: &Job<'_, '_>, content: Content, settled: &mut Settled) -> Result<(), Trouble> {
        let &Job { group, others, manner, times, .. } = job;
        let accepted = self.envelope(job, settled).await?;
        if accepted.is_empty() {
            return Ok(());
        }
        if manner.transfer == Transfer::Data {
            let reply = self.dialogue.ask(b"DATA\r\n", times.data.duration()).await;
            let reply = reply.map_err(|broken| broken.trouble("DATA"))?;
            if reply.code() != 354 {
                let trouble = no(&reply);
                if trouble.scope == Scope::Destination {
                    return Err(trouble);
                }
                settled.refuse(&accepted, &trouble);
                return Ok(());
            }
        }
        let keep = if settled.postponed.is_empty() { others } else { Others::Wait };
        let form = content.form();
        let sent = self.content(job, content, &accepted).await;
        match sent.map_err(|broken| broken.trouble("the transmission of the message"))? {
            Sent::Whole => {
                if keep == Others::None {
                    group.message.let_go();
                }
                self.end(&accepted, form, times, settled).await
            }
            Sent::Answered(early) => {
                let trouble = no(&early);
                if trouble.scope != Scope::Destination {
                    settled.refuse(&accepted, &trouble);
                }
                // Half a message is under way: there is no going on.
                Err(trouble)
            }
            Sent::Withheld(trouble) => {
                settled.refuse(&accepted, &trouble);
                Err(trouble)
            }
        }
    }

    /// MAIL and RCPT; the places of the recipients that the host has accepted.
    async fn envelope(&mut self, job: &Job<'_, '_>, settled: &mut Settled) -> Result<Vec<usize>, Trouble> {
        let &Job { group, places, manner, times, .. } = job;
        let broken = |broken: Broken| broken.trouble("the envelope");
        let path = group.envelope.reverse_path.clone();
        let international = manner.parameters.smtputf8;
        let mail = Command::Mail { path, international, parameters: manner.parameters.clone() };
        let mut out = BytesMut::new();
        mail.encode(&mut out);
        let window = if self.extensions.pipelining { PIPELINED } else { 1 };
        if let Some(early) = self.dialogue.early_reply().map_err(broken)? {
            return Err(about_session(&early));
        }
        let mut mail_reply = None;
        if !self.extensions.pipelining {
            mail_reply = Some(self.dialogue.ask(&out.split(), times.mail.duration()).await.map_err(broken)?);
        }
        let mut accepted = Vec::with_capacity(places.len());
        let mut hung_up = false;
        for chunk in places.chunks(window) {
            if mail_reply.as_ref().is_some_and(|reply: &Reply| !reply.is_success()) {
                break;
            }
            for place in chunk {
                self.recipient(&group.recipients[*place]).encode(&mut out);
            }
            self.dialogue.send(&out.split(), times.recipient.duration()).await.map_err(broken)?;
            if mail_reply.is_none() {
                mail_reply = Some(self.dialogue.reply(times.mail.duration()).await.map_err(broken)?);
            }
            let refused = mail_reply.as_ref().is_some_and(|reply| !reply.is_success());
            for place in chunk {
                match self.dialogue.reply(times.recipient.duration()).await {
                    // After a refused MAIL the replies to RCPT say nothing new (RFC 2920 §3.1).
                    Ok(_) if refused => {}
                    Ok(reply) => judge(*place, &reply, &mut accepted, settled)?,
                    // Some close the connection in place of them: what they have said to MAIL stands.
                    Err(_) if refused => {
                        hung_up = true;
                        break;
                    }
                    Err(why) => return Err(broken(why)),
                }
            }
        }
        match mail_reply {
            Some(reply) if !reply.is_success() => {
                let trouble = no(&reply);
                if trouble.scope == Scope::Destination {
                    return Err(trouble);
                }
                settled.refuse(places, &trouble);
                if hung_up { Err(trouble) } else { Ok(Vec::new()) }
            }
            _ => Ok(accepted),
        }
    }

    fn recipient(&self, recipient: &Recipient) -> Command {
        // RFC 3461 §5.2.1: what the sender did not say is not said for it.
        let (notify, original) = if self.extensions.dsn {
            (Some(recipient.notify).filter(|notify| notify.explicit), recipient.original.clone())
        } else {
            (None, None)
        };
        Command::Rcpt {
            path: ForwardPath::Address(recipient.address.clone()),
            international: recipient.address.needs_smtputf8(),
            parameters: RcptParameters { notify, original },
        }
    }

    /// The message and its end.
    async fn content(&mut self, job: &Job<'_, '_>, content: Content, accepted: &[usize]) -> Result<Sent, Broken> {
        let &Job { group, manner, times, .. } = job;
        let limit = times.block.duration();
        let mut out = BytesMut::new();
        let mut stuffer = DotStuffer::new();
        let mut left = content.len();
        if manner.transfer == Transfer::Bdat {
            Command::Bdat { size: left as u64, last: true }.encode(&mut out);
        }
        for block in content.blocks() {
            left -= block.len();
            match manner.transfer {
                Transfer::Data => stuffer.write(&block, &mut out),
                Transfer::Bdat => out.extend_from_slice(&block),
            }
            // The last block goes with the end.
            if left > 0 {
                if let Some(early) = self.go_on(&out, limit).await? {
                    return Ok(Sent::Answered(early));
                }
                out.clear();
            }
        }
        if manner.transfer == Transfer::Data {
            stuffer.finish(&mut out);
        }
        if let Err(trouble) = (group.before_end)(accepted.to_vec()).await {
            return Ok(Sent::Withheld(trouble));
        }
        Ok(self.go_on(&out, limit).await?.map_or(Sent::Whole, Sent::Answered))
    }

    /// Writes a piece of the message, unless a reply has come.
    async fn go_on(&mut self, piece: &[u8], limit: Duration) -> Result<Option<Reply>, Broken> {
        if let Some(early) = self.dialogue.early_reply()? {
            return Ok(Some(early));
        }
        match self.dialogue.send(piece, limit).await {
            Ok(()) => Ok(None),
            // A host that wants no more of it may have said why before it closed the connection.
            Err(broken) => match self.dialogue.reply(LAST_WORDS).await {
                Ok(reply) => Ok(Some(reply)),
                Err(_) => Err(broken),
            },
        }
    }

    /// The reply to the end of the message, or one for each recipient (RFC 2033 §4.2).
    async fn end(
        &mut self,
        accepted: &[usize],
        form: Form,
        times: &Timeouts,
        settled: &mut Settled,
    ) -> Result<(), Trouble> {
        let limit = times.end.duration();
        let dsn = if self.extensions.dsn { NextDsn::PassedOn } else { NextDsn::EndsHere };
        let mut shared: Option<Reply> = None;
        for (n, place) in accepted.iter().enumerate() {
            let reply = match shared.clone().filter(|_| self.mode == Mode::Smtp) {
                Some(reply) => reply,
                None => match self.dialogue.reply(limit).await {
                    Ok(reply) => reply,
                    Err(broken) => {
                        // It may have arrived (RFC 1047): another host must not get it too, the next attempt may.
                        let trouble = broken.trouble("the wait for the reply to the message");
                        settled.refuse(&accepted[n..], &trouble);
                        return Err(trouble);
                    }
                },
            };
            let outcome = if reply.is_success() {
                Outcome::Relayed { reply: brief(reply.to_string()), dsn, form: form.clone() }
            } else {
                Outcome::Trouble(Trouble { scope: Scope::Message, ..no(&reply) })
            };
            settled.outcomes.push((*place, outcome));
            shared = Some(reply);
        }
        match shared {
            // RFC 5321 §3.8: the host is about to close the connection.
            Some(reply) if reply.code() == 421 => Err(Trouble::of(&reply)),
            // It waits for something that does not exist.
            Some(reply) if reply.class() == Class::Intermediate => Err(no(&reply)),
            _ => Ok(()),
        }
    }
}

/// How far a message was sent.
enum Sent {
    /// To its end.
    Whole,
    /// Until the host said something, which it should do after the end only.
    Answered(Reply),
    /// All but its end, because of this trouble.
    Withheld(Trouble),
}

/// The message in the form that the host takes, and how it is transmitted.
async fn prepare(
    needs: &Needs,
    envelope: &Envelope,
    message: Message,
    offered: &Extensions,
    filter: Option<Arc<Filter>>,
) -> Result<(Content, Manner), Trouble> {
    let mut manner = needs.manner(envelope, offered)?;
    let content = Content::of(message, &mut manner, offered, filter).await?;
    Ok((content, manner))
}

/// Sorts a recipient by the reply to its RCPT.
fn judge(place: usize, reply: &Reply, accepted: &mut Vec<usize>, settled: &mut Settled) -> Result<(), Trouble> {
    if reply.is_success() {
        accepted.push(place);
        return Ok(());
    }
    let trouble = no(reply);
    if trouble.scope == Scope::Destination {
        return Err(trouble);
    }
    // RFC 5321 §4.5.3.1.10: too many recipients; what the old 552 means here too.
    let too_many = EnhancedStatus::new(reply.code() / 100, 5, 3);
    let full = reply.status() == Some(too_many) || (reply.status().is_none() && matches!(reply.code(), 452 | 552));
    if full && !accepted.is_empty() {
        settled.postponed.push(place);
    } else {
        settled.outcomes.push((place, Outcome::Trouble(trouble)));
    }
    Ok(())
}

/// What a reply means that answers nothing about a message.
fn about_session(reply: &Reply) -> Trouble {
    match reply.class() {
        Class::Permanent => Trouble::of_host(reply),
        _ => Trouble { scope: Scope::Destination, ..no(reply) },
    }
}

/// What a reply that is no success means. One that makes no sense here (a 3xx) is taken for a passing fault.
fn no(reply: &Reply) -> Trouble {
    if reply.class() == Class::Intermediate || reply.is_success() {
        let text = format!("The next host answered out of turn: {reply}");
        return Trouble::ours(EnhancedStatus::new(4, 5, 0), text, Scope::Destination);
    }
    Trouble::of(reply)
}
