//! Each command has its own fate, whoever else is in its commit.

use super::*;

#[test]
fn whoever_reacts_after_a_thousand_others_is_told_that_they_did() {
    let room = Room::new(42).with_messages(1);
    room.database.execute(&format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
         INSERT INTO users (id, display_name, created_at) SELECT 'u' || i, 'U', 0 FROM n;
         INSERT INTO reactions (channel_id, server_sequence, emoji, user_id, created_at, revision)
         SELECT '{}', 1, '+1', id, 1, 1 FROM users WHERE id LIKE 'u%'",
        room.id
    ));
    let message_id = "00000000-0000-7000-8000-000000000001".to_owned();
    let react = || {
        parse(Payload::AddReactionRequest(AddReactionRequest {
            message_id: message_id.clone(),
            emoji: "+1".into(),
        }))
    };
    for replayed in [false, true] {
        let ack = room.asks_then(caller("ana", NEVER), react()).unwrap();
        let summary = ack.reaction.unwrap();
        assert_eq!((summary.count, summary.me, ack.replayed), (1_001, true, replayed));
    }
}
