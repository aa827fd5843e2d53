//! Members: who belongs to a channel, and who says so.

use edgewise_client::Members;
use edgewise_tests::{Server, User};
use serde_json::json;

async fn list(user: &User, query: &str) -> (Vec<String>, bool) {
    let page: Members = user.get(&format!("members?{query}")).send().await.expect(200).json();
    (page.members.into_iter().map(|member| member.user_id).collect(), page.has_more)
}

async fn add(by: &User, who: &str) -> edgewise_tests::Answer {
    by.put(&format!("members/{who}")).send().await
}

async fn remove(by: &User, who: &str) -> edgewise_tests::Answer {
    by.delete(&format!("members/{who}")).send().await
}

#[tokio::test]
async fn everyone_enters_and_leaves_a_public_channel() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    assert_eq!(list(&ana, "").await, (vec![], false));
    for _ in 0..2 {
        add(&ana, "@me").await.expect(204);
    }
    let page: Members = ana.get("members").send().await.expect(200).json();
    let [member] = page.members.as_slice() else { panic!("{page:?}") };
    assert_eq!((member.user_id.as_str(), member.display_name.as_str()), ("ana", "Ana"));
    assert!(member.joined_at > 0);
    for _ in 0..2 {
        remove(&ana, "@me").await.expect(204);
    }
    assert_eq!(list(&ana, "").await, (vec![], false));
    add(&ana, "@me").await.expect(204);
    // Who is no member reads and writes all the same.
    room.user("ben").send("hi").await;
}

#[tokio::test]
async fn who_makes_a_private_channel_is_its_first_member() {
    let room = Server::shared().private_room().await;
    assert_eq!(list(&room.owner, "").await, (vec![room.owner.id.clone()], false));
}

#[tokio::test]
async fn others_are_added_by_who_manages_channels() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.known_user().await, room.known_user().await);
    add(&ana, &ben.id).await.refused(403, "FORBIDDEN");
    add(&room.owner, &ben.id).await.expect(204);
    let manager = room.user(&room.user_with_role(2).await);
    add(&manager, &ana.id).await.expect(204);
    let mut both = vec![ana.id.clone(), ben.id.clone()];
    both.sort();
    assert_eq!(list(&ana, "").await, (both, false));
}

#[tokio::test]
async fn a_private_channel_opens_for_who_is_added() {
    let room = Server::shared().private_room().await;
    let (ana, ben) = (room.known_user().await, room.known_user().await);
    add(&ana, "@me").await.refused(404, "CHANNEL_NOT_FOUND");
    add(&ana, &ana.id).await.refused(404, "CHANNEL_NOT_FOUND");
    add(&room.owner, &ana.id).await.expect(204);
    ana.send("thanks").await;
    // A member is no manager.
    add(&ana, &ben.id).await.refused(403, "FORBIDDEN");
    ben.get("messages").send().await.refused(404, "CHANNEL_NOT_FOUND");
}

#[tokio::test]
async fn who_is_removed_is_out_at_once() {
    let room = Server::shared().private_room().await;
    let (ana, ben) = (room.known_user().await, room.known_user().await);
    for user in [&ana, &ben] {
        add(&room.owner, &user.id).await.expect(204);
    }
    let (socket, mut other) = (ana.connect().await, ben.connect().await);
    remove(&ben, &ana.id).await.refused(403, "FORBIDDEN");
    remove(&room.owner, &ana.id).await.expect(204);
    socket.closed(4004).await;
    ana.get("messages").send().await.refused(404, "CHANNEL_NOT_FOUND");
    ana.try_send(json!({"content": "back?"})).await.refused(404, "CHANNEL_NOT_FOUND");
    ana.dial().refused(4007).await;
    // The others stay.
    let sent = ben.send("she is gone").await;
    assert_eq!(other.message().await.id, sent.id);
    // Who was no member is none afterwards either.
    remove(&room.owner, &ana.id).await.expect(204);
}

#[tokio::test]
async fn who_leaves_a_private_channel_is_out_too() {
    let room = Server::shared().private_room().await;
    let ana = room.known_user().await;
    add(&room.owner, &ana.id).await.expect(204);
    let socket = ana.connect().await;
    remove(&ana, "@me").await.expect(204);
    socket.closed(4004).await;
    ana.get("messages").send().await.refused(404, "CHANNEL_NOT_FOUND");
}

#[tokio::test]
async fn who_kicks_needs_the_permission_and_no_less_than_the_other() {
    let room = Server::shared().room().await;
    let ana = room.known_user().await;
    let kicker = room.user(&room.user_with_role(4).await);
    let stronger = room.user(&room.user_with_role(4 | 8).await);
    for user in [&ana, &kicker, &stronger] {
        add(user, "@me").await.expect(204);
    }
    remove(&ana, &kicker.id).await.refused(403, "FORBIDDEN");
    remove(&kicker, &stronger.id).await.refused(403, "FORBIDDEN");
    remove(&stronger, &kicker.id).await.expect(204);
    add(&kicker, "@me").await.expect(204);
    let socket = ana.connect().await;
    remove(&kicker, &ana.id).await.expect(204);
    socket.closed(4004).await;
    // A public channel can be entered again.
    add(&ana, "@me").await.expect(204);
    ana.connect().await;
}

#[tokio::test]
async fn members_are_listed_by_user_id() {
    let room = Server::shared().room().await;
    for id in ["dora", "ben", "emil", "ana", "carla"] {
        add(&room.user(id), "@me").await.expect(204);
    }
    let ana = room.user("ana");
    let named = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    assert_eq!(list(&ana, "").await, (named(&["ana", "ben", "carla", "dora", "emil"]), false));
    assert_eq!(list(&ana, "limit=2").await, (named(&["ana", "ben"]), true));
    assert_eq!(list(&ana, "limit=2&after=ben").await, (named(&["carla", "dora"]), true));
    assert_eq!(list(&ana, "limit=2&after=dora").await, (named(&["emil"]), false));
    assert_eq!(list(&ana, "after=emil").await, (vec![], false));
    for query in ["limit=0", "limit=-1", "limit=x"] {
        ana.get(&format!("members?{query}")).send().await.refused(400, "QUERY_INVALID");
    }
}

#[tokio::test]
async fn members_are_users() {
    let room = Server::shared().room().await;
    let nobody = format!("u{}", uuid::Uuid::new_v4());
    add(&room.owner, &nobody).await.refused(404, "USER_NOT_FOUND");
    remove(&room.owner, &nobody).await.expect(204);
    for id in ["-x", "a%20b", "a%2Fb", "%C3%A4", &"x".repeat(129)] {
        add(&room.owner, id).await.refused(400, "ID_INVALID");
        remove(&room.owner, id).await.refused(400, "ID_INVALID");
    }
    // Every character that an id can have.
    let odd = room.with_token(&room.token("a_b.c:d@e-f|1").name("Odd").mint());
    add(&odd, "@me").await.expect(204);
    remove(&room.owner, "a_b.c%3Ad%40e-f%7C1").await.expect(204);
    assert_eq!(list(&odd, "").await, (vec![], false));
}
