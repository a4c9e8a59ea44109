//! One file per command, or per family of commands that share their work.

mod append;
mod authenticate;
mod compress;
mod copy;
mod enable;
mod expunge;
mod fetch;
mod folders;
mod idle;
mod list;
mod matching;
mod metadata;
pub(super) mod notify;
mod quota;
mod search;
mod section;
mod select;
mod status;
mod store;

pub(super) use fetch::{tell_new, tell_some};

use super::outcome::{Done, Outcome, Trouble};
use super::serve::Conversation;
use super::state::State;
use crate::foundations::wire::imap::CommandBody;
use crate::foundations::wire::imap::encode::Condition;
use crate::storage::mailbox::{self, FolderName, News};
pub use authenticate::enter;

/// Performs an admitted command.
///
/// Futures of commands that wait for the store or the client are on the heap: while a connection idles it pays for
/// IDLE only.
pub(super) async fn dispatch(talk: &mut Conversation, tag: &str, body: CommandBody) -> Outcome {
    use CommandBody as B;
    match body {
        B::Capability => {
            let list = talk.capabilities();
            talk.link.out.raw("* CAPABILITY ").raw(list).line_end();
            Ok(Done::new("That is all"))
        }
        B::Noop => Ok(Done::new("Nothing done")),
        B::Check => Ok(Done::new("Everything is on disk already")),
        B::Id(_) => {
            talk.link.out.id(&[("name", "Postrider"), ("vendor", "Postrider")]);
            Ok(Done::new("Pleased to meet you"))
        }
        B::Logout => {
            talk.link.out.untagged(Condition::Bye, None, "Goodbye");
            talk.state = State::Logout;
            Ok(Done::new("Logged out"))
        }
        B::StartTls => Box::pin(authenticate::start_tls(talk, tag)).await,
        B::Login { username, password } => Box::pin(authenticate::login(talk, tag, &username, &password)).await,
        B::Authenticate { mechanism, initial } => {
            Box::pin(authenticate::authenticate(talk, tag, &mechanism, initial.as_ref())).await
        }
        body => authenticated(talk, tag, body).await,
    }
}

async fn authenticated(talk: &mut Conversation, tag: &str, body: CommandBody) -> Outcome {
    use CommandBody as B;
    match body {
        B::Append(append) => Box::pin(append::run(talk, *append)).await,
        B::Compress(mechanism) => Box::pin(compress::run(talk, tag, &mechanism)).await,
        B::Create(name, uses) => Box::pin(folders::create(talk, &name, &uses)).await,
        B::Delete(name) => Box::pin(folders::delete(talk, &name)).await,
        B::Enable(names) => enable::run(talk, &names),
        B::Examine(select) => Box::pin(select::run(talk, select, mailbox::Access::ReadOnly)).await,
        B::GetMetadata(get) => Box::pin(metadata::get(talk, *get)).await,
        B::GetQuota(root) => Box::pin(quota::get(talk, &root)).await,
        B::GetQuotaRoot(name) => Box::pin(quota::root(talk, &name)).await,
        B::Idle => Box::pin(idle::run(talk)).await,
        B::List(list) => Box::pin(list::run(talk, &list)).await,
        B::Lsub(reference, pattern) => Box::pin(list::lsub(talk, &reference, &pattern)).await,
        B::Namespace => {
            // RFC 2342 §5: one personal name space, nothing shared.
            talk.link.out.raw("* NAMESPACE ((\"\" \"/\")) NIL NIL").line_end();
            Ok(Done::new("One name space"))
        }
        B::Notify(notify) => Box::pin(notify::run(talk, *notify)).await,
        B::Rename(from, to) => Box::pin(folders::rename(talk, &from, &to)).await,
        B::Select(select) => Box::pin(select::run(talk, select, mailbox::Access::ReadWrite)).await,
        B::SetMetadata(set) => Box::pin(metadata::set(talk, *set)).await,
        B::SetQuota(..) => Err(Trouble::coded("NOPERM", "Quotas are set by the administrator")),
        B::Status(name, items) => Box::pin(status::run(talk, &name, &items)).await,
        B::Subscribe(name) => Box::pin(folders::subscribe(talk, &name, mailbox::Subscription::On)).await,
        B::Unauthenticate => Ok(authenticate::unauthenticate(talk)),
        B::Unsubscribe(name) => Box::pin(folders::subscribe(talk, &name, mailbox::Subscription::Off)).await,
        body => selected(talk, tag, body).await,
    }
}

async fn selected(talk: &mut Conversation, tag: &str, body: CommandBody) -> Outcome {
    use CommandBody as B;
    match body {
        B::CancelUpdate(tags) => search::cancel(talk, &tags),
        B::Close => Box::pin(expunge::close(talk)).await,
        B::Copy(messages, to) => Box::pin(copy::copy(talk, &messages, &to)).await,
        B::Expunge(uids) => Box::pin(expunge::run(talk, uids)).await,
        B::Fetch(fetch) => Box::pin(fetch::run(talk, *fetch)).await,
        B::Move(messages, to) => Box::pin(copy::move_to(talk, &messages, &to)).await,
        B::Replace(replace) => Box::pin(append::replace(talk, *replace)).await,
        B::Search(search) => Box::pin(search::run(talk, tag, *search)).await,
        B::Sort(sort) => Box::pin(search::sort::run(talk, tag, *sort)).await,
        B::Thread(thread) => Box::pin(search::thread::run(talk, *thread)).await,
        B::Store(store) => Box::pin(store::run(talk, *store)).await,
        B::Unselect => {
            talk.unselect();
            Ok(Done::new("Nothing is selected"))
        }
        // Every other command has been matched before.
        _ => Err(Trouble::bad("Unknown command")),
    }
}

/// Turns an error of the store into an answer, and logs what the client may not read.
pub(super) fn trouble(talk: &Conversation, error: &mailbox::Error) -> Trouble {
    trouble_with(talk, error, "The server could not do that now; try again later")
}

/// As [`trouble`], with this text where the client is not to be told why.
fn trouble_with(talk: &Conversation, error: &mailbox::Error, text: &str) -> Trouble {
    use crate::foundations::failure::Kind;
    let kind = error.kind();
    let text = match kind {
        Kind::Temporary | Kind::NoSpace | Kind::Corrupt => {
            log::error!(session:% = talk.session, error:% = error; "The mailbox store failed");
            text.to_owned()
        }
        Kind::OverQuota => "That would exceed your quota".to_owned(),
        _ => capitalized(&error.to_string()),
    };
    Trouble::coded(super::outcome::code(kind), text)
}

/// As [`trouble`], with TRYCREATE where the target folder is missing (RFC 9051 §6.3.12, §6.4.7); the other one may be, too.
pub(super) fn trouble_into(talk: &Conversation, to: &FolderName, error: &mailbox::Error) -> Trouble {
    match error {
        mailbox::Error::NoFolder(missing) if missing == to => Trouble::coded("TRYCREATE", "There is no such mailbox"),
        error => trouble(talk, error),
    }
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + letters.as_str())
}

impl Conversation {
    /// Leaves the selected mailbox.
    pub(super) fn unselect(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Logout) {
            State::Selected(account, _) => State::Authenticated(account),
            state => state,
        };
    }

    /// RFC 5465 §5: what the session does itself it need not be told.
    fn note_own(&mut self, news: impl FnOnce() -> News) {
        if let Some(account) = self.state.account_mut() {
            account.attention.note_own(news);
        }
    }

    /// Whether this folder is selected.
    pub(super) fn has_selected(&self, folder: &FolderName) -> bool {
        matches!(&self.state, State::Selected(_, selected) if selected.view.folder() == folder)
    }
}
