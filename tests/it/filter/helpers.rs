//! Mail for external programs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use postrider::foundations::address::ReversePath;
use postrider::foundations::clock::{SystemClock, Timestamp};
use postrider::foundations::ids::{MailId, SessionId};
use postrider::foundations::mail::{BodyKind, Envelope, Extras, Mail, Message, Origin, Peer, Recipient, With};
use postrider::foundations::settings::{Live, Span};
use postrider::services::filter::{Endpoint, Filter, FilterSettings, MilterSettings, Verdict};

/// A message as a client would send it.
pub fn mail(text: &str) -> Mail {
    let at = Timestamp::from_unix_seconds(1_795_492_800);
    let from = ReversePath::Address("ann@sender.test".parse().unwrap());
    let to = Recipient::plain("bob@example.test".parse().unwrap());
    Mail {
        id: MailId::generate(at),
        origin: Origin {
            session: SessionId::generate(at),
            peer: Peer::Tcp("127.0.0.1:2525".parse().unwrap()),
            local: None,
            hello: "mx.sender.test".to_owned(),
            with: With::Esmtp(Extras::default()),
            tls: None,
            login: None,
            at,
        },
        envelope: Envelope { body: BodyKind::EightBitMime, ..Envelope::plain(from, vec![to]) },
        message: Message::new(text.replace("\r\n", "\n").replace('\n', "\r\n").into_bytes()),
    }
}

/// A plain message.
pub const PLAIN: &str = "From: Ann <ann@sender.test>\nTo: bob@example.test\nSubject: Tomorrow\nDate: Tue, 24 Nov 2026 04:00:00 +0000\nMessage-ID: <1@sender.test>\n\nHello Bob,\nsee you at ten.\n";

/// The verdict of a filter with these settings about a message, and the resulting message.
pub async fn judge(settings: FilterSettings, mail: &Mail) -> (Verdict, String) {
    let filter = Filter::new(Live::new(settings), Arc::new(SystemClock))
        .with_hostname(Live::new("mx.example.test".parse().unwrap()));
    let verdict = filter.judge(mail).await;
    let text = String::from_utf8_lossy(&verdict.apply(&mail.message).bytes()).into_owned();
    (verdict, text)
}

/// Settings with one milter.
pub fn with_milter(name: &str, address: Endpoint) -> FilterSettings {
    let milter = MilterSettings {
        name: name.to_owned(),
        address: Some(address),
        timeout: Span::seconds(60),
        on_failure: postrider::services::filter::OnFailure::Later,
        ..MilterSettings::default()
    };
    FilterSettings { milters: vec![milter], ..FilterSettings::default() }
}

/// Waits until something listens.
pub async fn listening(endpoint: &Endpoint, log: &Path) {
    // Two minutes: on a busy machine rspamd needs one to read its rules.
    for _ in 0..2400 {
        if endpoint.connect(Duration::from_secs(1)).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nothing listens at {endpoint}\n{}", std::fs::read_to_string(log).unwrap_or_default());
}
