//! Reports about TLS.

use mail_auth::report::tlsrpt::{PolicyType, ResultType, TlsReport};

use super::world::{next_day, start};

const ZONE: &str = "far.test MX 10 mx.far.test\nmx.far.test A 192.0.2.25\n\
                    _smtp._tls.far.test TXT v=TLSRPTv1; rua=mailto:tls@far.test,https://tls.far.test/in\n\
                    quiet.test MX 10 mx.far.test";

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_counted_and_reported() {
    let (host, peer, _) = start("[reports]\nfrom = \"reports@example.test\"", ZONE).await;
    let mut submission = host.submission("ann@example.test").await;
    let message = "From: ann@example.test\r\nSubject: x\r\n\r\nx\r\n";
    for to in ["bob@far.test", "bob@quiet.test"] {
        assert_eq!(submission.deliver("ann@example.test", &[to], message).await.code, 250);
    }
    peer.wait_for(2).await;
    let mails = next_day(&host, &peer, 3).await;
    let mail = mails.last().unwrap();
    assert_eq!(mail.to, ["tls@far.test"]);
    assert!(mail.content.contains("TLS-Report-Domain: far.test\r\n"), "{}", mail.content);
    assert!(mail.content.contains("DKIM-Signature: "), "{}", mail.content);
    assert!(mail.content.contains("\r\nTLS-Required: No\r\n"), "{}", mail.content);
    let report = TlsReport::parse_rfc5322(mail.content.as_bytes(), 1 << 20).unwrap();
    assert_eq!(report.contact_info.as_deref(), Some("reports@example.test"));
    let policy = &report.policies[0];
    assert_eq!((policy.policy.policy_type, policy.summary.total_failure), (PolicyType::NoPolicyFound, 1));
    let failure = &policy.failure_details[0];
    assert_eq!((failure.result_type, failure.failed_session_count), (ResultType::StartTlsNotSupported, 1));
    assert_eq!(failure.receiving_mx_hostname.as_deref(), Some("mx.far.test"));
    host.stop().await;
}
