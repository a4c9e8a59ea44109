//! Passes mail from scripts, and requests to leave mailing lists, from the process with the mailboxes to the one with
//! the queue, over a socket of the latter.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::control::{Complaint, Nature, Request, RequestError, post};
use super::{Parts, ServerSettings};
use crate::foundations::address::Address;
use crate::foundations::clock::Timestamp;
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::ids::{MailId, QueueId, SessionId};
use crate::foundations::mail::{Envelope, Mail, Message, Origin};
use crate::services::filter::authentication::dkim::Findings;
use crate::services::handover::{Errand, ErrandKind, ListLeaving, Posting};

/// An errand without its message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Posted {
    mail: MailId,
    session: SessionId,
    at: Timestamp,
    envelope: Envelope,
    account: Address,
    kind: ErrandKind,
    findings: Option<(String, usize)>,
}

/// The connection to the process that has the queue.
#[derive(Debug)]
pub(super) struct OverControl {
    server: ServerSettings,
}

impl OverControl {
    pub(super) const fn new(server: ServerSettings) -> Self {
        Self { server }
    }

    async fn send(&self, errand: Errand<'_>) -> Result<QueueId, Refusal> {
        let mail = errand.mail;
        let posted = Posted {
            mail: mail.id,
            session: mail.origin.session,
            at: mail.origin.at,
            envelope: mail.envelope.clone(),
            account: errand.account.clone(),
            kind: errand.kind,
            findings: errand.findings.map(|findings| (findings.results.clone(), findings.sets)),
        };
        let request = Request::Post { errand: Box::new(posted), size: mail.message.len() as u64 };
        let pieces = mail.message.pieces();
        post(&self.server, &request, &pieces).await.map_err(|error| match error {
            RequestError::Refused(Complaint { nature: Nature::NotFound, text }) => {
                Refusal::new(Kind::NotFound, text).smtp(550, "5.1.1")
            }
            RequestError::Refused(Complaint {
                nature: Nature::Other | Nature::Exists | Nature::Configuration,
                text,
            }) => Refusal::new(Kind::Invalid, text),
            error => Refusal::temporary(error),
        })
    }
}

impl Posting for OverControl {
    fn post<'a>(&'a self, errand: Errand<'a>) -> BoxFuture<'a, Result<QueueId, Refusal>> {
        self.send(errand).boxed()
    }
}

impl ListLeaving for OverControl {
    fn leave<'a>(&'a self, page: &'a str) -> BoxFuture<'a, Result<(), String>> {
        let leaving = async {
            let request = Request::LeaveList { page: page.to_owned() };
            post(&self.server, &request, &[]).await.map_err(|error| match error {
                RequestError::Refused(complaint) => complaint.text,
                // The user sees this sentence; details of the socket are for the administrator.
                error => {
                    log::warn!("a list cannot be left: {error}");
                    "the part of this server that connects to other hosts does not answer".to_owned()
                }
            })
        };
        leaving.boxed()
    }
}

/// Posts a message received from another process.
pub(super) async fn perform(posted: Posted, message: Vec<u8>, parts: &Parts) -> Result<QueueId, Refusal> {
    let Some(office) = &parts.office else { return Err(Refusal::new(Kind::Invalid, "this process has no queue")) };
    let origin = Origin::internal(posted.session, posted.at);
    let mail = Mail { id: posted.mail, origin, envelope: posted.envelope, message: Message::new(message) };
    let findings = posted.findings.map(|(results, sets)| Findings { results, sets });
    let (account, kind) = (&posted.account, posted.kind);
    office.post(Errand { mail: &mail, account, kind, findings: findings.as_ref() }).await
}
