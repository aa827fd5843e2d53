//! How large the Worker is for Cloudflare, which counts it compressed.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::error::{Doing, Result};

/// Keeps cold starts short; the free plan's limit is far above it.
pub(crate) const LIMIT_KIB: u64 = 450;

/// The size in bytes of all modules in the folder, each gzipped.
pub(crate) fn gzipped(folder: &Path) -> Result<u64> {
    ["index.js", "index_bg.wasm"].into_iter().map(|module| gzipped_file(&folder.join(module))).sum()
}

fn gzipped_file(path: &Path) -> Result<u64> {
    let compress = || {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&fs::read(path)?)?;
        encoder.finish()
    };
    let compressed = compress().doing(|| format!("read {}", path.display()))?;
    Ok(compressed.len() as u64)
}
