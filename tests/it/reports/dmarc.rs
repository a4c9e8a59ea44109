//! DMARC aggregate reports.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use mail_auth::report::{ActionDisposition, Disposition, DmarcResult, Feedback, Report};
use parking_lot::Mutex;
use postrider::foundations::clock::{Clock as _, Timestamp};
use postrider::foundations::dns::ZoneResolver;
use postrider::foundations::event::EventKind;
use postrider::foundations::failure::Refusal;
use postrider::foundations::ids::QueueId;
use postrider::foundations::tasks::Tasks;
use postrider::services::filter::authentication::dkim::{DkimResult, verify};
use postrider::services::handover::{Postponed, Queueing};
use postrider::services::reports::{Reporter, ReporterParts};
use postrider::storage::journal::Query;
use postrider::storage::reports::{Kind, Outcome, ReceivedQuery, Reports};

use super::world::{from_outside, next_day, start};
use crate::harness::{Host, TestClock, cli, until};

const ZONE: &str = "_dmarc.sender.test TXT v=DMARC1; p=quarantine; rua=mailto:agg@sender.test,mailto:all@third.test\n\
     sender.test TXT v=spf1 ip4:192.0.2.44 -all\nsender.test MX 10 mx.sender.test\nmx.sender.test A 192.0.2.25\n\
     third.test MX 10 mx.sender.test\n_dmarc.quiet.test TXT v=DMARC1; p=none";
const MESSAGE: &str = "From: eve@sender.test\r\nTo: ann@example.test\r\nSubject: hello\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n\
                       Message-ID: <1@sender.test>\r\n\r\nHow are you?\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_it_gets_a_report_a_day() {
    let (host, peer, record) = start("[reports]\norganization = \"Example\"", ZONE).await;
    for address in ["192.0.2.44", "192.0.2.44", "192.0.2.66"] {
        assert_eq!(from_outside(&host, address, "eve@sender.test", "ann@example.test", MESSAGE).await, 250);
    }
    let quiet = MESSAGE.replace("sender.test", "quiet.test");
    assert_eq!(from_outside(&host, "192.0.2.44", "eve@quiet.test", "ann@example.test", &quiet).await, 250);
    let mails = next_day(&host, &peer, 1).await;
    assert_eq!((mails[0].from.as_str(), mails[0].to.as_slice()), ("", ["agg@sender.test".to_owned()].as_slice()));
    let report = Report::parse_rfc5322(mails[0].content.as_bytes(), 1 << 20).unwrap();
    assert_eq!((report.domain(), report.org_name()), ("sender.test", "Example"));
    assert_eq!(report.policy_published.p, Disposition::Quarantine);
    let mut rows: Vec<_> = report
        .record
        .iter()
        .map(|record| {
            let evaluated = &record.row.policy_evaluated;
            (record.row.source_ip.unwrap().to_string(), record.row.count, evaluated.spf, evaluated.disposition)
        })
        .collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        rows,
        [
            ("192.0.2.44".to_owned(), 2, DmarcResult::Pass, ActionDisposition::None),
            ("192.0.2.66".to_owned(), 1, DmarcResult::Fail, ActionDisposition::Quarantine),
        ]
    );
    // It is signed by the domain it comes from.
    let zone = ZoneResolver::new();
    zone.add(&format!("s1._domainkey.example.test TXT {record}")).unwrap();
    let signatures = verify(&zone, mails[0].content.as_bytes(), std::time::Duration::MAX).await;
    assert!(signatures.dkim.iter().any(|signature| signature.result == DkimResult::Pass), "{signatures:?}");
    // Nothing is sent twice.
    host.clock().advance(std::time::Duration::from_secs(30 * 3600));
    let sent = host.events(&Query { kinds: vec![EventKind::ReportSent], ..Query::default() }).await;
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!(peer.messages().len(), 1);
    host.stop().await;
}

const FAILURES: &str = "_dmarc.sender.test TXT v=DMARC1; p=none; ruf=mailto:fail@sender.test,mailto:all@third.test\n\
     sender.test TXT v=spf1 ip4:192.0.2.44 -all\nsender.test MX 10 mx.sender.test\nmx.sender.test A 192.0.2.25";

#[tokio::test(flavor = "multi_thread")]
async fn single_failures_are_told_and_received() {
    let settings = "[reports]\nfailures = true\nfailures_per_domain = 2\naddresses = [\"ann@example.test\"]";
    let (host, peer, _) = start(settings, FAILURES).await;
    // One is real; of three that are not, the owner hears of two.
    for address in ["192.0.2.44", "192.0.2.66", "192.0.2.67", "192.0.2.68"] {
        assert_eq!(from_outside(&host, address, "eve@sender.test", "ann@example.test", MESSAGE).await, 250);
    }
    host.clock().advance(std::time::Duration::from_secs(601));
    let mails = peer.wait_for(2).await;
    let report_in = |content: &str| Feedback::parse_rfc5322(content.as_bytes()).unwrap().into_owned();
    let source = |content: &str| report_in(content).source_ip().unwrap().to_string();
    // They are sent together, and either may arrive first.
    let first = mails.iter().find(|mail| source(&mail.content) == "192.0.2.66").unwrap();
    assert_eq!((first.from.as_str(), first.to.as_slice()), ("", ["fail@sender.test".to_owned()].as_slice()));
    let report = report_in(&first.content);
    assert_eq!((&*report.reported_domain()[0], report.original_rcpt_to()), ("sender.test", None));
    let header = report.headers().unwrap();
    assert!(header.contains("eve@sender.test") && !header.contains("ann@example.test"), "{header}");
    assert!(report.authentication_results()[0].contains("dmarc=fail"), "{report:?}");
    // The same report, about a domain of ours.
    let content = &first.content;
    for _ in 0..2 {
        assert_eq!(from_outside(&host, "192.0.2.44", "agg@sender.test", "ann@example.test", content).await, 250);
    }
    let query = ReceivedQuery {
        kind: Kind::Failure,
        domain: Some("sender.test".to_owned()),
        since: postrider::foundations::clock::Timestamp::EPOCH,
        most: 10,
    };
    let kept = host.parts().reports.kept(&query).await.unwrap();
    assert_eq!((kept.len(), kept[0].organization.as_str(), kept[0].failed), (1, "mail.example.test", 1));
    let sent = host.events(&Query { kinds: vec![EventKind::ReportSent], ..Query::default() }).await;
    assert_eq!(sent.len(), 2, "{sent:?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_told_to_nobody_unless_it_is_wanted() {
    let (host, peer, _) = start("", FAILURES).await;
    assert_eq!(from_outside(&host, "192.0.2.66", "eve@sender.test", "ann@example.test", MESSAGE).await, 250);
    assert_eq!(host.parts().reports.take_failures().len(), 1);
    // Counts added meanwhile are dropped: the reporter has looked when the day's other work is done.
    assert_eq!(from_outside(&host, "192.0.2.66", "eve@sender.test", "ann@example.test", MESSAGE).await, 250);
    next_day(&host, &peer, 0).await;
    assert!(peer.messages().is_empty());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_claimed_does_not_stand_before_others() {
    let (host, _peer, _) = start("", ZONE).await;
    assert_eq!(from_outside(&host, "192.0.2.44", "eve@sender.test", "ann@example.test", MESSAGE).await, 250);
    let (reports, now) = (&host.parts().reports, host.clock().now());
    reports.flush().await.unwrap();
    let waiting = async |at| reports.waiting(i64::MAX, at, 10).await.unwrap();
    let [(kind, day, domain)] = &waiting(now).await[..] else { panic!("the day's counts are there") };
    assert!(reports.claim(*kind, *day, domain, now).await.unwrap());
    assert_eq!(waiting(now).await, []);
    // The claimant has not sent it.
    let later = now + std::time::Duration::from_secs(3_601);
    assert_eq!(waiting(later).await.len(), 1);
    // Another process has counted more of that day, and writes it after the report was sent.
    reports.settle(*kind, *day, domain, now).await.unwrap();
    assert_eq!(from_outside(&host, "192.0.2.44", "eve@sender.test", "ann@example.test", MESSAGE).await, 250);
    reports.flush().await.unwrap();
    assert_eq!(waiting(later).await, []);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_none_counts_nothing() {
    let (host, peer, _) = start("[reports]\ndmarc = false", ZONE).await;
    assert_eq!(from_outside(&host, "192.0.2.44", "eve@sender.test", "ann@example.test", MESSAGE).await, 250);
    host.parts().reports.flush().await.unwrap();
    host.clock().advance(std::time::Duration::from_secs(29 * 3600));
    let reports = &host.parts().reports;
    // The counts are deleted when their day is over.
    until("nothing waits", async || {
        reports.waiting(i64::MAX, Timestamp::from_unix_seconds(i64::from(u32::MAX)), 10).await.unwrap().is_empty()
    })
    .await;
    assert!(peer.messages().is_empty());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_about_us_are_kept() {
    let (host, peer, _) = start("[reports]\naddresses = [\"ann@example.test\"]", ZONE).await;
    assert_eq!(from_outside(&host, "192.0.2.44", "eve@sender.test", "ann@example.test", MESSAGE).await, 250);
    let mails = next_day(&host, &peer, 1).await;
    // The reports we have sent to others come to us, twice.
    for _ in 0..2 {
        let content = &mails[0].content;
        assert_eq!(from_outside(&host, "192.0.2.44", "agg@sender.test", "ann@example.test", content).await, 250);
    }
    let query = ReceivedQuery {
        kind: Kind::Dmarc,
        domain: Some("Sender.test".to_owned()),
        since: postrider::foundations::clock::Timestamp::EPOCH,
        most: 10,
    };
    let kept = host.parts().reports.kept(&query).await.unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].organization.as_str(), kept[0].passed, kept[0].failed), ("mail.example.test", 1, 0));
    let (printed, _) = cli::run(&host.config(), &["report", "dmarc"], "").await;
    assert_eq!(printed[0]["content"]["record"][0]["row"]["source_ip"], "192.0.2.44", "{printed}");
    host.stop().await;
}

/// A queue that has no room for the first message.
#[derive(Default)]
struct Full {
    taken: Mutex<Vec<String>>,
    refused: Mutex<bool>,
}

impl Queueing for Full {
    fn postpone<'a>(&'a self, postponed: Postponed<'a>) -> BoxFuture<'a, Result<QueueId, Refusal>> {
        let answer = match std::mem::replace(&mut *self.refused.lock(), true) {
            false => Err(Refusal::temporary("the disk is full")),
            true => {
                self.taken.lock().push(String::from_utf8_lossy(&postponed.mail.message.bytes()).into_owned());
                Ok(QueueId::generate(TestClock::new().now()))
            }
        };
        std::future::ready(answer).boxed()
    }

    fn postpone_together<'a>(&'a self, _: Vec<Postponed<'a>>) -> BoxFuture<'a, Result<Vec<QueueId>, Refusal>> {
        unreachable!("reports are queued one by one")
    }
}

/// Makes a reporter whose messages go into this queue look once at what is due at a moment after the host's.
async fn report_once(host: &Host, zone: &str, queue: &Arc<Full>, later: Duration) {
    let (clock, resolver, tasks, parts) = (TestClock::new(), ZoneResolver::new(), Tasks::new(), host.parts());
    resolver.add(zone).unwrap();
    clock.advance(later);
    let reporter = Reporter::new(ReporterParts {
        settings: parts.live.reports.clone(),
        hostname: parts.live.hostname.clone(),
        reports: parts.reports.clone(),
        resolver: Arc::new(resolver),
        filter: Arc::clone(&parts.filter),
        routing: parts.routing.clone(),
        queue: Arc::<Full>::clone(queue),
        outbound: parts.outbound.clone(),
        journal: parts.journal.clone(),
        clock: Arc::new(clock),
    });
    // It ends before it waits for the next look.
    let looking = tasks.spawn(Arc::new(reporter).run(tasks.clone()));
    tasks.stop(Duration::ZERO).await;
    looking.await.unwrap();
}

/// Counts a message, and the same again as if the domain had had another policy on the same day.
async fn count_under_two_policies(host: &Host, from: &str, to: &str) {
    assert_eq!(from_outside(host, "192.0.2.44", "eve@sender.test", "ann@example.test", MESSAGE).await, 250);
    let reports = &host.parts().reports;
    reports.flush().await.unwrap();
    let day = Reports::day_of(host.clock().now());
    let counted = reports.tallies(Kind::Dmarc, day, "sender.test", 10).await.unwrap().remove(0);
    let other = counted.policy.replace(from, to);
    assert_ne!(other, counted.policy);
    reports.note(Kind::Dmarc, "sender.test", other, counted.detail, Outcome::Good);
    reports.flush().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_is_queued_is_not_sent_again_with_one_that_was_not() {
    let (host, _peer, _) = start("", ZONE).await;
    count_under_two_policies(&host, "Quarantine", "Reject").await;

    let queue = Arc::new(Full::default());
    report_once(&host, ZONE, &queue, Duration::from_secs(29 * 3600)).await;
    assert_eq!(queue.taken.lock().len(), 1, "the other is refused");
    report_once(&host, ZONE, &queue, Duration::from_secs(31 * 3600)).await;
    report_once(&host, ZONE, &queue, Duration::from_secs(33 * 3600)).await;
    let taken = queue.taken.lock().clone();
    let sent: Vec<_> =
        taken.iter().map(|content| Report::parse_rfc5322(content.as_bytes(), 1 << 20).unwrap()).collect();
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert_ne!(sent[0].policy_published.p, sent[1].policy_published.p);
    assert_ne!(sent[0].report_metadata.report_id, sent[1].report_metadata.report_id);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_whose_zone_is_silent_waits_while_another_of_the_day_is_sent() {
    let (host, _peer, _) = start("", ZONE).await;
    count_under_two_policies(&host, "agg@sender.test", "agg@mute.test").await;

    let queue = Arc::new(Full { refused: Mutex::new(true), ..Full::default() });
    let mute = format!("{ZONE}\nsender.test._report._dmarc.mute.test FAIL");
    report_once(&host, &mute, &queue, Duration::from_secs(29 * 3600)).await;
    let count = || queue.taken.lock().len();
    let to = |n: usize, address: &str| queue.taken.lock().get(n).is_some_and(|letter| letter.contains(address));
    assert!(count() == 1 && to(0, "agg@sender.test"), "{:?}", queue.taken.lock());
    let agrees = format!("{ZONE}\nsender.test._report._dmarc.mute.test TXT v=DMARC1");
    report_once(&host, &agrees, &queue, Duration::from_secs(31 * 3600)).await;
    report_once(&host, &agrees, &queue, Duration::from_secs(33 * 3600)).await;
    assert!(count() == 2 && to(1, "agg@mute.test"), "{:?}", queue.taken.lock());
    host.stop().await;
}
