use std::path::Path;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationState, AuthorizationStatus, CertificateIdentifier, ChallengeType, Identifier, NewOrder,
    Order, OrderStatus, Problem, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::challenges::Given;
use super::http::RetryAfter;
use super::{AcmeCertificate, AcmeChallenge, Challenges, Error, Refused};
use crate::foundations::address::Domain;

const UNACCEPTED: &str = "did not accept the order";
const UNDECIDED: &str = "did not decide about the order";

/// Why an order came to nothing.
enum Unproven {
    /// It is clear which names are to blame, or none is.
    Explained(Box<Error>),
    /// A name is to blame, and the authority does not say which.
    Unexplained(Box<Error>),
}

impl From<Error> for Unproven {
    fn from(error: Error) -> Self {
        Self::Explained(Box::new(error))
    }
}

/// Who orders a certificate, and from whom.
pub(super) struct Applicant<'a> {
    /// The certificate that is wanted.
    pub(super) wanted: &'a AcmeCertificate,
    /// The account at its authority.
    pub(super) account: &'a Account,
    /// When the authority wants to be asked again.
    pub(super) retry_after: &'a RetryAfter,
    /// Where the answers to challenges are served.
    pub(super) challenges: &'a Challenges,
}

impl Applicant<'_> {
    /// Orders a certificate for some of the names, proves that they are ours, and fetches its chain in PEM.
    ///
    /// # Errors
    /// The authority refuses, or does not finish in time. If it does not accept some of the names, all of those are told.
    pub(super) async fn obtain(
        &self,
        names: &[Domain],
        replaces: Option<CertificateIdentifier<'_>>,
        key: &KeyPair,
    ) -> Result<String, Error> {
        let names: Vec<String> = names.iter().map(|name| name.as_str().to_owned()).collect();
        let mut order = match self.prove(&names, replaces).await {
            Ok(order) => order,
            Err(Unproven::Explained(error)) => return Err(*error),
            Err(Unproven::Unexplained(error)) => {
                return Err(match self.those_at_fault(&names).await {
                    Some(refused) => self.not_ours(refused),
                    None => *error,
                });
            }
        };
        let mut params = CertificateParams::new(names.clone())?;
        params.distinguished_name = DistinguishedName::new();
        let csr = params.serialize_request(key)?;
        order.finalize_csr(csr.der()).await.map_err(|source| match rejected(&names, &source) {
            refused if refused.is_empty() => self.failed("did not accept the certificate request")(source),
            refused => self.not_ours(refused),
        })?;
        order.poll_certificate(&PATIENT).await.map_err(self.failed("issued no certificate"))
    }

    /// Places an order and proves that its names are ours.
    async fn prove(&self, names: &[String], replaces: Option<CertificateIdentifier<'_>>) -> Result<Order, Unproven> {
        let by = |did: &'static str, source: instant_acme::Error| match rejected(names, &source) {
            refused if !refused.is_empty() => self.not_ours(refused).into(),
            _ if is_about_some_name(&source) => Unproven::Unexplained(Box::new(self.failed(did)(source))),
            _ => self.failed(did)(source).into(),
        };
        let identifiers: Vec<Identifier> = names.iter().cloned().map(Identifier::Dns).collect();
        let mut order = place(self.account, &identifiers, replaces).await.map_err(|source| by(UNACCEPTED, source))?;
        let (given, at_once) = self.answer(&mut order).await?;
        let status = order.state().status;
        let decided = match status {
            _ if !at_once.is_empty() => Ok(OrderStatus::Invalid),
            // Everything has been proven for an earlier order.
            OrderStatus::Ready => Ok(OrderStatus::Ready),
            _ => order.poll_ready(&PATIENT).await,
        };
        if matches!(decided, Ok(OrderStatus::Ready)) {
            drop(given);
            return Ok(order);
        }
        let refused = refused(at_once, &mut order, self.retry_after).await.map_err(self.failed(UNDECIDED))?;
        Err(match decided {
            Err(source) if refused.is_empty() => by(UNDECIDED, source),
            _ if refused.is_empty() => {
                let all = names.iter().cloned().map(Refused::without_reason);
                Unproven::Unexplained(Box::new(self.not_ours(all.collect())))
            }
            _ => self.not_ours(refused).into(),
        })
    }

    /// The names because of which an order for all of them was refused, found by an order for each. These are not finalized, so that no
    /// certificate is issued; what they have proven counts for the next order. If there are very many names, some share an order, and are
    /// refused together. `None` if nothing is found, or the authority does not want to go on.
    async fn those_at_fault(&self, names: &[String]) -> Option<Vec<Refused>> {
        let mut refused = Vec::new();
        if names.len() < 2 {
            return None;
        }
        for some in names.chunks(names.len().div_ceil(MOST_ORDERS)) {
            match self.prove(some, None).await {
                Ok(_) => {}
                Err(Unproven::Unexplained(error)) => {
                    let reason = match *error {
                        Error::Authority { source, .. } => source.to_string(),
                        _ => NO_REASON.to_owned(),
                    };
                    refused.extend(some.iter().map(|name| Refused { name: name.clone(), reason: reason.clone() }));
                }
                Err(Unproven::Explained(error)) => match *error {
                    Error::NotOurs { refused: of_these, .. } => refused.extend(of_these),
                    error => {
                        log::warn!(error:% = error; "The authority does not say which name it refuses, nor can this be found out now");
                        return None;
                    }
                },
            }
        }
        (!refused.is_empty()).then_some(refused)
    }

    /// Prepares the answer to each challenge and reports it ready. The answers are served until those returned are dropped. Also returns
    /// the names that are refused already.
    async fn answer(&self, order: &mut Order) -> Result<(Vec<Given>, Vec<Refused>), Error> {
        let wanted = self.wanted;
        let (mut given, mut refused) = (Vec::new(), Vec::new());
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(self.failed("sent no challenge"))?;
            match authorization.status {
                // Proven already, for an earlier order.
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                _ => {
                    refused.push(Refused::of(&authorization));
                    continue;
                }
            }
            let name = authorization.identifier().to_string();
            let kind = match wanted.challenge {
                AcmeChallenge::Http01 => ChallengeType::Http01,
                AcmeChallenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
            };
            let Some(mut challenge) = authorization.challenge(kind) else {
                let (authority, wanted) = (wanted.authority.clone(), wanted.challenge.to_string());
                return Err(Error::NoSuchChallenge { authority, name, wanted });
            };
            let key_authorization = challenge.key_authorization();
            given.push(match wanted.challenge {
                AcmeChallenge::Http01 => self.challenges.give_http(&challenge.token, key_authorization.as_str()),
                AcmeChallenge::TlsAlpn01 => self.challenges.give_tls(&name, key_authorization.digest().as_ref())?,
            });
            match challenge.set_ready().await {
                Ok(()) => {}
                // Some authorities look at once.
                Err(instant_acme::Error::Api(problem)) if is_about_name(&problem) => {
                    refused.push(Refused { name, reason: problem.to_string() });
                }
                Err(source) => return Err(self.failed("did not check the answer")(source)),
            }
        }
        Ok((given, refused))
    }

    fn failed(&self, did: &'static str) -> impl FnOnce(instant_acme::Error) -> Error {
        move |source| Error::Authority { authority: self.wanted.authority.clone(), did, source }
    }

    fn not_ours(&self, refused: Vec<Refused>) -> Error {
        Error::NotOurs { authority: self.wanted.authority.clone(), refused }
    }
}

/// Places an order. Saying what it replaces is a courtesy that gives it priority (RFC 9773 §5). If the authority refuses that,
/// as when an earlier order replaced the same certificate and its result was lost, the order is placed without it.
async fn place(
    account: &Account,
    identifiers: &[Identifier],
    replaces: Option<CertificateIdentifier<'_>>,
) -> Result<Order, instant_acme::Error> {
    if let Some(replaces) = replaces {
        match account.new_order(&NewOrder::new(identifiers).replaces(replaces)).await {
            Ok(order) => return Ok(order),
            // Another order would be refused for the same reason, and be counted.
            Err(instant_acme::Error::Api(problem)) if kind_of(&problem) == Some("rateLimited") => {
                return Err(instant_acme::Error::Api(problem));
            }
            Err(error) => {
                log::warn!(error:% = error; "The authority does not accept an order that names the certificate it replaces")
            }
        }
    }
    account.new_order(&NewOrder::new(identifiers)).await
}

/// The names because of which an order is not accepted (RFC 8555 §6.7.1).
fn rejected(names: &[String], error: &instant_acme::Error) -> Vec<Refused> {
    let instant_acme::Error::Api(problem) = error else { return Vec::new() };
    let of_name = problem.subproblems.iter().filter_map(|part| match &part.identifier {
        Some(Identifier::Dns(name)) if names.contains(name) => {
            let reason = part.detail.clone().or_else(|| part.r#type.clone()).unwrap_or_default();
            Some(Refused { name: name.clone(), reason })
        }
        _ => None,
    });
    of_name.collect()
}

/// Whether an order may have been refused because of one of its names. Some authorities call a name that they do not take malformed.
fn is_about_some_name(error: &instant_acme::Error) -> bool {
    let instant_acme::Error::Api(problem) = error else { return false };
    is_about_name(problem) || matches!(kind_of(problem), Some("malformed" | "unsupportedIdentifier"))
}

/// The last part of a problem's type.
fn kind_of(problem: &Problem) -> Option<&str> {
    problem.r#type.as_deref().and_then(|kind| kind.rsplit(':').next())
}

/// Whether a problem is that of one name, and not of the account or the authority (RFC 8555 §6.7).
fn is_about_name(problem: &Problem) -> bool {
    matches!(
        kind_of(problem),
        Some("caa" | "connection" | "dns" | "incorrectResponse" | "rejectedIdentifier" | "tls" | "unauthorized")
    )
}

/// The names that the authority does not accept, beside those that are known. It rejects the order as soon as it has found one, and
/// may still be checking others.
async fn refused(
    mut known: Vec<Refused>,
    order: &mut Order,
    retry_after: &RetryAfter,
) -> Result<Vec<Refused>, instant_acme::Error> {
    let mut looks = MOST_LOOKS;
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        let name = authorization.identifier().to_string();
        if known.iter().any(|one| one.name == name) {
            continue;
        }
        authorization.refresh().await?;
        while authorization.status == AuthorizationStatus::Pending && looks > 0 {
            looks -= 1;
            // RFC 8555 §7.5.1: as late as the authority wants.
            tokio::time::sleep(retry_after.of_latest().unwrap_or(LOOK_AGAIN).clamp(LOOK_AGAIN, LOOK_AGAIN_LATEST))
                .await;
            authorization.refresh().await?;
        }
        if authorization.status != AuthorizationStatus::Valid {
            known.push(Refused::of(&authorization));
        }
    }
    Ok(known)
}

impl Refused {
    /// The errors are in the challenges (RFC 8555 §7.1.6).
    fn of(authorization: &AuthorizationState) -> Self {
        let problem = authorization.challenges.iter().find_map(|challenge| challenge.error.as_ref());
        let state = || format!("the authorization is {:?}", authorization.status).to_lowercase();
        let reason = problem.map_or_else(state, ToString::to_string);
        Self { name: authorization.identifier().to_string(), reason }
    }

    fn without_reason(name: String) -> Self {
        Self { name, reason: NO_REASON.to_owned() }
    }
}

/// The key for a certificate: the one in the file where the certificate will be stored, else a new one.
///
/// # Errors
/// The file holds no key that can be reused.
pub(super) fn key(wanted: &AcmeCertificate, file: &Path) -> Result<KeyPair, Error> {
    if wanted.keep_key && crate::foundations::files::is_there(file)? {
        let pem = crate::foundations::files::read_bounded(file, 1 << 20)?;
        return Ok(KeyPair::from_pem(&private_key(&String::from_utf8_lossy(&pem)))?);
    }
    Ok(KeyPair::generate()?)
}

/// The private key's block in a file with several blocks.
fn private_key(pem: &str) -> String {
    let inside = pem.lines().scan(false, |inside, line| {
        *inside |= line.starts_with("-----BEGIN") && line.contains("PRIVATE KEY");
        let keep = *inside;
        *inside &= !line.starts_with("-----END");
        Some(keep.then_some(line))
    });
    inside.flatten().collect::<Vec<_>>().join("\n")
}

const NO_REASON: &str = "it gave no reason";
/// Most orders by which it is found out which names are refused: authorities count them (RFC 8555 §6.6).
const MOST_ORDERS: usize = 30;
/// How often authorizations are looked at that are not decided when the order is, and the pause before each.
const MOST_LOOKS: u32 = 20;
const LOOK_AGAIN: Duration = Duration::from_secs(1);
const LOOK_AGAIN_LATEST: Duration = Duration::from_secs(10);

/// Authorities may take their time to check our answers; the worker limits the whole.
const PATIENT: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(500)).backoff(1.5).timeout(Duration::from_mins(3));

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
