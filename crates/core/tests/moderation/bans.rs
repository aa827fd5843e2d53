use edgewise_core::write::bans::{self, Ban};

use super::*;

const DAY: u64 = 86_400_000;

impl World {
    fn ban(&self, by: &str, who: &str, until: Option<u64>) -> Result<(), &'static str> {
        let ban = Ban::new("why", until, Some(self.now.get()), self.now.get()).map_err(code)?;
        self.by(by, async |database, request| bans::ban(database, request, &user(who), &ban).await)
    }

    fn may_ban(&self, by: &str, who: &str) -> Result<(), &'static str> {
        self.by(by, async |database, request| bans::may_ban(database, request, &user(who)).await)
    }

    fn unban(&self, by: &str, who: &str) -> Result<(), &'static str> {
        self.by(by, async |database, request| bans::unban(database, request, &user(who)).await)
    }

    fn banned(&self) -> Vec<String> {
        let owner = caller("olga");
        let page = read::bans::list(&self.database, &owner, None, 100, self.now.get());
        page.now_or_never().unwrap().unwrap().bans.into_iter().map(|ban| ban.user_id).collect()
    }
}

#[test]
fn who_may_ban_whom() {
    let world = World::new();
    for by in ["ana", "manager", "never-seen"] {
        assert_eq!(world.ban(by, "ben", None), Err(FORBIDDEN), "{by}");
        assert_eq!(world.unban(by, "ben"), Err(FORBIDDEN), "{by}");
    }
    world.role("other", 8);
    world.user("other");
    world.has("other", "other");
    for (by, who, fate) in [
        ("moderator", "moderator", Err(FORBIDDEN)),
        ("chief", "chief", Err(FORBIDDEN)),
        ("moderator", "chief", Err(FORBIDDEN)),
        ("other", "moderator", Err(FORBIDDEN)),
        ("moderator", "olga", Err(FORBIDDEN)),
        ("chief", "olga", Err(FORBIDDEN)),
        ("olga", "olga", Err(FORBIDDEN)),
        ("moderator", "ben", Ok(())),
        ("moderator", "never-seen", Ok(())),
        ("chief", "moderator", Ok(())),
        // Who is banned bans nobody, and lifts nothing.
        ("moderator", "ana", Err("BANNED")),
        ("moderator", "moderator", Err("BANNED")),
        ("olga", "chief", Ok(())),
    ] {
        assert_eq!(world.may_ban(by, who), fate, "{by} {who}");
        assert_eq!(world.ban(by, who, None), fate, "{by} {who}");
    }
    assert_eq!(world.unban("moderator", "moderator"), Err("BANNED"));
    assert_eq!(world.banned(), ["ben", "chief", "moderator", "never-seen"]);
    assert_eq!(
        world.record(),
        [
            "moderator user_banned ben",
            "moderator user_banned never-seen",
            "chief user_banned moderator",
            "olga user_banned chief"
        ]
    );
    assert_eq!(world.count("users WHERE id = 'never-seen'"), 0);
}

#[test]
fn who_comes_with_an_owners_token_is_safe_and_an_admin_from_those_with_less() {
    let world = World::new();
    world.role("crew", 0);
    let comes = |id: &str, trusted: bool, owner: bool| {
        let caller = Caller { trusted, owner, ..caller(id) };
        world.entries.set(world.entries.get() + 1);
        let entry = EntryId::new(uuid::Uuid::from_u128(world.entries.get()));
        let request = Request { caller: &caller, now: NOW, entry };
        let (crew, somebody) = (role("crew"), user("ben"));
        let gives = edgewise_core::write::roles::give(&world.database, request, &somebody, &crew);
        gives.now_or_never().unwrap().map_err(code)
    };
    comes("boss", true, true).unwrap();
    world.database.execute("DELETE FROM user_roles WHERE role_id = 'crew'");
    comes("admin", true, false).unwrap();
    for by in ["moderator", "chief", "olga"] {
        assert_eq!(world.may_ban(by, "boss"), Err(FORBIDDEN), "{by}");
    }
    assert_eq!(world.may_ban("moderator", "admin"), Err(FORBIDDEN));
    assert_eq!(world.may_ban("chief", "admin"), Ok(()));
    // What a token gave ends with it.
    world.role("manage", 128);
    for id in ["boss", "admin"] {
        world.has(id, "manage");
        world.database.execute("DELETE FROM user_roles WHERE role_id = 'crew'");
        comes(id, false, false).unwrap();
        world.database.execute("DELETE FROM user_roles WHERE role_id = 'manage'");
        assert_eq!(world.may_ban("moderator", id), Ok(()), "{id}");
    }
}

#[test]
fn a_ban_that_has_expired_is_none() {
    let world = World::new();
    world.ban("moderator", "ben", Some(NOW + 1)).unwrap();
    assert_eq!(world.banned(), ["ben"]);
    world.now.set(NOW + 1);
    assert!(world.banned().is_empty());
    assert_eq!(world.unban("moderator", "ben"), Err("BAN_NOT_FOUND"));
    // It is replaced as one in force would be.
    world.ban("olga", "ben", None).unwrap();
    world.unban("moderator", "ben").unwrap();
    assert_eq!(world.unban("moderator", "ben"), Err("BAN_NOT_FOUND"));
    assert_eq!(world.count("bans"), 0);
}

#[test]
fn what_is_asked_for_is_checked() {
    let at = |reason: &str, until, since| Ban::new(reason, until, since, NOW).is_ok();
    assert!(at(&"é".repeat(1_000), None, None) && !at(&"é".repeat(1_001), None, None));
    assert!(at("", Some(NOW + 1), None) && !at("", Some(NOW), None));
    assert!(at("", None, Some(NOW - 7 * DAY)) && !at("", None, Some(NOW - 7 * DAY - 60_000)));
    assert!(at("", Some(u64::MAX), Some(u64::MAX)));
}

#[test]
fn a_ban_promises_once_for_each_channel_where_its_user_was() {
    let world = World::new();
    let general = world.database.general();
    world.database.execute(&format!(
        "INSERT INTO channels (id, name, created_at, deleted_at) VALUES ('c1', 'x', 1, NULL), ('c2', 'x', 1, NULL), ('c3', 'x', 1, 1);
         UPDATE channels SET last_sequence = 7, revision = 9 WHERE id = '{general}';
         INSERT INTO visitors VALUES ('{general}', 'ben'), ('c1', 'ben'), ('c3', 'ben'), ('c2', 'ana')"
    ));
    assert_eq!(world.ban("ana", "ben", None), Err(FORBIDDEN));
    assert_eq!(world.count("outbox"), 0);
    world.ban("moderator", "ben", None).unwrap();
    assert_eq!(world.count("outbox WHERE user_id = 'ben'"), 2);
    let promise = format!(
        "outbox WHERE channel_id = '{general}' AND messages_through = 7 AND reactions_through = 7 AND revision = 9 AND actor_id = 'moderator'"
    );
    assert_eq!(world.count(&promise), 1);
}
