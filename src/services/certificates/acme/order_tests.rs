use std::collections::HashSet;
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

const DIRECTORY: &str = r#"{"newNonce":"/nonce","newAccount":"/account","newOrder":"/order","renewalInfo":"/renewal"}"#;
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
        let new = NewAccount { contact: &[], terms_of_service_agreed: true, only_return_existing: false };
        let builder = Account::builder_with_http(Box::new(authority));
        let (account, _) = builder.create(&new, "/directory".to_owned(), None).await.unwrap();
        let certificate = AcmeCertificate::default();
        let domains: Vec<Domain> = names.iter().map(|name| name.parse().unwrap()).collect();
        let (challenges, key) = (Challenges::default(), KeyPair::generate().unwrap());
        let obtained = obtain((&certificate, &domains), &account, &challenges, None, &key).await;
        match (obtained, wanted) {
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
