//! IDLE (RFC 2177, RFC 9051 §6.3.13).

use std::io;

use tokio::time::Instant;

use super::notify;
use crate::foundations::wire::imap::Framed;
use crate::foundations::wire::imap::encode::Condition;
use crate::protocols::imap::attention::{Attention, Wakeup};
use crate::protocols::imap::command_table::Expunges;
use crate::protocols::imap::outcome::{Done, Outcome, Trouble};
use crate::protocols::imap::serve::Conversation;
use crate::protocols::imap::state::State;

/// What ended a wait.
enum Woken {
    /// The client sent something; nothing means that it is gone.
    Read(io::Result<usize>),
    /// The mailbox has changed.
    Changed,
    /// Something has happened that the client asked for by NOTIFY.
    Wakeup(Wakeup),
    /// It is time to show that the connection lives.
    KeepAlive,
    /// The client has been silent for too long.
    TimedOut,
    /// The server stops.
    Stopping,
}

/// Tells changes as they happen until the client says DONE.
pub async fn run(talk: &mut Conversation) -> Outcome {
    talk.link.out.continuation("Idling");
    // Sent by itself: Thunderbird was once seen to read this line and ignore what arrived together with it.
    talk.link.flush().await?;
    let until = Instant::now() + talk.settings.idle_timeout.duration();
    loop {
        if let Some(line) = talk.link.line() {
            return match line {
                Framed::Command(line) if line.eq_ignore_ascii_case(b"DONE") => Ok(Done::new("Idled")),
                _ => Err(Trouble::bad("DONE was expected")),
            };
        }
        if let State::Selected(account, selected) = &mut talk.state
            && !account.attention.ignores_selected()
        {
            selected.tell_between(account, Expunges::Tell, &mut talk.link).await?;
            if selected.is_gone() {
                return Ok(Done::new("The mailbox is gone"));
            }
        }
        talk.link.flush().await?;
        talk.link.release();
        match wait(talk, until).await {
            Woken::Changed | Woken::Wakeup(Wakeup::Selected) => {}
            Woken::Wakeup(wakeup) => Box::pin(notify::tell(talk, wakeup)).await?,
            // The other node has stopped, or the client has closed its side: the farewell goes by way of that node.
            Woken::Read(Ok(0)) if talk.handed.is_some() => return Ok(say_bye(talk, "The connection has ended")),
            Woken::Read(Ok(0)) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Woken::Read(Ok(_)) => {}
            Woken::Read(Err(error)) => return Err(error.into()),
            Woken::KeepAlive => _ = talk.link.out.untagged(Condition::Ok, None, "Still here"),
            Woken::TimedOut => return Ok(say_bye(talk, "You have been idle for too long")),
            Woken::Stopping => {
                let farewell = talk.farewell();
                return Ok(say_bye(talk, farewell));
            }
        }
    }
}

fn say_bye(talk: &mut Conversation, text: &str) -> Done {
    talk.link.out.untagged(Condition::Bye, None, text);
    talk.state = State::Logout;
    Done::new("Idled")
}

async fn wait(talk: &mut Conversation, until: Instant) -> Woken {
    let keep_alive = Instant::now() + talk.settings.keep_alive.duration();
    let state = &mut talk.state;
    let changed = async {
        match state {
            State::Selected(account, selected) => match &mut account.attention {
                Attention::Usual => {
                    selected.view.changed().await;
                    Woken::Changed
                }
                // RFC 5465 §4: in IDLE too, what was asked for and nothing else.
                attention => Woken::Wakeup(attention.wake(Some(selected)).await),
            },
            State::Authenticated(account) => Woken::Wakeup(account.attention.wake(None).await),
            _ => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = talk.stop.cancelled() => Woken::Stopping,
        read = talk.link.read() => Woken::Read(read),
        woken = changed => woken,
        () = tokio::time::sleep_until(until.min(keep_alive)) => {
            if until <= keep_alive { Woken::TimedOut } else { Woken::KeepAlive }
        }
    }
}
