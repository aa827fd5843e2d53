//! Compiles the schema. `protox` reads the .proto files in pure Rust, so that no `protoc` is needed.

use std::{error::Error, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new("../../proto");
    let files = ["chat", "presence", "gossip", "ws", "object"]
        .map(|name| root.join(format!("edgewise/v1/{name}.proto")));
    for file in &files {
        println!("cargo::rerun-if-changed={}", file.display());
    }
    let descriptors = protox::compile(&files, [root])?;
    prost_build::Config::new()
        // One type serves protobuf and JSON where their fields agree.
        .type_attribute("ReactionSummary", "#[derive(serde::Serialize, serde::Deserialize)]")
        .compile_fds(descriptors)?;
    Ok(())
}
