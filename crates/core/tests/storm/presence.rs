//! Who is seen, by whoever looks at any moment.

use std::collections::BTreeMap;

use edgewise_core::proto::{PresenceStatus, SetPresenceRequest};

use super::*;

/// Whom a guest sees once it has taken in all that it was sent.
fn seen_by(guest: &Guest, sees: &mut BTreeMap<String, PresenceStatus>) {
    for envelope in guest.hears().0 {
        let updates = match envelope.payload {
            Some(Payload::Hello(hello)) => hello.presence,
            Some(Payload::PresenceUpdateEvent(event)) => event.update.into_iter().collect(),
            _ => Vec::new(),
        };
        for update in updates {
            match update.status() {
                PresenceStatus::Offline => sees.remove(&update.user_id),
                status => sees.insert(update.user_id, status),
            };
        }
    }
}

fn set(room: &Room, guest: &Guest, status: PresenceStatus) {
    let mut request = SetPresenceRequest::default();
    request.set_status(status);
    guest.says(&room.channel, "presence", Payload::SetPresenceRequest(request));
}

#[test]
fn who_goes_between_a_hello_and_the_next_batch_is_seen_to_go() {
    let room = Room::new(20);
    let _ana = room.arrives(caller("ana", NEVER), None);
    room.rests();
    let ben = room.arrives(caller("ben", NEVER), None);
    room.passes(200);
    let (carla, mut sees) = (room.arrives(caller("carla", NEVER), None), BTreeMap::new());
    room.passes(200);
    seen_by(&carla, &mut sees);
    assert!(sees.contains_key("ben"), "{sees:?}");
    room.channel.closed(ben.attachment().connection());
    room.rests();
    seen_by(&carla, &mut sees);
    assert!(!sees.contains_key("ben"), "{sees:?}");
}

#[test]
fn who_was_away_only_while_a_hello_was_said_is_seen_to_be_there() {
    let room = Room::new(21);
    let [_ana, ben] = ["ana", "ben"].map(|user| room.arrives(caller(user, NEVER), None));
    room.rests();
    room.passes(2 * SECOND);
    // A batch of its own, so that what follows waits for the next one.
    let dora = room.arrives(caller("dora", NEVER), None);
    room.passes(100);
    room.channel.closed(ben.attachment().connection());
    set(&room, &dora, PresenceStatus::Dnd);
    let (carla, mut sees) = (room.arrives(caller("carla", NEVER), None), BTreeMap::new());
    room.passes(100);
    seen_by(&carla, &mut sees);
    let _again = room.arrives(caller("ben", NEVER), None);
    set(&room, &dora, PresenceStatus::Online);
    room.rests();
    seen_by(&carla, &mut sees);
    assert_eq!(sees.get("ben"), Some(&PresenceStatus::Online), "{sees:?}");
    assert_eq!(sees.get("dora"), Some(&PresenceStatus::Online), "{sees:?}");
}

#[test]
fn who_fell_silent_while_the_object_slept_is_gone_once_it_is_awake() {
    let mut room = Room::new(22);
    let guests = ["ana", "ben"].map(|user| room.arrives(caller(user, NEVER), None));
    room.rests();
    let mut sees = BTreeMap::new();
    seen_by(&guests[1], &mut sees);
    assert!(sees.contains_key("ana"), "{sees:?}");

    room.world.pass(2 * MINUTE);
    room.restart(&guests);
    set(&room, &guests[1], PresenceStatus::Away);
    let (channel, there) = (Rc::clone(&room.channel), Rc::new(RefCell::new(Vec::new())));
    let found = Rc::clone(&there);
    room.world.spawn(None, async move {
        let present = channel.present(caller("carla", NEVER), None, 10).await.unwrap();
        found.borrow_mut().extend(present.users.into_iter().map(|update| update.user_id));
    });
    room.rests();
    assert_eq!(*there.borrow(), ["ben"]);
    seen_by(&guests[1], &mut sees);
    assert!(!sees.contains_key("ana"), "{sees:?}");
}
