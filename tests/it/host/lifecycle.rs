//! Starting, reloading and stopping.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use postrider::config::Protocol;
use postrider::foundations::tasks::Tasks;
use postrider::services::certificates::SelfSigned;
use tokio::io::{AsyncBufReadExt, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

use crate::harness::{Host, Talk};

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_told_that_the_server_stops() {
    let host = Host::start().user("ann@example.test").await;
    let mut smtp = host.smtp().await;
    let mut imap = host.imap("ann@example.test").await;
    let (_, goodbye, bye) = tokio::join!(host.stop(), smtp.reply(), imap.talk.line());
    assert_eq!(goodbye.code, 421);
    assert!(bye.starts_with("* BYE"), "{bye}");
    assert!(smtp.talk.is_closed().await && imap.talk.is_closed().await);
}

/// The program itself, as systemd would run it.
struct Program {
    child: tokio::process::Child,
    directory: tempfile::TempDir,
}

impl Program {
    /// Starts it on a port that systemd might have passed: one that this process binds and hands over.
    async fn start(notify: &std::path::Path, extra: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = format!(
            "hostname = \"mail.example.test\"\n[server]\ncontrol_directory = \"{0}/run\"\nstop_within = \"3s\"\n\
             [storage]\nmail_root = \"{0}/mail\"\ndatabase = \"sqlite:{0}/p.sqlite\"\n[spool]\ndirectory = \"{0}/spool\"\n\
             [tls]\nself_signed = \"{0}/tls\"\n[[listener]]\nprotocol = \"imaps\"\nbind = [\"unix:{0}/imaps.sock\"]\n{extra}",
            directory.path().display()
        );
        fs::write(directory.path().join("postrider.toml"), config).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_postrider"))
            .arg("--config")
            .arg(directory.path().join("postrider.toml"))
            .args(["serve", "--log-format", "text"])
            .env("NOTIFY_SOCKET", notify)
            .env("WATCHDOG_USEC", "200000")
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { child, directory }
    }

    async fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().await.unwrap().success());
    }
}

/// The program's messages to systemd, line by line, until one begins like this.
async fn told(socket: &tokio::net::UnixDatagram, wanted: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let wait = async {
        loop {
            let mut datagram = [0; 4096];
            let length = socket.recv(&mut datagram).await.unwrap();
            let text = String::from_utf8_lossy(&datagram[..length]);
            lines.extend(text.lines().map(str::to_owned));
            if lines.iter().any(|line| line.starts_with(wanted)) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("{wanted} was not told"));
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_told_of_each_step() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("notify");
    let socket = tokio::net::UnixDatagram::bind(&path).unwrap();
    let mut program = Program::start(&path, "").await;
    let ready = told(&socket, "READY=1").await;
    assert!(ready.iter().any(|line| line.starts_with("STATUS=Serving imaps")), "{ready:?}");
    told(&socket, "WATCHDOG=1").await;

    program.signal("HUP").await;
    let reload = told(&socket, "READY=1").await;
    assert!(reload.iter().any(|line| line == "RELOADING=1"), "{reload:?}");
    assert!(reload.iter().any(|line| line.starts_with("MONOTONIC_USEC=")), "{reload:?}");

    // A broken configuration changes nothing and stops nothing.
    let config = program.directory.path().join("postrider.toml");
    let good = fs::read_to_string(&config).unwrap();
    fs::write(&config, good.clone() + "\n[nonsense]\n").unwrap();
    program.signal("HUP").await;
    told(&socket, "READY=1").await;

    // A certificate that cannot be used is not replaced, and everything else is applied.
    fs::write(&config, good).unwrap();
    fs::write(program.directory.path().join("tls/cert.pem"), "no certificate at all").unwrap();
    program.signal("HUP").await;
    told(&socket, "READY=1").await;

    program.signal("TERM").await;
    told(&socket, "STOPPING=1").await;
    let ended = tokio::time::timeout(Duration::from_secs(10), program.child.wait()).await.unwrap().unwrap();
    assert!(ended.success(), "{ended}");
    let mut log = BufReader::new(program.child.stderr.take().unwrap()).lines();
    let mut said = Vec::new();
    while let Some(line) = log.next_line().await.unwrap() {
        said.push(line);
    }
    for words in
        [["the old one stays in force", "nonsense"], ["is in force, except for what cannot be used", "cert.pem"]]
    {
        let of = |line: &&String| line.contains("ERROR") && words.iter().all(|word| line.contains(word));
        assert!(said.iter().any(|line| of(&line)), "{words:?}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_takes_its_time_does_not_put_off_the_end() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("notify");
    let socket = tokio::net::UnixDatagram::bind(&path).unwrap();
    let mut program = Program::start(&path, "").await;
    told(&socket, "READY=1").await;

    // Whoever opens a pipe waits until somebody writes into it.
    let config = program.directory.path().join("postrider.toml");
    fs::remove_file(&config).unwrap();
    assert!(Command::new("mkfifo").arg(&config).status().await.unwrap().success());
    program.signal("HUP").await;
    told(&socket, "RELOADING=1").await;
    program.signal("TERM").await;
    told(&socket, "STOPPING=1").await;
    let ended = tokio::time::timeout(Duration::from_secs(10), program.child.wait()).await.unwrap().unwrap();
    assert!(ended.success(), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_does_not_answer_does_not_put_off_the_end() {
    let mut host = Host::start().user("ann@example.test").await;
    let reply = host.lmtp().await.deliver("eve@elsewhere.test", &["ann@example.test"], "Subject: x\r\n\r\nx\r\n").await;
    assert_eq!(reply.code, 250, "{}", reply.text());
    // Whoever opens a pipe waits until somebody writes into it: with each index, so is the quota in this file read.
    let file = host.mail_root().join("example.test/ann/maildirsize");
    assert!(Command::new("mkfifo").arg(&file).status().await.unwrap().success());
    assert!(!host.halt().await, "it ends, and says that not everything was done");
    // What waits goes on, so that the test ends, too.
    let writer = fs::OpenOptions::new().write(true).open(&file).unwrap();
    fs::remove_file(&file).unwrap();
    drop(writer);
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_of_systemd_are_used() {
    let Some(activate) = crate::harness::tools::find("systemd-socket-activate") else { return };
    let directory = tempfile::tempdir().unwrap();
    let within = |name: &str| directory.path().join(name).display().to_string();
    // Two ways to find a socket: by its name, and by the address that the configuration has.
    let config = format!(
        "hostname = \"mail.example.test\"\n[server]\ncontrol_directory = \"{0}/run\"\n\
         [storage]\nmail_root = \"{0}/mail\"\ndatabase = \"sqlite:{0}/p.sqlite\"\n[spool]\ndirectory = \"{0}/spool\"\n\
         [[listener]]\nprotocol = \"smtp\"\nbind = [\"systemd:mail\"]\n\
         [[listener]]\nprotocol = \"lmtp\"\nbind = [\"unix:{0}/lmtp.sock\"]\n",
        directory.path().display()
    );
    fs::write(within("postrider.toml"), config).unwrap();
    let mut program = Command::new(activate)
        .args(["-l", &within("smtp.sock"), "-l", &within("lmtp.sock"), "--fdname=mail:other"])
        .arg(env!("CARGO_BIN_EXE_postrider"))
        .args(["--config", &within("postrider.toml"), "serve"])
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    for name in ["smtp.sock", "lmtp.sock"] {
        let greeting = said_on(&within(name), "").await;
        assert!(greeting.starts_with("220 mail.example.test"), "{name}: {greeting}");
    }
    program.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_systemd_has_not_passed_keeps_nobody_from_the_others() {
    let Some(activate) = crate::harness::tools::find("systemd-socket-activate") else { return };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = taken.local_addr().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let within = |name: &str| directory.path().join(name).display().to_string();
    let config = format!(
        "hostname = \"mail.example.test\"\n[server]\ncontrol_directory = \"{0}/run\"\n\
         [storage]\nmail_root = \"{0}/mail\"\ndatabase = \"sqlite:{0}/p.sqlite\"\n[spool]\ndirectory = \"{0}/spool\"\n\
         [[listener]]\nprotocol = \"smtp\"\nbind = [\"{place}\"]\n\
         [[listener]]\nprotocol = \"lmtp\"\nbind = [\"systemd:lmtp\"]\n\
         [[listener]]\nprotocol = \"metrics\"\nbind = [\"systemd:metrics\"]\n",
        directory.path().display()
    );
    fs::write(within("postrider.toml"), config).unwrap();
    let postrider = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
        command.args(["--config", &within("postrider.toml")]).args(arguments).kill_on_drop(true);
        command
    };
    let mut program = Command::new(activate)
        .args(["-l", &within("lmtp.sock"), "-l", &within("metrics.sock"), "--fdname=lmtp:metrics"])
        .arg(env!("CARGO_BIN_EXE_postrider"))
        .args(["--config", &within("postrider.toml"), "serve", "--log-format", "text"])
        .stderr(fs::File::create(within("log")).unwrap())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    assert!(said_on(&within("lmtp.sock"), "").await.starts_with("220 mail.example.test"));
    let figures = said_on(&within("metrics.sock"), "GET /metrics HTTP/1.0\r\n\r\n").await;

    let log = fs::read_to_string(within("log")).unwrap();
    let said = log.lines().find(|line| line.contains("ERROR")).unwrap();
    let status = String::from_utf8(postrider(&["status"]).output().await.unwrap().stdout).unwrap();
    let findings = postrider(&["--json", "doctor", "--no-ports", "--no-outgoing"]).output().await.unwrap();
    let findings = String::from_utf8(findings.stdout).unwrap();
    for (source, text) in [("log", said), ("status", &status), ("doctor", &findings)] {
        assert!(text.contains(&place.to_string()), "{source}: {text}");
    }
    assert!(findings.contains("systemctl restart postrider-smtp.socket"), "{findings}");
    for figure in [
        format!(
            "postrider_listener_unopened{{protocol=\"smtp\",listener=\"{place}\",role=\"mta,access,dashboard\"}} 1.0"
        ),
        format!("listener=\"unix:{}\",role=\"mta,access,dashboard\"}} 0.0", within("lmtp.sock")),
    ] {
        assert!(figures.contains(&figure), "{figure} is missing in\n{figures}");
    }
    program.kill().await.unwrap();
}

/// The first line that is said on a Unix socket, or the whole answer to a request, as soon as somebody listens there.
async fn said_on(socket: &str, request: &str) -> String {
    let greeting = async {
        loop {
            if let Ok(mut stream) = tokio::net::UnixStream::connect(socket).await {
                stream.write_all(request.as_bytes()).await.unwrap();
                let mut said = String::new();
                match request {
                    "" => BufReader::new(stream).read_line(&mut said).await.unwrap(),
                    _ => stream.read_to_string(&mut said).await.unwrap(),
                };
                return said;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), greeting).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn new_certificates_are_taken_over_without_dropping_anybody() {
    let host = Host::start().user("ann@example.test").await;
    let mut before = host.imap("ann@example.test").await;
    let made = SelfSigned::make(&["mail.example.test"], host.parts().clock.now()).unwrap();
    let old = fs::read(host.authority()).unwrap();
    let tls = host.directory().join("tls");
    fs::write(tls.join("ca.pem"), &made.authority).unwrap();
    fs::write(tls.join("key.pem"), made.key.expose()).unwrap();
    fs::write(tls.join("cert.pem"), &made.certificate).unwrap();
    host.parts().certificates.reload().await.unwrap();
    host.imap("ann@example.test").await.ok("NOOP").await;
    before.ok("NOOP").await;
    fs::write(tls.join("old.pem"), old).unwrap();
    let address = host.address(Protocol::Imaps);
    let shaken = Tasks::new().spawn(async move { Talk::tls(address, &tls.join("old.pem")).await }).await;
    assert!(shaken.is_err(), "the old authority is still believed");
    host.stop().await;
}
