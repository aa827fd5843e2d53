//! Leaves the names of functions out of a WebAssembly module: an eighth of its compressed size, which every cold start
//! pays, for stack traces that nobody sees. worker-build keeps them, and cargo's own `strip` would take away what
//! wasm-bindgen reads.

/// The eight bytes that begin every module.
const HEADER: usize = 8;
/// The id of a section that carries no code.
const CUSTOM: u8 = 0;

/// The module without its section `name`. None where it is no module.
///
/// Sections follow the header, each with an id, a length in LEB128, and its content; a custom one's begins with its
/// name (<https://webassembly.github.io/spec/core/binary/modules.html>).
pub(crate) fn without_names(module: &[u8]) -> Option<Vec<u8>> {
    let (header, mut rest) = module.split_at_checked(HEADER)?;
    let mut kept = header.to_vec();
    while let Some((&id, after_id)) = rest.split_first() {
        let (length, content) = leb128(after_id)?;
        let (content, next) = content.split_at_checked(length)?;
        if !(id == CUSTOM && is_named(content, b"name")) {
            kept.extend_from_slice(rest.get(..rest.len() - next.len())?);
        }
        rest = next;
    }
    Some(kept)
}

fn is_named(content: &[u8], name: &[u8]) -> bool {
    leb128(content).is_some_and(|(length, rest)| rest.get(..length) == Some(name))
}

/// A number, and what follows it.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut number = 0_usize;
    for (place, byte) in bytes.iter().enumerate().take(5) {
        number |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((number, bytes.get(place + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &[u8] = b"\0asm\x01\0\0\0";

    fn section(id: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).expect("a short section");
        [&[id, 0x80 | length, 0x00], content].concat()
    }

    #[test]
    fn names_go_and_the_rest_stays() {
        let (types, names) = (section(1, b"\0"), section(CUSTOM, b"\x04nameabc"));
        let features = section(CUSTOM, b"\x0ftarget_features");
        let module = [EMPTY, &types, &names, &features].concat();
        assert_eq!(without_names(&module).unwrap(), [EMPTY, &types, &features].concat());
        assert_eq!(without_names(EMPTY).unwrap(), EMPTY);
    }

    #[test]
    fn what_is_no_module_is_left_alone() {
        assert_eq!(without_names(b"\0asm"), None);
        assert_eq!(without_names(&[EMPTY, &[1, 200]].concat()), None);
    }
}
