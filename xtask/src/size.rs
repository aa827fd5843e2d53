//! How large the Worker is for Cloudflare, which counts it compressed.

use crate::error::{Error, Result};

/// 500,000 bytes. Keeps cold starts short; the platform's own limits are far above it.
const LIMIT_KIB: f64 = 488.0;

/// Reads the size of the upload from what `wrangler deploy --dry-run` says, and holds it to the limit.
pub(crate) fn check(said: &[String]) -> Result<()> {
    let kib = said.iter().find_map(|line| gzipped_kib(line)).ok_or_else(|| {
        Error::failed("wrangler does not tell the size of the upload", "adapt `size.rs` to what it prints")
    })?;
    eprintln!("      {kib:.0} KiB gzipped, of {LIMIT_KIB} allowed");
    if kib > LIMIT_KIB {
        return Err(Error::failed(
            format!("The Worker is {kib:.1} KiB gzipped, which is over the limit of {LIMIT_KIB}"),
            "look for a dependency that it could do without",
        ));
    }
    Ok(())
}

/// `Total Upload: 1227.20 KiB / gzip: 442.57 KiB`
fn gzipped_kib(line: &str) -> Option<f64> {
    line.strip_prefix("Total Upload: ")?.split_once("gzip: ")?.1.split_once(" KiB")?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(size: &str) -> Vec<String> {
        vec!["--dry-run".to_owned(), format!("Total Upload: 9999.20 KiB / gzip: {size} KiB")]
    }

    #[test]
    fn the_compressed_size_counts() {
        assert!(check(&said("487.90")).is_ok());
        assert!(check(&said("488.10")).is_err());
        assert!(check(&[]).is_err());
    }
}
