//! One who makes it hard for the others.

use edgewise_core::{ids::UserId, proto::FetchHistoryRequest};

use super::*;

/// No call of the database is answered while anyone waits for it.
const HANGING: Faults = Faults { stalled: 100, ..Faults::NONE };

#[test]
fn a_read_that_is_never_answered_does_not_hold_up_who_writes() {
    let room = Room::new(30);
    let guest = room.arrives(caller("guest", NEVER), None);
    room.rests();
    guest.hears();
    room.faults.set(HANGING);
    guest.says(&room.channel, "page", Payload::FetchHistoryRequest(FetchHistoryRequest::default()));
    room.passes(100);
    room.faults.set(Faults::NONE);
    let answer = room.asks_one(caller("ana", NEVER), send("hello?"));
    room.passes(12 * SECOND);
    assert!(answer.borrow().as_ref().is_some_and(|(_, fate)| fate.is_ok()), "{answer:?}");
    let (heard, _) = guest.hears();
    let refused = heard.iter().find(|envelope| envelope.request_id == "page").expect("an answer");
    let Some(Payload::Error(error)) = &refused.payload else { panic!("{refused:?}") };
    assert_eq!((error.error_code.as_str(), error.retryable), ("STORAGE_UNAVAILABLE", true));
}

#[test]
fn who_keeps_coming_from_far_back_does_not_keep_others_from_catching_up() {
    const MESSAGES: u64 = 6_000;
    let room = Room::new(31).with_messages(MESSAGES);
    let from_far_back = |n: u64| room.arrives(caller(&format!("far{n}"), NEVER), Some(1));
    let mut far = vec![from_far_back(0)];
    let near = room.arrives(caller("near", NEVER), Some(5_000));
    for n in 1..24 {
        room.passes(250);
        far.push(from_far_back(n));
    }
    let caught_up = |guest: &Guest| {
        let mut heard = guest.hears().0.into_iter();
        heard.any(|envelope| matches!(envelope.payload, Some(Payload::CaughtUpEvent(_))))
    };
    assert!(caught_up(&near), "six seconds are enough for thirty pages");
    assert!(caught_up(&far[0]));
    room.rests();
    assert!(far[1..].iter().all(caught_up));
}

#[test]
fn whose_token_has_ended_asks_for_nothing_more() {
    let room = Room::new(32);
    let expires_at = room.world.now() + 90 * SECOND;
    let [late, renewing] = ["late", "renewing"].map(|user| room.arrives(caller(user, expires_at), None));
    room.rests();
    // The alarm is still to come.
    room.world.pass(91 * SECOND);
    let request = SendMessageRequest { content: "too late".into(), ..SendMessageRequest::default() };
    late.says(&room.channel, "late", Payload::SendMessageRequest(request.clone()));
    let token = format!("renewing/{}", expires_at + MINUTE);
    renewing.says(&room.channel, "token", Payload::RefreshTokenRequest(RefreshTokenRequest { token }));
    renewing.says(&room.channel, "send", Payload::SendMessageRequest(request));
    room.rests();
    assert_eq!((late.closed(), renewing.closed()), (Some(4001), None));
    assert_eq!(room.database.value::<String>("SELECT group_concat(sender_id) FROM messages"), "renewing");
}

#[test]
fn names_of_requests_take_their_part_of_what_may_wait() {
    let room = Room::new(33);
    let guest = room.arrives(caller("guest", NEVER), None);
    room.rests();
    let name = "n".repeat(60_000);
    let asks = |payload: &Payload| {
        room.faults.set(STALLED);
        guest.hears();
        (0..400).for_each(|_| guest.says(&room.channel, &name, payload.clone()));
        let refused = guest.hears().0.iter().filter(|envelope| !is_presence(envelope)).count();
        room.passes(5 * SECOND);
        room.faults.set(Faults::NONE);
        room.rests();
        (400 - refused) * name.len()
    };
    let message_id = ANYWHERE.to_owned();
    let waiting = asks(&Payload::DeleteMessageRequest(DeleteMessageRequest { message_id }));
    assert!(waiting <= 4 << 20, "{waiting} bytes wait");
    let waiting = asks(&Payload::FetchHistoryRequest(FetchHistoryRequest::default()));
    assert!(waiting <= 4 << 20, "{waiting} bytes wait");
    assert!(room.asks_then(caller("ana", NEVER), send("and then there is room")).is_ok());
}

#[test]
fn who_brings_a_token_that_gives_less_sees_no_more_than_it_gives() {
    let room = Room::new(34);
    room.database.execute("UPDATE channels SET private = 1");
    let admin = Caller { trusted: true, ..caller("ana", NEVER) };
    let guests = [room.arrives(admin.clone(), None), room.arrives(admin, None)];
    room.rests();
    let renews = |guest: &Guest| {
        let token = format!("ana/{NEVER}");
        guest.says(&room.channel, "token", Payload::RefreshTokenRequest(RefreshTokenRequest { token }));
        room.rests();
    };
    renews(&guests[0]);
    assert_eq!((guests[0].closed(), guests[1].closed()), (Some(4007), None));
    room.database.execute(&format!(
        "INSERT INTO members (channel_id, user_id, joined_at) VALUES ('{}', 'ana', 0)",
        room.id
    ));
    renews(&guests[1]);
    assert_eq!(guests[1].closed(), None);
}

/// How often the database is asked before somebody else's message is in.
fn batches_until_answered(room: &Room) -> usize {
    room.batches();
    let answer = room.asks_one(caller("ana", NEVER), send("hello?"));
    assert!(room.answered(&answer).is_ok());
    room.batches()
}

#[test]
fn who_asks_for_what_shares_no_commit_holds_up_nobody_else() {
    const ASKED: usize = 900;
    let room = Room::new(35);
    let guest = room.arrives(caller("flood", NEVER), None);
    room.rests();
    let before = room.channel.costs().runs;
    for _ in 0..ASKED {
        let request = UpdateLastReadRequest { last_sequence: 0, allow_decrease: true };
        guest.says(&room.channel, "read", Payload::UpdateLastReadRequest(request));
    }
    let batches = batches_until_answered(&room);
    assert!(batches <= 4, "{batches}");
    room.rests();
    assert!(room.channel.costs().runs - before >= ASKED as u64, "each of them was a commit of its own");
}

#[test]
fn who_reads_without_end_holds_up_nobody_else() {
    let room = Room::new(36).with_messages(10);
    let [guest, other] = ["flood", "ben"].map(|user| room.arrives(caller(user, NEVER), None));
    room.rests();
    guest.hears();
    for _ in 0..900 {
        guest.says(&room.channel, "page", Payload::FetchHistoryRequest(FetchHistoryRequest::default()));
    }
    other.says(&room.channel, "page", Payload::FetchHistoryRequest(FetchHistoryRequest::default()));
    let batches = batches_until_answered(&room);
    assert!(batches < 60, "{batches}: most of the pages are still to come");
    assert!(other.hears().0.iter().any(|envelope| envelope.request_id == "page"));
    room.rests();
    let pages = guest.hears().0.iter().filter(|envelope| envelope.request_id == "page").count();
    assert_eq!(pages, 900);
}

#[test]
fn who_administers_without_end_holds_up_nobody_else() {
    let room = Room::new(37);
    let add = |n: usize| Command::AddMember { user: UserId::parse(&format!("user{n}")).unwrap() };
    let all = room.asks((0..900).map(|n| (caller(&format!("flood{}", n % 3), NEVER), add(n))).collect());
    assert!(room.world.step());
    let batches = batches_until_answered(&room);
    assert!(batches <= 6, "{batches}");
    room.rests();
    assert!(all.iter().all(|answer| fate(answer).unwrap_err().code == Code::Forbidden));
}

#[test]
fn one_user_does_not_fill_the_queue() {
    let room = Room::new(38);
    room.faults.set(STALLED);
    let flood = room.asks((0..4_000).map(|n| (caller("flood", NEVER), send(&format!("m{n}")))).collect());
    assert!(room.world.step());
    let waiting = flood.iter().filter(|answer| answer.borrow().is_none()).count();
    assert!((500..=2_000).contains(&waiting), "{waiting} wait");
    let other = room.asks_one(caller("ana", NEVER), send("hello?"));
    assert!(room.world.step());
    assert!(other.borrow().is_none(), "it was let wait");
    room.faults.set(Faults::NONE);
    room.rests();
    assert!(fate(&other).is_ok());
}
