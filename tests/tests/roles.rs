//! Roles: made, changed, given and taken, and what that does to the very next write.

use edgewise_tests::{Answer, Room, Server, User};
use serde_json::{Value, json};
use uuid::Uuid;

fn name() -> String {
    format!("role {}", Uuid::new_v4())
}

async fn make(by: &User, permissions: u32) -> Value {
    let body = json!({"name": name(), "permissions": permissions});
    by.post("/api/roles").json(&body).send().await.expect(201).json()
}

fn path(role: &Value) -> String {
    format!("/api/roles/{}", role["id"].as_str().unwrap())
}

fn of_user(user: &User, role: &Value) -> String {
    format!("/api/users/{}/roles/{}", user.id, role["id"].as_str().unwrap())
}

async fn give(by: &User, user: &User, role: &Value) -> Answer {
    by.put(&of_user(user, role)).send().await
}

async fn take(by: &User, user: &User, role: &Value) -> Answer {
    by.delete(&of_user(user, role)).send().await
}

/// A user who manages roles and may do this beside.
async fn manager(room: &Room<'_>, permissions: u32) -> User {
    room.user(&room.user_with_role(128 | permissions).await)
}

#[tokio::test]
async fn a_role_is_made_listed_changed_and_deleted() {
    let room = Server::shared().room().await;
    let odd = format!("'; DROP TABLE roles; -- \" \\ {{}} [\u{1F600}] {}", Uuid::new_v4());
    let body = json!({"name": format!("  {odd} "), "permissions": 33, "color": 0x00ff_8800, "position": 7});
    let made: Value = room.owner.post("/api/roles").json(&body).send().await.expect(201).json();
    let id = made["id"].as_str().unwrap();
    assert!(Uuid::try_parse(id).is_ok(), "{id}");
    assert_eq!(
        made,
        json!({"id": id, "name": odd, "permissions": 33, "color": 0x00ff_8800, "position": 7, "is_default": false})
    );
    let listed: Value = room.user("ana").get("/api/roles").send().await.expect(200).json();
    let roles = listed["roles"].as_array().unwrap();
    assert!(roles.contains(&made));
    let everyone = roles.iter().find(|role| role["is_default"] == true).unwrap();
    assert_eq!((everyone["id"].as_str(), everyone["name"].as_str()), (Some("everyone"), Some("everyone")));

    let body = json!({"color": null, "permissions": 1});
    let changed: Value = room.owner.patch(&path(&made)).json(&body).send().await.expect(200).json();
    assert_eq!(
        changed,
        json!({"id": id, "name": odd, "permissions": 1, "color": null, "position": 7, "is_default": false})
    );
    room.owner.delete(&path(&made)).send().await.expect(204);
    room.owner.delete(&path(&made)).send().await.refused(404, "ROLE_NOT_FOUND");
}

#[tokio::test]
async fn what_a_role_may_be_is_checked() {
    let room = Server::shared().room().await;
    let post = async |body: Value| room.owner.post("/api/roles").json(&body).send().await;
    let taken = make(&room.owner, 0).await;
    post(json!({"name": taken["name"]})).await.refused(409, "NAME_TAKEN");
    for name in ["", " ", "a\nb", &"x".repeat(101)] {
        post(json!({"name": name})).await.refused(422, "NAME_INVALID");
        let change = room.owner.patch(&path(&taken)).json(&json!({"name": name}));
        change.send().await.refused(422, "NAME_INVALID");
    }
    for wrong in [
        json!({}),
        json!({"name": 5}),
        json!({"name": "x", "permissions": 256}),
        json!({"name": "x", "permissions": -1}),
        json!({"name": "x", "permissions": 1.5}),
        json!({"name": "x", "permissions": "1"}),
        json!({"name": "x", "permissions": 1_u64 << 40}),
        json!({"name": "x", "color": 0x0100_0000}),
        json!({"name": "x", "color": -1}),
        json!({"name": "x", "color": "#ff8800"}),
        json!({"name": "x", "position": 1_000_001}),
        json!({"name": "x", "position": -1}),
    ] {
        post(wrong).await.refused(400, "BODY_INVALID");
    }
    for wrong in [json!({"permissions": 1024}), json!({"color": false}), json!([])] {
        room.owner.patch(&path(&taken)).json(&wrong).send().await.refused(400, "BODY_INVALID");
    }
    for id in ["-x", "a%20b", "%00", "a%2Fb"] {
        room.owner
            .patch(&format!("/api/roles/{id}"))
            .json(&json!({}))
            .send()
            .await
            .refused(400, "ID_INVALID");
        room.owner.put(&format!("/api/users/ana/roles/{id}")).send().await.refused(400, "ID_INVALID");
        room.owner.put(&format!("/api/users/{id}/roles/everyone")).send().await.refused(400, "ID_INVALID");
    }
    let none = Uuid::new_v4();
    room.owner
        .patch(&format!("/api/roles/{none}"))
        .json(&json!({}))
        .send()
        .await
        .refused(404, "ROLE_NOT_FOUND");
    room.owner.put(&format!("/api/users/ana/roles/{none}")).send().await.refused(404, "ROLE_NOT_FOUND");
    let nobody = format!("/api/users/{none}/roles/{}", taken["id"].as_str().unwrap());
    room.owner.put(&nobody).send().await.refused(404, "USER_NOT_FOUND");
    room.owner.delete(&nobody).send().await.refused(404, "USER_NOT_FOUND");
}

#[tokio::test]
async fn a_role_counts_from_the_next_write_to_the_last() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.known_user().await, room.known_user().await);
    let role = make(&room.owner, 32).await;
    let first = ben.send("one").await;
    let second = ben.send("two").await;
    let delete = async |message: &edgewise_client::Message| {
        ana.delete(&format!("messages/{}", message.id)).send().await
    };
    delete(&first).await.refused(403, "FORBIDDEN");
    give(&room.owner, &ana, &role).await.expect(204);
    give(&room.owner, &ana, &role).await.expect(204);
    delete(&first).await.expect(204);
    take(&room.owner, &ana, &role).await.expect(204);
    take(&room.owner, &ana, &role).await.expect(204);
    delete(&second).await.refused(403, "FORBIDDEN");
    // So with a role that changes, and one that is deleted.
    give(&room.owner, &ana, &role).await.expect(204);
    room.owner.patch(&path(&role)).json(&json!({"permissions": 1})).send().await.expect(200);
    delete(&second).await.refused(403, "FORBIDDEN");
    room.owner.patch(&path(&role)).json(&json!({"permissions": 32})).send().await.expect(200);
    room.owner.delete(&path(&role)).send().await.expect(204);
    delete(&second).await.refused(403, "FORBIDDEN");
}

#[tokio::test]
async fn an_administrator_has_every_permission_and_sees_private_channels() {
    let room = Server::shared().private_room().await;
    let chief = room.known_user().await;
    chief.get("messages").send().await.refused(404, "CHANNEL_NOT_FOUND");
    let role = make(&room.owner, 16).await;
    give(&room.owner, &chief, &role).await.expect(204);
    let sent = room.owner.send("hi").await;
    chief.read(&sent).await;
    chief.erase(&sent).await;
    let member = room.known_user().await;
    chief.put(&format!("members/{}", member.id)).send().await.expect(204);
    let socket = member.connect().await;
    chief.delete(&format!("members/{}", member.id)).send().await.expect(204);
    socket.closed(4004).await;
    let names: Value = chief.get("members").send().await.expect(200).json();
    assert!(!names["members"].to_string().contains(&member.id), "{names}");
    take(&room.owner, &chief, &role).await.expect(204);
    chief.get("messages").send().await.refused(404, "CHANNEL_NOT_FOUND");
    chief.try_send(json!({"content": "x"})).await.refused(404, "CHANNEL_NOT_FOUND");
}

#[tokio::test]
async fn nobody_raises_themselves_or_others_above_them() {
    let room = Server::shared().room().await;
    let (plain, ana) = (room.known_user().await, room.known_user().await);
    let weak = manager(&room, 0).await;
    let role = make(&room.owner, 64).await;
    let strong = make(&room.owner, 2).await;
    for user in [&plain, &room.user("somebody-new")] {
        user.post("/api/roles").json(&json!({"name": name()})).send().await.refused(403, "FORBIDDEN");
        user.patch(&path(&role)).json(&json!({"name": name()})).send().await.refused(403, "FORBIDDEN");
        user.delete(&path(&role)).send().await.refused(403, "FORBIDDEN");
        give(user, &ana, &role).await.refused(403, "FORBIDDEN");
        take(user, &ana, &role).await.refused(403, "FORBIDDEN");
    }
    for bits in [2, 4, 8, 16, 32, 255] {
        let body = json!({"name": name(), "permissions": bits});
        weak.post("/api/roles").json(&body).send().await.refused(403, "FORBIDDEN");
        weak.patch(&path(&role)).json(&json!({"permissions": bits})).send().await.refused(403, "FORBIDDEN");
    }
    weak.patch(&path(&strong)).json(&json!({"permissions": 0})).send().await.refused(403, "FORBIDDEN");
    weak.delete(&path(&strong)).send().await.refused(403, "FORBIDDEN");
    give(&weak, &weak, &strong).await.refused(403, "FORBIDDEN");
    let other = manager(&room, 8).await;
    give(&weak, &other, &role).await.refused(403, "FORBIDDEN");
    give(&weak, &ana, &role).await.expect(204);
    let body = json!({"permissions": 0});
    room.owner.delete("/api/roles/everyone").send().await.refused(403, "FORBIDDEN");
    weak.delete("/api/roles/everyone").send().await.refused(403, "FORBIDDEN");
    give(&room.owner, &other, &strong).await.expect(204);
    weak.patch(&path(&strong)).json(&body).send().await.refused(403, "FORBIDDEN");
}
