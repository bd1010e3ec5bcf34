//! Texts, written into a JSON text.

/// The digits of base64, two at a time: half as many steps as one by one, and a patch is the larger
/// part of an answer.
static PAIRS: [[u8; 2]; 1 << 12] = pairs();

/// Writes a text with its quotes, and what must be escaped in it.
pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    // Nearly all are plain, which can be seen many bytes at a time.
    let special = |byte: &u8| *byte < b' ' || *byte == b'"' || *byte == b'\\';
    if text.as_bytes().iter().fold(false, |any, byte| any | special(byte)) {
        text.bytes().for_each(|byte| write_byte(byte, out));
    } else {
        out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
}

/// Writes bytes in base64, without quotes: there is nothing to be escaped in it.
pub(crate) fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + 4 * bytes.len().div_ceil(3), b'=');
    let (threes, rest) = bytes.as_chunks::<3>();
    let (fours, _) = out[start..].as_chunks_mut::<4>();
    for (three, room) in threes.iter().zip(fours.iter_mut()) {
        *room = four(*three);
    }
    // The last is filled up with what stands there already.
    match (rest, fours.last_mut()) {
        ([a], Some([first, second, ..])) => [*first, *second, ..] = four([*a, 0, 0]),
        ([a, b], Some([first, second, third, _])) => {
            [*first, *second, *third, _] = four([*a, *b, 0]);
        }
        _ => {}
    }
}

#[inline]
fn four([a, b, c]: [u8; 3]) -> [u8; 4] {
    let bits = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
    let ([first, second], [third, fourth]) = (PAIRS[bits >> 12], PAIRS[bits & 0xfff]);
    [first, second, third, fourth]
}

const fn pairs() -> [[u8; 2]; 1 << 12] {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut pairs = [[0; 2]; 1 << 12];
    let mut at = 0;
    while at < pairs.len() {
        pairs[at] = [DIGITS[at >> 6], DIGITS[at & 63]];
        at += 1;
    }
    pairs
}

fn write_byte(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        0..b' ' => {
            let digits = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&digits);
        }
        _ => out.push(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_text_is_read_back_as_it_was(text in r#"([ -~]|["\\]|[\x00-\x1f]|\PC){0,40}"#) {
            let mut out = b"x".to_vec();
            write_text(&text, &mut out);
            prop_assert_eq!(serde_json::from_slice::<String>(&out[1..]).unwrap(), text);
        }

        #[test]
        fn bytes_are_encoded_as_everybody_does(bytes: Vec<u8>) {
            let mut out = b"x".to_vec();
            write_base64(&bytes, &mut out);
            let usual = STANDARD.encode(bytes);
            prop_assert_eq!(usual.as_bytes(), &out[1..]);
        }
    }
}
