//! A client's side of a session.

use bytes::BytesMut;

use super::super::{Answer, Question, Step, replies};
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::mail::Login;
use crate::foundations::net::StartTls;
use crate::foundations::wire::smtp::LineEndings;
use crate::protocols::smtp::{Auth, Conversation, EarlyInput, Mode, Profile};

/// Limits small enough to be reached.
pub fn profile(mode: Mode) -> Profile {
    Profile {
        mode,
        hostname: "mail.example.test".parse().unwrap(),
        start_tls: StartTls::Offered,
        program: None,
        vouches: false,
        auth: if mode == Mode::Submission { Auth::UnderTls } else { Auth::No },
        message_size: 200,
        header_size: 60,
        recipients: 2,
        messages: 2,
        refused_recipients: 2,
        idle_commands: 6,
        failed_logins: 2,
        line_endings: LineEndings::Refuse,
    }
}

/// Sends text, answers the session's questions, and gathers what is written.
pub struct Talk {
    pub conversation: Conversation,
    input: BytesMut,
    /// Of each message taken: how many recipients, and its content.
    pub taken: Vec<(usize, String)>,
}

impl Talk {
    pub fn new(mode: Mode) -> Self {
        let conversation = Conversation::new(profile(mode), 1000, EarlyInput::Refuse);
        Self { conversation, input: BytesMut::new(), taken: Vec::new() }
    }

    /// A session that waits for a message to one recipient.
    pub fn with_recipient() -> Self {
        let mut talk = Self::new(Mode::Relay);
        talk.codes(&[("EHLO a", "250"), ("MAIL FROM:<>", "250"), ("RCPT TO:<ann@example.test>", "250")]);
        talk
    }

    pub fn tls(mut self) -> Self {
        self.conversation.session_mut().secured();
        self
    }

    pub fn send(&mut self, text: &str) -> Vec<String> {
        self.input.extend_from_slice(text.as_bytes());
        let mut written = Vec::new();
        while let Some(mut step) = self.conversation.advance(&mut self.input) {
            while let Step::Ask(question) = step {
                let answer = self.answer(*question);
                step = self.conversation.session_mut().answer(answer);
            }
            match step {
                Step::Reply(reply) => written.push(reply.to_string()),
                Step::Replies(replies) => written.extend(replies.iter().map(ToString::to_string)),
                Step::StartTls(reply) => {
                    written.push(reply.to_string());
                    self.conversation.session_mut().secured();
                }
                Step::Close(reply) => written.push(format!("{reply} [closed]")),
                Step::Continue | Step::Ask(_) => {}
            }
        }
        written
    }

    fn answer(&mut self, question: Question) -> Answer {
        match question {
            Question::Login(credentials) if credentials.password.expose() == "secret" => {
                Answer::Login(Ok(Login::user(credentials.username.parse().unwrap())))
            }
            Question::Login(_) => {
                Answer::Login(Err(Refusal::new(Kind::AuthenticationFailed, "wrong").smtp(535, "5.7.8")))
            }
            Question::Sender { .. } => Answer::Sender(Ok(())),
            Question::Recipient { recipient, .. } if recipient.address.local().value().starts_with("no") => {
                Answer::Recipient(Err(Refusal::new(Kind::NotFound, "nobody").smtp(550, "5.1.1")))
            }
            Question::Recipient { .. } => Answer::Recipient(Ok(())),
            Question::Memory(199) => Answer::Memory(Err(replies::no_memory())),
            Question::Memory(_) => Answer::Memory(Ok(())),
            Question::Message(completed) => {
                let count = completed.envelope.recipients.len();
                self.taken.push((count, String::from_utf8(completed.content.to_vec()).unwrap()));
                // Stands for a receipt, which only intake can make.
                let taken = || Err(Refusal::new(Kind::Invalid, completed.with.keyword()).smtp(250, "2.0.0"));
                match self.conversation.session().profile().mode {
                    Mode::Lmtp => Answer::Each((0..count).map(|_| taken()).collect()),
                    _ => Answer::Message(taken()),
                }
            }
        }
    }

    /// Sends each line and compares the code of each reply; several replies are parted by blanks.
    pub fn codes(&mut self, table: &[(&str, &str)]) {
        for (text, wanted) in table {
            let written = self.send(&format!("{text}\r\n"));
            let codes: Vec<&str> = written.iter().map(|reply| &reply[..3]).collect();
            assert_eq!(codes.join(" "), *wanted, "{text:?}: {written:?}");
        }
    }
}
