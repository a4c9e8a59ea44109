use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::foundations::clock::SystemClock;

const ACCESS: UnixAccess = UnixAccess { mode: 0o600, user: None, group: None };

fn options(connections: usize, proxies: &[&str]) -> ListenerOptions {
    ListenerOptions {
        name: "test",
        connections,
        implicit_tls: None,
        proxies: proxies.iter().map(|network| network.parse().unwrap()).collect(),
        proxy_timeout: Duration::from_millis(200),
    }
}

/// Answers every connection with the peer it sees, then waits for the client to close.
async fn tell_peer(mut connection: Connection) {
    let peer = connection.peer.ip().map_or_else(|| "unix".to_owned(), |ip| ip.to_string());
    let _ = connection.stream.write_all(format!("{peer}\n").as_bytes()).await;
    let _ = connection.stream.read(&mut [0; 1]).await;
}

fn listen(bind: &Bind, options: &ListenerOptions) -> (Bind, Arc<Counters>, Tasks) {
    let mut listeners = Listener::bind(bind, &[], ACCESS, &mut Inherited::default(), options).unwrap();
    let listener = listeners.pop().unwrap();
    let (local, counters, tasks) = (listener.local().unwrap(), listener.counters(), Tasks::new());
    tasks.spawn(listener.serve(tasks.clone(), tasks.clone(), Arc::new(SystemClock), tell_peer));
    (local, counters, tasks)
}

async fn connect(bind: &Bind) -> Stream {
    match bind {
        Bind::Tcp(address) => TcpStream::connect(address).await.unwrap().into(),
        Bind::Unix(path) => tokio::net::UnixStream::connect(path).await.unwrap().into(),
        Bind::Systemd(_) => unreachable!("a bound listener has an address"),
    }
}

async fn line(stream: &mut Stream) -> String {
    let mut text = String::new();
    while let Ok(byte) = stream.read_u8().await {
        match byte {
            b'\n' => break,
            byte => text.push(char::from(byte)),
        }
    }
    text
}

fn loopback() -> Bind {
    "127.0.0.1:0".parse().unwrap()
}

#[tokio::test]
async fn seats_are_given_back() {
    let (local, counters, tasks) = listen(&loopback(), &options(1, &[]));
    let mut first = connect(&local).await;
    assert_eq!(line(&mut first).await, "127.0.0.1");
    let mut second = connect(&local).await;
    let waiting = tokio::time::timeout(Duration::from_millis(50), line(&mut second)).await;
    assert!(waiting.is_err(), "the second client was served beside the first");
    drop(first);
    assert_eq!(line(&mut second).await, "127.0.0.1");
    assert_eq!(counters.accepted.load(Ordering::Relaxed), 2);
    drop(second);
    assert!(tasks.stop(Duration::from_secs(5)).await);
    assert_eq!(counters.open.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn only_trusted_proxies_name_clients() {
    let header = b"PROXY TCP4 192.0.2.7 198.51.100.1 4000 25\r\n";
    let (local, ..) = listen(&loopback(), &options(9, &["127.0.0.0/8"]));
    let mut client = connect(&local).await;
    client.write_all(header).await.unwrap();
    assert_eq!(line(&mut client).await, "192.0.2.7");

    let (local, ..) = listen(&loopback(), &options(9, &["192.0.2.0/24"]));
    let mut client = connect(&local).await;
    client.write_all(header).await.unwrap();
    assert_eq!(line(&mut client).await, "127.0.0.1");
}

#[tokio::test]
async fn a_silent_proxy_is_closed() {
    let (local, counters, _) = listen(&loopback(), &options(9, &["127.0.0.0/8"]));
    let mut client = connect(&local).await;
    assert_eq!(line(&mut client).await, "");
    assert_eq!(counters.failed.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn unix_sockets_have_their_mode_and_replace_dead_ones() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let bind = Bind::Unix(path.clone());
    // Dropping a listener of the standard library leaves the file behind, as a killed process does.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let (local, _, _tasks) = listen(&bind, &options(9, &[]));
    assert_eq!(local, bind);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(line(&mut connect(&local).await).await, "unix");
    let second = Listener::bind(&bind, &[], ACCESS, &mut Inherited::default(), &options(9, &[]));
    assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn stops_accepting_when_told() {
    let (local, _, tasks) = listen(&loopback(), &options(9, &[]));
    assert!(tasks.stop(Duration::from_secs(5)).await);
    let Bind::Tcp(address) = local else { panic!("a TCP listener") };
    assert!(TcpStream::connect(address).await.is_err());
}
