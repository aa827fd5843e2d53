//! Bans: who can ban whom, what is stopped, what is said of it.

use edgewise_core::proto::envelope::Payload;
use edgewise_tests::{Answer, Room, Server, User, ask};
use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

async fn ban(by: &User, who: &str, body: Value) -> Answer {
    by.put(&format!("/api/bans/{who}")).json(&body).send().await
}

async fn unban(by: &User, who: &str) -> Answer {
    by.delete(&format!("/api/bans/{who}")).send().await
}

async fn moderator(room: &Room<'_>) -> User {
    room.user(&room.user_with_role(8).await)
}

fn now() -> u64 {
    edgewise_tests::now() * 1_000
}

#[tokio::test]
async fn who_is_banned_is_out_everywhere() {
    let room = Server::shared().room().await;
    let private = Server::shared().private_room().await;
    let mallory = room.known_user().await;
    let inside = private.user(&mallory.id);
    private.owner.put(&format!("members/{}", mallory.id)).send().await.expect(204);
    let message = room.owner.send("hi").await;
    // On sockets in two channels, in neither of which they ever wrote; one sleeps.
    let sockets = [mallory.connect().await, inside.connect().await];
    room.evict().await;
    let by = moderator(&room).await;
    ban(&by, &mallory.id, json!({"reason": "spam"})).await.expect(204);
    for socket in sockets {
        socket.closed(4003).await;
    }
    mallory.try_send(json!({"content": "x"})).await.refused(403, "BANNED");
    inside.try_send(json!({"content": "x"})).await.refused(403, "BANNED");
    mallory.try_react(&message, "x").await.refused(403, "BANNED");
    mallory.get("messages").send().await.refused(403, "BANNED");
    mallory.get("/api/channels").send().await.refused(403, "BANNED");
    mallory.get("/api/roles").send().await.refused(403, "BANNED");
    mallory.get("/api/bans").send().await.refused(403, "BANNED");
    mallory.dial().refused(4003).await;
    inside.dial().refused(4003).await;

    // Nothing needs to be said of a ban.
    by.put(&format!("/api/bans/{}", mallory.id)).send().await.expect(204);
    unban(&by, &mallory.id).await.expect(204);
    unban(&by, &mallory.id).await.refused(404, "BAN_NOT_FOUND");
    mallory.send("back").await;
    inside.connect().await;
}

#[tokio::test]
async fn a_ban_is_listed_as_it_was_made() {
    let server = Server::start();
    let room = server.room().await;
    let reason = "'; DROP TABLE bans; -- \" \\ {} \u{1F600}\n\u{0}";
    let until = now() + 60_000;
    ban(&room.owner, "ben", json!({"reason": format!(" {reason}x "), "expires_at": until})).await.expect(204);
    ban(&room.owner, "ana", json!({})).await.expect(204);
    let list = async |query: &str| -> Value {
        room.owner.get(&format!("/api/bans?{query}")).send().await.expect(200).json()
    };
    let mut listed = list("").await;
    for ban in listed["bans"].as_array_mut().unwrap() {
        assert!(ban.as_object_mut().unwrap().remove("created_at").unwrap().as_u64().unwrap() > 0);
    }
    let ana = json!({"user_id": "ana", "reason": "", "banned_by": "olga", "expires_at": null});
    let ben =
        json!({"user_id": "ben", "reason": format!("{reason}x"), "banned_by": "olga", "expires_at": until});
    assert_eq!(listed, json!({"bans": [ana, ben], "has_more": false}));
    let page = list("limit=1").await;
    assert_eq!((&page["bans"][0]["user_id"], &page["has_more"]), (&json!("ana"), &json!(true)));
    assert_eq!(list("after=ana").await["bans"][0]["user_id"], "ben");
    // A second ban takes the place of the first.
    ban(&room.owner, "ben", json!({"reason": "again"})).await.expect(204);
    let ben = &list("after=ana").await["bans"][0];
    assert_eq!((&ben["reason"], &ben["expires_at"]), (&json!("again"), &Value::Null));
}

#[tokio::test]
async fn what_a_ban_may_be_is_checked() {
    let room = Server::shared().room().await;
    let day = 86_400_000;
    for wrong in [
        json!({"reason": 5}),
        json!({"reason": "x".repeat(1_001)}),
        json!({"expires_at": now() - 1_000}),
        json!({"expires_at": 0}),
        json!({"expires_at": "tomorrow"}),
        json!({"expires_at": -1}),
        json!({"delete_messages_since": now() - 8 * day}),
        json!({"delete_messages_since": 0}),
        json!({"delete_messages_since": -5}),
        json!({"delete_messages_since": 1.5}),
        json!([]),
    ] {
        ban(&room.owner, "nobody-yet", wrong).await.refused(400, "BODY_INVALID");
    }
    for id in ["-x", "a%20b", "%00"] {
        ban(&room.owner, id, json!({})).await.refused(400, "ID_INVALID");
        unban(&room.owner, id).await.refused(400, "ID_INVALID");
    }
    unban(&room.owner, "nobody-yet").await.refused(404, "BAN_NOT_FOUND");
    let since = json!({"delete_messages_since": now() - 7 * day, "expires_at": 1_u64 << 60});
    ban(&room.owner, &format!("u{}", Uuid::new_v4()), since).await.expect(204);
}

#[tokio::test]
async fn nobody_bans_themselves_or_who_has_more() {
    let room = Server::shared().room().await;
    let plain = room.known_user().await;
    let by = moderator(&room).await;
    ban(&plain, &by.id, json!({})).await.refused(403, "FORBIDDEN");
    unban(&plain, &by.id).await.refused(403, "FORBIDDEN");
    plain.get("/api/bans").send().await.refused(403, "FORBIDDEN");
    for who in [&by.id, "@me"] {
        ban(&by, who, json!({})).await.refused(403, "FORBIDDEN");
    }
    ban(&room.owner, "@me", json!({})).await.refused(403, "FORBIDDEN");
    for permissions in [8 | 32, 16] {
        let stronger = room.user_with_role(permissions).await;
        ban(&by, &stronger, json!({})).await.refused(403, "FORBIDDEN");
        ban(&room.owner, &stronger, json!({})).await.expect(204);
    }
    // Nor whoever comes with an owner's token; with an admin's, only who has as much.
    let named = |token: edgewise_tests::Token| room.with_token(&token.mint());
    let (boss, admin) = (format!("boss{}", Uuid::new_v4()), format!("admin{}", Uuid::new_v4()));
    let [boss_here, admin_here] = [named(room.token(&boss).owner()), named(room.token(&admin).admin())];
    boss_here.connect().await;
    admin_here.send("hi").await;
    ban(&by, &boss, json!({})).await.refused(403, "FORBIDDEN");
    ban(&admin_here, &boss, json!({})).await.refused(403, "FORBIDDEN");
    ban(&by, &admin, json!({})).await.refused(403, "FORBIDDEN");
    let kicker = room.user(&room.user_with_role(4).await);
    kicker.delete(&format!("members/{boss}")).send().await.refused(403, "FORBIDDEN");
    ban(&boss_here, &admin, json!({})).await.expect(204);
    admin_here.try_send(json!({"content": "x"})).await.refused(403, "BANNED");
    boss_here.send("still here").await;
    // An owner is out of everyone's reach.
    let owner = room.known_user().await.id;
    room.sql("UPDATE users SET is_owner = 1 WHERE id = ?", json!([owner])).await;
    for by in [&by, &room.owner] {
        ban(by, &owner, json!({})).await.refused(403, "FORBIDDEN");
    }
    room.user(&owner).send("still here").await;
}

#[tokio::test]
async fn who_has_never_been_seen_is_refused_when_they_come() {
    let room = Server::shared().room().await;
    let id = format!("auth0|a.b:{}@x", Uuid::new_v4());
    let path = id.replace('|', "%7C").replace('@', "%40").replace(':', "%3A");
    ban(&room.owner, &path, json!({})).await.expect(204);
    let stranger = room.with_token(&room.token(&id).name("Stranger").mint());
    stranger.try_send(json!({"content": "x"})).await.refused(403, "BANNED");
    stranger.dial().refused(4003).await;
    unban(&room.owner, &path).await.expect(204);
    stranger.send("hi").await;
}

#[tokio::test]
async fn a_ban_ends_when_it_said() {
    let room = Server::shared().room().await;
    let ana = room.known_user().await;
    ban(&room.owner, &ana.id, json!({"expires_at": now() + 60_000})).await.expect(204);
    ana.try_send(json!({"content": "x"})).await.refused(403, "BANNED");
    let past = json!([now() - 1, ana.id]);
    room.sql("UPDATE bans SET expires_at = ? WHERE user_id = ?", past).await;
    ana.send("back").await;
    ana.connect().await;
    unban(&room.owner, &ana.id).await.refused(404, "BAN_NOT_FOUND");
}

#[tokio::test]
async fn no_write_is_taken_after_the_answer() {
    let room = Server::shared().room().await;
    let mallory = room.known_user().await;
    let mut socket = mallory.connect().await;
    let banned = std::sync::atomic::AtomicBool::new(false);
    let writers = (0..16).map(|_| async {
        loop {
            let over = banned.load(std::sync::atomic::Ordering::SeqCst);
            let answer = mallory.try_send(json!({"content": if over { "late" } else { "early" }})).await;
            match answer.status {
                201 => assert!(!over, "taken after the ban was answered"),
                403 => return,
                other => panic!("{other}: {}", answer.text()),
            }
        }
    });
    let banning = async {
        socket.ask(ask::send("over the socket")).await;
        ban(&room.owner, &mallory.id, json!({})).await.expect(204);
        banned.store(true, std::sync::atomic::Ordering::SeqCst);
    };
    futures_util::future::join(join_all(writers), banning).await;
    let history = room.owner.whole_history().await;
    assert!(history.iter().all(|message| message.content != "late"));
    // What was on the socket already when it closed is refused too.
    while let Ok(envelope) = socket.try_next().await {
        assert!(!matches!(envelope.payload, Some(Payload::Ack(_))), "{envelope:?}");
    }
}
