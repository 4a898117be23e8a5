//! The few kinds of bad JSON that the reference accepts, made good. Runs only after a body was refused.

/// The body with each invalid UTF-8 byte replaced by U+FFFD, each unpaired surrogate escape by `\ufffd`, and each
/// integer `-0` by `0` (which serde_json takes for a floating-point number). `None` when there is nothing to repair.
pub(super) fn repaired(body: &[u8]) -> Option<String> {
    let mut text = String::with_capacity(body.len());
    let mut changed = false;
    for chunk in body.utf8_chunks() {
        text.push_str(chunk.valid());
        for _ in chunk.invalid() {
            text.push(char::REPLACEMENT_CHARACTER);
            changed = true;
        }
    }
    let mut bytes = text.into_bytes();
    let mut at = 0;
    let mut in_string = false;
    while let Some(&byte) = bytes.get(at) {
        let mut step = 1;
        match (in_string, byte) {
            (_, b'"') => in_string = !in_string,
            (true, b'\\') => match escaped_unit(&bytes, at) {
                None => step = 2,
                Some(unit) => {
                    let next = escaped_unit(&bytes, at + 6);
                    let paired = is_high(unit) && next.is_some_and(is_low);
                    step = if paired { 12 } else { 6 };
                    if !paired && (is_high(unit) || is_low(unit)) {
                        bytes[at + 2..at + 6].copy_from_slice(b"fffd");
                        changed = true;
                    }
                }
            },
            // Behind an `e` it is an exponent.
            (false, b'-')
                if is_negative_zero(&bytes[at..]) && !bytes[..at].ends_with(b"e") && !bytes[..at].ends_with(b"E") =>
            {
                bytes[at] = b' ';
                changed = true;
            }
            _ => {}
        }
        at += step;
    }
    if !changed {
        return None;
    }
    // Only ASCII was replaced by ASCII, so this never fails.
    String::from_utf8(bytes).ok()
}

/// The code unit of `\uXXXX` at `at`.
fn escaped_unit(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at.checked_add(6)?)?.strip_prefix(b"\\u")?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn is_high(unit: u16) -> bool {
    (0xd800..0xdc00).contains(&unit)
}

fn is_low(unit: u16) -> bool {
    (0xdc00..0xe000).contains(&unit)
}

/// Whether a number starts here that is the integer `-0`.
fn is_negative_zero(rest: &[u8]) -> bool {
    rest.starts_with(b"-0") && !rest.get(2).is_some_and(|next| matches!(next, b'0'..=b'9' | b'.' | b'e' | b'E'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_numbers_of_negative_zero_are_repaired() {
        for (body, repaired_to) in [
            ("-0", Some(" 0")),
            ("[-0,-0 ,-0]", Some("[ 0, 0 , 0]")),
            ("1e-0", None),
            ("1E-0", None),
            ("-0.0", None),
            ("-0e1", None),
            ("-00", None),
            ("\"-0\"", None),
        ] {
            assert_eq!(repaired(body.as_bytes()).as_deref(), repaired_to, "{body}");
        }
    }
}
