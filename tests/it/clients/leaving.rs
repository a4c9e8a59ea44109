//! One-click unsubscription (RFC 8058), carried out by the server for the user.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use postrider::config::Protocol;
use postrider::foundations::tasks::Tasks;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::harness::{Host, PASSWORD};
use crate::queue::tls::certificate;

const USER: &str = "ann@example.test";

/// Asks the webmail; the status, the header and the body of its answer.
async fn ask(host: &Host, cookie: &str, path: &str, wish: Option<&Value>) -> (u16, String, Value) {
    let body = wish.map_or_else(String::new, Value::to_string);
    let method = if wish.is_some() { "POST" } else { "GET" };
    let mut talk = host.plain(Protocol::Webmail).await;
    talk.send(format!(
        "{method} /api/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Postrider: 1\r\nCookie: {cookie}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
    .await;
    let answer = talk.rest().await.replace("\r\n", "\n");
    let (head, body) = answer.split_once("\n\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_owned(), serde_json::from_str(body.trim()).unwrap_or_default())
}

/// When a list's server was asked, and when it may answer.
struct Gate {
    asked: Semaphore,
    answer: Semaphore,
}

/// A web server with a certificate, which records every connection and request; returns its address and the trust file.
async fn list_server(
    tasks: &Tasks,
    asked: &Arc<Mutex<Vec<String>>>,
    gate: &Arc<Gate>,
) -> (std::net::SocketAddr, tempfile::NamedTempFile) {
    let (root, acceptor) = certificate("shop.test");
    let file = tempfile::NamedTempFile::new().unwrap();
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(&root));
    std::fs::write(file.path(), pem).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, gate) = (Arc::clone(asked), Arc::clone(gate));
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            asked.lock().push(String::new());
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = Vec::new();
            while !request.ends_with(b"One-Click") {
                let mut piece = [0; 1024];
                match stream.read(&mut piece).await {
                    Ok(0) | Err(_) => break,
                    Ok(read) => request.extend_from_slice(&piece[..read]),
                }
            }
            *asked.lock().last_mut().unwrap() = String::from_utf8_lossy(&request).into_owned();
            gate.asked.add_permits(1);
            gate.answer.acquire().await.unwrap().forget();
            let _ = stream.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
    });
    (address, file)
}

/// A mass mailing whose signature covers its unsubscription fields.
pub fn letter(page: &str) -> String {
    format!(
        "Authentication-Results: mail.example.test;\r\n\tdkim=pass header.d=shop.test header.s=s1 header.b=AbCd1234\r\n\
         DKIM-Signature: v=1; a=rsa-sha256; d=shop.test; s=s1; h=From:List-Unsubscribe:List-Unsubscribe-Post; bh=x; b=AbCd1234xyz\r\n\
         From: news@shop.test\r\nSubject: News\r\nList-Unsubscribe: <{page}>, <mailto:off@shop.test>\r\n\
         List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\nBuy.\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_left_by_one_request_where_that_can_be_trusted() {
    let (tasks, asked) = (Tasks::new(), Arc::default());
    let gate = Arc::new(Gate { asked: Semaphore::new(0), answer: Semaphore::new(0) });
    let (address, authority) = list_server(&tasks, &asked, &gate).await;
    let settings = format!("[outbound]\nauthorities = \"{}\"\n", authority.path().display());
    let zone = "shop.test A 192.0.2.81\ninside.test A 127.0.0.1";
    let host = Host::start().settings(&settings).user(USER).dns(zone).await;
    for known in ["192.0.2.81", "127.0.0.1"] {
        host.detour().lead(known.parse().unwrap(), address);
    }
    let mut imap = host.imap(USER).await;
    let good = letter("https://shop.test/u/1?x=2");
    let unsigned = good.replace("dkim=pass", "dkim=fail");
    let inside = letter(&format!("https://inside.test:{}/u/1", address.port()));
    for message in [&good, &unsigned, &inside] {
        assert!(imap.append("INBOX", "", message).await.is_ok());
    }
    let (status, head, _) = ask(&host, "", "session", Some(&json!({ "address": USER, "password": PASSWORD }))).await;
    assert_eq!(status, 200, "{head}");
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    let cookie = cookie.split(';').next().unwrap();
    for (uid, wanted) in [(1, true), (2, false), (3, true)] {
        let (_, _, shown) = ask(&host, cookie, &format!("message?folder=INBOX&uid={uid}"), None).await;
        assert_eq!(shown["unsubscribe"]["one_click"], wanted, "{uid}: {shown}");
    }
    let leave = async |uid: u32| {
        let wish = json!({ "folder": "INBOX", "uid": uid });
        let (status, _, told) = ask(&host, cookie, "message/unsubscribe", Some(&wish)).await;
        (status, told["type"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(leave(2).await, (409, "not-one-click".to_owned()));
    // A stranger cannot make this server send requests into its own network.
    assert_eq!(leave(3).await, (502, "list-silent".to_owned()));
    assert!(asked.lock().is_empty());
    // However long the list's server takes, messages can be opened meanwhile.
    let open = async {
        gate.asked.acquire().await.unwrap().forget();
        let opened = ask(&host, cookie, "message?folder=INBOX&uid=1", None).await;
        gate.answer.add_permits(2);
        opened.0
    };
    let (left, opened) = tokio::join!(leave(1), open);
    assert_eq!((left.0, opened), (204, 200));
    // As done for a process without the queue.
    let socket = host.directory().join("run/mta-post.sock");
    let mut other = tokio::net::UnixStream::connect(socket).await.unwrap();
    let wish = b"{\"request\":\"leave-list\",\"page\":\"https://shop.test/u/2\"}\n";
    other.write_all(wish).await.unwrap();
    let mut answer = [0; 64];
    let read = other.read(&mut answer).await.unwrap();
    assert_eq!(&answer[..read], b"{\"done\":null}\n");
    let asked = asked.lock().clone();
    assert_eq!(asked.len(), 2);
    assert!(
        asked[1].starts_with("POST /u/2 ") && asked[1].ends_with("\r\n\r\nList-Unsubscribe=One-Click"),
        "{}",
        asked[1]
    );
    let request = asked[0].to_ascii_lowercase();
    assert!(request.starts_with("post /u/1?x=2 http/1.1\r\n") && request.contains("host: shop.test\r\n"), "{request}");
    assert!(request.contains("content-type: application/x-www-form-urlencoded\r\n"), "{request}");
    assert!(asked[0].ends_with("\r\n\r\nList-Unsubscribe=One-Click") && !request.contains("cookie"), "{request}");
    host.stop().await;
}
