//! The reads, over a real SQLite.

mod support;

use edgewise_core::{
    access::Caller,
    ids::{ChannelId, EntryId, MessageId, UserId},
    names::{ChannelName, Topic},
    problem::{Code, Problem},
    proto::{ChatMessage, FetchHistoryRequest, FetchHistoryResponse, ReactionSummary},
    read::{self, history::PageRequest},
    write::{
        channels::{NewChannel, change, create},
        decision::Request,
    },
};
use futures_util::FutureExt as _;
use proptest::prelude::*;
use support::sqlite::Sqlite;

/// When everything here happens.
const NOW: u64 = 1_700_000_000_000;

/// A database with one channel and users `ana`, `ben` and `carla`.
struct World {
    database: Sqlite,
    channel: ChannelId,
    revision: std::cell::Cell<u64>,
}

impl World {
    fn new() -> Self {
        let database = Sqlite::new();
        let channel = database.general();
        let world = Self { database, channel, revision: std::cell::Cell::new(0) };
        for user in ["ana", "ben", "carla"] {
            world.user(user);
        }
        world
    }

    fn user(&self, id: &str) {
        self.database.execute(&format!(
            "INSERT INTO users (id, display_name, created_at) VALUES ('{id}', upper('{id}'), {NOW})"
        ));
    }

    fn next_revision(&self) -> u64 {
        self.revision.set(self.revision.get() + 1);
        self.database.execute(&format!("UPDATE channels SET revision = {}", self.revision.get()));
        self.revision.get()
    }

    /// Sends messages until there are so many, every one by `ana`.
    fn fill(&self, count: u64) {
        let last = self.database.number("SELECT last_sequence FROM channels");
        for sequence in last + 1..=count {
            let (revision, id) = (self.next_revision(), message_id(sequence));
            self.database.execute(&format!(
                "INSERT INTO messages (channel_id, server_sequence, id, revision, sender_id, sender_display_name,
                                       content_text, timestamp, nonce, request_digest)
                 VALUES ('{}', {sequence}, '{id}', {revision}, 'ana', 'Ana', 'message {sequence}', {NOW} + {sequence},
                         'n{sequence}', '');
                 UPDATE channels SET last_sequence = {sequence}",
                self.channel
            ));
        }
    }

    fn delete(&self, sequences: &[u64]) {
        for sequence in sequences {
            let revision = self.next_revision();
            self.database.execute(&format!(
                "DELETE FROM reactions WHERE server_sequence = {sequence};
                 UPDATE messages SET deleted = 1, content_text = '', revision = {revision} WHERE server_sequence = {sequence}"
            ));
        }
    }

    fn react(&self, sequence: u64, emoji: &str, user: &str) {
        let revision = self.next_revision();
        self.database.execute(&format!(
            "INSERT INTO reactions VALUES ('{}', {sequence}, '{emoji}', '{user}', {NOW} + {revision}, {revision});
             UPDATE messages SET revision = {revision} WHERE server_sequence = {sequence}",
            self.channel
        ));
    }

    fn mention(&self, target: &str, sequence: u64) {
        self.database.execute(&format!(
            "INSERT INTO mentions VALUES ('{}', '{target}', {sequence}, 'ana')",
            self.channel
        ));
    }

    fn page(&self, place: Place, limit: u64) -> FetchHistoryResponse {
        self.page_for("ben", place, limit)
    }

    fn page_for(&self, reader: &str, place: Place, limit: u64) -> FetchHistoryResponse {
        let request = place.request(Some(limit)).unwrap();
        now(read::history::page(&self.database, &caller(reader), self.channel, &request, NOW)).unwrap()
    }

    fn changes(&self, since: u64, limit: u64) -> edgewise_core::proto::SyncResponse {
        now(read::changes::since(&self.database, &caller("ben"), self.channel, since, limit, NOW)).unwrap()
    }
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Newest,
    Before(u64),
    After(u64),
    Around(u64),
}
use Place::{After, Around, Before, Newest};

impl Place {
    fn request(self, limit: Option<u64>) -> Result<PageRequest, Problem> {
        match self {
            Newest => PageRequest::from_query(limit, None, None, None),
            Before(sequence) => PageRequest::from_query(limit, Some(sequence), None, None),
            After(sequence) => PageRequest::from_query(limit, None, Some(sequence), None),
            Around(sequence) => PageRequest::from_query(limit, None, None, Some(sequence)),
        }
    }
}

fn message_id(sequence: u64) -> String {
    format!("01890a5d-ac96-774b-bcce-{sequence:012x}")
}

fn request(caller: &Caller) -> Request<'_> {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    Request { caller, now: NOW, entry: EntryId::new(uuid::Uuid::from_u128(number.into())) }
}

fn caller(id: &str) -> Caller {
    Caller {
        user_id: UserId::parse(id).unwrap(),
        display_name: None,
        trusted: false,
        owner: false,
        expires_at: NOW + 1,
    }
}

fn owner(id: &str) -> Caller {
    Caller { trusted: true, ..caller(id) }
}

/// What an async function answers that never waits, SQLite being at hand.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing here waits")
}

fn sequences(messages: &[ChatMessage]) -> Vec<u64> {
    messages.iter().map(|message| message.server_sequence).collect()
}

fn code<T: std::fmt::Debug>(result: Result<T, Problem>) -> Code {
    result.unwrap_err().code
}

/// What a page has to be, from the list of live sequences.
fn expected(live: &[u64], place: Place, limit: usize) -> (Vec<u64>, bool, bool) {
    let newest_first: Vec<u64> = live.iter().rev().copied().collect();
    let older = |bound: u64| newest_first.iter().copied().filter(move |sequence| *sequence < bound);
    let newer = |bound: u64| live.iter().copied().filter(move |sequence| *sequence > bound);
    match place {
        Newest => (older(u64::MAX).take(limit).collect(), older(u64::MAX).count() > limit, false),
        Before(sequence) => (
            older(sequence).take(limit).collect(),
            older(sequence).count() > limit,
            live.iter().any(|other| *other >= sequence),
        ),
        After(sequence) => {
            let mut page: Vec<u64> = newer(sequence).take(limit).collect();
            page.reverse();
            (page, live.iter().any(|other| *other <= sequence), newer(sequence).count() > limit)
        }
        Around(sequence) => {
            let half = limit / 2;
            let mut page: Vec<u64> = newer(sequence).take(half).collect();
            page.reverse();
            let rest = limit - page.len();
            page.extend(older(sequence + 1).take(rest));
            (page, older(sequence + 1).count() > rest, newer(sequence).count() > half)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every page of channels with every pattern of deletions.
    #[test]
    fn pages_are_what_they_should_be(count in 0_u64..16, deleted in prop::collection::vec(1_u64..16, 0..12)) {
        let world = World::new();
        world.fill(count);
        let deleted: Vec<u64> = deleted.into_iter().filter(|sequence| *sequence <= count).collect();
        world.delete(&deleted);
        let live: Vec<u64> = (1..=count).filter(|sequence| !deleted.contains(sequence)).collect();
        for limit in [1, 2, 3, 5, 100] {
            let places = (0..=count + 1).flat_map(|at| [Before(at), After(at), Around(at)]).chain([Newest]);
            for place in places {
                let page = world.page(place, limit as u64);
                let seen = (sequences(&page.messages), page.has_more, page.has_newer);
                prop_assert_eq!(seen, expected(&live, place, limit), "{:?}, limit {}", place, limit);
                prop_assert_eq!(page.revision, world.revision.get());
            }
        }
    }
}

#[test]
fn a_walk_by_sevens_sees_each_of_1000_once() {
    let world = World::new();
    world.fill(1_000);
    world.delete(&[1, 2, 500, 999, 1_000]);
    let live: Vec<u64> = (3..=998).filter(|sequence| *sequence != 500).collect();

    let (mut back, mut place) = (Vec::new(), Newest);
    loop {
        let page = world.page(place, 7);
        back.extend(sequences(&page.messages));
        if !page.has_more {
            break;
        }
        place = Before(*back.last().unwrap());
    }
    assert!(back.iter().eq(live.iter().rev()));

    let (mut forth, mut place) = (Vec::new(), After(0));
    loop {
        let page = world.page(place, 7);
        forth.extend(sequences(&page.messages).into_iter().rev());
        if !page.has_newer {
            break;
        }
        place = After(*forth.last().unwrap());
    }
    assert_eq!(forth, live);
}

#[test]
fn a_page_costs_the_same_in_a_long_channel_and_reads_nothing_beside_it() {
    let world = World::new();
    let cost = |place| {
        world.database.reset_cost();
        assert_eq!(world.page(place, 50).messages.len(), 50);
        world.database.cost()
    };
    world.fill(300);
    let places = [Newest, Before(200), After(100), Around(150)];
    let short = places.map(cost);
    world.fill(3_000);
    assert_eq!(places.map(cost), short);
    for cost in short {
        assert_eq!((cost.batches, cost.scanned, cost.changed), (1, 0, 0));
    }
}

#[test]
fn deletions_among_the_newest_cost_one_batch_more_and_lose_nothing() {
    let world = World::new();
    world.fill(30);
    world.delete(&[26, 28]);
    world.database.reset_cost();
    let page = world.page(Around(25), 10);
    assert_eq!(sequences(&page.messages), [30, 29, 27, 25, 24, 23, 22, 21, 20, 19]);
    assert_eq!(world.database.cost().batches, 2);
    assert_eq!((page.has_more, page.has_newer), (true, false));
}

#[test]
fn one_place_at_a_time_and_limits_within_bounds() {
    for limit in [1, 100] {
        assert!(Newest.request(Some(limit)).is_ok());
    }
    for limit in [0, 101, u64::MAX] {
        assert_eq!(code(Newest.request(Some(limit))), Code::QueryInvalid);
    }
    for (before, after, around) in [
        (Some(1), Some(1), None),
        (Some(1), None, Some(1)),
        (None, Some(1), Some(1)),
        (Some(1), Some(1), Some(1)),
    ] {
        assert_eq!(code(PageRequest::from_query(None, before, after, around)), Code::QueryInvalid);
    }
    let world = World::new();
    world.fill(3);
    for (place, expected) in
        [(Before(u64::MAX), [3, 2].as_slice()), (After(u64::MAX), &[]), (Around(u64::MAX), &[3, 2])]
    {
        assert_eq!(sequences(&world.page(place, 2).messages), expected);
    }
}

#[test]
fn a_sockets_request_says_the_same_as_a_query() {
    let request = |request: FetchHistoryRequest| PageRequest::from_request(&request);
    assert_eq!(request(FetchHistoryRequest::default()), Newest.request(None));
    assert_eq!(Newest.request(None), Newest.request(Some(50)));
    assert_eq!(
        request(FetchHistoryRequest { before_sequence: 5, limit: 7, ..Default::default() }),
        Before(5).request(Some(7))
    );
    assert_eq!(
        request(FetchHistoryRequest { after_sequence: 5, ..Default::default() }),
        After(5).request(None)
    );
    assert_eq!(
        request(FetchHistoryRequest { around_sequence: 5, ..Default::default() }),
        Around(5).request(None)
    );
    for wrong in [
        FetchHistoryRequest { limit: 101, ..Default::default() },
        FetchHistoryRequest { before_sequence: 1, after_sequence: 1, ..Default::default() },
    ] {
        assert_eq!(code(request(wrong)), Code::QueryInvalid);
    }
}

fn summary(emoji: &str, count: u32, me: bool, users: &[&str]) -> ReactionSummary {
    let user_ids = users.iter().map(|&user| user.to_owned()).collect();
    ReactionSummary { emoji: emoji.into(), count, me, user_ids }
}

#[test]
fn reactions_come_most_counted_first_then_by_the_earliest_as_their_reader_sees_them() {
    let world = World::new();
    world.fill(3);
    for (sequence, emoji, user) in [
        (2, "late", "carla"),
        (2, "later", "ben"),
        (2, "both", "carla"),
        (2, "both", "ana"),
        (3, "x", "ben"),
        (1, "y", "ana"),
    ] {
        world.react(sequence, emoji, user);
    }
    for reader in ["ana", "ben", "carla"] {
        let page = world.page_for(reader, Newest, 50);
        let named = |users: &[&str]| users.contains(&reader);
        let expected = [
            summary("both", 2, named(&["ana", "carla"]), &["carla", "ana"]),
            summary("late", 1, named(&["carla"]), &["carla"]),
            summary("later", 1, named(&["ben"]), &["ben"]),
        ];
        assert_eq!(page.messages[1].reactions, expected);
        assert_eq!(page.messages[0].reactions, [summary("x", 1, named(&["ben"]), &["ben"])]);
        assert_eq!(page.messages[2].reactions, [summary("y", 1, named(&["ana"]), &["ana"])]);
        let id = MessageId::parse(&message_id(2)).unwrap();
        let list = now(read::reactions::list(&world.database, &caller(reader), world.channel, id, NOW));
        assert_eq!(list.unwrap(), expected);
    }
}

#[test]
fn a_summary_names_the_earliest_20_and_counts_all() {
    let world = World::new();
    world.fill(1);
    let users: Vec<String> = (0..25).rev().map(|number| format!("fan{number:02}")).collect();
    for user in &users {
        world.user(user);
        world.react(1, "👍", user);
    }
    let first: Vec<&str> = users[..20].iter().map(String::as_str).collect();
    for (reader, me) in [("fan24", true), ("fan00", true), ("ben", false)] {
        let page = world.page_for(reader, Newest, 1);
        assert_eq!(page.messages[0].reactions, [summary("👍", 25, me, &first)]);
    }
}

#[test]
fn who_reacted_is_read_by_user_id() {
    let world = World::new();
    world.fill(2);
    for user in ["carla", "ana", "ben"] {
        world.react(1, "x", user);
    }
    world.react(1, "y", "ben");
    let id = |sequence| MessageId::parse(&message_id(sequence)).unwrap();
    let users = |sequence, emoji: &str, after: Option<&str>, limit| {
        let emoji = edgewise_core::emoji::Emoji::parse(emoji).unwrap();
        let after = after.map(|after| UserId::parse(after).unwrap());
        let (database, channel) = (&world.database, world.channel);
        now(read::reactions::users(
            database,
            &caller("ben"),
            channel,
            id(sequence),
            &emoji,
            after.as_ref(),
            limit,
            NOW,
        ))
        .map(|page| {
            (page.users.into_iter().map(|user| (user.user_id, user.display_name)).collect(), page.has_more)
        })
    };
    let named =
        |names: &[&str]| -> Vec<_> { names.iter().map(|&id| (id.to_owned(), id.to_uppercase())).collect() };
    assert_eq!(users(1, "x", None, 50), Ok((named(&["ana", "ben", "carla"]), false)));
    assert_eq!(users(1, "x", None, 2), Ok((named(&["ana", "ben"]), true)));
    assert_eq!(users(1, "x", Some("ana"), 2), Ok((named(&["ben", "carla"]), false)));
    assert_eq!(users(1, "y", None, 50), Ok((named(&["ben"]), false)));
    assert_eq!(users(1, "z", None, 50), Ok((named(&[]), false)));
    assert_eq!(users(2, "x", None, 50), Ok((named(&[]), false)));
    assert_eq!(code(users(3, "x", None, 50)), Code::MessageNotFound);
    world.delete(&[1]);
    assert_eq!(code(users(1, "x", None, 50)), Code::MessageNotFound);
}

#[test]
fn one_message_is_read_in_its_own_channel_while_it_lives() {
    let world = World::new();
    world.fill(2);
    let one = |reader: &str, channel, id: &str| {
        now(read::message::one(&world.database, &caller(reader), channel, MessageId::parse(id).unwrap(), NOW))
    };
    let mine = one("ana", world.channel, &message_id(2)).unwrap();
    assert_eq!((mine.content.as_str(), mine.server_sequence, mine.nonce.as_str()), ("message 2", 2, "n2"));
    assert_eq!((mine.sender_id.as_str(), mine.sender_display_name.as_str()), ("ana", "Ana"));
    assert_eq!(
        one("ben", world.channel, &message_id(2)).unwrap(),
        ChatMessage { nonce: String::new(), ..mine }
    );
    assert_eq!(code(one("ben", world.channel, &message_id(3))), Code::MessageNotFound);
    let other = channel(&world, &owner("ana"), "other", false);
    assert_eq!(code(one("ben", other, &message_id(2))), Code::MessageNotFound);
    world.delete(&[2]);
    assert_eq!(code(one("ben", world.channel, &message_id(2))), Code::MessageNotFound);
}

#[test]
fn changes_are_present_states_in_the_order_of_their_last_change() {
    let world = World::new();
    assert_eq!(world.changes(0, 100), edgewise_core::proto::SyncResponse::default());
    world.fill(5);
    let start = world.revision.get();
    world.react(4, "x", "ben");
    world.delete(&[2]);
    world.react(1, "x", "ana");
    let all = world.changes(0, 100);
    assert_eq!(sequences(&all.messages), [3, 5, 4, 2, 1]);
    assert_eq!((all.revision, all.has_more), (world.revision.get(), false));
    let tombstone = &all.messages[3];
    assert!(tombstone.deleted && tombstone.content.is_empty() && tombstone.reactions.is_empty());
    assert_eq!(all.messages[2].reactions, [summary("x", 1, true, &["ben"])]);
    assert!(all.messages.iter().all(|message| message.nonce.is_empty()));

    assert_eq!(sequences(&world.changes(start, 100).messages), [4, 2, 1]);
    let page = world.changes(0, 2);
    assert_eq!((sequences(&page.messages), page.has_more, page.revision), (vec![3, 5], true, 5));
    let page = world.changes(page.revision, 3);
    assert_eq!(
        (sequences(&page.messages), page.has_more, page.revision),
        (vec![4, 2, 1], false, all.revision)
    );
    for beyond in [all.revision, all.revision + 1, u64::MAX] {
        let page = world.changes(beyond, 100);
        assert_eq!((page.messages.len(), page.has_more, page.revision), (0, false, all.revision));
    }
    assert_eq!(read::changes::limit(None), Ok(100));
    assert_eq!(read::changes::limit(Some(200)), Ok(200));
    for wrong in [0, 201] {
        assert_eq!(code(read::changes::limit(Some(wrong))), Code::QueryInvalid);
    }
}

#[test]
fn what_is_unread_is_counted_up_to_1000() {
    let world = World::new();
    let state = |reader: &str| {
        let state = now(read::read_state::get(&world.database, &caller(reader), world.channel, NOW)).unwrap();
        (state.last_sequence, state.unread_count, state.mention_count)
    };
    assert_eq!(state("ben"), (0, 0, 0));
    world.fill(5);
    for (target, sequence) in
        [("user:ben", 1), ("user:ben", 4), ("role:everyone", 4), ("user:carla", 5), ("role:crew", 5)]
    {
        world.mention(target, sequence);
    }
    assert_eq!(state("ben"), (0, 5, 2));
    assert_eq!(state("ana"), (0, 0, 0));
    world.database.execute(&format!(
        "INSERT INTO last_read (channel_id, user_id, last_sequence, updated_at) VALUES ('{}', 'ben', 3, 1)",
        world.channel
    ));
    assert_eq!(state("ben"), (3, 2, 1));
    world.database.execute(
        "INSERT INTO roles (id, name, permissions) VALUES ('crew', 'crew', 0); INSERT INTO user_roles VALUES ('ben', 'crew')",
    );
    assert_eq!(state("ben"), (3, 2, 2));
    world.delete(&[5]);
    assert_eq!(state("ben").1, 1);
    world.fill(1_003);
    assert_eq!(state("ben").1, 999);
    world.fill(1_004);
    assert_eq!(state("ben").1, 1_000);
    world.fill(1_010);
    assert_eq!(state("ben").1, 1_000);
}

/// Makes a channel.
fn channel(world: &World, by: &Caller, name: &str, private: bool) -> ChannelId {
    let id =
        ChannelId::new(uuid::Uuid::from_u128(name.bytes().fold(1, |id, byte| id << 8 | u128::from(byte))));
    let (name, topic) = (ChannelName::parse(name).unwrap(), Topic::parse("").unwrap());
    now(create(&world.database, request(by), &NewChannel { id, name, topic, private })).unwrap();
    id
}

#[test]
fn channels_are_listed_for_who_may_see_them() {
    let world = World::new();
    let (public, private) =
        (channel(&world, &owner("olga"), "public", false), channel(&world, &owner("olga"), "private", true));
    let list = |reader: &Caller| -> Vec<String> {
        now(read::channels::list(&world.database, reader, NOW))
            .unwrap()
            .into_iter()
            .map(|channel| channel.id)
            .collect()
    };
    let ids = |ids: &[ChannelId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut all = ids(&[world.channel, public, private]);
    all[1..].sort();
    let mut seen = list(&owner("someone"));
    seen.sort();
    let mut sorted = all.clone();
    sorted.sort();
    assert_eq!(seen, sorted);
    assert!(!list(&caller("ben")).contains(&private.to_string()));
    assert!(list(&caller("ben")).contains(&public.to_string()));
    // Its maker is its first member.
    assert!(list(&caller("olga")).contains(&private.to_string()));
    world.database.execute(&format!("INSERT INTO members VALUES ('{private}', 'ben', 1)"));
    assert!(list(&caller("ben")).contains(&private.to_string()));
    world.database.execute(&format!("UPDATE channels SET deleted_at = 1 WHERE id = '{public}'"));
    assert!(!list(&owner("olga")).contains(&public.to_string()));
}

#[test]
fn a_channel_shows_its_readers_place_in_it() {
    let world = World::new();
    world.fill(4);
    world.mention("user:ben", 4);
    world.database.execute(&format!(
        "INSERT INTO last_read (channel_id, user_id, last_sequence, updated_at) VALUES ('{}', 'ben', 2, 1)",
        world.channel
    ));
    let one =
        |reader: &Caller| now(read::channels::one(&world.database, reader, world.channel, NOW)).unwrap();
    let seen = one(&caller("ben"));
    assert_eq!((seen.last_sequence, seen.revision, seen.last_read_sequence), (4, world.revision.get(), 2));
    assert_eq!((seen.unread_count, seen.mention_count, seen.permissions.bits()), (2, 1, 65));
    assert_eq!((seen.name.as_str(), seen.topic.as_str(), seen.private), ("general", "", false));
    assert_eq!(now(read::channels::list(&world.database, &caller("ben"), NOW)).unwrap(), [seen]);
    assert_eq!(one(&owner("ben")).permissions.bits(), 255);
    world.database.execute(
        "INSERT INTO roles (id, name, permissions) VALUES ('a', 'a', 6), ('b', 'b', 34);
         INSERT INTO user_roles VALUES ('ben', 'a'), ('ben', 'b')",
    );
    assert_eq!(one(&caller("ben")).permissions.bits(), 65 | 6 | 34);
}

#[test]
fn members_are_listed_by_user_id() {
    let world = World::new();
    for user in ["carla", "ana", "ben"] {
        world.database.execute(&format!("INSERT INTO members VALUES ('{}', '{user}', 7)", world.channel));
    }
    let list = |after: Option<&str>, limit| {
        let after = after.map(|after| UserId::parse(after).unwrap());
        let (database, reader) = (&world.database, caller("ben"));
        let page =
            now(read::members::list(database, &reader, world.channel, after.as_ref(), limit, NOW)).unwrap();
        let names: Vec<String> = page.members.into_iter().map(|member| member.user_id).collect();
        (names.join(" "), page.has_more)
    };
    assert_eq!(list(None, 50), ("ana ben carla".into(), false));
    assert_eq!(list(None, 2), ("ana ben".into(), true));
    assert_eq!(list(Some("ben"), 2), ("carla".into(), false));
    assert_eq!(list(Some("zoe"), 2), (String::new(), false));
    for wrong in [0, 101] {
        assert_eq!(code(read::list_limit(Some(wrong))), Code::QueryInvalid);
    }
}

/// Every read of a channel, by one caller.
fn reads(world: &World, reader: &Caller, channel: ChannelId) -> Vec<Result<(), Problem>> {
    let (database, id) = (&world.database, MessageId::parse(&message_id(1)).unwrap());
    let emoji = edgewise_core::emoji::Emoji::parse("x").unwrap();
    let page = Newest.request(None).unwrap();
    vec![
        now(read::history::page(database, reader, channel, &page, NOW)).map(drop),
        now(read::history::page(database, reader, channel, &Around(1).request(None).unwrap(), NOW)).map(drop),
        now(read::message::one(database, reader, channel, id, NOW)).map(drop),
        now(read::changes::since(database, reader, channel, 0, 100, NOW)).map(drop),
        now(read::reactions::list(database, reader, channel, id, NOW)).map(drop),
        now(read::reactions::users(database, reader, channel, id, &emoji, None, 50, NOW)).map(drop),
        now(read::read_state::get(database, reader, channel, NOW)).map(drop),
        now(read::channels::one(database, reader, channel, NOW)).map(drop),
        now(read::members::list(database, reader, channel, None, 50, NOW)).map(drop),
        now(change(database, request(reader), channel, None, None)).map(drop),
    ]
}

#[test]
fn who_may_not_see_a_channel_reads_nothing_of_it() {
    let world = World::new();
    let private = channel(&world, &owner("olga"), "private", true);
    let nowhere = ChannelId::new(uuid::Uuid::from_u128(7));
    for hidden in [private, nowhere] {
        for result in reads(&world, &caller("ben"), hidden) {
            assert_eq!(code(result), Code::ChannelNotFound);
        }
    }
    for result in reads(&world, &owner("adam"), private) {
        assert!(result.is_ok() || code(result) == Code::MessageNotFound);
    }
    world.database.execute(&format!(
        "INSERT INTO bans (user_id, banned_by, created_at, expires_at) VALUES ('ben', 'olga', 1, {NOW} + 1)"
    ));
    for result in reads(&world, &caller("ben"), world.channel) {
        assert_eq!(code(result), Code::Banned);
    }
    assert_eq!(code(now(read::channels::list(&world.database, &caller("ben"), NOW))), Code::Banned);
    world.database.execute(&format!("UPDATE bans SET expires_at = {NOW}"));
    world.fill(1);
    for result in reads(&world, &owner("ben"), world.channel) {
        assert_eq!(result, Ok(()));
    }
}

#[test]
fn channels_are_made_and_changed_by_who_may() {
    let world = World::new();
    let make = |by: &Caller, name: &str| {
        let new = NewChannel {
            id: ChannelId::new(uuid::Uuid::from_u128(name.len() as u128)),
            name: ChannelName::parse(name).unwrap(),
            topic: Topic::parse("of this and that").unwrap(),
            private: false,
        };
        now(create(&world.database, request(by), &new))
    };
    let count = || world.database.number("SELECT count(*) FROM channels");
    assert_eq!(code(make(&caller("dora"), "a")), Code::Forbidden);
    assert_eq!((count(), world.database.number("SELECT count(*) FROM users WHERE id = 'dora'")), (1, 0));
    let made = make(&Caller { display_name: Some("Dora".into()), ..owner("dora") }, "ab").unwrap();
    assert_eq!(
        (made.name.as_str(), made.topic.as_str(), made.created_at, made.private),
        ("ab", "of this and that", NOW, false)
    );
    assert_eq!((made.permissions.bits(), made.revision, made.last_sequence), (255, 0, 0));
    assert_eq!(world.database.value::<String>("SELECT display_name FROM users WHERE id = 'dora'"), "Dora");
    assert_eq!(world.database.number("SELECT count(*) FROM members"), 0);

    let id = ChannelId::parse(&made.id).unwrap();
    let (name, topic) = (ChannelName::parse("new name").unwrap(), Topic::parse("new topic").unwrap());
    assert_eq!(
        code(now(change(&world.database, request(&caller("ben")), id, Some(&name), None))),
        Code::Forbidden
    );
    world.database.execute(
        "INSERT INTO roles (id, name, permissions) VALUES ('a', 'a', 2); INSERT INTO user_roles VALUES ('ben', 'a')",
    );
    let changed = now(change(&world.database, request(&caller("ben")), id, Some(&name), None)).unwrap();
    assert_eq!((changed.name.as_str(), changed.topic.as_str()), ("new name", "of this and that"));
    let changed = now(change(&world.database, request(&caller("ben")), id, None, Some(&topic))).unwrap();
    assert_eq!((changed.name.as_str(), changed.topic.as_str()), ("new name", "new topic"));
    make(&caller("ben"), "abc").unwrap();
    // A name is written where it changed, and left where the token has none.
    make(&Caller { display_name: Some("Benjamin".into()), ..caller("ben") }, "abcd").unwrap();
    make(&caller("ben"), "abcde").unwrap();
    assert_eq!(world.database.value::<String>("SELECT display_name FROM users WHERE id = 'ben'"), "Benjamin");
}
