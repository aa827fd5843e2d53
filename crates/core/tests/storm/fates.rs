//! Each command has its own fate, whoever else is in its commit.

use edgewise_core::proto::SyncRequest;

use super::*;

fn delete(message_id: &str) -> Command {
    parse(Payload::DeleteMessageRequest(DeleteMessageRequest { message_id: message_id.into() }))
}

#[test]
fn each_command_is_judged_by_the_token_that_it_came_with() {
    for admin_first in [true, false] {
        let room = Room::new(40).with_messages(2);
        let id = |n: u64| format!("00000000-0000-7000-8000-{n:012x}");
        let admin = Caller { trusted: true, ..caller("ana", NEVER) };
        let mut asked = vec![(admin, delete(&id(1))), (caller("ana", NEVER), delete(&id(2)))];
        if !admin_first {
            asked.reverse();
        }
        // They share whatever comes after this one.
        let first = room.asks_one(caller("ben", NEVER), send("first"));
        assert!(room.world.step() && first.borrow().is_none());
        let mut answers = room.asks(asked);
        room.rests();
        if !admin_first {
            answers.reverse();
        }
        assert!(fate(&answers[0]).is_ok(), "{:?}", answers[0]);
        assert_eq!(fate(&answers[1]).unwrap_err().code, Code::Forbidden);
    }
}

#[test]
fn a_name_counts_from_its_own_message_on() {
    let room = Room::new(41);
    let named = |name: &str| Caller { display_name: Some(name.into()), ..caller("ana", NEVER) };
    let asked = vec![
        (named("Ana"), send("one")),
        (caller("ana", NEVER), send("two")),
        (named("Ana B."), send("three")),
    ];
    let answers = room.asks(asked);
    room.rests();
    let names: Vec<_> =
        answers.iter().map(|answer| fate(answer).unwrap().message.unwrap().sender_display_name).collect();
    assert_eq!(names, ["Ana", "Ana", "Ana B."]);
    assert_eq!(room.database.value::<String>("SELECT display_name FROM users WHERE id = 'ana'"), "Ana B.");
}

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

#[test]
fn a_read_does_not_see_what_its_connection_asks_for_afterwards() {
    for seed in 50..60 {
        let room = Room::new(seed);
        let guest = room.arrives(caller("guest", NEVER), None);
        room.rests();
        let says = |content: &str| {
            let request = SendMessageRequest { content: content.into(), ..SendMessageRequest::default() };
            guest.says(&room.channel, content, Payload::SendMessageRequest(request));
        };
        says("before");
        guest.says(&room.channel, "sync", Payload::SyncRequest(SyncRequest::default()));
        says("after");
        room.rests();
        let answer = guest.hears().0.into_iter().find(|envelope| envelope.request_id == "sync");
        let Some(Payload::SyncResponse(page)) = answer.unwrap().payload else { panic!("no page") };
        let contents: Vec<_> = page.messages.iter().map(|message| message.content.as_str()).collect();
        assert_eq!(contents, ["before"], "seed {seed}");
    }
}

#[test]
fn what_was_committed_with_an_answer_that_is_none_happens_once() {
    let room = Room::new(60);
    let guest = room.arrives(caller("guest", NEVER), None);
    room.rests();
    guest.hears();
    let content = |n: u64| {
        let content = format!("without a nonce {n}");
        parse(Payload::SendMessageRequest(SendMessageRequest { content, ..SendMessageRequest::default() }))
    };
    room.faults.set(Faults { garbled: 100, ..Faults::NONE });
    let answers = room.asks((0..3).map(|n| (caller("ana", NEVER), content(n))).collect());
    // Until another answer makes sense.
    room.passes(SECOND);
    room.faults.set(Faults::NONE);
    room.rests();
    assert!(answers.iter().all(|answer| fate(answer).is_ok()), "{answers:?}");
    assert_eq!(room.database.number("SELECT count(*) FROM messages"), 3);
    assert_eq!(guest.hears().0.into_iter().filter(|envelope| !is_presence(envelope)).count(), 3);

    // None ever does.
    room.faults.set(Faults { garbled: 100, ..Faults::NONE });
    let answers = room.asks((3..6).map(|n| (caller("ana", NEVER), content(n))).collect());
    room.passes(10 * SECOND);
    assert!(answers.iter().all(|answer| fate(answer).unwrap_err().code == Code::Internal), "{answers:?}");
    assert_eq!(room.database.number("SELECT count(*) FROM messages"), 6);
    assert_eq!(guest.closed(), Some(1012), "what it was not told it finds by since");
    room.faults.set(Faults::NONE);
    assert_eq!(room.asks_then(caller("ana", NEVER), content(6)).unwrap().message.unwrap().server_sequence, 7);
}

#[test]
fn a_read_position_that_takes_effect_late_does_not_undo_a_newer_one() {
    for seed in 60..80 {
        let room = Room::new(seed).with_messages(10);
        let moves = |last_sequence: u64| {
            let request = UpdateLastReadRequest { last_sequence, allow_decrease: true };
            room.asks_one(caller("ana", NEVER), parse(Payload::UpdateLastReadRequest(request)))
        };
        let first = moves(8);
        room.rests();
        assert!(fate(&first).is_ok());
        room.faults.set(Faults { late: 100, ..Faults::NONE });
        assert_eq!(room.answered(&moves(2)).unwrap_err().code, Code::StorageUnavailable);
        room.faults.set(Faults::NONE);
        assert!((0..100).any(|_| room.answered(&moves(9)).is_ok()), "{seed}");
        room.rests();
        assert_eq!(
            room.database.number("SELECT last_sequence FROM last_read WHERE user_id = 'ana'"),
            9,
            "{seed}"
        );
    }
}

#[test]
fn who_hangs_up_stops_nobody() {
    for seed in 80..90 {
        let room = Room::new(seed);
        let (channel, world) = (Rc::clone(&room.channel), Rc::clone(&room.world));
        // The first of all, whom the others' commits could hang on.
        room.world.spawn(Some(room.incarnation), async move {
            let asking = Box::pin(channel.submit(caller("first", NEVER), send("and gone")));
            drop(select(asking, Box::pin(world.sleep(1))).await);
        });
        assert!(room.world.step());
        let others =
            room.asks((0..10).map(|n| (caller(&format!("u{n}"), NEVER), send("still here"))).collect());
        room.rests();
        assert!(others.iter().all(|answer| fate(answer).is_ok()), "{seed}");
        assert_eq!(room.database.number("SELECT count(*) FROM messages"), 11, "{seed}");
    }
}

#[test]
fn a_socket_that_fails_is_closed_and_stops_nobody() {
    let room = Room::new(90);
    let guests: Vec<_> = (0..5).map(|n| room.arrives(caller(&format!("u{n}"), NEVER), None)).collect();
    room.rests();
    guests.iter().for_each(|guest| drop(guest.hears()));
    // It takes no frames, and nobody has said so.
    guests[2].wire.closed.set(Some(1006));
    assert!(room.asks_then(caller("ana", NEVER), send("hello?")).is_ok());
    for (place, guest) in guests.iter().enumerate() {
        let (heard, _) = guest.hears();
        let messages =
            heard.iter().filter(|e| matches!(e.payload, Some(Payload::NewMessageEvent(_)))).count();
        assert_eq!(messages, usize::from(place != 2), "{place}");
        let gone = heard.iter().filter(|envelope| is_presence(envelope)).count();
        assert_eq!(gone, usize::from(place != 2), "{place} is told that one is gone");
    }
}
