//! Retrieving messages.

use postrider::foundations::mail::Uid;

use super::world::World;

#[tokio::test]
async fn dots_are_doubled_and_lines_ended() {
    let world = World::new().await;
    world.append("A: b\r\n\r\n.\r\n..x\r\nno end").await;
    let mut client = world.ann().await;
    client.send("RETR 1\r\n").await;
    let mut raw = Vec::new();
    for _ in 0..7 {
        raw.push(client.line().await.unwrap());
    }
    assert_eq!(raw, ["+OK 22 octets", "A: b", "", "..", "...x", "no end", "."]);
    assert_eq!(client.lines("TOP 1 1").await, ["A: b", "", "."]);
    assert_eq!(client.lines("TOP 1 0").await, ["A: b", ""]);
    assert_eq!(client.lines("TOP 1 99").await, ["A: b", "", ".", "..x", "no end"]);
}

#[tokio::test]
async fn large_messages_come_whole() {
    let world = World::new().await;
    let body: Vec<String> = (0..150_000).map(|n| format!(".{n} and more of the line")).collect();
    world.append(&format!("Subject: large\r\n\r\n{}\r\n", body.join("\r\n"))).await;
    let mut client = world.ann().await;
    let lines = client.lines("RETR 1").await;
    assert_eq!(lines[2..], body);
    assert_eq!(client.lines("TOP 1 3").await.len(), 5);
}

#[tokio::test]
async fn one_after_the_other_with_everything_in_between() {
    let world = World::new().await;
    for n in 1..=200 {
        world.append(&format!("Subject: {n}\r\n\r\nx\r\n")).await;
    }
    let mut client = world.ann().await;
    let subject = |n: u32| format!("Subject: {n}");
    for n in 1..=50 {
        assert_eq!(client.lines(&format!("RETR {n}")).await[0], subject(n));
        client.ask(&format!("DELE {n}")).await;
    }
    // Deletes ahead of itself, goes back, jumps.
    client.ask("DELE 52").await;
    for n in [51, 53, 54, 60, 61, 62, 51, 200] {
        assert_eq!(client.lines(&format!("RETR {n}")).await[0], subject(n), "{n}");
    }
    // Another session expunges what is not read yet.
    let view = world.view().await;
    view.remove(&[Uid::new(190).unwrap()]).await.unwrap();
    assert_eq!(client.ask("RETR 190").await, "-ERR Another session has removed that message");
    assert_eq!(client.lines("RETR 191").await[0], subject(191));
    assert_eq!(client.ask("QUIT").await, "+OK Goodbye; the deleted messages are gone");
    assert_eq!(world.usage().await.messages, 148);
}

#[tokio::test]
async fn pipelined_commands_are_answered_in_order() {
    let world = World::new().await;
    for n in 1..=20 {
        world.append(&format!("Subject: {n}\r\n\r\nx\r\n")).await;
    }
    let mut client = world.connect().await;
    let mut commands = "USER ann@example.test\r\nPASS pencil\r\nSTAT\r\n".to_owned();
    for n in 1..=20 {
        commands += &format!("RETR {n}\r\nDELE {n}\r\n");
    }
    client.send(&(commands + "QUIT\r\n")).await;
    for _ in 0..3 {
        assert!(client.line().await.unwrap().starts_with("+OK"));
    }
    for n in 1..=20 {
        assert!(client.line().await.unwrap().starts_with("+OK"));
        assert_eq!(client.rest().await[0], format!("Subject: {n}"));
        assert_eq!(client.line().await.as_deref(), Some("+OK Marked as deleted"));
    }
    assert_eq!(client.line().await.as_deref(), Some("+OK Goodbye; the deleted messages are gone"));
}
