//! A deflate encoder (RFC 1951) for one kind of input: records that are alike in everything but a random key.
//!
//! Download volume is most of an operator's bill, and a general encoder spends nearly all of an export's time looking for
//! matches that cannot exist in random keys. This one is told where the keys are ([`RecordRun`]). It writes a key as
//! literals and what lies between two keys as one match against the same place of the record before, or, where the
//! metadata changes, as the cheapest mixture of literals and matches against a few likely places. Hints only steer: every
//! match is compared before it is written, so any input comes back whole under any hints.
//!
//! In metadata order a key takes 17.4 to 17.6 bytes at 50 ns; zlib at its best level comes within half a percent of that,
//! either way.

mod huffman;

use huffman::{Codes, HeaderPlan};

/// `count` records of `length` bytes each, one after another from byte `start` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordRun {
    /// Offset of the first record.
    pub start: usize,
    /// Bytes of one record.
    pub length: usize,
    /// Number of records.
    pub count: usize,
}

impl RecordRun {
    /// Offset of the key in a record: tag and length of the record, tag and length of the key.
    pub const KEY_OFFSET: usize = 4;
    /// Bytes of the key.
    pub const KEY_LENGTH: usize = 16;
}

const LITERAL_SYMBOLS: usize = 286;
const DISTANCE_SYMBOLS: usize = 30;
const END_OF_BLOCK: usize = 256;
/// Four literals and the seven bits left over from before then always fit into 64 bits.
const LITERAL_LIMIT: usize = 14;
const DISTANCE_LIMIT: usize = 15;
const MIN_MATCH: usize = 3;
const MAX_MATCH: usize = 258;
const MAX_DISTANCE: usize = 32_768;
/// A block describes its codes once, in about 80 bytes; so much input makes up for that, and is little enough for the
/// codes to fit it (measured: 32 KiB to 256 KiB differ by 0.2%).
const BLOCK_BYTES: usize = 64 * 1024;
const STORED_MAX: usize = 65_535;

/// Compresses `input` into one deflate stream. The same input and hints give the same bytes.
pub fn deflate(input: &[u8], runs: &[RecordRun]) -> Vec<u8> {
    let mut encoder = Encoder::new(input);
    for run in runs {
        for record in 0..run.count {
            let key = record
                .checked_mul(run.length)
                .and_then(|offset| offset.checked_add(run.start))
                .and_then(|start| start.checked_add(RecordRun::KEY_OFFSET));
            match key {
                Some(key) if input.len().checked_sub(RecordRun::KEY_LENGTH).is_some_and(|last| key <= last) => {
                    encoder.key_at(key);
                }
                // This record, and so the rest of the run, lies outside of the input.
                Some(_) | None => break,
            }
        }
    }
    encoder.finish()
}

/// `literals` bytes as they are, then a match, if `length` is not 0.
#[derive(Clone, Copy)]
struct Sequence {
    literals: u32,
    length: u16,
    /// Distance - 1, so that the largest fits.
    distance: u16,
}

struct Encoder<'a> {
    input: &'a [u8],
    writer: BitWriter,
    sequences: Vec<Sequence>,
    literal_counts: [u32; LITERAL_SYMBOLS],
    distance_counts: [u32; DISTANCE_SYMBOLS],
    block_start: usize,
    /// All input before this is covered by `sequences`, except for the last `pending` bytes, which will be literals.
    position: usize,
    pending: usize,
    /// Bytes between the last two keys.
    last_gap: Option<usize>,
    seen: GapTable,
    /// Room for [`Self::parse`].
    ways: Vec<(u32, usize, usize)>,
}

impl<'a> Encoder<'a> {
    fn new(input: &'a [u8]) -> Self {
        Self {
            input,
            // 18 of 31 bytes is what records need.
            writer: BitWriter::with_capacity(input.len() / 8 * 5 + 64),
            sequences: Vec::with_capacity(BLOCK_BYTES / 24),
            literal_counts: [0; LITERAL_SYMBOLS],
            distance_counts: [0; DISTANCE_SYMBOLS],
            block_start: 0,
            position: 0,
            pending: 0,
            last_gap: None,
            seen: GapTable::new(),
            ways: vec![(0, 0, 0); MAX_MATCH + 1],
        }
    }

    fn key_at(&mut self, key: usize) {
        // Overlapping hints.
        let Some(gap) = key.checked_sub(self.position) else { return };
        self.gap(gap);
        self.last_gap = Some(gap);
        self.literals(RecordRun::KEY_LENGTH);
        if self.position - self.block_start >= BLOCK_BYTES {
            self.block(false);
        }
    }

    /// Covers the `gap` bytes before the next key.
    fn gap(&mut self, gap: usize) {
        // Far from any record; compared with nothing.
        let Some(last_gap) = self.last_gap.filter(|_| gap <= MAX_MATCH) else {
            return self.long_literals(gap);
        };
        let here = self.position;
        let spacing = RecordRun::KEY_LENGTH + gap;
        if gap == last_gap && gap >= MIN_MATCH && here >= spacing && same(self.input, here, here - spacing, gap) {
            return self.a_match(gap, spacing);
        }

        // The last gap was the end of a stretch of equal ones, and so the nearest of its kind.
        let last_key = here - RecordRun::KEY_LENGTH;
        self.seen.note(self.input, last_key.saturating_sub(last_gap), last_key);
        let [whole, beginning, ending] = self.seen.find(self.input, here, here + gap);
        if gap >= MIN_MATCH && whole <= MAX_DISTANCE && whole > 0 && same(self.input, here, here - whole, gap) {
            return self.a_match(gap, whole);
        }
        // The fields of the record before are in line with this one's from its key on, those of the next record's start
        // from the end of the gap backwards. The two are the same where the records have the same length.
        self.parse(gap, [RecordRun::KEY_LENGTH + last_gap, spacing, beginning, ending]);
    }

    /// Covers the next `gap` bytes (at most [`MAX_MATCH`]) as cheaply as literals and matches at `distances` can, by
    /// what such things usually cost. The first two distances are frequent ones. Impossible ones are ignored.
    fn parse(&mut self, gap: usize, distances: [usize; 4]) {
        const LITERAL_BITS: u32 = 8;
        const FREQUENT_MATCH_BITS: u32 = 12;
        const RARE_MATCH_BITS: u32 = 15;
        let here = self.position;
        let mut costs = [None; 4];
        for (index, (cost, distance)) in costs.iter_mut().zip(distances).enumerate() {
            if (1..=MAX_DISTANCE.min(here)).contains(&distance) {
                let bits = if index < 2 { FREQUENT_MATCH_BITS } else { RARE_MATCH_BITS };
                *cost = Some(bits + distance_code(distance).extra_bits);
            }
        }
        // From the end backwards: the cheapest way from each byte on, as its cost, length, and distance, 0 for a literal.
        let mut ways = std::mem::take(&mut self.ways);
        ways[gap] = (0, 0, 0);
        let mut runs = [0usize; 4];
        for at in (0..gap).rev() {
            let mut best = (ways[at + 1].0 + LITERAL_BITS, 1, 0);
            for ((run, distance), cost) in runs.iter_mut().zip(distances).zip(costs) {
                let Some(cost) = cost else { continue };
                let equal = self.input[here + at] == self.input[here + at - distance];
                *run = if equal { *run + 1 } else { 0 };
                let total = ways[at + *run].0 + cost;
                if *run >= MIN_MATCH && total < best.0 {
                    best = (total, *run, distance);
                }
            }
            ways[at] = best;
        }
        let mut at = 0;
        while at < gap {
            let (_, length, distance) = ways[at];
            if distance == 0 {
                self.literals(1);
            } else {
                self.a_match(length, distance);
            }
            at += length;
        }
        self.ways = ways;
    }

    fn long_literals(&mut self, count: usize) {
        let mut rest = count;
        while rest > 0 {
            let part = rest.min(BLOCK_BYTES);
            self.literals(part);
            rest -= part;
            if self.position - self.block_start >= BLOCK_BYTES {
                self.block(false);
            }
        }
    }

    fn literals(&mut self, count: usize) {
        for &byte in &self.input[self.position..self.position + count] {
            self.literal_counts[usize::from(byte)] += 1;
        }
        self.position += count;
        self.pending += count;
    }

    fn a_match(&mut self, length: usize, distance: usize) {
        self.literal_counts[length_code(length).symbol] += 1;
        self.distance_counts[distance_code(distance).symbol] += 1;
        // Bounded by BLOCK_BYTES and one gap, MAX_MATCH and MAX_DISTANCE.
        let (literals, length_bits) = (self.pending as u32, length as u16);
        self.sequences.push(Sequence { literals, length: length_bits, distance: (distance - 1) as u16 });
        self.pending = 0;
        self.position += length;
    }

    fn finish(mut self) -> Vec<u8> {
        self.long_literals(self.input.len() - self.position);
        self.block(true);
        self.writer.into_bytes()
    }

    /// Writes what was collected as one block, in the smallest of the three forms, and starts the next.
    fn block(&mut self, last: bool) {
        self.sequences.push(Sequence { literals: self.pending as u32, length: 0, distance: 0 });
        self.pending = 0;
        self.literal_counts[END_OF_BLOCK] = 1;
        let content = &self.input[self.block_start..self.position];

        let literals = Codes::for_counts(&self.literal_counts, LITERAL_LIMIT);
        let distances = Codes::for_counts(&self.distance_counts, DISTANCE_LIMIT);
        let header = HeaderPlan::new(literals.lengths(), distances.lengths());
        let extra = extra_bits(&self.literal_counts, &self.distance_counts);
        let dynamic =
            header.bits() + literals.bits(&self.literal_counts) + distances.bits(&self.distance_counts) + extra;
        let (fixed_literals, fixed_distances) = huffman::fixed();
        let fixed = fixed_literals.bits(&self.literal_counts) + fixed_distances.bits(&self.distance_counts) + extra;
        let stored = content.len().div_ceil(STORED_MAX).max(1) * 40 + content.len() * 8;

        if stored <= dynamic.min(fixed) {
            self.writer.stored(content, last);
        } else if fixed <= dynamic {
            self.writer.reserve(fixed);
            self.writer.put(u64::from(last) | 1 << 1, 3);
            self.writer.sequences(content, &self.sequences, &fixed_literals, &fixed_distances);
        } else {
            self.writer.reserve(dynamic);
            self.writer.put(u64::from(last) | 2 << 1, 3);
            header.write(&mut self.writer);
            self.writer.sequences(content, &self.sequences, &literals, &distances);
        }

        self.block_start = self.position;
        self.sequences.clear();
        self.literal_counts.fill(0);
        self.distance_counts.fill(0);
    }
}

/// Whether `length` (at least 3) bytes at `a` and at `b` are equal. Eight at a time, because a byte-wise comparison is what
/// a WebAssembly guest's C library would do.
#[inline]
fn same(input: &[u8], a: usize, b: usize, length: usize) -> bool {
    let (a, b) = (&input[a..a + length], &input[b..b + length]);
    let word = |bytes: &[u8]| bytes.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes));
    let mut at = 0;
    while at + 8 <= length {
        if word(&a[at..]) != word(&b[at..]) {
            return false;
        }
        at += 8;
    }
    if length >= 8 { word(&a[length - 8..]) == word(&b[length - 8..]) } else { a == b }
}

/// Where each kind of gap was seen last: as a whole, by its beginning and by its ending.
struct GapTable(Vec<u32>);

impl GapTable {
    const BITS: u32 = 12;
    /// Risk and rolling start.
    const BEGINNING: usize = 7;
    /// Report type, onset and the start of the next record.
    const ENDING: usize = 8;

    fn new() -> Self {
        Self(vec![u32::MAX; 1 << Self::BITS])
    }

    /// Notes the gap `start..end`.
    fn note(&mut self, input: &[u8], start: usize, end: usize) {
        for (slot, start) in Self::slots(input, start, end) {
            // Beyond 4 GiB there would be no zip file either.
            self.0[slot] = u32::try_from(start).unwrap_or(u32::MAX);
        }
    }

    /// Distances, or 0, from `start..end` to what may be one like it, one that begins and one that ends like it. These are
    /// guesses, because hashes collide.
    fn find(&self, input: &[u8], start: usize, end: usize) -> [usize; 3] {
        Self::slots(input, start, end).map(|(slot, start)| start.saturating_sub(self.0[slot] as usize))
    }

    fn slots(input: &[u8], start: usize, end: usize) -> [(usize, usize); 3] {
        let ending = end.saturating_sub(Self::ENDING).max(start);
        let beginning_end = (start + Self::BEGINNING).min(end);
        [(start, end), (start, beginning_end), (ending, end)].map(|(from, to)| (Self::slot(&input[from..to]), from))
    }

    fn slot(bytes: &[u8]) -> usize {
        let hash =
            bytes.iter().fold(0u32, |hash, &byte| (hash.rotate_left(5) ^ u32::from(byte)).wrapping_mul(0x9e37_79b1));
        (hash >> (32 - Self::BITS)) as usize
    }
}

/// A symbol and the bits that follow it.
struct Code {
    symbol: usize,
    extra: u64,
    extra_bits: u32,
}

/// RFC 1951 section 3.2.5, lengths 3 to 258.
fn length_code(length: usize) -> Code {
    let beyond = length - MIN_MATCH;
    if length == MAX_MATCH {
        return Code { symbol: 285, extra: 0, extra_bits: 0 };
    }
    if beyond < 8 {
        return Code { symbol: 257 + beyond, extra: 0, extra_bits: 0 };
    }
    let extra_bits = beyond.ilog2() - 2;
    let symbol = 261 + 4 * extra_bits as usize + ((beyond >> extra_bits) & 3);
    Code { symbol, extra: (beyond & ((1 << extra_bits) - 1)) as u64, extra_bits }
}

/// RFC 1951 section 3.2.5, distances 1 to 32768.
fn distance_code(distance: usize) -> Code {
    let beyond = distance - 1;
    if beyond < 4 {
        return Code { symbol: beyond, extra: 0, extra_bits: 0 };
    }
    let extra_bits = beyond.ilog2() - 1;
    let symbol = 2 + 2 * extra_bits as usize + ((beyond >> extra_bits) & 1);
    Code { symbol, extra: (beyond & ((1 << extra_bits) - 1)) as u64, extra_bits }
}

/// How many extra bits the counted symbols bring along.
fn extra_bits(literal_counts: &[u32], distance_counts: &[u32]) -> usize {
    let lengths = literal_counts.iter().enumerate().skip(265).take(20);
    let distances = distance_counts.iter().enumerate().skip(4);
    lengths.map(|(symbol, &count)| (symbol - 261) / 4 * count as usize).sum::<usize>()
        + distances.map(|(symbol, &count)| (symbol - 2) / 2 * count as usize).sum::<usize>()
}

/// Writes bits, least significant first.
struct BitWriter {
    /// Valid up to `position`; longer, so that eight bytes can be written at once.
    bytes: Vec<u8>,
    position: usize,
    buffer: u64,
    /// Bits in `buffer`, below 8 between calls.
    filled: u32,
}

impl BitWriter {
    fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), position: 0, buffer: 0, filled: 0 }
    }

    /// Makes room for `bits` more.
    fn reserve(&mut self, bits: usize) {
        self.bytes.resize(self.position + bits / 8 + 16, 0);
    }

    /// Adds the low `count` bits of `bits`, whose others are 0; at most 57. Room must have been reserved.
    #[inline]
    fn put(&mut self, bits: u64, count: u32) {
        self.buffer |= bits << self.filled;
        self.filled += count;
        self.flush();
    }

    /// Moves all whole bytes out.
    #[inline]
    fn flush(&mut self) {
        if let Some(room) = self.bytes.get_mut(self.position..self.position + 8) {
            room.copy_from_slice(&self.buffer.to_le_bytes());
        }
        self.position += (self.filled / 8) as usize;
        self.buffer >>= self.filled & !7;
        self.filled &= 7;
    }

    fn sequences(&mut self, content: &[u8], sequences: &[Sequence], literals: &Codes, distances: &Codes) {
        let mut rest = content;
        // Nearly all matches are the same one.
        let (mut cached, mut cached_bits, mut cached_count) = ((0, 0), 0, 0);
        for sequence in sequences {
            let (bytes, after) = rest.split_at(sequence.literals as usize);
            self.literals(bytes, literals);
            let length = usize::from(sequence.length);
            rest = &after[length..];
            if length == 0 {
                continue;
            }
            if cached != (sequence.length, sequence.distance) {
                cached = (sequence.length, sequence.distance);
                let length = length_code(length);
                let distance = distance_code(usize::from(sequence.distance) + 1);
                (cached_bits, cached_count) = (0, 0);
                for (bits, count) in [
                    literals.code(length.symbol),
                    (length.extra, length.extra_bits),
                    distances.code(distance.symbol),
                    (distance.extra, distance.extra_bits),
                ] {
                    cached_bits |= bits << cached_count;
                    cached_count += count;
                }
            }
            self.put(cached_bits, cached_count);
        }
        let (bits, count) = literals.code(END_OF_BLOCK);
        self.put(bits, count);
    }

    #[inline]
    fn literals(&mut self, bytes: &[u8], codes: &Codes) {
        let mut fours = bytes.chunks_exact(4);
        for four in &mut fours {
            for &byte in four {
                let (bits, count) = codes.code(usize::from(byte));
                self.buffer |= bits << self.filled;
                self.filled += count;
            }
            self.flush();
        }
        for &byte in fours.remainder() {
            let (bits, count) = codes.code(usize::from(byte));
            self.put(bits, count);
        }
    }

    fn stored(&mut self, content: &[u8], last: bool) {
        let mut rest = content;
        loop {
            let (part, after) = rest.split_at(rest.len().min(STORED_MAX));
            rest = after;
            self.reserve(64);
            self.put(u64::from(last && rest.is_empty()), 3);
            self.align();
            self.bytes.truncate(self.position);
            let length = part.len() as u16;
            self.bytes.extend_from_slice(&length.to_le_bytes());
            self.bytes.extend_from_slice(&(!length).to_le_bytes());
            self.bytes.extend_from_slice(part);
            self.position = self.bytes.len();
            if rest.is_empty() {
                return;
            }
        }
    }

    /// Fills the current byte with zero bits.
    fn align(&mut self) {
        if self.filled > 0 {
            self.filled = 8;
            self.flush();
        }
    }

    fn into_bytes(mut self) -> Vec<u8> {
        self.reserve(64);
        self.align();
        self.bytes.truncate(self.position);
        self.bytes
    }
}

#[cfg(test)]
mod tests;
