use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::BodyExt as _;
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

const DIRECTORY: &str = r#"{"newNonce":"/nonce","newAccount":"/account","newOrder":"/order","renewalInfo":"/renewal"}"#;
/// Without what it replaces, which a client that has sent it does not accept in the answer.
const PLAIN: (u16, &str) = (201, r#"{"status":"pending","authorizations":[],"finalize":"/f"}"#);
const REPLACING: (u16, &str) = (
    201,
    r#"{"status":"pending","authorizations":[],"finalize":"/f","replaces":"aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"}"#,
);
const REPLACED: (u16, &str) = (409, r#"{"type":"urn:ietf:params:acme:error:alreadyReplaced","status":409}"#);
const LIMITED: (u16, &str) = (429, r#"{"type":"urn:ietf:params:acme:error:rateLimited","status":429}"#);

async fn account_at(authority: impl HttpClient) -> Account {
    let new = NewAccount { contact: &[], terms_of_service_agreed: true, only_return_existing: false };
    let builder = Account::builder_with_http(Box::new(authority));
    builder.create(&new, "/directory".to_owned(), None).await.unwrap().0
}

/// What comes of an order for these names.
async fn obtained_from(authority: impl HttpClient, names: &[impl AsRef<str>]) -> Result<String, super::Error> {
    let account = account_at(authority).await;
    let domains: Vec<Domain> = names.iter().map(|name| name.as_ref().parse().unwrap()).collect();
    let (certificate, retry_after) = (AcmeCertificate::default(), RetryAfter::default());
    let (challenges, key) = (Challenges::default(), KeyPair::generate().unwrap());
    let applicant =
        Applicant { wanted: &certificate, account: &account, retry_after: &retry_after, challenges: &challenges };
    applicant.obtain(&domains, None, &key).await
}

#[tokio::test]
async fn an_order_that_may_not_replace_is_placed_without() {
    for (answers, is_taken) in [
        (vec![REPLACING], true),
        (vec![REPLACED, PLAIN], true),
        (vec![PLAIN, PLAIN], true),
        (vec![REPLACED, LIMITED], false),
        // An authority whose limit is reached is not asked again.
        (vec![LIMITED], false),
    ] {
        let left = Arc::new(Mutex::new(answers.clone()));
        let account = account_at(Authority(Arc::clone(&left))).await;
        let replaces = CertificateIdentifier {
            authority_key_identifier: "aYhba4dGQEHhs3uEe6CuLN4ByNQ".into(),
            serial: "AIdlQyE".into(),
        };
        let placed = place(&account, &[Identifier::Dns("a.test".to_owned())], Some(replaces)).await;
        assert_eq!(placed.is_ok(), is_taken, "{answers:?}: {:?}", placed.err());
        assert!(left.lock().is_empty(), "{answers:?}");
    }
}

/// An authority that looks for these names, each once it is told to, and does not find some of them.
struct Checking {
    names: &'static [&'static str],
    lost: &'static [&'static str],
    asked: Mutex<HashSet<String>>,
}

impl Checking {
    fn is_asked(&self, name: &str) -> bool {
        self.asked.lock().contains(name)
    }

    fn order(&self) -> serde_json::Value {
        let is_lost = |name: &&&str| self.lost.contains(*name) && self.is_asked(name);
        // RFC 8555 §7.1.6: with the first that is not found.
        let status = match (self.names.iter().any(|name| is_lost(&name)), self.is_asked("the certificate")) {
            (true, _) => "invalid",
            (false, true) => "valid",
            (false, false) if self.names.iter().all(|name| self.is_asked(name)) => "ready",
            (false, false) => "pending",
        };
        let authorizations: Vec<String> = self.names.iter().map(|name| format!("/name/{name}")).collect();
        serde_json::json!({
            "status": status, "authorizations": authorizations, "finalize": "/finalize", "certificate": "/chain",
        })
    }

    fn authorization(&self, name: &str) -> serde_json::Value {
        let error = serde_json::json!({ "type": "urn:ietf:params:acme:error:dns", "detail": format!("no {name}") });
        let (status, error) = match (self.is_asked(name), self.lost.contains(&name)) {
            (false, _) => ("pending", serde_json::Value::Null),
            (true, false) => ("valid", serde_json::Value::Null),
            (true, true) => ("invalid", error),
        };
        let challenge = serde_json::json!({
            "type": "http-01", "url": format!("/challenge/{name}"), "token": "t", "status": status, "error": error,
        });
        let identifier = serde_json::json!({ "type": "dns", "value": name });
        serde_json::json!({ "identifier": identifier, "status": status, "challenges": [challenge] })
    }
}

impl HttpClient for Checking {
    fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Answer {
        let path = request.uri().path();
        let body = match path {
            "/directory" => DIRECTORY.to_owned(),
            "/account" => r#"{"status":"valid"}"#.to_owned(),
            "/chain" => "the chain".to_owned(),
            "/order" | "/1" => self.order().to_string(),
            "/finalize" => {
                self.asked.lock().insert("the certificate".to_owned());
                self.order().to_string()
            }
            _ => match (path.strip_prefix("/challenge/"), path.strip_prefix("/name/")) {
                (Some(name), _) => {
                    let challenge = self.authorization(name)["challenges"][0].clone();
                    self.asked.lock().insert(name.to_owned());
                    challenge.to_string()
                }
                (None, Some(name)) => self.authorization(name).to_string(),
                (None, None) => String::new(),
            },
        };
        let response = Response::builder().status(200).header("replay-nonce", "n").header("location", "/1");
        let response = response.body(BodyWrapper::from(body.into_bytes())).unwrap();
        Box::pin(async move { Ok(BytesResponse::from(response)) })
    }
}

#[tokio::test]
async fn every_name_that_is_refused_is_told() {
    for (names, lost, wanted) in [
        (&["a.test", "b.test"][..], &[][..], Ok("the chain")),
        (&["a.test", "b.test", "c.test"], &["a.test", "c.test"], Err(["a.test", "c.test"].as_slice())),
    ] {
        let authority = Checking { names, lost, asked: Mutex::default() };
        match (obtained_from(authority, names).await, wanted) {
            (Ok(chain), Ok(wanted)) => assert_eq!(chain, wanted),
            (Err(super::Error::NotOurs { refused, .. }), Err(wanted)) => {
                let told: Vec<&str> = refused.iter().map(|one| one.name.as_str()).collect();
                assert_eq!(told, wanted);
                assert!(refused.iter().all(|one| one.reason.contains(&format!("no {}", one.name))), "{refused:?}");
            }
            (obtained, wanted) => panic!("{wanted:?}: {obtained:?}"),
        }
    }
}

/// An authority that does not say which of an order's names it does not accept.
struct Terse {
    lost: &'static [&'static str],
    /// How it refuses: at once with this type of problem, or by declaring the order invalid.
    problem: Option<&'static str>,
    /// The names of each order.
    orders: Arc<Mutex<Vec<Vec<String>>>>,
}

impl HttpClient for Terse {
    fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Answer {
        let (lost, problem, orders) = (self.lost, self.problem, Arc::clone(&self.orders));
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let octets = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let path = parts.uri.path();
            let mut location = "/1".to_owned();
            let (status, text): (u16, String) = match path {
                "/directory" => (200, DIRECTORY.to_owned()),
                "/account" => (201, r#"{"status":"valid"}"#.to_owned()),
                "/order" if parts.method == Method::POST => {
                    let names = names_in(&octets);
                    let is_lost = names.iter().any(|name| lost.contains(&name.as_str()));
                    location = "/bad".to_owned();
                    orders.lock().push(names);
                    match problem.filter(|_| is_lost) {
                        Some(kind) => (403, format!(r#"{{"type":"urn:ietf:params:acme:error:{kind}","status":403}}"#)),
                        None if is_lost => (201, order("pending")),
                        None => (201, order("ready")),
                    }
                }
                // Those that are ready are not looked at again.
                "/bad" => (200, order("invalid")),
                _ => (200, String::new()),
            };
            let response = Response::builder().status(status).header("replay-nonce", "n").header("location", location);
            Ok(BytesResponse::from(response.body(BodyWrapper::from(text.into_bytes())).unwrap()))
        })
    }
}

fn order(status: &str) -> String {
    format!(r#"{{"status":"{status}","authorizations":[],"finalize":"/finalize"}}"#)
}

/// The names that an order is for.
fn names_in(signed: &[u8]) -> Vec<String> {
    let signed: serde_json::Value = serde_json::from_slice(signed).unwrap();
    let payload = URL_SAFE_NO_PAD.decode(signed["payload"].as_str().unwrap()).unwrap();
    let payload: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    let of = |identifier: &serde_json::Value| identifier["value"].as_str().unwrap().to_owned();
    payload["identifiers"].as_array().unwrap().iter().map(of).collect()
}

#[tokio::test]
async fn names_that_an_authority_refuses_without_saying_which_are_found() {
    let many: Vec<String> = (0..100).map(|n| format!("n{n}.test")).collect();
    let three = ["a.test", "b.test", "c.test"].map(str::to_owned).to_vec();
    for (names, lost, problem, wanted, orders) in [
        (&three, &["b.test"][..], Some("rejectedIdentifier"), Some(vec!["b.test"]), 4),
        (&three, &["a.test", "c.test"], Some("malformed"), Some(vec!["a.test", "c.test"]), 4),
        (&three, &["b.test"], None, Some(vec!["b.test"]), 4),
        // What is not about a name is not tried name by name.
        (&three, &["b.test"], Some("rateLimited"), None, 1),
        (&three, &["b.test"], Some("userActionRequired"), None, 1),
        (&many, &["n5.test"], Some("unauthorized"), Some(vec!["n4.test", "n5.test", "n6.test", "n7.test"]), 26),
    ] {
        let made: Arc<Mutex<Vec<Vec<String>>>> = Arc::default();
        let authority = Terse { lost, problem, orders: Arc::clone(&made) };
        let error = obtained_from(authority, names).await.unwrap_err();
        let told: Option<Vec<&str>> = match &error {
            super::Error::NotOurs { refused, .. } => Some(refused.iter().map(|one| one.name.as_str()).collect()),
            _ => None,
        };
        assert_eq!(told, wanted, "{lost:?} {problem:?}: {error}");
        assert_eq!(made.lock().len(), orders, "{lost:?} {problem:?}");
    }
}

#[test]
fn names_that_an_order_may_not_have_are_told() {
    let part = |name: &str| {
        serde_json::json!({
            "type": "urn:ietf:params:acme:error:rejectedIdentifier", "detail": "no public suffix",
            "identifier": { "type": "dns", "value": name },
        })
    };
    let problem: Problem = serde_json::from_value(serde_json::json!({
        "type": "urn:ietf:params:acme:error:rejectedIdentifier", "subproblems": [part("a.internal"), part("other.test")],
    }))
    .unwrap();
    let names = ["a.internal", "b.test"].map(str::to_owned);
    let told = rejected(&names, &Error::Api(problem));
    assert_eq!(told, [Refused { name: "a.internal".to_owned(), reason: "no public suffix".to_owned() }]);
}
