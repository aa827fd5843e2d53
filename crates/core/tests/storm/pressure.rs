//! One who makes it hard for the others.

use super::*;

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
