//! The store against a simple model of a mailbox: random commands, other programs' changes, crashes in between.
//!
//! Every message has a text of its own. After each step the folder must hold what the model holds, no UID may ever
//! stand for two texts, and a client that asks what has changed since its last visit must arrive at the true state.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::foundations::mail::ModSeq;

#[derive(Debug, Clone)]
enum Step {
    Append(Flags),
    Store(usize, FlagOperation, Flags),
    Keyword(usize, u8),
    Remove(usize),
    ExpungeDeleted,
    Copy(usize),
    Move(usize),
    ForeignAdd(Place, Flags),
    ForeignFlags(usize, Flags),
    ForeignRemove(usize),
    ForeignCopy(usize),
    /// The process is killed; afterwards these caches are missing.
    Crash(Lost),
    /// The process is killed after a message got its name and before anybody was told.
    CrashUnacknowledged,
    Restart,
    OpenSession,
    CloseSession,
    Hold,
    Tell,
    ClientAsks,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    New,
    Cur,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Lost {
    Nothing,
    Index,
    IndexTail,
    Everything,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let flags = prop::sample::select(vec![
        Flags::NONE,
        Flags::SEEN,
        Flags::DELETED,
        Flags::SEEN | Flags::FLAGGED,
        Flags::DRAFT | Flags::ANSWERED | Flags::FORWARDED,
    ]);
    let operation = prop::sample::select(vec![FlagOperation::Add, FlagOperation::Remove, FlagOperation::Replace]);
    let place = prop::sample::select(vec![Place::New, Place::Cur]);
    let lost = prop::sample::select(vec![Lost::Nothing, Lost::Index, Lost::IndexTail, Lost::Everything]);
    let which = 0usize..64;
    let step = prop_oneof![
        6 => flags.clone().prop_map(Step::Append),
        4 => (which.clone(), operation, flags.clone()).prop_map(|(at, operation, flags)| Step::Store(at, operation, flags)),
        1 => (which.clone(), 0u8..3).prop_map(|(at, keyword)| Step::Keyword(at, keyword)),
        3 => which.clone().prop_map(Step::Remove),
        1 => Just(Step::ExpungeDeleted),
        1 => which.clone().prop_map(Step::Copy),
        2 => which.clone().prop_map(Step::Move),
        2 => (place, flags.clone()).prop_map(|(place, flags)| Step::ForeignAdd(place, flags)),
        2 => (which.clone(), flags).prop_map(|(at, flags)| Step::ForeignFlags(at, flags)),
        1 => which.clone().prop_map(Step::ForeignRemove),
        1 => which.prop_map(Step::ForeignCopy),
        3 => lost.prop_map(Step::Crash),
        1 => Just(Step::CrashUnacknowledged),
        2 => Just(Step::Restart),
        2 => Just(Step::OpenSession),
        1 => Just(Step::CloseSession),
        2 => Just(Step::Hold),
        2 => Just(Step::Tell),
        3 => Just(Step::ClientAsks),
    ];
    prop::collection::vec(step, 1..40)
}

#[derive(Debug, Clone, PartialEq)]
struct Mail {
    text: String,
    flags: Flags,
    keywords: Vec<String>,
}

/// What a client remembers of its last visit.
#[derive(Default)]
struct Client {
    mod_seq: u64,
    messages: BTreeMap<u32, (Flags, Vec<String>)>,
}

struct World {
    store: Option<Store>,
    /// A session and the messages its client counts.
    session: Option<(View, Vec<u32>)>,
    client: Client,
    /// What the folder must hold.
    model: BTreeMap<u32, Mail>,
    /// What every UID has ever stood for.
    ever: BTreeMap<u32, String>,
    validity: u32,
    highest: u64,
    texts: u32,
}

impl World {
    async fn new() -> Self {
        let store = Store::new().await;
        store.user.folders().await.unwrap();
        let view = store.view("INBOX").await;
        let (validity, highest) = (view.uid_validity().get(), view.highest_mod_seq().get());
        drop(view);
        Self {
            store: Some(store),
            session: None,
            client: Client { mod_seq: highest, ..Client::default() },
            model: BTreeMap::new(),
            ever: BTreeMap::new(),
            validity,
            highest,
            texts: 0,
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn text(&mut self) -> String {
        self.texts += 1;
        format!("Subject: {}\r\n\r\nbody\r\n", self.texts)
    }

    fn pick(&self, at: usize) -> Option<u32> {
        self.model.keys().nth(at.checked_rem(self.model.len())?).copied()
    }

    /// A message is there now. Its UID must never have been used before.
    fn add(&mut self, uid: u32, mail: Mail) {
        assert!(self.ever.keys().next_back().is_none_or(|last| uid > *last), "UID {uid} is not above all others");
        self.ever.insert(uid, mail.text.clone());
        self.model.insert(uid, mail);
    }

    fn file(&self, uid: u32) -> PathBuf {
        let path = self.store().path();
        let mark = format!(",U={uid},");
        let find = || files(&path).into_iter().find(|file| file.contains(&mark));
        path.join(find().expect("every message has a file"))
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Append(flags) => {
                let text = self.text();
                let uid = self.store().append_flagged("INBOX", &text, *flags, &[]).await;
                self.add(uid, Mail { text, flags: *flags, keywords: Vec::new() });
            }
            Step::Store(at, operation, flags) => self.store_flags(*at, *operation, *flags).await,
            Step::Keyword(at, keyword) => self.store_keyword(*at, *keyword).await,
            Step::Remove(at) => {
                let Some(number) = self.pick(*at) else { return };
                let view = self.store().view("INBOX").await;
                assert_eq!(view.remove(&[uid(number)]).await.unwrap(), [uid(number)]);
                self.model.remove(&number);
            }
            Step::ExpungeDeleted => {
                let gone = self.store().view("INBOX").await.expunge(None).await.unwrap();
                let deleted = self.model.iter().filter(|(_, mail)| mail.flags.contains(Flags::DELETED));
                assert!(deleted.map(|(number, _)| *number).eq(gone.iter().map(|uid| uid.get())));
                self.model.retain(|_, mail| !mail.flags.contains(Flags::DELETED));
            }
            Step::Copy(at) => {
                let Some(number) = self.pick(*at) else { return };
                let view = self.store().view("INBOX").await;
                let copied = view.copy(&[uid(number)], &FolderName::inbox(), Missing::Fail, None).await.unwrap();
                let mail = self.model[&number].clone();
                self.add(copied.uids[0].1.get(), mail);
            }
            Step::Move(at) => {
                let Some(number) = self.pick(*at) else { return };
                let view = self.store().view("INBOX").await;
                let moved = view.move_to(&[uid(number)], &name("Archive"), Missing::Fail).await.unwrap();
                let mail = self.model.remove(&number).unwrap();
                let archive = self.store().view("Archive").await;
                assert_eq!(whole(&archive, moved.uids[0].1.get()).await, mail.text.as_bytes());
            }
            Step::ForeignAdd(..) | Step::ForeignFlags(..) | Step::ForeignRemove(_) | Step::ForeignCopy(_) => {
                self.foreign(step).await;
            }
            Step::Crash(_) | Step::CrashUnacknowledged | Step::Restart => self.end(step).await,
            Step::OpenSession => {
                let view = self.store().view("INBOX").await;
                let known = uids(&view);
                self.session = Some((view, known));
            }
            Step::CloseSession => self.session = None,
            Step::Hold => self.sync(Expunges::Hold),
            Step::Tell => self.sync(Expunges::Tell),
            Step::ClientAsks => self.client_asks().await,
        }
    }

    async fn store_flags(&mut self, at: usize, operation: FlagOperation, flags: Flags) {
        let Some(number) = self.pick(at) else { return };
        let view = self.store().view("INBOX").await;
        let stored = view.store_flags(&[uid(number)], &change(operation, flags)).await.unwrap();
        let mail = self.model.get_mut(&number).unwrap();
        let before = mail.clone();
        match operation {
            FlagOperation::Add => mail.flags |= flags,
            FlagOperation::Remove => mail.flags = mail.flags & !flags,
            FlagOperation::Replace => (mail.flags, mail.keywords) = (flags, Vec::new()),
        }
        assert_eq!(stored.changed.is_empty(), before == *mail);
        assert!(stored.changed.iter().all(|(_, mod_seq)| mod_seq.get() > self.highest));
    }

    async fn store_keyword(&mut self, at: usize, keyword: u8) {
        let Some(number) = self.pick(at) else { return };
        let word = format!("word{keyword}");
        let keywords = vec![Keyword::parse(&word).unwrap()];
        let change = FlagChange { keywords, ..change(FlagOperation::Add, Flags::NONE) };
        self.store().view("INBOX").await.store_flags(&[uid(number)], &change).await.unwrap();
        let mail = self.model.get_mut(&number).unwrap();
        if !mail.keywords.contains(&word) {
            mail.keywords.push(word);
            mail.keywords.sort();
        }
    }

    async fn foreign(&mut self, step: &Step) {
        let path = self.store().path();
        // Messages we moved to `cur/` for being recent must have arrived there.
        while self.store().view("INBOX").await.recent() > 0 {}
        self.settled().await;
        match step {
            Step::ForeignAdd(place, flags) => {
                let text = self.text();
                let (target, flags) = match place {
                    Place::New => (path.join(format!("new/1600000000.f{}.x", self.texts)), Flags::NONE),
                    Place::Cur => {
                        (path.join(format!("cur/1600000000.f{}.x:2,{}", self.texts, letters(*flags))), *flags)
                    }
                };
                let temporary = path.join("tmp/foreign");
                std::fs::write(&temporary, &text).unwrap();
                std::fs::rename(temporary, target).unwrap();
                self.adopt(Mail { text, flags, keywords: Vec::new() }).await;
            }
            Step::ForeignFlags(at, flags) => {
                let Some(number) = self.pick(*at) else { return };
                let file = self.file(number);
                let name = file.file_name().unwrap().to_str().unwrap();
                let base = name.split_once(":2,").map_or(name, |(base, _)| base).to_owned();
                std::fs::rename(&file, path.join(format!("cur/{base}:2,{}", letters(*flags)))).unwrap();
                let mail = self.model.get_mut(&number).unwrap();
                (mail.flags, mail.keywords) = (*flags, Vec::new());
            }
            Step::ForeignRemove(at) => {
                let Some(number) = self.pick(*at) else { return };
                std::fs::remove_file(self.file(number)).unwrap();
                self.model.remove(&number);
            }
            Step::ForeignCopy(at) => {
                let Some(number) = self.pick(*at) else { return };
                self.texts += 1;
                let target = path.join(format!("cur/1600000001.copy{},U={number},S=1:2,S", self.texts));
                // As Maildir demands: nothing half-written is ever in `cur/`.
                std::fs::hard_link(self.file(number), target).unwrap();
                let text = self.model[&number].text.clone();
                self.adopt(Mail { text, flags: Flags::SEEN, keywords: Vec::new() }).await;
            }
            _ => {}
        }
    }

    /// Waits until no message seen by a session is left to be moved from `new/`.
    async fn settled(&self) {
        for attempt in 0.. {
            assert!(attempt < 5000, "{:?} stay in new/", files(&self.store().path()));
            let folder = self.store().path();
            let waiting = files(&folder).iter().filter(|file| file.starts_with("new/") && file.contains(",U=")).count();
            if waiting == 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    /// The store finds a file of another program and gives it a new UID.
    async fn adopt(&mut self, mail: Mail) {
        let view = self.store().view("INBOX").await;
        let last = view.last_uid().unwrap().get();
        self.add(last, mail);
    }

    async fn end(&mut self, step: &Step) {
        self.session = None;
        let store = self.store.take().unwrap();
        let next = store.view("INBOX").await.uid_next().get();
        if matches!(step, Step::Restart) {
            self.store = Some(store.restart().await);
            return;
        }
        let root = store.crash().await;
        let path = root.path().join("example.test/ann");
        if matches!(step, Step::CrashUnacknowledged) {
            let text = self.text();
            let file = format!("new/1700000000.M1P1Q{}.x,U={next},S={size},W={size}", self.texts, size = text.len());
            std::fs::write(path.join(file), &text).unwrap();
            self.add(next, Mail { text, flags: Flags::NONE, keywords: Vec::new() });
        }
        if let Step::Crash(lost) = step {
            let index = path.join("postrider.index");
            let remove = |name: &str| _ = std::fs::remove_file(path.join(name));
            match lost {
                Lost::Nothing => {}
                Lost::Index => remove("postrider.index"),
                Lost::IndexTail => {
                    if let Ok(content) = std::fs::read(&index) {
                        std::fs::write(&index, &content[..content.len() - content.len().min(self.texts as usize * 7)])
                            .unwrap();
                    }
                }
                Lost::Everything => {
                    remove("postrider.index");
                    remove("postrider.cache");
                }
            }
        }
        self.store = Some(Store::open(root).await);
    }

    /// The client's count must match the session's.
    fn sync(&mut self, expunges: Expunges) {
        let Some((view, known)) = &mut self.session else { return };
        for update in view.sync(expunges) {
            match update {
                Update::Expunged { sequence, uid } => {
                    assert_eq!(expunges, Expunges::Tell);
                    assert_eq!(known.remove(sequence.index()), uid.get());
                }
                Update::Exists(count) => {
                    let new = (known.len()..count as usize).filter_map(|index| {
                        view.row(crate::foundations::mail::SequenceNumber::from_index(index)?).map(|row| row.uid.get())
                    });
                    known.extend(new.collect::<Vec<_>>());
                }
                Update::Flags { sequence, uid } => assert_eq!(known[sequence.index()], uid.get()),
                Update::Recent(_) | Update::Keywords => {}
                Update::Gone => panic!("the folder is there"),
            }
        }
        assert_eq!(uids(view), *known);
        for (at, number) in known.iter().enumerate() {
            assert_eq!(view.sequence(uid(*number)).map(|sequence| sequence.index()), Some(at));
        }
    }

    /// RFC 7162: the client asks for what has changed since its last visit, and believes the answer.
    async fn client_asks(&mut self) {
        let view = self.store().view("INBOX").await;
        let since = self.client.mod_seq;
        for gone in view.vanished(ModSeq::new(since.max(1)).unwrap(), &SequenceSet::all()).iter(Uid::new(u32::MAX)) {
            self.client.messages.remove(&gone.get());
        }
        for (_, row) in view.rows(&SequenceSet::all()).filter(|(_, row)| row.mod_seq.get() > since) {
            self.client.messages.insert(row.uid.get(), (row.flags, words(&view, &row)));
        }
        self.client.mod_seq = view.highest_mod_seq().get();
        let truth = self.model.iter().map(|(uid, mail)| (*uid, (mail.flags, mail.keywords.clone())));
        assert_eq!(self.client.messages, truth.collect(), "after {since}");
    }

    /// The folder must hold what the model holds.
    async fn check(&mut self) {
        let view = self.store().view("INBOX").await;
        assert_eq!(view.uid_validity().get(), self.validity);
        assert!(view.highest_mod_seq().get() >= self.highest);
        self.highest = view.highest_mod_seq().get();
        assert!(self.ever.keys().next_back().is_none_or(|last| view.uid_next().get() > *last));
        let mut found = BTreeMap::new();
        for (_, row) in view.rows(&SequenceSet::all()) {
            let text = String::from_utf8(whole(&view, row.uid.get()).await).unwrap();
            assert_eq!(row.size, text.len() as u64);
            assert!(row.mod_seq.get() <= self.highest);
            found.insert(row.uid.get(), Mail { text, flags: row.flags, keywords: words(&view, &row) });
        }
        assert_eq!(found, self.model);
        let status = self.store().user.status(&FolderName::inbox()).await.unwrap();
        let unseen = self.model.values().filter(|mail| !mail.flags.contains(Flags::SEEN)).count();
        assert_eq!((status.messages as usize, status.unseen as usize), (self.model.len(), unseen));
    }
}

fn words(view: &View, row: &Row) -> Vec<String> {
    let mut words: Vec<String> = view.keywords().names(row.keywords).map(Keyword::to_string).collect();
    words.sort();
    words
}

fn letters(flags: Flags) -> String {
    Flags::LETTERS.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, letter)| char::from(*letter)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn behaves_like_a_mailbox(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for step in &steps {
                world.step(step).await;
                world.check().await;
            }
            world.client_asks().await;
        });
    }
}
