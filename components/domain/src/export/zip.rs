//! The zip container of an export file (PKWARE APPNOTE 6.3), written so that the same members give the same bytes.
//!
//! Sizes and checksum stand in the local header, so that a reader of a stream needs no data descriptor. No comments, no
//! extra fields. The date is 1980-01-01 00:00, the format's first: the reference server writes zeros, month and day 0,
//! which strict tools complain about.

use super::deflate::{RecordRun, deflate};

/// Why a container cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// How a member's bytes are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// As they are.
    Stored = 0,
    /// RFC 1951.
    Deflate = 8,
}

/// A member, packed already.
#[derive(Clone, Copy)]
pub(crate) struct Member<'a> {
    pub(crate) name: &'a str,
    pub(crate) method: Method,
    pub(crate) plain: &'a [u8],
    pub(crate) packed: &'a [u8],
}

/// An export file: `export.bin`, then `export.sig`, each deflated unless it is smaller as it is. `runs` tells where
/// `export.bin` has its records.
pub fn export_zip(bin: &[u8], runs: &[RecordRun], sig: &[u8]) -> Result<Vec<u8>, TooLarge> {
    let (packed_bin, packed_sig) = (deflate(bin, runs), deflate(sig, &[]));
    container(&[member("export.bin", bin, &packed_bin), member("export.sig", sig, &packed_sig)])
}

fn member<'a>(name: &'a str, plain: &'a [u8], deflated: &'a [u8]) -> Member<'a> {
    if deflated.len() < plain.len() {
        Member { name, method: Method::Deflate, plain, packed: deflated }
    } else {
        Member { name, method: Method::Stored, plain, packed: plain }
    }
}

/// Version 2.0: deflate.
const VERSION: u16 = 20;
const TIME: u16 = 0;
/// 1980-01-01.
const DATE: u16 = 0x0021;

/// Writes a container of `members` in their order.
pub(crate) fn container(members: &[Member<'_>]) -> Result<Vec<u8>, TooLarge> {
    let packed: usize = members.iter().map(|member| member.packed.len() + 2 * member.name.len() + 76).sum();
    let mut out = Vec::with_capacity(packed + 22);
    let mut directory = Vec::new();
    for member in members {
        let offset = size(out.len())?;
        let fields = common_fields(member)?;
        out.extend_from_slice(&0x0403_4b50_u32.to_le_bytes());
        out.extend_from_slice(&fields);
        out.extend_from_slice(member.name.as_bytes());
        out.extend_from_slice(member.packed);

        directory.extend_from_slice(&0x0201_4b50_u32.to_le_bytes());
        directory.extend_from_slice(&VERSION.to_le_bytes()); // made by, on MS-DOS
        directory.extend_from_slice(&fields);
        directory.extend_from_slice(&[0; 10]); // comment length, disk, internal and external attributes
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(member.name.as_bytes());
    }
    let (start, length) = (size(out.len())?, size(directory.len())?);
    let count = u16::try_from(members.len()).map_err(|_| TooLarge)?;
    out.extend_from_slice(&directory);
    out.extend_from_slice(&0x0605_4b50_u32.to_le_bytes());
    out.extend_from_slice(&[0; 4]); // disks
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&start.to_le_bytes());
    out.extend_from_slice(&[0; 2]); // comment length
    Ok(out)
}

/// What local header and directory have in common: from the version needed to the length of extra fields.
fn common_fields(member: &Member<'_>) -> Result<Vec<u8>, TooLarge> {
    let mut fields = Vec::with_capacity(26);
    let name_length = u16::try_from(member.name.len()).map_err(|_| TooLarge)?;
    for half in [VERSION, 0, member.method as u16, TIME, DATE] {
        fields.extend_from_slice(&half.to_le_bytes());
    }
    for word in [crc32(member.plain), size(member.packed.len())?, size(member.plain.len())?] {
        fields.extend_from_slice(&word.to_le_bytes());
    }
    fields.extend_from_slice(&name_length.to_le_bytes());
    fields.extend_from_slice(&[0; 2]);
    Ok(fields)
}

/// The largest number means "see the 64-bit extension", which this writer does not have.
fn size(bytes: usize) -> Result<u32, TooLarge> {
    u32::try_from(bytes).ok().filter(|size| *size < u32::MAX).ok_or(TooLarge)
}

/// CRC-32 of IEEE 802.3, 16 bytes a step.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    let mut blocks = bytes.chunks_exact(16);
    for block in &mut blocks {
        let mut next = 0;
        for (at, &byte) in block.iter().enumerate() {
            let state = if at < 4 { crc.to_le_bytes()[at] } else { 0 };
            next ^= CRC_TABLES[15 - at][usize::from(byte ^ state)];
        }
        crc = next;
    }
    for &byte in blocks.remainder() {
        crc = (crc >> 8) ^ CRC_TABLES[0][usize::from(crc.to_le_bytes()[0] ^ byte)];
    }
    !crc
}

/// `CRC_TABLES[n][b]`: what byte `b` does to the checksum `n` bytes later.
static CRC_TABLES: [[u32; 256]; 16] = {
    let mut tables = [[0u32; 256]; 16];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut table = 1;
    while table < 16 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::{Cursor, Read};

    #[test]
    fn checksum_matches_the_known_value_and_does_not_depend_on_the_step() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(crc32(&bytes), 0x2905_8c73);
    }

    #[test]
    fn members_come_in_order_with_the_first_date_and_no_extras() {
        let file = export_zip(&[7; 5000], &[], b"sig").expect("fits");
        let mut archive = ::zip::ZipArchive::new(Cursor::new(&file)).expect("a zip file");
        let mut names = Vec::new();
        for index in 0..archive.len() {
            let member = archive.by_index(index).expect("a member");
            let date = member.last_modified().expect("a date");
            assert_eq!((date.year(), date.month(), date.day(), date.hour()), (1980, 1, 1, 0));
            assert!(member.comment().is_empty() && member.extra_data().is_none_or(<[u8]>::is_empty));
            names.push((member.name().to_owned(), member.compression(), member.size()));
        }
        assert_eq!(
            names,
            [
                ("export.bin".to_owned(), ::zip::CompressionMethod::Deflated, 5000),
                ("export.sig".to_owned(), ::zip::CompressionMethod::Stored, 3)
            ]
        );
        // Flags, in the local header and in the directory: no data descriptor.
        assert_eq!(file[6..8], [0, 0]);
    }

    proptest! {
        #[test]
        fn any_content_comes_back_and_the_same_content_gives_the_same_bytes(bin: Vec<u8>, sig: Vec<u8>) {
            let file = export_zip(&bin, &[], &sig).expect("fits");
            prop_assert_eq!(&file, &export_zip(&bin, &[], &sig).expect("fits"));
            let mut archive = ::zip::ZipArchive::new(Cursor::new(&file)).expect("a zip file");
            for (name, content) in [("export.bin", bin), ("export.sig", sig)] {
                let mut read = Vec::new();
                archive.by_name(name).expect(name).read_to_end(&mut read).expect("readable");
                prop_assert_eq!(read, content);
            }
        }
    }
}
