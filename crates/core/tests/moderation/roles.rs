use edgewise_core::{
    names::RoleName,
    permissions::Permissions,
    read::roles::Role,
    write::roles::{self, Color, NewRole, Position, RoleChange},
};
use proptest::prelude::*;

use super::*;

impl World {
    fn create(&self, by: &str, id: &str, permissions: u32) -> Result<Role, &'static str> {
        let new = NewRole {
            id: role(id),
            name: RoleName::parse(&format!("role {id}")).unwrap(),
            permissions: Permissions::exactly(permissions).unwrap(),
            color: Color::new(0x00ff_8800),
            position: Position::new(3).unwrap(),
        };
        self.by(by, async |database, request| roles::create(database, request, &new).await)
    }

    fn change(&self, by: &str, id: &str, change: &RoleChange) -> Result<Role, &'static str> {
        self.by(by, async |database, request| roles::change(database, request, &role(id), change).await)
    }

    fn change_permissions(&self, by: &str, id: &str, permissions: u32) -> Result<Role, &'static str> {
        let permissions = Permissions::exactly(permissions);
        self.change(by, id, &RoleChange { permissions, ..RoleChange::default() })
    }

    fn delete(&self, by: &str, id: &str) -> Result<(), &'static str> {
        self.by(by, async |database, request| roles::delete(database, request, &role(id)).await)
    }

    fn give(&self, by: &str, to: &str, id: &str) -> Result<(), &'static str> {
        self.by(by, async |database, request| roles::give(database, request, &user(to), &role(id)).await)
    }

    fn take(&self, by: &str, from: &str, id: &str) -> Result<(), &'static str> {
        self.by(by, async |database, request| roles::take(database, request, &user(from), &role(id)).await)
    }
}

#[test]
fn a_role_reads_back_as_it_was_made() {
    let world = World::new();
    let made = world.create("chief", "crew", 16 | 4).unwrap();
    assert_eq!(
        made,
        Role {
            id: "crew".into(),
            name: "role crew".into(),
            permissions: 20,
            color: Some(0x00ff_8800),
            position: 3,
            is_default: false
        }
    );
    let ana = caller("ana");
    let listed = read::roles::list(&world.database, &ana, NOW).now_or_never().unwrap().unwrap();
    assert_eq!(listed.first(), Some(&made));
    assert_eq!(listed.iter().filter(|role| role.is_default).count(), 1);
    // A part changes, and the color can be taken off.
    let change = RoleChange {
        name: RoleName::parse("'; DROP TABLE roles; -- {\"a\": [\\u0000]}").ok(),
        color: Some(None),
        ..RoleChange::default()
    };
    let changed = world.change("chief", "crew", &change).unwrap();
    assert_eq!((changed.name.as_str(), changed.color), (change.name.as_ref().unwrap().as_str(), None));
    assert_eq!((changed.permissions, changed.position), (20, 3));
    assert_eq!(world.record(), ["chief role_created crew", "chief role_changed crew"]);
    // What changes nothing is not on record.
    world.change("chief", "crew", &change).unwrap();
    world.change("chief", "crew", &RoleChange::default()).unwrap();
    assert_eq!(world.record().len(), 2);
}

#[test]
fn without_the_permission_nothing_happens() {
    let world = World::new();
    world.role("crew", 1);
    for id in ["ana", "never-seen"] {
        assert_eq!(world.create(id, "new", 0), Err(FORBIDDEN));
        assert_eq!(world.change_permissions(id, "crew", 0), Err(FORBIDDEN));
        assert_eq!(world.delete(id, "crew"), Err(FORBIDDEN));
        assert_eq!(world.give(id, "ben", "crew"), Err(FORBIDDEN));
        assert_eq!(world.take(id, "ben", "crew"), Err(FORBIDDEN));
    }
    // Whoever has it and is banned has it not.
    world.database.execute("INSERT INTO bans (user_id, banned_by, created_at) VALUES ('manager', 'olga', 1)");
    assert_eq!(world.create("manager", "new", 0), Err("BANNED"));
    assert_eq!(world.give("manager", "ben", "crew"), Err("BANNED"));
    assert_eq!((world.record().len(), world.count("roles WHERE id IN ('new')")), (0, 0));
    assert_eq!(world.count("users WHERE id = 'never-seen'"), 0);
}

#[test]
fn nobody_gives_what_they_have_not() {
    let world = World::new();
    world.role("strong", 2);
    world.role("weak", 64);
    // A manager of roles has 128 and what everyone has.
    assert_eq!(world.create("manager", "new", 128 | 2), Err(FORBIDDEN));
    assert_eq!(world.create("manager", "new", 16), Err(FORBIDDEN));
    assert!(world.create("manager", "new", 128 | 65).is_ok());
    assert_eq!(world.change_permissions("manager", "weak", 2), Err(FORBIDDEN));
    assert_eq!(world.change_permissions("manager", "strong", 0), Err(FORBIDDEN));
    assert_eq!(world.change_permissions("manager", "manager", 128 | 8), Err(FORBIDDEN));
    assert_eq!(world.change_permissions("manager", "everyone", 65 | 32), Err(FORBIDDEN));
    assert_eq!(world.delete("manager", "strong"), Err(FORBIDDEN));
    assert_eq!(world.give("manager", "ana", "strong"), Err(FORBIDDEN));
    assert_eq!(world.give("manager", "manager", "moderator"), Err(FORBIDDEN));
    world.give("manager", "ana", "weak").unwrap();
    // An administrator has all, spelled out nowhere.
    world.create("chief", "anything", 255).unwrap();
    world.give("chief", "ben", "anything").unwrap();
}

#[test]
fn nobody_touches_who_has_more() {
    let world = World::new();
    world.role("weak", 64);
    for stronger in ["moderator", "chief", "olga"] {
        assert_eq!(world.give("manager", stronger, "weak"), Err(FORBIDDEN), "{stronger}");
        assert_eq!(world.take("manager", stronger, "weak"), Err(FORBIDDEN), "{stronger}");
    }
    world.give("chief", "olga", "weak").unwrap();
    // What somebody could take from others, they can take from themselves.
    world.take("manager", "manager", "manager").unwrap();
    assert_eq!(world.create("manager", "new", 0), Err(FORBIDDEN));
}

#[test]
fn what_is_not_there_is_not_found() {
    let world = World::new();
    assert_eq!(world.change_permissions("chief", "nothing", 0), Err("ROLE_NOT_FOUND"));
    assert_eq!(world.delete("chief", "nothing"), Err("ROLE_NOT_FOUND"));
    assert_eq!(world.give("chief", "ana", "nothing"), Err("ROLE_NOT_FOUND"));
    assert_eq!(world.take("chief", "ana", "nothing"), Err("ROLE_NOT_FOUND"));
    assert_eq!(world.give("chief", "never-seen", "manager"), Err("USER_NOT_FOUND"));
    assert_eq!(world.take("chief", "never-seen", "manager"), Err("USER_NOT_FOUND"));
    assert!(world.record().is_empty());
}

#[test]
fn a_name_is_taken_once() {
    let world = World::new();
    world.create("chief", "crew", 0).unwrap();
    let named = |name: &str| RoleChange { name: RoleName::parse(name).ok(), ..RoleChange::default() };
    assert_eq!(world.change("chief", "manager", &named("role crew")), Err("NAME_TAKEN"));
    assert_eq!(world.change("chief", "everyone", &named("role crew")), Err("NAME_TAKEN"));
    // Its own name is not another's.
    assert!(world.change("chief", "crew", &named("role crew")).is_ok());
    world.database.execute("UPDATE roles SET name = 'role new' WHERE id = 'crew'");
    assert_eq!(world.create("chief", "new", 0), Err("NAME_TAKEN"));
}

#[test]
fn everyone_keeps_the_default_role() {
    let world = World::new();
    assert_eq!(world.delete("chief", "everyone"), Err(FORBIDDEN));
    assert_eq!(world.take("chief", "ana", "everyone"), Err(FORBIDDEN));
    world.give("chief", "ana", "everyone").unwrap();
    assert_eq!(world.count("user_roles WHERE role_id = 'everyone'"), 0);
    // But it changes, and with it what everyone may.
    assert!(world.change_permissions("chief", "everyone", 65 | 128).unwrap().is_default);
    world.create("ana", "new", 64).unwrap();
}

#[test]
fn a_deleted_role_is_taken_from_all() {
    let world = World::new();
    for id in ["ana", "ben"] {
        world.give("manager", id, "manager").unwrap();
        world.give("manager", id, "manager").unwrap();
    }
    // Also from who deletes it, which stops them at once, and not half-way.
    world.delete("ana", "manager").unwrap();
    assert_eq!(
        (world.count("roles WHERE id = 'manager'"), world.count("user_roles WHERE role_id = 'manager'")),
        (0, 0)
    );
    assert_eq!(world.create("ben", "new", 0), Err(FORBIDDEN));
    assert_eq!(
        world.record(),
        ["manager role_given ana", "manager role_given ben", "ana role_deleted manager"]
    );
}

proptest! {
    /// Whatever anybody tries, nobody but who has a permission already ever spreads it.
    #[test]
    fn power_never_grows_by_itself(steps in prop::collection::vec((0..3_usize, 0..6_usize, 0..256_u32, 0..4_usize, 0..4_usize), 1..40)) {
        let world = World::new();
        let users = ["manager", "moderator", "ana"];
        let roles = ["r0", "r1", "r2", "r3"];
        // Nobody here has 2, 4 or 16, nor ever will.
        let beyond = |world: &World| world.count("roles WHERE permissions & 22 AND id <> 'chief'");
        for (by, what, bits, a, b) in steps {
            let by = users[by];
            let _ = match what {
                0 => world.create(by, roles[a], bits).map(drop),
                1 => world.change_permissions(by, roles[a], bits).map(drop),
                2 => world.delete(by, roles[a]),
                3 => world.give(by, users[b % 3], roles[a]),
                4 => world.take(by, users[b % 3], roles[a]),
                _ => world.give(by, users[b % 3], "chief"),
            };
            prop_assert_eq!(beyond(&world), 0);
            prop_assert_eq!(world.count("user_roles WHERE role_id = 'chief'"), 1);
        }
    }
}
