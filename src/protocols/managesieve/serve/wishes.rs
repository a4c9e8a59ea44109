//! What clients want done with their scripts.

use super::Driver;
use crate::foundations::address::Address;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::processor;
use crate::foundations::wire::managesieve::Reply;
use crate::protocols::managesieve::answers;
use crate::protocols::managesieve::session::Wish;
use crate::services::sieve::{Compiled, Mistake, compile};
use crate::storage::scripts::{self, ScriptName};

/// Lines, and the response behind them.
type Fulfilled = Result<(Vec<u8>, Reply), scripts::Error>;

impl Driver<'_> {
    /// Does what the client wants done with its scripts: the lines and the response that tell of it.
    pub(super) async fn fulfil(&self, wish: Wish) -> (Vec<u8>, Reply) {
        match self.try_to(wish).await {
            Ok(answer) => answer,
            Err(error) => {
                if matches!(error, scripts::Error::File(_) | scripts::Error::BadUser(_)) {
                    log::warn!(session:% = self.id; "managesieve: scripts cannot be used: {error}");
                }
                (Vec::new(), answers::refused(&error))
            }
        }
    }

    async fn try_to(&self, wish: Wish) -> Fulfilled {
        let Some(account) = &self.account else { return Err(scripts::Error::Closing) };
        let store = &self.room.needs.scripts;
        match wish {
            Wish::Check(source) => match self.compile(source).await? {
                (_, Ok(compiled)) => alone(answers::fine("The script has no errors", &compiled.warnings)),
                (_, Err(mistakes)) => alone(Reply::no(answers::lines(&mistakes))),
            },
            Wish::Put(name, source) => self.put(account, name, source).await,
            Wish::SetActive(name) => self.set_active(account, name).await,
            Wish::List => {
                let list = store.job(account, scripts::Home::list).await?;
                Ok((answers::list(&list), Reply::ok("")))
            }
            Wish::Get(name) => {
                let source = store.job(account, move |home| home.read(&name)).await?;
                // RFC 5804 §2.9: a string; a literal for every script, so that clients read one form.
                let mut out = format!("{{{}}}\r\n", source.len()).into_bytes();
                out.extend_from_slice(&source);
                out.extend_from_slice(b"\r\n");
                Ok((out, Reply::ok("")))
            }
            Wish::HaveSpace(name, size) => {
                store.job(account, move |home| home.has_space(&name, u64::from(size))).await?;
                alone(Reply::ok("There is room"))
            }
            Wish::Delete(name) => {
                let gone = name.clone();
                store.job(account, move |home| home.delete(&gone)).await?;
                self.changed("deleted", Some(&name), |event| event);
                alone(Reply::ok("The script is gone"))
            }
            Wish::Rename(from, to) => {
                let (old, new) = (from.clone(), to.clone());
                store.job(account, move |home| home.rename(&old, &new)).await?;
                self.changed("renamed", Some(&to), |event| event.with("from", from.as_str()));
                alone(Reply::ok("The script has its new name"))
            }
        }
    }

    async fn put(&self, account: &Address, name: ScriptName, source: Vec<u8>) -> Fulfilled {
        // RFC 5804 §2.6: the code for a quota, even where the size is a mistake, too.
        let (wanted, size) = (name.clone(), source.len() as u64);
        self.room.needs.scripts.job(account, move |home| home.has_space(&wanted, size)).await?;
        let (source, compiled) = self.compile(source).await?;
        let compiled = match compiled {
            Ok(compiled) => compiled,
            Err(mistakes) => return alone(Reply::no(answers::lines(&mistakes))),
        };
        let put = name.clone();
        self.room.needs.scripts.job(account, move |home| home.put(&put, &source)).await?;
        self.changed("stored", Some(&name), |event| event.with("size", size));
        alone(answers::fine("The script is stored", &compiled.warnings))
    }

    async fn set_active(&self, account: &Address, name: Option<ScriptName>) -> Fulfilled {
        let store = &self.room.needs.scripts;
        let Some(name) = name else {
            store.job(account, |home| home.activate(None)).await?;
            self.changed("deactivated", None, |event| event);
            return alone(Reply::ok("No script is active"));
        };
        let wanted = name.clone();
        let source = store.job(account, move |home| home.read(&wanted)).await?;
        // It may have been put there by another program.
        if let (_, Err(mistakes)) = self.compile(source).await? {
            return alone(Reply::no(answers::lines(&mistakes)));
        }
        let wanted = name.clone();
        store.job(account, move |home| home.activate(Some(&wanted))).await?;
        self.changed("activated", Some(&name), |event| event);
        alone(Reply::ok("The script is active"))
    }

    /// Compiles a script on a thread that may take its time.
    async fn compile(&self, source: Vec<u8>) -> Result<(Vec<u8>, Result<Compiled, Vec<Mistake>>), scripts::Error> {
        let settings = self.room.needs.sieve.get();
        let compiled = processor::in_turn(move || {
            let compiled = compile(&source, &settings);
            (source, compiled)
        });
        compiled.await.map_err(|_| scripts::Error::Closing)
    }

    fn changed(&self, what: &'static str, name: Option<&ScriptName>, more: impl FnOnce(Event) -> Event) {
        let account = self.account.as_ref().map(ToString::to_string).unwrap_or_default();
        let event = Event::new(self.room.needs.clock.now(), EventKind::ScriptChanged).session(self.id);
        let event = event.subject(account).with("what", what);
        let event = event.with_known("script", name.map(ScriptName::as_str));
        self.room.needs.journal.record(more(event));
    }
}

/// A response without lines before it.
fn alone(reply: Reply) -> Fulfilled {
    Ok((Vec::new(), reply))
}
