//! What the server can be asked, read from where it says so itself: the router's table and the schema. A test that
//! walks these cannot miss a route or a request that was added later.

use std::{fs, path::Path};

/// Every route: its method, and its path with `{names}` for what varies.
#[must_use]
pub fn routes() -> Vec<(String, String)> {
    let router = source("src/router.rs");
    let table = router.split_once("\nroutes! {\n").and_then(|(_, rest)| rest.split_once("\n}\n"));
    let (table, _) = table.expect("the router has a table");
    let entries = table.split(';').map(str::trim).filter(|entry| !entry.is_empty());
    let routes: Vec<_> = entries
        .flat_map(|entry| {
            let entry = entry.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<String>();
            let entry = entry.trim().strip_prefix('"').expect("an entry begins with its path");
            let (path, methods) = entry.split_once("\":").expect("and goes on with its methods");
            let method = |handled: &str| handled.trim().split(' ').next().unwrap_or_default().to_owned();
            methods.split(',').map(|handled| (method(handled), path.to_owned())).collect::<Vec<_>>()
        })
        .collect();
    assert!(routes.len() > 20, "the router's table is read: {routes:?}");
    routes
}

/// Every payload of the socket's `Envelope`: its number and name.
#[must_use]
pub fn payloads() -> Vec<(u32, String)> {
    let schema = source("proto/edgewise/v1/ws.proto");
    let payloads = schema.split_once("oneof payload {").and_then(|(_, rest)| rest.split_once('}'));
    let (payloads, _) = payloads.expect("the schema has an Envelope");
    payloads
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default().trim())
        .filter_map(|line| line.strip_suffix(';'))
        .map(|line| {
            let (field, number) = line.split_once(" = ").expect("a field has a number");
            let name = field.rsplit(' ').next().unwrap_or_default().to_owned();
            (number.parse().expect("the number is one"), name)
        })
        .collect()
}

fn source(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the workspace");
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
