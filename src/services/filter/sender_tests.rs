//! What is remembered of senders, from one message to the next.

use std::sync::Arc;
use std::time::Duration;

use super::classifier::{Class, Learned, Owner};
use super::tests::{Case, filter_at};
use super::*;
use crate::foundations::clock::{Hand, Timestamp};
use crate::foundations::mail::Login;
use crate::storage::database::test_database;

/// SPF shows who sends; there is no policy.
const ZONE: &str = "sender.test TXT v=spf1 ip4:198.51.100.0/24 -all\nstranger.test TXT v=spf1 ip4:203.0.113.0/24 -all\n\
                    198.51.100.7 PTR mx.sender.test\nmx.sender.test A 198.51.100.7\n\
                    203.0.113.9 PTR mx.stranger.test\nmx.stranger.test A 203.0.113.9";

struct Site {
    filter: Filter,
    clock: Arc<Hand>,
    _folder: tempfile::TempDir,
}

async fn site(settings: FilterSettings) -> Site {
    let (folder, database) = test_database().await;
    let clock = Arc::new(Hand::at(Timestamp::from_unix_seconds(1_795_492_800)));
    let filter = filter_at(settings, ZONE, Arc::clone(&clock) as _).with_database(database);
    Site { filter, clock, _folder: folder }
}

/// The nth letter of an author.
fn letter(author: &str, n: u32) -> Case {
    let mut case = Case::new(&format!(
        "From: {author}\nTo: bob@example.test\nSubject: Letter {n}\nDate: Tue, 24 Nov 2026 04:00:00 +0000\n\
         Message-ID: <{n}.{author}>\n\nHello Bob,\nthis is letter {n}.\n"
    ));
    case.from = author.to_owned();
    if author.ends_with("stranger.test") {
        case.client = "203.0.113.9:25".parse().unwrap();
    }
    case
}

impl Site {
    async fn judge(&self, case: &Case) -> Verdict {
        self.filter.judge(&case.mail()).await
    }

    /// The message as it lies in the mailbox.
    async fn delivered(&self, case: &Case) -> Vec<u8> {
        self.judge(case).await.apply(&case.mail().message).bytes().to_vec()
    }

    /// Our user writes to somebody.
    fn write(&self, user: &str, to: &str) {
        let mut case = letter(user, 0);
        case.to = vec![to.to_owned()];
        let mut mail = case.mail();
        mail.origin.login = Some(Login::user(user.parse().unwrap()));
        self.filter.sent(&mail);
    }

    async fn table(&self) -> (u32, u32) {
        self.filter.write_down().await.unwrap();
        let table = self.filter.store().unwrap().table(&Owner::Site).await.unwrap();
        (table.ham, table.spam)
    }
}

fn weight(verdict: &Verdict, name: &str) -> f64 {
    verdict.signals.iter().filter(|s| s.name == name).map(|s| s.weight).sum()
}

#[tokio::test]
async fn what_people_say_about_messages_is_said_about_their_senders() {
    let site = site(FilterSettings::default()).await;
    let mut mails = Vec::new();
    for n in 0..5 {
        mails.push(site.delivered(&letter("eve@sender.test", n)).await);
    }
    for mail in &mails {
        assert_eq!(site.filter.learn(&Owner::Site, Class::Spam, mail).await.unwrap(), Learned::Now);
        // The same judgement again says nothing new.
        assert_eq!(site.filter.learn(&Owner::Site, Class::Spam, mail).await.unwrap(), Learned::Before);
    }
    let same = weight(&site.judge(&letter("eve@sender.test", 9)).await, "REPUTATION_UNWANTED");
    let neighbour = weight(&site.judge(&letter("ann@sender.test", 9)).await, "REPUTATION_UNWANTED");
    assert!(same > 1.0 && neighbour > 0.5 && neighbour < same, "{same} {neighbour}");
    assert_eq!(weight(&site.judge(&letter("x@stranger.test", 9)).await, "REPUTATION_UNWANTED"), 0.0);
    // Whoever uses the address from elsewhere is somebody else.
    let mut forged = letter("eve@sender.test", 10);
    forged.client = "192.0.2.9:25".parse().unwrap();
    assert_eq!(weight(&site.judge(&forged).await, "REPUTATION_UNWANTED"), 0.0);
    // It was a mistake: taken back and turned round.
    for mail in &mails {
        assert_eq!(site.filter.learn(&Owner::Site, Class::Ham, mail).await.unwrap(), Learned::Again);
    }
    let verdict = site.judge(&letter("eve@sender.test", 11)).await;
    assert!(weight(&verdict, "REPUTATION_WANTED") < -1.0, "{:?}", verdict.signals);
    // Experience fades.
    site.clock.advance(Duration::from_secs(300 * 86_400));
    assert_eq!(weight(&site.judge(&letter("eve@sender.test", 12)).await, "REPUTATION_WANTED"), 0.0);
}

#[tokio::test]
async fn verdicts_alone_make_no_great_name() {
    let site = site(FilterSettings::default()).await;
    for n in 0..200 {
        site.judge(&letter("eve@sender.test", n)).await;
    }
    let before = weight(&site.judge(&letter("eve@sender.test", 900)).await, "REPUTATION_WANTED");
    assert!(before < 0.0 && before > -1.5, "{before}");
    // Three people's word turns it.
    for n in 0..3 {
        let mail = site.delivered(&letter("eve@sender.test", n)).await;
        site.filter.learn(&Owner::Site, Class::Spam, &mail).await.unwrap();
    }
    let verdict = site.judge(&letter("eve@sender.test", 901)).await;
    assert!(weight(&verdict, "REPUTATION_UNWANTED") > 0.5, "{:?}", verdict.signals);
}

#[tokio::test]
async fn whoever_was_written_to_is_known() {
    let site = site(FilterSettings::default()).await;
    assert_eq!(weight(&site.judge(&letter("ann@sender.test", 1)).await, "KNOWN_CORRESPONDENT"), 0.0);
    site.write("bob@example.test", "Ann@sender.test");
    let known = async |to: &str| {
        let mut case = letter("ann@sender.test", 2);
        case.to = vec![to.to_owned()];
        weight(&site.judge(&case).await, "KNOWN_CORRESPONDENT")
    };
    assert_eq!(known("bob+x@example.test").await, -2.0);
    assert_eq!(known("carl@example.test").await, -1.0);
    // In the table as in memory.
    site.filter.write_down().await.unwrap();
    assert_eq!(known("bob@example.test").await, -2.0);
    let mut forged = letter("ann@sender.test", 3);
    forged.client = "192.0.2.9:25".parse().unwrap();
    assert_eq!(weight(&site.judge(&forged).await, "KNOWN_CORRESPONDENT"), -0.5);
}

#[tokio::test]
async fn a_first_contact_waits_once() {
    let first_contact = FirstContactSettings { enabled: true, from: -10.0, ..FirstContactSettings::default() };
    let settings = FilterSettings { first_contact, ..FilterSettings::default() };
    let site = site(settings).await;
    site.write("bob@example.test", "ann@sender.test");
    // Nobody waits to whom we have written.
    assert_eq!(site.judge(&letter("ann@sender.test", 1)).await.decision.word(), "accept");
    let stranger = letter("x@stranger.test", 1);
    for (after, word) in [(0, "later"), (60, "later"), (60, "accept")] {
        site.clock.advance(Duration::from_secs(after));
        let verdict = site.judge(&stranger).await;
        assert_eq!(verdict.decision.word(), word);
        assert_eq!(verdict.signals.iter().any(|s| s.name == "FIRST_CONTACT"), word == "later");
    }
    // His domain is known from now on: the address is shown to be real.
    assert_eq!(site.judge(&letter("y@stranger.test", 2)).await.decision.word(), "accept");
    // An address that anybody can use is known only together with its network.
    let mut forged = letter("y@stranger.test", 3);
    forged.client = "192.0.2.9:25".parse().unwrap();
    assert_eq!(site.judge(&forged).await.decision.word(), "later");
}

#[tokio::test]
async fn what_is_no_matter_of_doubt_does_not_wait() {
    let first_contact = FirstContactSettings { enabled: true, ..FirstContactSettings::default() };
    let settings = FilterSettings { first_contact, ..FilterSettings::default() };
    let site = site(settings).await;
    assert_eq!(site.judge(&letter("x@stranger.test", 1)).await.decision.word(), "accept");
}

#[tokio::test]
async fn greylisting_passes_over_senders_of_good_name() {
    let greylist = GreylistSettings { enabled: true, from: -10.0, ..GreylistSettings::default() };
    let settings = FilterSettings { greylist, ..FilterSettings::default() };
    let site = site(settings).await;
    assert_eq!(site.judge(&letter("ann@sender.test", 1)).await.decision.word(), "later");
    site.write("bob@example.test", "ann@sender.test");
    assert_eq!(site.judge(&letter("ann@sender.test", 1)).await.decision.word(), "accept");
}

fn with_rules(folder: &tempfile::TempDir) -> FilterSettings {
    let file = folder.path().join("local.cf");
    let rules = "header LOCAL_H Subject =~ /pills/\nscore LOCAL_H 7\nbody LOCAL_B /cheap pills/\nscore LOCAL_B 7\n";
    std::fs::write(&file, rules).unwrap();
    let mut settings = FilterSettings::default();
    settings.rules.files.push(file);
    settings.classifier.refresh = crate::foundations::settings::Span::seconds(0);
    settings
}

fn offer(n: u32) -> Case {
    let mut case = letter("eve@sender.test", n);
    case.message = case.message.replace("Subject: Letter", "Subject: pills").replace("Hello Bob", "cheap pills");
    case
}

#[tokio::test]
async fn a_stream_of_one_sender_teaches_little_and_gives_way_to_people() {
    let folder = tempfile::tempdir().unwrap();
    let site = site(with_rules(&folder)).await;
    let mut learned = Vec::new();
    for n in 0..50 {
        let verdict = site.judge(&offer(n)).await;
        if verdict.learned == Some(Class::Spam) {
            learned.push(verdict.apply(&offer(n).mail().message).bytes().to_vec());
        }
    }
    assert_eq!((learned.len(), site.table().await), (3, (0, 3)));
    // A user says otherwise: unlearned and learned again; or only unlearned, where he must not teach everybody.
    assert_eq!(site.filter.learn(&Owner::Site, Class::Ham, &learned[0]).await.unwrap(), Learned::Again);
    assert_eq!(site.table().await, (1, 2));
    assert_eq!(site.filter.correct(Class::Ham, &learned[1]).await.unwrap(), Learned::Again);
    assert_eq!(site.filter.correct(Class::Ham, &learned[0]).await.unwrap(), Learned::Before);
    assert_eq!(site.table().await, (1, 1));
    // The next day the very message that a person has called wanted teaches nothing else.
    site.clock.advance(Duration::from_secs(86_400));
    assert_eq!(site.judge(&offer(0)).await.learned, Some(Class::Spam));
    assert_eq!(site.table().await, (1, 1));
}

#[tokio::test]
async fn faultless_mail_of_strangers_teaches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let site = site(with_rules(&folder)).await;
    for n in 0..20 {
        assert_eq!(site.judge(&letter("ann@sender.test", n)).await.learned, None);
    }
    site.write("bob@example.test", "ann@sender.test");
    let learned = async |from: u32| {
        let mut count = 0;
        for n in from..from + 20 {
            count += u32::from(site.judge(&letter("ann@sender.test", n)).await.learned == Some(Class::Ham));
        }
        count
    };
    assert_eq!((learned(100).await, site.table().await), (3, (3, 0)));
    assert_eq!(learned(200).await, 0);
}

#[tokio::test]
async fn nothing_is_learned_when_it_is_off() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = with_rules(&folder);
    settings.autolearn.enabled = false;
    let site = site(settings).await;
    assert_eq!(site.judge(&offer(1)).await.learned, None);
}
