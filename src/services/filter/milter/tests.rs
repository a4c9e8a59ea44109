use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

use super::change::apply;
use super::client::Outcome;
use super::*;
use crate::foundations::address::Address;
use crate::foundations::mail::{Login, Mail, Peer, Recipient, TlsFacts};
use crate::foundations::settings::Span;
use crate::foundations::tasks::Tasks;
use crate::services::filter::Endpoint;
use crate::services::filter::settings::MilterSettings;
use crate::services::filter::tests::Case;

/// A milter that writes down what it is told and answers from a list: the command it answers, and the packets.
struct Fake {
    _folder: tempfile::TempDir,
    settings: MilterSettings,
    heard: Heard,
    conversations: Arc<AtomicUsize>,
    tasks: Tasks,
}

/// Commands and what belonged to them.
type Heard = Arc<Mutex<Vec<(u8, Vec<u8>)>>>;
/// A packet: command and data.
type Sent = (u8, &'static [u8]);
/// Commands and the packets that answer them.
type Script = &'static [(u8, &'static [Sent])];

impl Fake {
    fn start(steps: u32, script: Script) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("milter");
        let listener = UnixListener::bind(&path).unwrap();
        let (heard, conversations, tasks) = (Arc::default(), Arc::new(AtomicUsize::new(0)), Tasks::new());
        let (told, count): (Heard, _) = (Arc::clone(&heard), Arc::clone(&conversations));
        tasks.spawn(async move {
            while let Ok((mut wire, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let mut turns = [0; 256];
                while let Ok(length) = wire.read_u32().await {
                    let mut data = vec![0; length as usize];
                    wire.read_exact(&mut data).await.unwrap();
                    let command = data.remove(0);
                    told.lock().push((command, data));
                    // Of several answers to one command each has its turn, and the last one has the rest.
                    let fitting: Vec<_> = script.iter().filter(|(c, _)| *c == command).collect();
                    let turn = turns[usize::from(command)];
                    turns[usize::from(command)] += 1;
                    let answers: Vec<(u8, Vec<u8>)> = match (command, fitting.get(turn).or(fitting.last())) {
                        (b'D' | b'Q', _) => Vec::new(),
                        (b'O', None) => {
                            vec![(b'O', [6u32, 0x1ff, steps].iter().flat_map(|n| n.to_be_bytes()).collect())]
                        }
                        (_, Some((_, packets))) => packets.iter().map(|(c, d)| (*c, d.to_vec())).collect(),
                        (_, None) => vec![(b'c', Vec::new())],
                    };
                    for (command, data) in answers {
                        wire.write_u32(u32::try_from(data.len() + 1).unwrap()).await.unwrap();
                        wire.write_u8(command).await.unwrap();
                        wire.write_all(&data).await.unwrap();
                    }
                }
            }
        });
        let settings = MilterSettings {
            name: "fake".into(),
            address: Some(Endpoint::Unix(path)),
            timeout: Span::millis(300),
            ..MilterSettings::default()
        };
        Self { _folder: folder, settings, heard, conversations, tasks }
    }

    fn commands(&self) -> String {
        self.heard.lock().iter().map(|(c, _)| char::from(*c)).filter(|c| *c != 'D').collect()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.tasks.token().cancel();
    }
}

fn case() -> Case {
    let mut case = Case::new("From: ann@sender.test\nSubject: one\n two\nX-Old: 1\nX-Old: 2\n\nbody\n");
    case.to = vec!["bob@example.test".into(), "eve@example.test".into()];
    case
}

async fn run(fake: &Fake) -> Result<Outcome, Error> {
    let mail = case().mail();
    ask(&fake.settings, &mail, mail.message.original()).await.map(|(outcome, _)| outcome)
}

fn told(mail: &Mail) -> Told {
    let (origin, reverse_path) = (mail.origin.clone(), mail.envelope.reverse_path.clone());
    Told { id: mail.id, origin, reverse_path, hostname: "mx.example.test".into(), client_name: None }
}

/// The whole way; the recipients who were refused.
async fn ask(
    settings: &MilterSettings,
    mail: &Mail,
    message: &Bytes,
) -> Result<(Outcome, Vec<(Address, Answer)>), Error> {
    ask_as(settings, mail, message, &told(mail)).await
}

async fn ask_as(
    settings: &MilterSettings,
    mail: &Mail,
    message: &Bytes,
    told: &Told,
) -> Result<(Outcome, Vec<(Address, Answer)>), Error> {
    let mut conversation = Conversation::begin(settings, told).await?;
    let mut refused = Vec::new();
    for Recipient { address, .. } in &mail.envelope.recipients {
        let answer = conversation.recipient(told, address).await?;
        refused.extend(answer.map(|answer| (address.clone(), answer)));
    }
    let outcome = conversation.message(told, message).await?;
    conversation.end().await;
    Ok((outcome, refused))
}

#[tokio::test]
async fn every_stage_is_told_in_order() {
    let fake = Fake::start(0, &[]);
    assert_eq!(run(&fake).await.unwrap(), Outcome::of(Answer::Accept));
    while !fake.commands().ends_with('Q') {
        tokio::task::yield_now().await;
    }
    assert_eq!(fake.commands(), "OCHMRRTLLLLNBEQ");
    let heard = fake.heard.lock();
    let told = |command: u8| heard.iter().filter(|(c, _)| *c == command).map(|(_, d)| d.clone()).collect::<Vec<_>>();
    let port = match case().mail().origin.peer {
        Peer::Tcp(peer) => peer.port().to_be_bytes(),
        other => panic!("{other}"),
    };
    assert_eq!(told(b'C'), [[b"[198.51.100.7]\x004", &port[..], b"198.51.100.7\x00"].concat()]);
    assert_eq!(told(b'R'), [b"<bob@example.test>\0".to_vec(), b"<eve@example.test>\0".to_vec()]);
    assert_eq!(told(b'L')[1], b"Subject\0one\n two\0".to_vec());
    assert_eq!(told(b'B'), [b"body\r\n".to_vec()]);
}

#[tokio::test]
async fn macros_tell_what_is_known_of_client_and_session() {
    let fake = Fake::start(0, &[]);
    let mut mail = case().mail();
    let server_name = None;
    mail.origin.tls = Some(TlsFacts { version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384".into(), server_name });
    mail.origin.login = Some(Login::user("ann@sender.test".parse().unwrap()));
    mail.origin.local = Some("192.0.2.25:587".parse().unwrap());
    let told = Told { client_name: Some("mx.sender.test".into()), ..told(&mail) };
    ask_as(&fake.settings, &mail, mail.message.original(), &told).await.unwrap();
    let heard = fake.heard.lock();
    let Peer::Tcp(peer) = mail.origin.peer else { panic!("{:?}", mail.origin.peer) };
    let connection = &heard.iter().find(|(command, _)| *command == b'C').unwrap().1;
    let wanted = [b"mx.sender.test\x004", &peer.port().to_be_bytes()[..], b"198.51.100.7\0"].concat();
    assert_eq!(*connection, wanted);
    let told = |stage: u8| -> Vec<String> {
        let (_, data) = heard.iter().find(|(command, data)| *command == b'D' && data[0] == stage).unwrap();
        let texts: Vec<String> = data[1..].split(|b| *b == 0).map(|t| String::from_utf8_lossy(t).into()).collect();
        texts.chunks_exact(2).map(|pair| pair.join("=")).collect()
    };
    let id = format!("i={}", mail.id);
    let port = format!("{{client_port}}={}", peer.port());
    for (stage, wanted) in [
        (
            b'C',
            &["j=mx.example.test", "_=mx.sender.test [198.51.100.7]", "{client_addr}=198.51.100.7", &port] as &[&str],
        ),
        (b'C', &["{client_name}=mx.sender.test", "{client_ptr}=mx.sender.test"]),
        (b'C', &["{daemon_addr}=192.0.2.25", "{daemon_port}=587"]),
        (b'H', &["{tls_version}=TLSv1.3", "{cipher}=TLS_AES_256_GCM_SHA384", "{cipher_bits}=256"]),
        (b'M', &[&id, "{auth_type}=PLAIN", "{auth_authen}=ann@sender.test", "{mail_host}=sender.test"]),
        (b'R', &[&id, "{rcpt_addr}=bob@example.test", "{rcpt_host}=example.test"]),
        (b'T', &[&id]),
        (b'N', &[&id]),
        (b'E', &[&id]),
    ] {
        let told = told(stage);
        assert!(wanted.iter().all(|one| told.iter().any(|macros| macros == one)), "{}: {told:?}", char::from(stage));
    }
}

#[tokio::test]
async fn what_it_does_not_want_it_is_not_told() {
    // No connection, no HELO, no header fields, no body; no answer to MAIL.
    let fake = Fake::start(0x1 | 0x2 | 0x20 | 0x10 | 0x4000, &[(b'M', &[])]);
    assert_eq!(run(&fake).await.unwrap().answer, Answer::Accept);
    assert!(fake.commands().starts_with("OMRRTNE"), "{}", fake.commands());
}

#[tokio::test]
async fn who_is_refused_stays_refused_when_the_rest_is_accepted_early() {
    let scripts: &[Script] = &[
        &[(b'R', &[(b't', b"")]), (b'R', &[(b'a', b"")])],
        &[(b'R', &[(b't', b"")]), (b'R', &[(b'c', b"")]), (b'T', &[(b'a', b"")])],
        &[(b'R', &[(b't', b"")]), (b'R', &[(b'c', b"")]), (b'L', &[(b'a', b"")])],
        &[(b'R', &[(b't', b"")]), (b'R', &[(b'c', b"")]), (b'N', &[(b'a', b"")])],
        &[(b'R', &[(b't', b"")]), (b'R', &[(b'c', b"")]), (b'B', &[(b'a', b"")])],
        &[(b'R', &[(b't', b"")]), (b'R', &[(b'c', b"")]), (b'E', &[(b'a', b"")])],
    ];
    for script in scripts {
        let (fake, mail) = (Fake::start(0, script), case().mail());
        let (outcome, refused) = ask(&fake.settings, &mail, mail.message.original()).await.unwrap();
        let wanted = vec![("bob@example.test".parse().unwrap(), Answer::Later(None))];
        assert_eq!((outcome.answer, refused), (Answer::Accept, wanted), "{script:?}");
    }
}

#[tokio::test]
async fn answers_at_every_stage() {
    let scripts: &[(Script, Answer)] = &[
        (&[(b'C', &[(b'r', b"")])], Answer::Reject(None)),
        (&[(b'H', &[(b't', b"")])], Answer::Later(None)),
        (&[(b'M', &[(b'y', b"550 5.7.1 No thanks\0")])], Answer::Reject(Some("550 5.7.1 No thanks".into()))),
        (&[(b'M', &[(b'y', b"451 4.7.1 100%% later\0")])], Answer::Later(Some("451 4.7.1 100% later".into()))),
        (&[(b'R', &[(b'd', b"")])], Answer::Discard),
        (&[(b'T', &[(b'a', b"")])], Answer::Accept),
        (&[(b'L', &[(b'd', b"")])], Answer::Discard),
        (&[(b'N', &[(b'r', b"")])], Answer::Reject(None)),
        (&[(b'B', &[(b's', b"")])], Answer::Accept),
        (&[(b'E', &[(b'p', b""), (b'p', b""), (b'q', b"odd\0"), (b'c', b"")])], Answer::Quarantine("odd".into())),
        (&[(b'E', &[(b'r', b"")])], Answer::Reject(None)),
    ];
    for (script, wanted) in scripts {
        let fake = Fake::start(0, script);
        assert_eq!(&run(&fake).await.unwrap().answer, wanted, "{script:?}");
    }
}

#[tokio::test]
async fn every_modification() {
    let fake = Fake::start(
        0,
        &[(
            b'E',
            &[
                (b'h', b"X-Added\0a\n b\0"),
                (b'i', b"\0\0\0\0X-Top\0t\0"),
                (b'm', b"\0\0\0\x02X-Old\0changed\0"),
                (b'm', b"\0\0\0\x01X-Old\0\0"),
                (b'm', b"\0\0\0\x01Subject\0new\r\nX-Evil: 1\0"),
                (b'b', b"other "),
                (b'b', b"body\r\n"),
                (b'+', b"<new@example.test>\0"),
                (b'-', b"<eve@example.test>\0"),
                (b'e', b"<other@sender.test>\0SIZE=1\0"),
                (b'c', b""),
            ],
        )],
    );
    let outcome = run(&fake).await.unwrap();
    let changed = apply(case().mail().message.original(), &outcome.changes);
    assert_eq!(
        String::from_utf8_lossy(&changed),
        "X-Top: t\r\nFrom: ann@sender.test\r\nSubject: new\r\n\tX-Evil: 1\r\nX-Old: changed\r\nX-Added: a\r\n b\r\n\r\nother body\r\n"
    );
    assert!(outcome.changes.contains(&Change::AddRecipient("new@example.test".into())));
    assert!(outcome.changes.contains(&Change::RemoveRecipient("eve@example.test".into())));
    assert!(outcome.changes.contains(&Change::Sender("other@sender.test".into())));
    // One that may want something that was not offered closes the connection: version, then the actions.
    let heard = fake.heard.lock();
    assert_eq!((heard[0].0, &heard[0].1[4..8]), (b'O', &[0, 0, 0, 0xff][..]));
}

#[tokio::test]
async fn broken_milters_are_told_from_good_ones() {
    let scripts: &[Script] = &[
        &[(b'O', &[(b'O', b"\0\0")])],
        &[(b'O', &[(b'c', b"")])],
        &[(b'H', &[(b'?', b"")])],
        &[(b'E', &[(b'm', b"\0")])],
        // It never answers.
        &[(b'M', &[])],
    ];
    for script in scripts {
        let fake = Fake::start(0, script);
        assert!(run(&fake).await.is_err(), "{script:?}");
        assert_eq!(fake.conversations.load(Ordering::Relaxed), 1);
    }
    let nowhere =
        MilterSettings { address: Some(Endpoint::Unix("/nonexistent/milter".into())), ..MilterSettings::default() };
    let mail = case().mail();
    assert!(matches!(ask(&nowhere, &mail, &Bytes::new()).await, Err(Error::Io(_))));
}

#[tokio::test]
async fn a_milter_that_only_says_that_it_is_busy_has_an_end() {
    const BUSY: Sent = (b'p', b"");
    let mut fake = Fake::start(0, &[(b'E', &[BUSY; 100_000])]);
    fake.settings.message_timeout = Span::millis(1);
    assert!(matches!(run(&fake).await, Err(Error::Timeout)));
}

#[tokio::test]
async fn a_milter_that_does_not_read_has_an_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("milter");
    let listener = UnixListener::bind(&path).unwrap();
    let settings = MilterSettings {
        address: Some(Endpoint::Unix(path)),
        timeout: Span::millis(300),
        message_timeout: Span::millis(300),
        ..MilterSettings::default()
    };
    let mail = case().mail();
    let message = Bytes::from(format!("X-Long: {}\r\n\r\n", "x".repeat(8 << 20)));
    let deaf = async {
        let (mut wire, _) = listener.accept().await.unwrap();
        wire.write_all(b"\0\0\0\x0dO\0\0\0\x06\0\0\x01\xff\0\0\x7f\x5f").await.unwrap();
        std::future::pending::<()>().await;
    };
    let asked = tokio::time::timeout(std::time::Duration::from_secs(20), ask(&settings, &mail, &message));
    let outcome = tokio::select! { outcome = asked => outcome, () = deaf => unreachable!("it waits for ever") };
    assert!(matches!(outcome, Ok(Err(Error::Timeout))), "{outcome:?}");
}

#[tokio::test]
async fn a_milter_cannot_fill_the_memory() {
    let fake = Fake::start(0, &[(b'E', &[(b'h', &[b'x'; 200 << 10]), (b'h', &[b'x'; 400 << 10]), (b'c', b"")])]);
    assert!(matches!(run(&fake).await, Err(Error::Nonsense("changes that are too large"))));
}

#[tokio::test]
async fn a_milter_that_never_comes_to_the_end_has_one() {
    const BUSY: Sent = (b'p', b"");
    const ODD: Sent = (b'?', b"");
    const KEEP: Sent = (b'q', &[b'x'; 100 << 10]);
    let scripts: [(Script, &str); 4] = [
        (&[(b'E', &[BUSY; 100_001])], "packets without an end"),
        (&[(b'H', &[BUSY; 100_001])], "packets without an end"),
        (&[(b'E', &[ODD; 100_001])], "packets without an end"),
        (&[(b'E', &[KEEP; 6])], "changes that are too large"),
    ];
    for (script, wanted) in scripts {
        let mut fake = Fake::start(0, script);
        fake.settings.timeout = Span::seconds(30);
        let outcome = run(&fake).await;
        assert!(matches!(outcome, Err(Error::Nonsense(why)) if why == wanted), "{wanted}: {outcome:?}");
    }
}
