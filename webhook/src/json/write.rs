//! Texts, written into a JSON text.

/// Writes a text with its quotes, and what must be escaped in it.
pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) {
    write_texts(&[text], out);
}

/// Writes texts as one.
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

/// Writes bytes in base64, without quotes: there is nothing to be escaped in it. A patch is the larger
/// part of an answer, so they are taken many at a time.
pub(crate) fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    base64_simd::STANDARD.encode_append(bytes, out);
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
