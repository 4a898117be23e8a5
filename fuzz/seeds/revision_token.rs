//! Revision tokens: what is sealed in them, and whole ones as text.

use crate::{Seed, seed};
use tocsin_domain::base64;
use tocsin_domain::protobuf::{put_bytes, put_int32, put_uint};
use tocsin_domain::testing::fuzz_checks::{NOW, token_around};

/// A message, field by field.
fn message(fields: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    fields(&mut out);
    out
}

fn entry(key: &[u8], start: i32, period: i32) -> Vec<u8> {
    message(|out| {
        put_bytes(out, 1, key);
        put_int32(out, 2, start);
        put_int32(out, 3, period);
    })
}

fn entries(entries: &[Vec<u8>]) -> Vec<u8> {
    message(|out| entries.iter().for_each(|entry| put_bytes(out, 1, entry)))
}

pub(crate) fn seeds() -> Vec<Seed> {
    let today = NOW.utc_midnight().interval().get();
    let good = entry(&[1; 16], today, 144);
    let dummy = message(|out| put_bytes(out, 1, &[0; 16]));
    let valid = entries(&[good.clone(), entry(&[2; 16], today - 144, 1), dummy.clone(), dummy.clone()]);
    let one = |entry: Vec<u8>| entries(&[entry]);
    vec![
        seed("valid", &valid),
        seed("valid_as_text", token_around(&valid)),
        seed("text_in_url_alphabet", token_around(&valid).replace('+', "-").replace('/', "_").replace('=', "")),
        seed("text_not_base64", "*"),
        seed("text_only_padding", "=="),
        seed("text_cut", &token_around(&valid)[..40]),
        seed("text_key_id_not_decimal", base64::encode(&message(|out| put_bytes(out, 1, b"1x")))),
        seed("text_key_id_not_utf8", base64::encode(&message(|out| put_bytes(out, 1, b"\xff")))),
        seed("text_key_id_number", base64::encode(&message(|out| put_uint(out, 1, 1)))),
        seed(
            "text_unknown_field",
            base64::encode(&message(|out| {
                put_bytes(out, 1, b"7");
                put_uint(out, 9, 1);
                put_bytes(out, 2, &valid);
            })),
        ),
        seed("empty", ""),
        seed("only_dummies", entries(&[dummy.clone(), dummy])),
        seed("many_entries", entries(&vec![good.clone(); 60])),
        seed("expired_entry", one(entry(&[1; 16], today - 16 * 144, 144))),
        seed("entry_at_zero", one(entry(&[1; 16], 0, 1))),
        seed("start_negative", one(entry(&[1; 16], -7, 9))),
        seed("start_smallest", one(entry(&[1; 16], i32::MIN, 144))),
        seed("start_largest", one(entry(&[1; 16], i32::MAX, 144))),
        seed("period_0", one(entry(&[1; 16], today, 0))),
        seed("period_145", one(entry(&[1; 16], today, 145))),
        seed("period_negative", one(entry(&[1; 16], today, -1))),
        seed("key_of_15_bytes", one(entry(&[1; 15], today, 144))),
        seed("key_of_17_bytes", one(entry(&[1; 17], today, 144))),
        seed("number_beyond_32_bits", one(message(|out| put_uint(out, 2, 1 << 40)))),
        seed("field_twice", one([good.clone(), entry(&[3; 16], today - 144, 7)].concat())),
        seed("unknown_fields", [valid, message(|out| put_uint(out, 15, u64::MAX))].concat()),
        seed("entry_as_number", message(|out| put_uint(out, 1, 7))),
        seed("key_as_number", one(message(|out| put_uint(out, 1, 7)))),
        seed("fixed_fields", [0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x25, 1, 2, 3, 4]),
        seed("group", [0x0b, 0x0c]),
        seed("field_0", [0x02, 0]),
        seed("varint_too_long", [0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        seed("length_beyond_the_end", [0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 1]),
        seed("cut", &entries(&[good])[..20]),
    ]
}
