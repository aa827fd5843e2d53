//! The ground under the other tests.

use edgewise_tests::Server;
use serde_json::json;

#[tokio::test]
async fn the_server_answers_and_its_database_is_migrated() {
    let server = Server::shared();
    let answer = server.with_token("").get("/health").send().await;
    assert!(answer.status == 200, "{}", answer.text());
    let rows = server.sql("SELECT name FROM channels WHERE name = ?", json!(["general"])).await;
    assert_eq!(rows, [json!({"name": "general"})]);
}

#[tokio::test]
async fn a_killed_server_comes_back_at_the_same_address_with_its_database() {
    let server = Server::start();
    server.sql("UPDATE channels SET topic = ? WHERE name = 'general'", json!(["kept"])).await;
    server.kill().await;
    assert!(server.with_token("").get("/health").try_send().await.is_err());
    server.restart().await;
    let rows = server.sql("SELECT topic FROM channels", json!([])).await;
    assert_eq!(rows, [json!({"topic": "kept"})]);
}
