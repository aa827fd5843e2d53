//! Random bytes, of the runtime's own generator.

use edgewise_core::problem::Problem;
use worker::console_error;

/// So many random bytes.
///
/// # Errors
/// 500 where the runtime has none, which it always has.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], Problem> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        console_error!("no randomness: {error}");
        Problem::internal()
    })?;
    Ok(bytes)
}
