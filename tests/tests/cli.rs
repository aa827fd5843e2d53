//! The `edgewise` command: a channel at the prompt.

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use edgewise_client::{Draft, Message, Retry};
use edgewise_tests::{
    Server,
    command::{Watch, run, try_run},
};
use serde_json::{Value, json};

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_conversation_at_the_prompt() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    let channel = room.id.as_str();
    let printed = run(&ana, &["send", channel, "Hello, @user:ben"]).await;
    let sent = &ben.history("").await.messages[0];
    assert_eq!(printed.trim(), format!("#1 {}", sent.id));
    assert_eq!((sent.content.as_str(), sent.sender_id.as_str()), ("Hello, @user:ben", "ana"));

    let reply = run(&ben, &["send", channel, "--reply-to", "1", "Hello yourself", "--json"]).await;
    assert_eq!(lines(&reply)[0]["reply_to_id"], sent.id.as_str());
    run(&ben, &["react", channel, "1", "👍"]).await;
    assert_eq!(ana.read(sent).await.reactions[0].emoji, "👍");
    run(&ben, &["react", channel, &sent.id, "👍", "--remove"]).await;
    assert_eq!(ana.read(sent).await.reactions, []);

    let history = lines(&run(&ana, &["history", channel, "--json"]).await);
    let contents: Vec<_> = history.iter().map(|message| message["content"].as_str().unwrap()).collect();
    assert_eq!(contents, ["Hello, @user:ben", "Hello yourself"]);
    let told = run(&ana, &["history", channel, "--limit", "1"]).await;
    assert!(told.contains("Ben") && told.contains("Hello yourself") && !told.contains("@user:ben"), "{told}");
    assert!(!told.contains('\u{1b}'), "no colours where nobody looks: {told:?}");

    let channels = lines(&run(&ben, &["channels", "--json"]).await);
    let listed = channels.iter().find(|listed| listed["id"] == channel).unwrap();
    assert_eq!((&listed["unread_count"], &listed["mention_count"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn what_goes_wrong_is_told_in_a_sentence() {
    let room = Server::shared().room().await;
    let (ana, nobody) = (room.user("ana"), room.with_token(""));
    for (user, arguments, told) in [
        (&nobody, ["send", room.id.as_str(), "x"], "token"),
        (&ana, ["send", "no-such-channel", "x"], "no-such-channel"),
        (&ana, ["send", room.id.as_str(), " "], "content"),
        (&ana, ["history", "no-such-channel", "--json"], "no-such-channel"),
    ] {
        let output = try_run(user, &arguments).await;
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(complaint.starts_with("edgewise: ") && complaint.contains(told), "{complaint}");
        assert_eq!((complaint.lines().count(), output.stdout.len()), (1, 0), "{complaint}");
    }
}

#[tokio::test]
async fn tail_prints_what_happens() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    let before = ana.send("before").await;
    let mut tail = Watch::start(&ben, &["tail", &room.id, "--json"]);
    assert_eq!(tail.next().await["message"]["id"], before.id.as_str());
    let sent = ana.send("frist").await;
    ana.edit(&sent, "first").await;
    ben.react(&sent, "👍").await;
    ben.unreact(&sent, "👍").await;
    ana.erase(&sent).await;

    for (change, detail) in [
        ("created", ("content", "frist")),
        ("edited", ("content", "first")),
        ("reaction_added", ("emoji", "👍")),
        ("reaction_removed", ("emoji", "👍")),
        ("deleted", ("content", "")),
    ] {
        let line = tail.next().await;
        assert_eq!(line["change"], change, "{line}");
        let (field, value) = detail;
        assert_eq!(
            if field == "emoji" { &line["emoji"] } else { &line["message"]["content"] },
            value,
            "{line}"
        );
    }
}

#[tokio::test]
async fn tail_survives_restarts_and_shows_nothing_twice() {
    let server = Server::start();
    let room = server.room().await;
    let mut tail = Watch::start(&room.user("ben"), &["tail", &room.id, "--since", "0", "--json"]);
    let patient = Retry { patience: Duration::from_secs(60), ..Retry::PATIENT };
    let ana = room.client("ana").with_retry(patient);
    let mut sent: Vec<Message> = Vec::new();
    for round in 0..30 {
        match round {
            10 | 20 => {
                server.kill().await;
                server.restart().await;
            }
            5 | 25 => server.reset_objects().await,
            _ => {}
        }
        sent.push(ana.send(&room.id, Draft::new(format!("message {round}"))).await.unwrap().message);
        // Up to date before it is disturbed, and not.
        if round % 5 == 2 {
            for message in sent.drain(..) {
                assert_eq!(tail.next().await["message"]["id"], message.id.as_str());
            }
        }
    }
    for message in sent {
        let line = tail.next().await;
        assert_eq!((&line["change"], &line["message"]["id"]), (&json!("created"), &json!(message.id)));
    }
}

#[tokio::test]
async fn what_is_signed_is_shown_so() {
    let room = Server::shared().room().await;
    let (author, ben) = (room.author().await, room.user("ben"));
    let (channel, key) = (room.id.as_str(), room.scratch(&room.id));
    fs::write(&key, hex::encode(author.seed())).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let key = key.to_str().unwrap();
    let open = try_run(&author, &["send", channel, "--key", key, "x"]).await;
    assert!(
        !open.status.success() && String::from_utf8_lossy(&open.stderr).contains("chmod 600"),
        "{open:?}"
    );

    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
    for number in 1..=3 {
        run(&author, &["send", channel, "--key", key, &format!("number {number}")]).await;
    }
    author.send("unsigned").await;
    run(&author, &["edit", channel, "2", "--key", key, "number 2, corrected"]).await;
    let unsigned = try_run(&author, &["edit", channel, "2", "unsigned"]).await;
    assert!(String::from_utf8_lossy(&unsigned.stderr).contains("SIGNATURE_REQUIRED"), "{unsigned:?}");
    let sql = "UPDATE messages SET content_text = 'altered' WHERE channel_id = ? AND server_sequence = 3";
    room.sql(sql, json!([channel])).await;

    let told = run(&ben, &["history", channel]).await;
    let shown: Vec<_> = told.lines().filter_map(|line| Some(line.split_once(' ')?.1)).collect();
    let marked = |line: usize, mark: &str| {
        assert!(shown[line].starts_with(&format!("{mark}#{line} ")), "{told}");
    };
    // The first line names the day.
    marked(1, "✓");
    marked(2, "✓");
    marked(3, "✗");
    marked(4, " ");
    assert!(shown[2].ends_with("number 2, corrected (edited)"), "{told}");
    let json = lines(&run(&ben, &["history", channel, "--json"]).await);
    let found: Vec<_> = json.iter().map(|message| message["authenticity"].as_str().unwrap()).collect();
    assert_eq!(found, ["verified", "verified", "forged", "unsigned"]);

    let mut tail = Watch::start(&ben, &["tail", channel, "--json"]);
    for authenticity in &found {
        assert_eq!(tail.next().await["message"]["authenticity"], *authenticity);
    }
    author.try_post(&author.note("live").sign()).await.expect(201);
    assert_eq!(tail.next().await["message"]["authenticity"], "verified");
}

#[tokio::test]
async fn what_moderators_do_at_the_prompt() {
    let room = Server::shared().room().await;
    let (owner, ana) = (&room.owner, room.known_user().await);
    let name = format!("crew {}", uuid::Uuid::new_v4());
    let made =
        run(owner, &["admin", "roles", "create", &name, "--permissions", "ban-members,kick-members"]).await;
    assert!(made.starts_with(&format!("{name}  kick-members,ban-members  ")), "{made}");
    run(owner, &["admin", "roles", "change", &name, "--color", "#ff8800", "--position", "3"]).await;
    let roles = lines(&run(&ana, &["admin", "roles", "list", "--json"]).await);
    let role = roles.iter().find(|role| role["name"] == name.as_str()).unwrap();
    assert_eq!(
        (&role["permissions"], &role["color"], &role["position"]),
        (&json!(12), &json!(0x00ff_8800), &json!(3))
    );

    let mallory = room.known_user().await;
    let sent = mallory.send("spam").await;
    let ban = ["admin", "bans", "add", &mallory.id, "--reason", "spam", "--for", "7d", "--delete-last", "1h"];
    let output = try_run(&ana, &ban).await;
    assert!(String::from_utf8_lossy(&output.stderr).contains("permission"), "{output:?}");
    run(owner, &["admin", "roles", "give", &ana.id, &name]).await;
    run(&ana, &ban).await;
    mallory.try_send(json!({"content": "x"})).await.refused(403, "BANNED");
    ana.get(&format!("messages/{}", sent.id)).send().await.refused(404, "MESSAGE_NOT_FOUND");
    let bans = lines(&run(&ana, &["admin", "bans", "list", "--json"]).await);
    let listed = bans.iter().find(|ban| ban["user_id"] == mallory.id.as_str()).unwrap();
    assert_eq!((&listed["reason"], &listed["banned_by"]), (&json!("spam"), &json!(ana.id)));
    run(&ana, &["admin", "bans", "remove", &mallory.id]).await;
    mallory.send("back").await;

    run(owner, &["admin", "channels", "change", &room.id, "--topic", "all of it"]).await;
    assert_eq!(ana.channel().await.topic.as_deref(), Some("all of it"));
    run(owner, &["admin", "channels", "add", &room.id, &mallory.id]).await;
    run(&ana, &["admin", "channels", "kick", &room.id, &mallory.id]).await;
    let log = lines(&run(&ana, &["admin", "audit", "--limit", "100", "--json"]).await);
    let done: Vec<_> = log
        .iter()
        .rev()
        .filter(|entry| entry["target"] == mallory.id.as_str())
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert_eq!(done, ["user_banned", "user_unbanned", "member_added", "member_removed"]);
    run(owner, &["admin", "channels", "delete", &room.id]).await;
    ana.get("messages").send().await.refused(404, "CHANNEL_NOT_FOUND");
    run(owner, &["admin", "roles", "take", &ana.id, &name]).await;
    run(owner, &["admin", "roles", "delete", &name]).await;
    let output = try_run(&ana, &["admin", "audit"]).await;
    assert_eq!(output.status.code(), Some(1));
}
