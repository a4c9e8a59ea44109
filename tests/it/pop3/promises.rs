//! POP3's guarantees about the maildrop.

use super::world::World;

#[tokio::test]
async fn quit_deletes_and_says_so_when_it_is_done() {
    let world = World::new().await;
    for n in 1..=3 {
        world.append(&format!("Subject: {n}\r\n\r\nbody {n}\r\n")).await;
    }
    let mut client = world.ann().await;
    assert_eq!(client.ask("STAT").await, "+OK 3 66");
    assert_eq!(client.lines("LIST").await, ["1 22", "2 22", "3 22"]);
    assert_eq!(client.ask("DELE 2").await, "+OK Marked as deleted");
    assert_eq!(world.usage().await.messages, 3, "nothing is deleted before QUIT");
    assert_eq!(client.ask("QUIT").await, "+OK Goodbye; the deleted messages are gone");
    assert_eq!(world.usage().await.messages, 2);
    assert_eq!(client.line().await, None);
    let files = ["cur", "new"].iter().flat_map(|folder| std::fs::read_dir(world.maildir().join(folder)).unwrap());
    assert_eq!(files.count(), 2);
    let mut client = world.ann().await;
    assert_eq!(client.lines("RETR 2").await, ["Subject: 3", "", "body 3"]);
}

#[tokio::test]
async fn a_broken_connection_deletes_nothing() {
    let world = World::new().await;
    world.append("\r\nx\r\n").await;
    let mut client = world.ann().await;
    client.ask("DELE 1").await;
    drop(client);
    while world.room.maildrops() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.usage().await.messages, 1);
    assert_eq!(world.ann().await.ask("STAT").await, "+OK 1 5");
}

#[tokio::test]
async fn a_maildrop_belongs_to_one_session() {
    let world = World::new().await;
    let mut first = world.ann().await;
    let mut second = world.connect().await;
    second.ask("USER Ann@Example.Test").await;
    let answer = second.ask("PASS pencil").await;
    assert!(answer.starts_with("-ERR [IN-USE] "), "{answer}");
    assert_eq!(first.ask("QUIT").await, "+OK Goodbye");
    assert_eq!(first.line().await, None);
    second.ask("USER ann@example.test").await;
    assert_eq!(second.ask("PASS pencil").await, "+OK 0 messages (0 octets)");
}

#[tokio::test]
async fn unique_ids_survive_restarts_and_deletions() {
    let world = World::new().await;
    for _ in 0..3 {
        world.append("\r\nx\r\n").await;
    }
    let mut client = world.ann().await;
    let before = client.lines("UIDL").await;
    client.ask("DELE 3").await;
    client.ask("QUIT").await;
    client.line().await;
    let world = world.restart().await;
    world.append("\r\nx\r\n").await;
    let after = world.ann().await.lines("UIDL").await;
    assert_eq!(before[..2], after[..2]);
    assert_ne!(before[2], after[2], "the id of a deleted message is never given again");
}

#[tokio::test]
async fn unique_ids_of_dovecot_are_kept() {
    let world = World::new().await;
    let maildir = world.maildir();
    for folder in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(maildir.join(folder)).unwrap();
    }
    let names = ["1700000000.M1P1.host,S=8,W=11", "1700000001.M2P1.host,S=8,W=11"];
    for name in names {
        std::fs::write(maildir.join("cur").join(format!("{name}:2,S")), "A: b\n\nx\n").unwrap();
    }
    let list = format!("3 V1328376636 N27 Gd41d8cd98f00b204e9800998ecf8427e\n7 :{}\n26 :{}\n", names[0], names[1]);
    std::fs::write(maildir.join("dovecot-uidlist"), list).unwrap();
    let mut client = world.ann().await;
    assert_eq!(client.lines("UIDL").await, ["1 000000074f2d6b3c", "2 0000001a4f2d6b3c"]);
    // The files have bare LFs; the wire has CRLF, and sizes say so.
    assert_eq!(client.lines("LIST").await, ["1 11", "2 11"]);
    client.send("RETR 1\r\n").await;
    assert_eq!(client.line().await.as_deref(), Some("+OK 11 octets"));
    assert_eq!(client.rest().await, ["A: b", "", "x"]);
}

#[tokio::test]
async fn what_was_retrieved_is_seen() {
    let world = World::new().await;
    world.append("\r\nx\r\n").await;
    world.append("\r\ny\r\n").await;
    let mut client = world.ann().await;
    client.lines("RETR 1").await;
    client.lines("TOP 2 1").await;
    client.ask("QUIT").await;
    assert_eq!(client.line().await, None);
    assert_eq!(world.view().await.unseen(), 1);
}

/// The command behind it used to be taken for one more answer.
#[tokio::test]
async fn an_answer_that_is_refused_ends_the_exchange() {
    let world = World::new().await;
    let mut client = world.connect().await;
    assert_eq!(client.ask("AUTH PLAIN").await, "+ ");
    let answer = client.ask(&"A".repeat(20_000)).await;
    assert!(answer.starts_with("-ERR "), "{answer}");
    assert_eq!(client.ask("USER ann@example.test").await, "+OK Send your password");
    assert_eq!(client.ask("PASS pencil").await, "+OK 0 messages (0 octets)");
}

#[tokio::test]
async fn passwords_are_refused_without_tls() {
    let world = World::new().await;
    let mut client = world.connect_from("198.51.100.1:40000").await;
    let answer = client.ask("USER ann@example.test").await;
    assert!(answer.starts_with("-ERR "), "{answer}");
    let capabilities = client.lines("CAPA").await;
    assert!(!capabilities.iter().any(|line| line.starts_with("SASL") || line == "USER"), "{capabilities:?}");
}

#[tokio::test]
async fn wrong_passwords_end_the_session() {
    let world = World::new().await;
    let mut client = world.connect().await;
    for _ in 0..3 {
        client.ask("USER ann@example.test").await;
        let answer = client.ask("PASS crayon").await;
        assert!(answer.starts_with("-ERR [AUTH] "), "{answer}");
    }
    assert_eq!(client.line().await, None);
}

#[tokio::test]
async fn a_stopping_server_says_goodbye() {
    let world = World::new().await;
    let mut client = world.ann().await;
    client.stop.cancel();
    let line = client.line().await.unwrap();
    assert!(line.starts_with("-ERR [SYS/TEMP] "), "{line}");
    assert_eq!(client.line().await, None);
}
