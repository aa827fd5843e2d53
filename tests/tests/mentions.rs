//! Mentions: whom a message names.

use edgewise_tests::Server;
use serde_json::json;

#[tokio::test]
async fn a_message_names_whom_it_mentions() {
    let ana = Server::shared().room().await.user("ana");
    let cases: [(&str, &[&str], &[&str]); 16] = [
        ("hi @user:ben", &["ben"], &[]),
        ("hi @user:ben.", &["ben"], &[]),
        ("@user:ben: and @role:crew!", &["ben"], &["crew"]),
        ("@user:b.e:n@x-y_z|1", &["b.e:n@x-y_z|1"], &[]),
        ("(@user:ben)", &["ben"], &[]),
        ("@user:ben @user:carla @user:ben", &["ben", "carla"], &[]),
        ("@[Ben the Great](user:ben) und @[die Crew](role:crew)", &["ben"], &["crew"]),
        ("ana@user:ben is an address, x@user:ben too, é@user:ben too", &[], &[]),
        ("`@user:ben` and ``a ` @user:ben``", &[], &[]),
        ("```\n@user:ben\n```\n@user:carla", &["carla"], &[]),
        ("@[no ] here](user:ben)", &[], &[]),
        ("@[no\nline](user:ben)", &[], &[]),
        ("@user: @user:_x @role:", &[], &[]),
        ("👋@user:ben", &["ben"], &[]),
        ("@role:everyone", &[], &["everyone"]),
        ("مرحبا @user:ben \u{200f}@role:crew", &["ben"], &["crew"]),
    ];
    for (content, users, roles) in cases {
        let message = ana.send(content).await;
        assert_eq!(
            (message.mention_user_ids, message.mention_role_ids),
            (owned(users), owned(roles)),
            "{content}"
        );
    }
}

#[tokio::test]
async fn an_edit_names_anew() {
    let ana = Server::shared().room().await.user("ana");
    let sent = ana.send("@user:ben @role:crew").await;
    let edited = ana.edit(&sent, "@user:carla").await;
    assert_eq!((edited.mention_user_ids, edited.mention_role_ids), (owned(&["carla"]), vec![]));
}

#[tokio::test]
async fn a_message_mentions_at_most_50_users_and_20_roles() {
    let ana = Server::shared().room().await.user("ana");
    let mentions =
        |kind: &str, count: usize| -> String { (0..count).map(|n| format!("@{kind}:id{n} ")).collect() };
    let sent = ana.send(&(mentions("user", 50) + &mentions("role", 20))).await;
    assert_eq!((sent.mention_user_ids.len(), sent.mention_role_ids.len()), (50, 20));
    for content in [mentions("user", 51), mentions("role", 21)] {
        ana.try_send(json!({"content": content})).await.refused(422, "TOO_MANY_MENTIONS");
        let path = format!("messages/{}", sent.id);
        ana.put(&path).json(&json!({"content": content})).send().await.refused(422, "TOO_MANY_MENTIONS");
    }
    // Each id counts once.
    ana.send(&mentions("user", 30).repeat(3)).await;
}

#[tokio::test]
async fn mentions_are_counted_for_whom_they_name() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    ana.send("@user:ben").await;
    ana.send("@user:carla").await;
    let edited = ana.send("nobody").await;
    let gone = ana.send("@user:ben, never mind").await;
    ben.send("@user:ben is me").await;
    assert_eq!((ben.last_read().await.unread_count, ben.last_read().await.mention_count), (4, 2));
    ana.edit(&edited, "after all @user:ben").await;
    assert_eq!(ben.last_read().await.mention_count, 3);
    ana.erase(&gone).await;
    assert_eq!((ben.last_read().await.unread_count, ben.last_read().await.mention_count), (3, 2));
    assert_eq!(room.user("dora").last_read().await.mention_count, 0);
}

#[tokio::test]
async fn a_role_is_mentioned_to_those_who_have_it() {
    let room = Server::shared().room().await;
    let captain = room.user_with_role(64).await;
    let roles = room.sql("SELECT role_id FROM user_roles WHERE user_id = ?", json!([captain])).await;
    let role = roles[0]["role_id"].as_str().unwrap();
    let captain = room.user(&captain);
    room.user("ana").send(&format!("@role:{role}")).await;
    assert_eq!(captain.last_read().await.mention_count, 1);
    assert_eq!(room.user("ben").last_read().await.mention_count, 0);
    // Named as a user and by role, a message counts once.
    room.user("ana").send(&format!("@user:{} @role:{role}", captain.id)).await;
    assert_eq!(captain.last_read().await.mention_count, 2);
}

#[tokio::test]
async fn everyone_is_mentioned_by_who_manages_channels() {
    let room = Server::shared().room().await;
    let ben = room.user("ben");
    room.user("ana").send("@role:everyone").await;
    assert_eq!(ben.last_read().await.mention_count, 0);
    room.owner.send("@role:everyone").await;
    assert_eq!(ben.last_read().await.mention_count, 1);
    room.user(&room.user_with_role(2).await).send("@role:everyone").await;
    assert_eq!(ben.last_read().await.mention_count, 2);
}

fn owned(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|&id| id.to_owned()).collect()
}
