//! The whole way from a message to a verdict.

use std::net::SocketAddr;
use std::sync::Arc;

use super::classifier::{Class, Learned, Owner};
use super::*;
use crate::foundations::address::ReversePath;
use crate::foundations::clock::{SharedClock, SystemClock, Timestamp};
use crate::foundations::dns::ZoneResolver;
use crate::foundations::ids::{MailId, SessionId};
use crate::foundations::mail::{BodyKind, Envelope, Extras, Login, Mail, Message, Origin, Peer, Recipient, Who, With};
use crate::foundations::settings::Live;
use crate::storage::database::test_database;

/// A message and how it came.
pub(super) struct Case {
    pub(super) message: String,
    pub(super) client: SocketAddr,
    hello: String,
    pub(super) from: String,
    pub(super) to: Vec<String>,
}

impl Case {
    pub(super) fn new(message: &str) -> Self {
        Self {
            message: message.replace("\r\n", "\n").replace('\n', "\r\n"),
            client: "198.51.100.7:25".parse().unwrap(),
            hello: "mx.sender.test".to_owned(),
            from: "ann@sender.test".to_owned(),
            to: vec!["bob@example.test".to_owned()],
        }
    }

    pub(super) fn mail(&self) -> Mail {
        let at = Timestamp::from_unix_seconds(1_795_492_800);
        let reverse_path = self.from.parse().map_or(ReversePath::Null, ReversePath::Address);
        let recipients = self.to.iter().map(|t| Recipient::plain(t.parse().unwrap())).collect();
        Mail {
            id: MailId::generate(at),
            origin: Origin {
                session: SessionId::generate(at),
                peer: Peer::Tcp(self.client),
                local: None,
                hello: self.hello.clone(),
                with: With::Esmtp(Extras::default()),
                tls: None,
                login: None,
                at,
            },
            envelope: Envelope { body: BodyKind::EightBitMime, ..Envelope::plain(reverse_path, recipients) },
            message: Message::new(self.message.clone().into_bytes()),
        }
    }
}

pub(super) fn filter(settings: FilterSettings, zone: &str) -> Filter {
    filter_at(settings, zone, Arc::new(SystemClock))
}

pub(super) fn filter_at(settings: FilterSettings, zone: &str, clock: SharedClock) -> Filter {
    let resolver = ZoneResolver::new();
    resolver.add(zone).unwrap();
    Filter::new(Live::new(settings), clock)
        .with_hostname(Live::new("mx.example.test".parse().unwrap()))
        .with_resolver(Arc::new(resolver))
}

/// Every case of `tests/golden/filter`: a message, the DNS, and what must come out.
#[tokio::test]
async fn golden_cases() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/filter");
    let mut names: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "eml"))
        .collect();
    names.sort();
    assert!(names.len() >= 10);
    for path in names {
        let read = |extension| std::fs::read_to_string(path.with_extension(extension)).unwrap_or_default();
        let mut case = Case::new(&read("eml"));
        let want = read("want");
        let mut settings = FilterSettings::default();
        for line in want.lines() {
            let (key, value) = line.split_once(": ").unwrap_or((line, ""));
            match key {
                "client" => case.client = format!("{value}:25").parse().unwrap(),
                "hello" => case.hello = value.to_owned(),
                "from" => case.from = value.to_owned(),
                "to" => case.to = value.split(' ').map(str::to_owned).collect(),
                "sealer" => settings.authentication.trusted_sealers.push(value.to_owned()),
                "list" => settings.authentication.mailing_lists.push(value.to_owned()),
                _ => {}
            }
        }
        let verdict = filter(settings, &read("dns")).judge(&case.mail()).await;
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let bytes = verdict.apply(&Message::new(case.message.clone().into_bytes())).bytes();
        let text = String::from_utf8_lossy(&bytes);
        for line in want.lines() {
            let (key, value) = line.split_once(": ").unwrap_or((line, ""));
            let holds = match key {
                "decision" => verdict.decision.word() == value,
                "signal" => verdict.signals.iter().any(|s| s.name == value),
                "no-signal" => !verdict.signals.iter().any(|s| s.name == value),
                "text" => text.contains(value),
                "no-text" => !text.contains(value),
                _ => true,
            };
            assert!(
                holds,
                "{name}: {line}\n{} {}\n{:#?}\n{text}",
                verdict.decision.word(),
                verdict.score,
                verdict.signals
            );
        }
    }
}

#[tokio::test]
async fn nothing_to_do_costs_nothing() {
    let off =
        Filter::new(Live::new(FilterSettings { enabled: false, ..FilterSettings::default() }), Arc::new(SystemClock));
    let verdict = off.judge(&Case::new("Subject: viagra\n\nx").mail()).await;
    assert!(matches!(verdict.decision, Decision::Accept) && verdict.headers.is_empty());
    let trusted = FilterSettings { trusted: vec!["198.51.100.0/24".parse().unwrap()], ..FilterSettings::default() };
    assert!(filter(trusted, "").judge(&Case::new("x").mail()).await.signals.is_empty());
}

/// Whatever the way: nobody says in our name that his message is good.
#[tokio::test]
async fn fields_of_ours_are_taken_from_everybody() {
    let forged = "Authentication-Results: mx.example.test; dmarc=pass header.from=bank.test\nX-Spam-Flag: NO\nX-Postrider-Quarantine: no\n";
    let mut case = Case::new(&format!("{forged}From: bob@example.test\nSubject: Hi\n\nHello\n"));
    for (enabled, login) in [(true, Some("bob@example.test")), (false, Some("bob@example.test")), (false, None)] {
        let mut mail = case.mail();
        mail.origin.login = login.map(|login| Login::user(login.parse().unwrap()));
        let filter = filter(FilterSettings { enabled, ..FilterSettings::default() }, "");
        let verdict = filter.judge(&mail).await;
        assert_eq!(verdict.apply(&mail.message).bytes(), "From: bob@example.test\r\nSubject: Hi\r\n\r\nHello\r\n");
    }
    // A front end of ours has had its say.
    case.client = "198.51.100.9:25".parse().unwrap();
    let trusted = FilterSettings { trusted: vec!["198.51.100.9/32".parse().unwrap()], ..FilterSettings::default() };
    let mail = case.mail();
    assert_eq!(filter(trusted, "").judge(&mail).await.apply(&mail.message), mail.message);
}

#[tokio::test]
async fn a_dead_dns_gives_no_verdict_of_its_own() {
    let zone = "sender.test FAIL\n_dmarc.sender.test FAIL\nmx.sender.test FAIL\n198.51.100.7 FAIL";
    let case = Case::new(
        "From: ann@sender.test\nTo: bob@example.test\nSubject: Hi\nDate: Tue, 24 Nov 2026 04:00:00 +0000\nMessage-ID: <1@sender.test>\n\nHello Bob,\nsee you tomorrow.\n",
    );
    let verdict = filter(FilterSettings::default(), zone).judge(&case.mail()).await;
    assert!(matches!(verdict.decision, Decision::Accept), "{:?}", verdict.signals);
    let header = String::from_utf8(verdict.headers).unwrap();
    assert!(header.contains("spf=temperror") && header.contains("dmarc=temperror"), "{header}");
}

#[tokio::test]
async fn recipients_have_thresholds_and_tables_of_their_own() {
    let spam = "From: x@spam.test\nSubject: FREE VIAGRA CHEAP !!\nContent-Type: text/html\n\n<a href=http://1.2.3.4/>click here</a> no prescription viagra, to be removed";
    let mut settings = FilterSettings::default();
    let patient = ThresholdSettings { threshold: Some(90.0), refuse: Some(100.0), ..ThresholdSettings::default() };
    settings.recipients.insert("ann@example.test".into(), patient);
    let strict = ThresholdSettings { quarantine: Some(1.0), ..ThresholdSettings::default() };
    settings.recipients.insert("strict.test".into(), strict);
    let strictest = FilterSettings { refuse: 5.0, ..settings.clone() };
    let judge = filter(settings, "");
    let mut case = Case::new(spam);
    case.to =
        ["ann@example.test", "ann+shop@example.test", "bob@example.test", "eve@strict.test"].map(Into::into).into();
    let verdict = judge.judge(&case.mail()).await;
    assert!(verdict.score > 5.0, "{:?}", verdict.signals);
    assert_eq!(verdict.folder(&"ann+shop@example.test".parse().unwrap()), Folder::Inbox);
    // Delivery asks for the account.
    case.to.retain(|recipient| recipient != "ann@example.test");
    assert_eq!(judge.judge(&case.mail()).await.folder(&"ann@example.test".parse().unwrap()), Folder::Inbox);
    assert_eq!(verdict.folder(&"ann@example.test".parse().unwrap()), Folder::Inbox);
    assert_eq!(verdict.folder(&"bob@example.test".parse().unwrap()), Folder::Junk);
    assert_eq!(verdict.folder(&"eve@strict.test".parse().unwrap()), Folder::Quarantine);
    let strictest = filter(strictest, "");
    for (recipient, refused) in
        [("ann@example.test", false), ("ann+shop@example.test", false), ("bob+ann@example.test", true)]
    {
        case.to = vec![recipient.into()];
        let verdict = strictest.judge(&case.mail()).await;
        assert_eq!(matches!(verdict.decision, Decision::Refuse(_)), refused, "{recipient}");
    }
}

#[tokio::test]
async fn what_was_learned_counts_and_can_be_taken_back() {
    let (_folder, database) = test_database().await;
    let filter = filter(FilterSettings::default(), "").with_database(database);
    let site = Owner::Site;
    let wanted = |n: u32| {
        format!("From: a@b.test\nSubject: minutes {n}\n\nThe minutes of meeting {n} are in the usual place.\n")
    };
    let unwanted =
        |n: u32| format!("From: c@d.test\nSubject: offer {n}\n\nOur casino number {n} has a bonus for you.\n");
    for n in 0..55 {
        assert_eq!(filter.learn(&site, Class::Ham, wanted(n).as_bytes()).await.unwrap(), Learned::Now);
        assert_eq!(filter.learn(&site, Class::Spam, unwanted(n).as_bytes()).await.unwrap(), Learned::Now);
    }
    assert_eq!(filter.learn(&site, Class::Ham, wanted(1).as_bytes()).await.unwrap(), Learned::Before);
    assert_eq!(filter.learn(&site, Class::Spam, wanted(1).as_bytes()).await.unwrap(), Learned::Again);
    assert_eq!(filter.learn(&site, Class::Ham, wanted(1).as_bytes()).await.unwrap(), Learned::Again);
    let has = |verdict: &Verdict, name: &str| verdict.signals.iter().any(|s| s.name == name);
    let verdict = filter.judge(&Case::new(&unwanted(99)).mail()).await;
    assert!(has(&verdict, "BAYES_99"), "{:?}", verdict.signals);
    let verdict = filter.judge(&Case::new(&wanted(99)).mail()).await;
    assert!(has(&verdict, "BAYES_00"), "{:?}", verdict.signals);
    let lessons: Vec<_> = (0..20).map(|n| lesson(unwanted(n).as_bytes(), &FilterSettings::default())).collect();
    assert_eq!(filter.store().unwrap().forget(&site, &lessons).await.unwrap(), [Learned::Again; 20]);
    let verdict = filter.judge(&Case::new(&unwanted(99)).mail()).await;
    assert!(!has(&verdict, "BAYES_99"), "{:?}", verdict.signals);
}

/// The answers of the settings when a helper is dead, each by itself.
#[tokio::test]
async fn dead_helpers_give_the_configured_answer() {
    let nowhere = Some(Endpoint::Unix("/nonexistent/socket".into()));
    let case = Case::new(
        "From: ann@sender.test\nTo: bob@example.test\nSubject: Hi\nDate: Tue, 24 Nov 2026 04:00:00 +0000\nMessage-ID: <1@sender.test>\n\nHello\n",
    );
    for (action, word) in [(OnFailure::Accept, "accept"), (OnFailure::Later, "later"), (OnFailure::Refuse, "refuse")] {
        let mut settings = FilterSettings::default();
        settings.clamav.address.clone_from(&nowhere);
        settings.clamav.on_failure = action;
        assert_eq!(filter(settings, "").judge(&case.mail()).await.decision.word(), word);
        let milter = MilterSettings { address: nowhere.clone(), on_failure: action, ..MilterSettings::default() };
        let settings = FilterSettings { milters: vec![milter], ..FilterSettings::default() };
        assert_eq!(filter(settings, "").judge(&case.mail()).await.decision.word(), word);
    }
    assert_eq!(ClamavSettings::default().on_failure, OnFailure::Later);
    assert_eq!(MilterSettings::default().on_failure, OnFailure::Accept);
}

#[tokio::test]
async fn mail_of_our_users_is_signed_with_every_key_of_its_domain() {
    use super::authentication::dkim::{Algorithm, DkimResult, generate, verify};
    let folder = tempfile::tempdir().unwrap();
    let mut settings = FilterSettings::default();
    let zone = ZoneResolver::new();
    for (algorithm, selector) in [(Algorithm::Rsa, "old"), (Algorithm::Ed25519, "new")] {
        let pair = generate(algorithm).unwrap();
        let file = folder.path().join(selector);
        std::fs::write(&file, pair.private.expose()).unwrap();
        zone.add(&format!("{selector}._domainkey.example.test TXT {}", pair.record)).unwrap();
        let domain = "example.test".parse().ok();
        settings.dkim.keys.push(DkimKeySettings { domain, selector: selector.to_owned(), file });
    }
    let filter = filter(settings, "");
    for (author, who, signatures) in [
        ("bob@example.test", Who::User, 2),
        ("bob@sub.example.test", Who::User, 2),
        ("bob@other.test", Who::User, 0),
        ("bob@example.test", Who::Program, 2),
        ("bob@example.test", Who::MachineUser, 0),
    ] {
        let case = Case::new(&format!("From: {author}\nTo: x@y.test\nSubject: Hi\n\nHello\n"));
        let mut mail = case.mail();
        mail.origin.login = Some(Login { address: author.parse().unwrap(), who });
        mail.message = mail.message.with_prefix(b"Received: from x by y\r\n");
        let verdict = filter.judge(&mail).await;
        let sent = verdict.apply(&mail.message).bytes();
        let found = verify(&zone, &sent, std::time::Duration::MAX).await;
        let results: Vec<_> = found.dkim.iter().map(|s| s.result).collect();
        assert_eq!(results, vec![DkimResult::Pass; signatures], "{author} {found:?}");
    }
}
