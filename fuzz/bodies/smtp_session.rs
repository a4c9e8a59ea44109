//! Whole SMTP and LMTP conversations, fed whole and in pieces with the same result; nothing sent before a handshake
//! survives it.

use bytes::BytesMut;
use postrider::foundations::failure::{Kind, Refusal};
use postrider::foundations::mail::{Login, With};
use postrider::foundations::net::StartTls;
use postrider::foundations::wire::smtp::{LineEndings, Reply};
use postrider::protocols::smtp::{Answer, Auth, Conversation, EarlyInput, Mode, Profile, Question, Step};

pub fn run(data: &[u8]) {
    let [choice, cut, bytes @ ..] = data else { return };
    let whole = talk(*choice, bytes, bytes.len().max(1));
    // Input pipelined after STARTTLS is dropped, and how much that is depends on the pieces.
    if !whole.iter().any(|line| line == "tls") {
        assert_eq!(whole, talk(*choice, bytes, usize::from(*cut) + 1));
    }
}

fn profile(choice: u8) -> Profile {
    Profile {
        mode: [Mode::Relay, Mode::Submission, Mode::Lmtp][usize::from(choice % 3)],
        hostname: "mail.example.test".parse().unwrap(),
        start_tls: if choice & 4 == 0 { StartTls::Unavailable } else { StartTls::Offered },
        program: None,
        vouches: false,
        auth: if choice & 8 == 0 { Auth::UnderTls } else { Auth::Always },
        message_size: 500,
        header_size: 200,
        recipients: 5,
        messages: 4,
        refused_recipients: 4,
        idle_commands: 10,
        failed_logins: 3,
        line_endings: if choice & 16 == 0 { LineEndings::Refuse } else { LineEndings::Normalise },
    }
}

fn talk(choice: u8, bytes: &[u8], piece: usize) -> Vec<String> {
    let mut conversation = Conversation::new(profile(choice), 500, EarlyInput::Accept);
    let (mut input, mut said) = (BytesMut::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        input.extend_from_slice(piece);
        while let Some(step) = conversation.advance(&mut input) {
            if perform(&mut conversation, step, &mut said) == Goes::Over {
                return said;
            }
        }
        assert!(conversation.session().held() <= 4_096, "a session holds no more than a message");
    }
    said
}

#[derive(PartialEq)]
enum Goes {
    On,
    Over,
}

fn perform(conversation: &mut Conversation, mut step: Step, said: &mut Vec<String>) -> Goes {
    loop {
        step = match step {
            Step::Continue => return Goes::On,
            Step::Reply(reply) => {
                said.push(text(&reply));
                return Goes::On;
            }
            Step::Replies(replies) => {
                said.extend(replies.iter().map(text));
                return Goes::On;
            }
            Step::StartTls(reply) => {
                said.extend([text(&reply), "tls".to_owned()]);
                conversation.session_mut().secured();
                return Goes::On;
            }
            Step::Close(reply) => {
                said.push(text(&reply));
                return Goes::Over;
            }
            Step::Ask(question) => {
                let answer = answer(*question, said);
                conversation.session_mut().answer(answer)
            }
        };
    }
}

/// An answer that depends only on the question.
fn answer(question: Question, said: &mut Vec<String>) -> Answer {
    let no = || Refusal::new(Kind::NotFound, "No such mailbox");
    let yes_if = |yes: bool| if yes { Ok(()) } else { Err(no()) };
    match question {
        Question::Login(credentials) if credentials.username.len() % 2 == 1 => {
            Answer::Login(Ok(Login::user("ann@example.test".parse().unwrap())))
        }
        Question::Login(_) => Answer::Login(Err(no())),
        Question::Sender { path, .. } => Answer::Sender(yes_if(path.to_string().len() % 5 != 4)),
        Question::Recipient { recipient, .. } => {
            Answer::Recipient(yes_if(recipient.address.to_string().len() % 4 != 3))
        }
        Question::Memory(octets) => Answer::Memory(yes_if(octets % 7 != 6)),
        Question::Message(message) => {
            assert!(message.content.len() <= 500, "larger than the limit");
            said.push(format!("{:?} {}", message.envelope, message.content.escape_ascii()));
            match message.with {
                With::Lmtp(_) => Answer::Each(message.envelope.recipients.iter().map(|_| Err(no())).collect()),
                _ => Answer::Message(Err(no())),
            }
        }
    }
}

fn text(reply: &Reply) -> String {
    let mut out = BytesMut::new();
    reply.encode(&mut out);
    for line in out.strip_suffix(b"\r\n").unwrap().split(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(line.len() <= 510 && !line.contains(&b'\r') && line[..3].iter().all(u8::is_ascii_digit));
    }
    String::from_utf8_lossy(&out).into_owned()
}
