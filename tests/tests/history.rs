//! History: pages of it, from both ends and from the middle.

use edgewise_client::Page;
use edgewise_tests::{Room, Server, User};
use serde_json::json;

/// Ten messages, of which the third and the seventh are deleted.
async fn ten() -> (Room<'static>, User) {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let sent = ana.send_many(10).await;
    ana.erase(&sent[2]).await;
    ana.erase(&sent[6]).await;
    (room, ana)
}

fn sequences(page: &Page) -> Vec<u64> {
    page.messages.iter().map(|message| message.server_sequence).collect()
}

/// Expects of each query these sequences, `has_more` and `has_newer`.
async fn expect<const N: usize>(user: &User, pages: [(&str, &[u64], bool, bool); N]) {
    for (query, expected, has_more, has_newer) in pages {
        let page = user.history(query).await;
        assert_eq!(sequences(&page), expected, "{query}");
        assert_eq!((page.has_more, page.has_newer), (has_more, has_newer), "{query}");
    }
}

#[tokio::test]
async fn the_newest_page() {
    let (_, ana) = ten().await;
    expect(
        &ana,
        [
            ("", &[10, 9, 8, 6, 5, 4, 2, 1], false, false),
            ("limit=100", &[10, 9, 8, 6, 5, 4, 2, 1], false, false),
            ("limit=8", &[10, 9, 8, 6, 5, 4, 2, 1], false, false),
            ("limit=7", &[10, 9, 8, 6, 5, 4, 2], true, false),
            ("limit=3", &[10, 9, 8], true, false),
            ("limit=1", &[10], true, false),
        ],
    )
    .await;
}

#[tokio::test]
async fn the_page_before_a_sequence() {
    let (_, ana) = ten().await;
    expect(
        &ana,
        [
            ("before=11&limit=2", &[10, 9], true, false),
            ("before=1000000&limit=2", &[10, 9], true, false),
            ("before=10&limit=2", &[9, 8], true, true),
            ("before=8&limit=2", &[6, 5], true, true),
            ("before=7&limit=2", &[6, 5], true, true),
            ("before=5&limit=3", &[4, 2, 1], false, true),
            ("before=5&limit=2", &[4, 2], true, true),
            ("before=2&limit=5", &[1], false, true),
            ("before=1&limit=5", &[], false, true),
        ],
    )
    .await;
}

#[tokio::test]
async fn the_page_after_a_sequence() {
    let (_, ana) = ten().await;
    expect(
        &ana,
        [
            ("after=0&limit=2", &[2, 1], false, true),
            ("after=0&limit=3", &[4, 2, 1], false, true),
            ("after=1&limit=2", &[4, 2], true, true),
            ("after=6&limit=2", &[9, 8], true, true),
            ("after=7&limit=2", &[9, 8], true, true),
            ("after=7&limit=3", &[10, 9, 8], true, false),
            ("after=9&limit=5", &[10], true, false),
            ("after=10&limit=5", &[], true, false),
            ("after=1000000", &[], true, false),
        ],
    )
    .await;
}

#[tokio::test]
async fn the_page_around_a_sequence() {
    let (_, ana) = ten().await;
    expect(
        &ana,
        [
            ("around=5&limit=1", &[5], true, true),
            ("around=5&limit=2", &[6, 5], true, true),
            ("around=5&limit=4", &[8, 6, 5, 4], true, true),
            ("around=5&limit=5", &[8, 6, 5, 4, 2], true, true),
            ("around=5&limit=50", &[10, 9, 8, 6, 5, 4, 2, 1], false, false),
            // Where there are few newer ones, older ones take their place, and not the other way round.
            ("around=10&limit=4", &[10, 9, 8, 6], true, false),
            ("around=9&limit=4", &[10, 9, 8, 6], true, false),
            ("around=1&limit=4", &[4, 2, 1], false, true),
            ("around=1000000&limit=3", &[10, 9, 8], true, false),
        ],
    )
    .await;
    // A deleted one is not there, and what is around it is.
    let page = ana.history("around=7&limit=4").await;
    let seen = sequences(&page);
    assert!(seen.starts_with(&[9, 8, 6]) && seen.len() <= 4, "{seen:?}");
    assert!(page.has_more && page.has_newer);
}

#[tokio::test]
async fn deleted_messages_at_the_ends_are_nothing_more() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let sent = ana.send_many(6).await;
    for index in [0, 1, 5] {
        ana.erase(&sent[index]).await;
    }
    expect(
        &ana,
        [
            ("limit=3", &[5, 4, 3], false, false),
            ("limit=2", &[5, 4], true, false),
            ("before=4&limit=1", &[3], false, true),
            ("before=3", &[], false, true),
            ("before=6&limit=1", &[5], true, false),
            ("after=4&limit=1", &[5], true, false),
            ("after=5", &[], true, false),
            ("after=0&limit=2", &[4, 3], false, true),
            ("around=4&limit=3", &[5, 4, 3], false, false),
        ],
    )
    .await;
    for index in [2, 3, 4] {
        ana.erase(&sent[index]).await;
    }
    expect(&ana, [("", &[], false, false), ("before=4", &[], false, false), ("after=2", &[], false, false)])
        .await;
}

#[tokio::test]
async fn an_empty_channel() {
    let room = Server::shared().room().await;
    let empty = [
        ("", [].as_slice(), false, false),
        ("before=5", &[], false, false),
        ("after=0", &[], false, false),
        ("around=1", &[], false, false),
    ];
    expect(&room.user("ana"), empty).await;
}

#[tokio::test]
async fn a_page_has_50_unless_told_otherwise() {
    let room = Server::shared().room().await;
    room.fill(51).await;
    let page = room.user("ana").history("").await;
    assert!(sequences(&page).into_iter().eq((2..=51).rev()));
    assert!(page.has_more);
}

#[tokio::test]
async fn a_page_shows_reactions_as_its_reader_sees_them() {
    let room = Server::shared().room().await;
    let [ana, ben, carla] = ["ana", "ben", "carla"].map(|id| room.user(id));
    let sent = ana.send_many(3).await;
    ben.react(&sent[0], "🎉").await;
    carla.react(&sent[0], "👍").await;
    ana.react(&sent[0], "👍").await;
    carla.react(&sent[2], "❤️").await;

    let summaries = |me: &str| {
        let named = |users: &[&str]| users.contains(&me);
        [
            json!([{"emoji": "❤️", "count": 1, "me": named(&["carla"]), "user_ids": ["carla"]}]),
            json!([]),
            json!([
                {"emoji": "👍", "count": 2, "me": named(&["ana", "carla"]), "user_ids": ["carla", "ana"]},
                {"emoji": "🎉", "count": 1, "me": named(&["ben"]), "user_ids": ["ben"]},
            ]),
        ]
    };
    for reader in [&ana, &ben, &carla] {
        let page: serde_json::Value = reader.get("messages").send().await.expect(200).json();
        let seen = [0, 1, 2].map(|index| page["messages"][index]["reactions"].clone());
        assert_eq!(seen, summaries(&reader.id), "{}", reader.id);
    }
}

#[tokio::test]
async fn changes_go_on_from_a_pages_revision() {
    let (room, ana) = ten().await;
    let page = ana.history("around=5&limit=3").await;
    let nothing = ana.changes(page.revision).await;
    assert_eq!((nothing.messages, nothing.revision), (vec![], page.revision));
    assert_eq!(ana.channel().await.revision, page.revision);

    room.user("ben").react(&page.messages[1], "👍").await;
    let sent = ana.send("one more").await;
    let changed = ana.changes(page.revision).await;
    let changed: Vec<_> = changed.messages.iter().map(|message| message.id.as_str()).collect();
    assert_eq!(changed, [page.messages[1].id.as_str(), &sent.id]);
}

#[tokio::test]
async fn queries_that_make_no_sense_are_refused() {
    let (_, ana) = ten().await;
    for query in [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=1.5",
        "limit=ten",
        "limit=",
        "limit=99999999999999999999",
        "before=x",
        "before=-1",
        "before=1.5",
        "after=x",
        "around=x",
        "before=1&after=1",
        "after=1&around=1",
        "before=1&around=1",
        "before=1&after=1&around=1",
        "before=99999999999999999999",
    ] {
        ana.get(&format!("messages?{query}")).send().await.refused(400, "QUERY_INVALID");
    }
    // The greatest numbers that are numbers, and parameters that nobody knows.
    assert_eq!(ana.history("limit=2&before=9007199254740993").await.messages.len(), 2);
    assert_eq!(ana.history("limit=2&after=9007199254740993").await.messages.len(), 0);
    assert_eq!(ana.history("limit=2&around=9007199254740993").await.messages.len(), 2);
    assert_eq!(ana.history("limit=2&since=5&colour=blue").await.messages.len(), 2);
}

#[tokio::test]
async fn a_walk_through_1000_messages_sees_each_once() {
    let room = Server::shared().room().await;
    room.fill(1000).await;
    let ana = room.user("ana");

    let (mut back, mut query) = (Vec::new(), "limit=7".to_owned());
    loop {
        let page = ana.history(&query).await;
        back.extend(sequences(&page));
        if !page.has_more {
            break;
        }
        query = format!("limit=7&before={}", back.last().unwrap());
    }
    assert!(back.into_iter().eq((1..=1000).rev()));

    let (mut forth, mut query) = (Vec::new(), "limit=7&after=0".to_owned());
    loop {
        let page = ana.history(&query).await;
        forth.extend(sequences(&page).into_iter().rev());
        if !page.has_newer {
            break;
        }
        query = format!("limit=7&after={}", forth.last().unwrap());
    }
    assert!(forth.into_iter().eq(1..=1000));
}
