//! The types of `proto/edgewise/v1`, as `prost` generates them.

#![allow(missing_docs, clippy::doc_markdown, clippy::large_enum_variant)]

include!(concat!(env!("OUT_DIR"), "/edgewise.v1.rs"));
