//! Which version of a package Cargo.lock has settled on.

use crate::error::{Error, Result, read};
use crate::project::Project;

/// wasm-bindgen's command has to be of exactly the version that the Worker is compiled with.
pub(crate) fn wasm_bindgen_version(project: &Project) -> Result<String> {
    let lock = read(&project.path("Cargo.lock"))?;
    version_of(&lock, "wasm-bindgen").map(str::to_owned).ok_or_else(|| {
        Error::failed("Cargo.lock names no wasm-bindgen", "restore it with `git checkout Cargo.lock`")
    })
}

fn version_of<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name);
    lines.nth(1)?.strip_prefix("version = \"")?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
version = 4

[[package]]
name = "wasm-bindgen-macro"
version = "0.2.1"

[[package]]
name = "wasm-bindgen"
version = "0.2.130"
source = "registry+https://example.com/index"
"#;

    #[test]
    fn the_version_of_the_package_and_of_no_other_with_such_a_name() {
        assert_eq!(version_of(LOCK, "wasm-bindgen"), Some("0.2.130"));
        assert_eq!(version_of(LOCK, "wasm"), None);
    }
}
