//! Huffman codes of a deflate block (RFC 1951 sections 3.2.2, 3.2.6, 3.2.7).

use super::{BitWriter, DISTANCE_SYMBOLS, LITERAL_SYMBOLS};

/// A code for each symbol that is used.
pub(super) struct Codes {
    lengths: Vec<u8>,
    /// Code in the low 16 bits, already in the order in which bits are written; its length above.
    entries: [u32; LITERAL_SYMBOLS],
}

impl Codes {
    /// The best code whose words have at most `limit` bits, as far as a simple repair of too long ones goes. Complete and
    /// of at least two symbols, because some decoders want that.
    pub(super) fn for_counts(counts: &[u32], limit: usize) -> Self {
        Self::from_lengths(code_lengths(counts, limit))
    }

    fn from_lengths(lengths: Vec<u8>) -> Self {
        let mut per_length = [0u32; 16];
        for &length in &lengths {
            per_length[usize::from(length)] += 1;
        }
        per_length[0] = 0;
        let mut next = [0u32; 16];
        for length in 1..16 {
            next[length] = (next[length - 1] + per_length[length - 1]) << 1;
        }
        let mut entries = [0; LITERAL_SYMBOLS];
        for (entry, &length) in entries.iter_mut().zip(&lengths).filter(|(_, length)| **length > 0) {
            let code = &mut next[usize::from(length)];
            *entry = u32::from(length) << 16 | code.reverse_bits() >> (32 - u32::from(length));
            *code += 1;
        }
        Self { lengths, entries }
    }

    /// Bits and their number.
    #[inline]
    pub(super) fn code(&self, symbol: usize) -> (u64, u32) {
        let entry = self.entries[symbol];
        (u64::from(entry & 0xffff), entry >> 16)
    }

    /// The length of each symbol's code, 0 for those without.
    pub(super) fn lengths(&self) -> &[u8] {
        &self.lengths
    }

    /// Bits that the counted symbols take, without their extra bits.
    pub(super) fn bits(&self, counts: &[u32]) -> usize {
        counts.iter().zip(&self.lengths).map(|(&count, &length)| count as usize * usize::from(length)).sum()
    }
}

/// The codes that need no description.
pub(super) fn fixed() -> (Codes, Codes) {
    // Symbols 286 and 287 never occur but take part in the construction.
    let literals = (0..LITERAL_SYMBOLS + 2).map(|symbol| match symbol {
        0..144 => 8,
        144..256 => 9,
        256..280 => 7,
        _ => 8,
    });
    (Codes::from_lengths(literals.collect()), Codes::from_lengths(vec![5; DISTANCE_SYMBOLS]))
}

/// Code lengths by Huffman's method over counts sorted once, with words above `limit` shortened afterwards.
fn code_lengths(counts: &[u32], limit: usize) -> Vec<u8> {
    let mut leaves: Vec<(u64, usize)> = counts
        .iter()
        .enumerate()
        .filter(|(_, count)| **count > 0)
        .map(|(symbol, &count)| (count.into(), symbol))
        .collect();
    let unused = (0..counts.len()).filter(|&symbol| counts[symbol] == 0);
    let missing: Vec<_> = unused.take(2usize.saturating_sub(leaves.len())).map(|symbol| (1, symbol)).collect();
    leaves.extend(missing);
    leaves.sort_unstable();

    let mut per_length = depths(&leaves);
    shorten(&mut per_length, limit);

    let mut lengths = vec![0; counts.len()];
    // The rarest symbols get the longest words.
    let words = per_length.iter().enumerate().rev().flat_map(|(length, &count)| std::iter::repeat_n(length, count));
    for ((_, symbol), length) in leaves.iter().zip(words) {
        lengths[*symbol] = length as u8; // at most `limit`
    }
    lengths
}

/// How many leaves lie at each depth of the Huffman tree over `leaves`, which are sorted by weight.
fn depths(leaves: &[(u64, usize)]) -> Vec<usize> {
    let count = leaves.len();
    let nodes = count * 2 - 1;
    let mut weights: Vec<u64> = leaves.iter().map(|(weight, _)| *weight).collect();
    let mut parents = vec![0usize; nodes];
    // Leaves and inner nodes both come by rising weight, so the lightest node is always the first of one of the two.
    let (mut leaf, mut inner) = (0, count);
    for parent in count..nodes {
        let mut weight = 0;
        for _ in 0..2 {
            let lightest = if leaf < count && (inner >= parent || weights[leaf] <= weights[inner]) {
                &mut leaf
            } else {
                &mut inner
            };
            weight += weights[*lightest];
            parents[*lightest] = parent;
            *lightest += 1;
        }
        weights.push(weight);
    }
    let mut depth = vec![0usize; nodes];
    let mut per_length = vec![0; count.max(2)];
    for node in (0..nodes - 1).rev() {
        depth[node] = depth[parents[node]] + 1;
        if node < count {
            per_length[depth[node]] += 1;
        }
    }
    per_length
}

/// Moves words longer than `limit` to `limit`, then makes room for them: each step trades a word of that length and the
/// longest shorter word for two that are one bit longer, until the code space is exactly full.
fn shorten(per_length: &mut Vec<usize>, limit: usize) {
    if per_length.len() <= limit + 1 {
        return;
    }
    let too_long: usize = per_length.drain(limit + 1..).sum();
    per_length[limit] += too_long;
    let mut used: usize = per_length.iter().enumerate().map(|(length, count)| count << (limit - length)).sum();
    while used > 1 << limit {
        let Some(shorter) = (1..limit).rev().find(|&length| per_length[length] > 0) else { return };
        per_length[limit] -= 1;
        per_length[shorter] -= 1;
        per_length[shorter + 1] += 2;
        used -= 1;
    }
}

/// The order in which the lengths of the code length code are written.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// How a dynamic block describes its two codes.
pub(super) struct HeaderPlan {
    literals: usize,
    distances: usize,
    lengths_written: usize,
    /// Symbol, extra bits and their number.
    items: Vec<(usize, u64, u32)>,
    codes: Codes,
    bits: usize,
}

impl HeaderPlan {
    pub(super) fn new(literals: &[u8], distances: &[u8]) -> Self {
        let used = |lengths: &[u8], at_least: usize| {
            lengths.iter().rposition(|length| *length > 0).map_or(at_least, |last| at_least.max(last + 1))
        };
        let (literal_count, distance_count) = (used(literals, 257), used(distances, 1));
        let all: Vec<u8> = literals[..literal_count].iter().chain(&distances[..distance_count]).copied().collect();
        let items = run_lengths(&all);
        let mut counts = [0; 19];
        for (symbol, _, _) in &items {
            counts[*symbol] += 1;
        }
        let codes = Codes::for_counts(&counts, 7);
        let lengths_written =
            ORDER.iter().rposition(|&symbol| codes.lengths()[symbol] > 0).map_or(4, |last| (last + 1).max(4));
        let extra: u32 = items.iter().map(|(_, _, bits)| bits).sum();
        let bits = 14 + 3 * lengths_written + codes.bits(&counts) + extra as usize;
        Self { literals: literal_count, distances: distance_count, lengths_written, items, codes, bits }
    }

    pub(super) fn bits(&self) -> usize {
        self.bits
    }

    pub(super) fn write(&self, writer: &mut BitWriter) {
        writer.put((self.literals - 257) as u64, 5);
        writer.put((self.distances - 1) as u64, 5);
        writer.put((self.lengths_written - 4) as u64, 4);
        for &symbol in &ORDER[..self.lengths_written] {
            writer.put(u64::from(self.codes.lengths()[symbol]), 3);
        }
        for &(symbol, extra, extra_bits) in &self.items {
            let (bits, count) = self.codes.code(symbol);
            writer.put(bits | extra << count, count + extra_bits);
        }
    }
}

/// Code lengths with their runs shortened: 16 repeats the last length, 17 and 18 repeat zero.
fn run_lengths(lengths: &[u8]) -> Vec<(usize, u64, u32)> {
    let mut items = Vec::new();
    for run in lengths.chunk_by(|a, b| a == b) {
        let value = usize::from(run[0]);
        let mut rest = run.len();
        if value == 0 {
            while rest >= 11 {
                let part = rest.min(138);
                items.push((18, part as u64 - 11, 7));
                rest -= part;
            }
            if rest >= 3 {
                items.push((17, rest as u64 - 3, 3));
                rest = 0;
            }
        } else {
            items.push((value, 0, 0));
            rest -= 1;
            while rest >= 3 {
                let part = rest.min(6);
                items.push((16, part as u64 - 3, 2));
                rest -= part;
            }
        }
        items.extend(std::iter::repeat_n((value, 0, 0), rest));
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(counts: &[u32], limit: usize) {
        let lengths = code_lengths(counts, limit);
        let space: usize =
            lengths.iter().filter(|length| **length > 0).map(|&length| 1 << (limit - usize::from(length))).sum();
        assert_eq!(space, 1 << limit, "the code is complete: {counts:?} -> {lengths:?}");
        for (count, length) in counts.iter().zip(&lengths) {
            assert!(*count == 0 || *length > 0, "a used symbol has no code: {counts:?} -> {lengths:?}");
        }
    }

    #[test]
    fn counts_that_grow_like_fibonacci_numbers_stay_within_the_limit() {
        let mut counts = vec![1, 1];
        for at in 2..40 {
            counts.push(counts[at - 1] + counts[at - 2]);
        }
        check(&counts, 14);
        check(&counts, 7);
    }

    #[test]
    fn codes_of_no_or_one_symbol_are_filled_up_to_two() {
        check(&[0; 30], 15);
        check(&[0, 0, 9, 0], 15);
    }

    #[test]
    fn words_are_as_short_as_huffmans() {
        assert_eq!(code_lengths(&[1, 2, 4, 8], 15), [3, 3, 2, 1]);
        assert_eq!(code_lengths(&[5; 4], 15), [2; 4]);
    }

    proptest! {
        #[test]
        fn every_code_is_complete_and_within_its_limit(counts in prop::collection::vec(0u32..1_000_000, 19..286)) {
            check(&counts, 14);
        }

        #[test]
        fn skewed_counts_too(shifts in prop::collection::vec(0u32..31, 19)) {
            let counts: Vec<u32> = shifts.iter().map(|shift| 1 << shift).collect();
            check(&counts, 7);
        }
    }
}
