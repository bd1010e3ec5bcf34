//! Writes texts into a JSON text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Writes a text as a string, with quotes and escapes.
pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) {
    write_texts(&[text], out);
}

/// Writes texts as one string.
pub(crate) fn write_texts(texts: &[&str], out: &mut Vec<u8>) {
    // Nearly all are plain, which can be seen many bytes at a time.
    let special = |byte: &u8| *byte < b' ' || *byte == b'"' || *byte == b'\\';
    out.push(b'"');
    for text in texts {
        if text.as_bytes().iter().fold(false, |any, byte| any | special(byte)) {
            text.bytes().for_each(|byte| write_byte(byte, out));
        } else {
            out.extend_from_slice(text.as_bytes());
        }
    }
    out.push(b'"');
}

/// Writes bytes in base64, without quotes. Base64 has nothing to escape.
pub(crate) fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    // The slice has exactly the length that the encoding has.
    let written = STANDARD.encode_slice(bytes, &mut out[start..]).unwrap_or(0);
    out.truncate(start + written);
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
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_written_text_is_read_back(text in r#"([ -~]|["\\]|[\x00-\x1f]|\PC){0,40}"#) {
            let mut out = b"x".to_vec();
            write_text(&text, &mut out);
            prop_assert_eq!(serde_json::from_slice::<String>(&out[1..]).unwrap(), text);
        }

        #[test]
        fn bytes_are_encoded_in_standard_base64(bytes: Vec<u8>) {
            let mut out = b"x".to_vec();
            write_base64(&bytes, &mut out);
            let usual = STANDARD.encode(bytes);
            prop_assert_eq!(usual.as_bytes(), &out[1..]);
        }
    }
}
