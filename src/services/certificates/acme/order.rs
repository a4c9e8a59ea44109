use std::path::Path;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, Identifier, NewOrder, Order, OrderStatus,
    RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::challenges::Given;
use super::{AcmeCertificate, AcmeChallenge, Challenges, Error};

/// A chain with its key, both in PEM.
pub(super) struct Obtained {
    pub(super) chain: String,
    pub(super) key: KeyPair,
}

/// Orders a certificate, proves that its names are ours, and fetches it.
///
/// # Errors
/// The authority refuses, or does not finish in time.
pub(super) async fn obtain(
    wanted: &AcmeCertificate,
    account: &Account,
    challenges: &Challenges,
    replaces: Option<CertificateIdentifier<'_>>,
    key: KeyPair,
) -> Result<Obtained, Error> {
    let failed = |did| move |source| Error::Authority { authority: wanted.authority.clone(), did, source };
    let names: Vec<String> = wanted.names.iter().map(|name| name.as_str().to_owned()).collect();
    let identifiers: Vec<Identifier> = names.iter().cloned().map(Identifier::Dns).collect();
    let mut order = place(account, &identifiers, replaces).await.map_err(failed("did not accept the order"))?;
    let given = answer(wanted, &mut order, challenges).await?;
    let status = order.poll_ready(&PATIENT).await.map_err(failed("did not decide about the order"))?;
    if status == OrderStatus::Invalid {
        return Err(refusal(wanted, &mut order).await);
    }
    drop(given);
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    let csr = params.serialize_request(&key)?;
    order.finalize_csr(csr.der()).await.map_err(failed("did not accept the certificate request"))?;
    let chain = order.poll_certificate(&PATIENT).await.map_err(failed("issued no certificate"))?;
    Ok(Obtained { chain, key })
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
            Err(error) => {
                log::warn!(error:% = error; "The authority does not accept an order that names the certificate it replaces")
            }
        }
    }
    account.new_order(&NewOrder::new(identifiers)).await
}

/// Prepares the answer to each challenge and reports it ready. The answers are served until the returned value is dropped.
async fn answer(wanted: &AcmeCertificate, order: &mut Order, challenges: &Challenges) -> Result<Vec<Given>, Error> {
    let failed = |did| move |source| Error::Authority { authority: wanted.authority.clone(), did, source };
    let mut given = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.map_err(failed("sent no challenge"))?;
        match authorization.status {
            // Proven already, for an earlier order.
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            status => {
                let name = authorization.identifier().to_string();
                let reason = format!("the authorization is {status:?}").to_lowercase();
                return Err(Error::NotOurs { authority: wanted.authority.clone(), name, reason });
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
            AcmeChallenge::Http01 => challenges.give_http(&challenge.token, key_authorization.as_str()),
            AcmeChallenge::TlsAlpn01 => challenges.give_tls(&name, key_authorization.digest().as_ref())?,
        });
        challenge.set_ready().await.map_err(failed("did not check the answer"))?;
    }
    Ok(given)
}

/// Why the authority rejects the order: the errors are in the challenges (RFC 8555 §7.1.6).
async fn refusal(wanted: &AcmeCertificate, order: &mut Order) -> Error {
    let authority = wanted.authority.clone();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let name = authorization.identifier().to_string();
        let Ok(state) = authorization.refresh().await else { continue };
        if let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
            return Error::NotOurs { authority, name, reason: problem.to_string() };
        }
    }
    let name = wanted.names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" ");
    Error::NotOurs { authority, name, reason: "it gave no reason".to_owned() }
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

/// Authorities may take their time to check our answers; the worker limits the whole.
const PATIENT: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(500)).backoff(1.5).timeout(Duration::from_mins(3));

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Arc;

    use bytes::Bytes;
    use hyper::{Method, Request, Response};
    use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient, NewAccount};
    use parking_lot::Mutex;

    use super::*;

    /// An authority that gives these answers to orders, one after the other.
    struct Authority(Arc<Mutex<Vec<(u16, &'static str)>>>);

    type Answer = Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>>;

    impl HttpClient for Authority {
        fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Answer {
            let (status, body) = match request.uri().path() {
                "/order" if request.method() == Method::POST => self.0.lock().remove(0),
                "/account" => (201, r#"{"status":"valid"}"#),
                "/directory" => (200, DIRECTORY),
                _ => (200, ""),
            };
            let response = Response::builder().status(status).header("replay-nonce", "n").header("location", "/1");
            let response = response.body(BodyWrapper::from(body.as_bytes().to_vec())).unwrap();
            Box::pin(async move { Ok(BytesResponse::from(response)) })
        }
    }

    const DIRECTORY: &str =
        r#"{"newNonce":"/nonce","newAccount":"/account","newOrder":"/order","renewalInfo":"/renewal"}"#;
    /// Without what it replaces, which a client that has sent it does not accept in the answer.
    const PLAIN: (u16, &str) = (201, r#"{"status":"pending","authorizations":[],"finalize":"/f"}"#);
    const REPLACING: (u16, &str) = (
        201,
        r#"{"status":"pending","authorizations":[],"finalize":"/f","replaces":"aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"}"#,
    );
    const REPLACED: (u16, &str) = (409, r#"{"type":"urn:ietf:params:acme:error:alreadyReplaced","status":409}"#);
    const LIMITED: (u16, &str) = (429, r#"{"type":"urn:ietf:params:acme:error:rateLimited","status":429}"#);

    #[tokio::test]
    async fn an_order_that_may_not_replace_is_placed_without() {
        for (answers, is_taken) in [
            (vec![REPLACING], true),
            (vec![REPLACED, PLAIN], true),
            (vec![PLAIN, PLAIN], true),
            (vec![REPLACED, LIMITED], false),
        ] {
            let left = Arc::new(Mutex::new(answers.clone()));
            let new = NewAccount { contact: &[], terms_of_service_agreed: true, only_return_existing: false };
            let builder = Account::builder_with_http(Box::new(Authority(Arc::clone(&left))));
            let (account, _) = builder.create(&new, "/directory".to_owned(), None).await.unwrap();
            let replaces = CertificateIdentifier {
                authority_key_identifier: "aYhba4dGQEHhs3uEe6CuLN4ByNQ".into(),
                serial: "AIdlQyE".into(),
            };
            let placed = place(&account, &[Identifier::Dns("a.test".to_owned())], Some(replaces)).await;
            assert_eq!(placed.is_ok(), is_taken, "{answers:?}: {:?}", placed.err());
            assert!(left.lock().is_empty(), "{answers:?}");
        }
    }
}
