//! MAIL and RCPT.

use super::replies::{closing, sequence, too_large};
use super::{Asked, Characters, Question, Session, Step};
use crate::foundations::address::{ForwardPath, ReversePath};
use crate::foundations::failure::Refusal;
use crate::foundations::mail::{Extras, Recipient, With};
use crate::foundations::wire::smtp::{EnhancedStatus, MailParameters, RcptParameters, Reply, SyntaxError};
use crate::protocols::smtp::Mode;
use crate::protocols::smtp::hello::{self, Extended, Security};
use crate::protocols::smtp::transaction::{Transaction, recipient};

impl Session {
    pub(super) fn mail(&mut self, path: ReversePath, characters: Characters, parameters: MailParameters) -> Step {
        if self.transaction.is_some() {
            return Step::Reply(sequence("A transaction is open; RSET ends it"));
        }
        if let Err(reply) = self.check_mail(characters, &parameters) {
            return Step::Reply(reply);
        }
        let Some((hello, with)) = self.greeted(parameters.smtputf8) else {
            return Step::Reply(sequence("Say EHLO first"));
        };
        let transaction = Transaction::new(path.clone(), parameters);
        self.ask(Asked::Sender(Box::new(transaction)), Question::Sender { path, hello, with })
    }

    fn check_mail(&self, characters: Characters, parameters: &MailParameters) -> Result<(), Reply> {
        if self.plain_smtp() && *parameters != MailParameters::default() {
            return Err(Reply::new(555, EnhancedStatus::new(5, 5, 4), "Parameters need EHLO"));
        }
        // RFC 8689 §4.1: where it is not announced the option does not exist.
        if parameters.require_tls && !hello::takes_require_tls(&self.profile, self.security) {
            return Err(SyntaxError::UnknownParameter("REQUIRETLS".to_owned()).reply());
        }
        // RFC 6531 §3.5
        if characters == Characters::International && !parameters.smtputf8 {
            return Err(Reply::new(550, EnhancedStatus::new(5, 6, 7), "Such an address needs SMTPUTF8"));
        }
        // RFC 1870 §6.1
        if parameters.size.is_some_and(|size| size > self.profile.message_size as u64) {
            return Err(too_large(&self.profile));
        }
        // RFC 9422 §4.1
        if self.tally.messages >= self.profile.messages {
            let text = "Too many messages in one session; connect again";
            return Err(Reply::new(452, EnhancedStatus::new(4, 5, 3), text));
        }
        Ok(())
    }

    pub(super) fn rcpt(&mut self, path: ForwardPath, characters: Characters, parameters: RcptParameters) -> Step {
        let Some(transaction) = self.transaction.as_ref().filter(|transaction| !transaction.has_body()) else {
            return Step::Reply(sequence("MAIL first"));
        };
        if self.plain_smtp() && parameters != RcptParameters::default() {
            return Step::Reply(Reply::new(555, EnhancedStatus::new(5, 5, 4), "Parameters need EHLO"));
        }
        let envelope = transaction.envelope();
        // RFC 6531 §3.5
        if characters == Characters::International && !envelope.smtputf8 {
            return Step::Reply(Reply::new(553, EnhancedStatus::new(5, 6, 7), "Such an address needs SMTPUTF8"));
        }
        // RFC 5321 §4.5.3.1.10
        if envelope.recipients.len() >= self.profile.recipients as usize {
            let text = "Too many recipients; send the others in another message";
            return Step::Reply(Reply::new(452, EnhancedStatus::new(4, 5, 3), text));
        }
        let Some(recipient) = recipient(path, parameters, &self.profile.hostname) else {
            return Step::Reply(Reply::new(501, EnhancedStatus::new(5, 1, 3), "Bad recipient address"));
        };
        let (sender, size) = (envelope.reverse_path.clone(), transaction.declared());
        let question = Question::Recipient { recipient: recipient.clone(), sender, size };
        self.ask(Asked::Recipient(Box::new(recipient)), question)
    }

    pub(super) fn recipient_answered(&mut self, recipient: Recipient, result: Result<(), Refusal>) -> Step {
        match (result, self.transaction.as_mut()) {
            (Ok(()), Some(transaction)) => {
                transaction.add(recipient);
                Step::Reply(Reply::new(250, EnhancedStatus::new(2, 1, 5), "Recipient accepted"))
            }
            (Ok(()), None) => Step::Reply(sequence("MAIL first")),
            (Err(refusal), _) => {
                // A front end asks on behalf of many clients; their guesses are not its own.
                let counts = !refusal.is_temporary() && self.profile.mode != Mode::Lmtp;
                self.tally.refused += u32::from(counts);
                if self.tally.refused > self.profile.refused_recipients {
                    return self.close(closing(4, 7, 0, "Too many refused recipients"));
                }
                Step::Reply(Reply::from(&refusal))
            }
        }
    }

    /// What the client calls itself and what it speaks; nothing before its greeting.
    pub(super) fn greeted(&self, utf8: bool) -> Option<(String, With)> {
        let greeting = self.greeting.as_ref()?;
        let extras = Extras { tls: self.security == Security::Tls, login: self.login.is_some(), utf8 };
        let with = hello::with(self.profile.mode, greeting.extended, extras);
        Some((greeting.name.as_str().to_owned(), with))
    }

    fn plain_smtp(&self) -> bool {
        self.greeting.as_ref().is_some_and(|greeting| greeting.extended == Extended::No)
    }
}
