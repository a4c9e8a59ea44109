//! Copies to another machine over ssh.

use std::fs;
use std::process::Command;

use super::whole::furnished;
use super::world::{backup, done, packs};
use crate::harness::tools;

#[tokio::test(flavor = "multi_thread")]
async fn rsync_copies_over_ssh_and_back() {
    let programs = ["rsync", "ssh", "ssh-keygen", "sshd", "id"];
    if !programs.iter().all(|program| tools::find(program).is_some()) {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).display().to_string();
    for key in ["host", "client", "stranger"] {
        let made =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &path(key)]).output().unwrap();
        tools::assert_success("ssh-keygen", &made);
    }
    fs::copy(path("client.pub"), path("authorized")).unwrap();
    // OpenSSH needs the directory for its unprivileged half; a machine on which it never ran has none.
    let _ = fs::create_dir_all("/run/sshd");
    let port = tools::free_port();
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPidFile none\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n",
        path("host"),
        path("authorized")
    );
    fs::write(path("sshd_config"), config).unwrap();
    let host_key = fs::read_to_string(path("host.pub")).unwrap();
    fs::write(path("known_hosts"), format!("[127.0.0.1]:{port} {host_key}")).unwrap();
    let daemon = tools::start("sshd", &["-D", "-e", "-f", &path("sshd_config")], &place.path().join("log")).unwrap();
    let mut is_up = false;
    for _ in 0..600 {
        is_up = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok();
        if is_up {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(is_up, "sshd does not listen: {}", fs::read_to_string(path("log")).unwrap());

    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    let shell = |key: &str| {
        let known = path("known_hosts");
        format!("ssh -F none -p {port} -i {} -o UserKnownHostsFile={known} -o BatchMode=yes", path(key))
    };
    let toml = host.config();
    let text = fs::read_to_string(&toml).unwrap();
    let with = |key: &str| text.replace("[backup]\n", &format!("[backup]\nremote_shell = \"{}\"\n", shell(key)));
    fs::write(&toml, with("client")).unwrap();
    done(&host, &["create"]).await;
    let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    let copy = path("far/away");
    let remote = format!("{}@127.0.0.1:{copy}", user.trim());
    done(&host, &["push", "--remote", &remote]).await;
    assert_eq!(packs(place.path().join("far/away").as_path()).len(), packs(destination.path()).len());
    done(&host, &["--destination", &copy, "verify"]).await;

    fs::remove_dir_all(destination.path()).unwrap();
    done(&host, &["pull", "--remote", &remote]).await;
    done(&host, &["verify"]).await;

    // A key that the other machine does not know, and another machine in its place.
    fs::write(&toml, with("stranger")).unwrap();
    let (said, code) = backup(&host, &["push", "--remote", &remote]).await;
    assert_eq!(code, 75, "{said}");
    assert!(said["error"].as_str().unwrap().contains("Permission denied"), "{said}");
    fs::write(&toml, with("client")).unwrap();
    let other = fs::read_to_string(path("stranger.pub")).unwrap();
    fs::write(path("known_hosts"), format!("[127.0.0.1]:{port} {other}")).unwrap();
    let (said, code) = backup(&host, &["push", "--remote", &remote]).await;
    assert_eq!(code, 75, "{said}");
    assert!(said["error"].as_str().unwrap().contains("Host key verification failed"), "{said}");
    drop(daemon);
    host.stop().await;
}
