//! The index from keys to rows, in memory, without the keys.
//!
//! A database index on random 16-byte keys dirties a page per key and is what limits the usual key server. Here a slot
//! of 8 bytes holds 18 bits of the key's hash and the 46 bits of the row id; twelve further bits of the hash choose the
//! shard. A match is a *candidate*: whoever asks reads the row and compares the key. At 30 million keys one look-up in
//! 36 meets a candidate that is another key, which costs a row read and nothing else.
//!
//! The index is rebuilt by a scan when the store opens, so its hash can be seeded anew each time. Phones choose the
//! keys; without a secret seed they could choose keys that all meet in one place.

use super::row_id::RowId;
use parking_lot::RwLock;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use tocsin_domain::tek::TemporaryExposureKey;

const SHARD_BITS: u32 = 12;
const TAG_BITS: u32 = u64::BITS - RowId::BITS;
/// Row ids are never zero, so neither is a slot in use.
const EMPTY: u64 = 0;
const SMALLEST_SHARD: usize = 16;
/// Slots behind the last home.
const SPILL: usize = 8;

/// A key's place in the index. Good for one process run only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyHash(u64);

impl KeyHash {
    fn shard(self) -> usize {
        // 12 bits fit any usize.
        (self.0 & ((1 << SHARD_BITS) - 1)) as usize
    }

    fn tag(self) -> u64 {
        self.0 >> (u64::BITS - TAG_BITS)
    }
}

/// Maps keys to candidates for their row. Readers and the writer may use it at the same time.
#[derive(Debug)]
pub(crate) struct KeyIndex {
    hasher: RandomState,
    shards: Box<[RwLock<Shard>]>,
    used: AtomicU64,
}

impl KeyIndex {
    /// An empty index with a random seed.
    pub(crate) fn new() -> Self {
        let shards = (0..1 << SHARD_BITS).map(|_| RwLock::new(Shard::default())).collect();
        Self { hasher: RandomState::new(), shards, used: AtomicU64::new(0) }
    }

    /// Where `key` is, or would be.
    pub(crate) fn hash(&self, key: &TemporaryExposureKey) -> KeyHash {
        KeyHash(self.hasher.hash_one(key.as_bytes()))
    }

    /// Rows that may hold the key. Allocates nothing when there are none, which is the common case.
    pub(crate) fn candidates(&self, hash: KeyHash) -> Vec<RowId> {
        self.shards[hash.shard()].read().candidates(hash.tag())
    }

    /// Adds a row. The caller made sure that the key is not there.
    pub(crate) fn insert(&self, hash: KeyHash, id: RowId) {
        self.shards[hash.shard()].write().insert(hash.tag(), id);
        self.used.fetch_add(1, Ordering::Relaxed);
    }

    /// Removes a row; whether it was there.
    pub(crate) fn remove(&self, hash: KeyHash, id: RowId) -> bool {
        let removed = self.shards[hash.shard()].write().remove(hash.tag(), id);
        if removed {
            self.used.fetch_sub(1, Ordering::Relaxed);
        }
        removed
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes of all slots.
    #[cfg(test)]
    pub(crate) fn memory_bytes(&self) -> usize {
        self.shards.iter().map(|shard| size_of::<RwLock<Shard>>() + shard.read().slots.len() * size_of::<u64>()).sum()
    }
}

/// A sorted array with gaps. Slots are in the order of their tags, and none stands before its home, which is where its
/// tag would stand if all were spread evenly. So a search for a key that is not there, as nearly all are, ends after a
/// slot or two, and growing and deleting need no key.
#[derive(Debug, Default)]
struct Shard {
    /// `homes` of them, and a few behind for those pushed past the last home.
    slots: Vec<u64>,
    homes: usize,
    used: usize,
}

impl Shard {
    fn candidates(&self, tag: u64) -> Vec<RowId> {
        let mut found = Vec::new();
        for slot in &self.slots[self.home(tag)..] {
            let slot_tag = *slot >> RowId::BITS;
            if *slot == EMPTY || slot_tag > tag {
                break;
            }
            if slot_tag == tag {
                found.extend(RowId::from_low_bits(*slot));
            }
        }
        found
    }

    fn insert(&mut self, tag: u64, id: RowId) {
        // Load 0.85 at most: beyond it the stretches without a gap, which an insert moves, get long. Small steps cost
        // more moves and keep the average load at 0.79.
        if (self.used + 1) * 20 > self.homes * 17 {
            self.resize((self.homes * 23 / 20 + 1).max(SMALLEST_SHARD));
        }
        let slot = (tag << RowId::BITS) | id.get();
        let mut at = self.home(tag);
        while self.slot(at) != EMPTY && self.slot(at) < slot {
            at += 1;
        }
        let mut gap = at;
        while self.slot(gap) != EMPTY {
            gap += 1;
        }
        self.reach(gap);
        self.slots.copy_within(at..gap, at + 1);
        self.slots[at] = slot;
        self.used += 1;
    }

    fn remove(&mut self, tag: u64, id: RowId) -> bool {
        let wanted = (tag << RowId::BITS) | id.get();
        let mut at = self.home(tag);
        while self.slot(at) != wanted {
            if self.slot(at) == EMPTY || self.slot(at) > wanted {
                return false;
            }
            at += 1;
        }
        // Whoever was pushed past its home moves back by one.
        let mut end = at + 1;
        while self.slot(end) != EMPTY && self.home(self.slot(end) >> RowId::BITS) < end {
            end += 1;
        }
        self.slots.copy_within(at + 1..end, at);
        self.slots[end - 1] = EMPTY;
        self.used -= 1;
        if self.homes > SMALLEST_SHARD && self.used * 2 < self.homes {
            self.resize((self.used * 4 / 3 + 1).max(SMALLEST_SHARD));
        }
        true
    }

    fn resize(&mut self, homes: usize) {
        let old = std::mem::replace(&mut self.slots, vec![EMPTY; homes + SPILL]);
        self.homes = homes;
        let mut free = 0;
        for slot in old.into_iter().filter(|slot| *slot != EMPTY) {
            let at = self.home(slot >> RowId::BITS).max(free);
            self.reach(at);
            self.slots[at] = slot;
            free = at + 1;
        }
    }

    /// What is past the end is a gap.
    fn slot(&self, at: usize) -> u64 {
        self.slots.get(at).copied().unwrap_or(EMPTY)
    }

    /// Makes room for a slot past the last home. Rare, and short.
    fn reach(&mut self, at: usize) {
        if at >= self.slots.len() {
            self.slots.reserve_exact(at + SPILL - self.slots.len());
            self.slots.resize(at + SPILL, EMPTY);
        }
    }

    /// Spreads the tags evenly over the homes.
    fn home(&self, tag: u64) -> usize {
        // The product stays below 2^64 (a shard has fewer than 2^46 slots), the quotient below the number of homes.
        ((tag * self.homes as u64) >> TAG_BITS) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Reproducible numbers.
    struct Numbers(u64);

    impl Numbers {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) ^ (self.0 << 20)
        }
    }

    fn id(number: u64) -> RowId {
        RowId::from_low_bits(number + 1).expect("small")
    }

    fn key(number: u64) -> TemporaryExposureKey {
        TemporaryExposureKey::from_words(number, !number)
    }

    #[test]
    fn every_key_is_found_and_no_removed_one_is() {
        let index = KeyIndex::new();
        for number in 0..100_000 {
            index.insert(index.hash(&key(number)), id(number));
        }
        for number in (0..100_000).step_by(3) {
            assert!(index.remove(index.hash(&key(number)), id(number)));
            assert!(!index.remove(index.hash(&key(number)), id(number)));
        }
        for number in 0..100_000 {
            let found = index.candidates(index.hash(&key(number))).contains(&id(number));
            assert_eq!(found, number % 3 != 0, "key {number}");
        }
        assert_eq!(index.len(), 100_000 - 33_334);
    }

    /// One shard, few tags, many removals: long stretches without a gap, at both ends.
    #[test]
    fn shard_agrees_with_a_map_under_random_inserts_and_removals() {
        for seed in 0..200 {
            let mut numbers = Numbers(seed);
            let mut shard = Shard::default();
            let mut model: HashMap<u64, u64> = HashMap::new();
            let tags = [1 << TAG_BITS, 40, 3][usize::try_from(seed % 3).expect("small")];
            for step in 0..600 {
                let tag =
                    if seed % 2 == 0 { numbers.next() % tags } else { (1 << TAG_BITS) - 1 - numbers.next() % tags };
                let tag = tag % (1 << TAG_BITS);
                if numbers.next() % 5 < 3 {
                    shard.insert(tag, id(step));
                    model.insert(step, tag);
                } else if let Some((&step, &tag)) =
                    model.iter().nth(usize::try_from(numbers.next() % 7).expect("small"))
                {
                    assert!(shard.remove(tag, id(step)));
                    assert!(!shard.remove(tag, id(step)));
                    model.remove(&step);
                }
                assert_eq!(shard.used, model.len());
            }
            for (&step, &tag) in &model {
                assert!(shard.candidates(tag).contains(&id(step)), "seed {seed}");
            }
            let slots: Vec<u64> = shard.slots.iter().copied().filter(|slot| *slot != EMPTY).collect();
            assert_eq!(slots.len(), model.len());
            assert!(slots.is_sorted(), "seed {seed}");
        }
    }

    #[test]
    fn index_takes_eleven_bytes_a_key_at_most_and_gives_memory_back() {
        let index = KeyIndex::new();
        for number in 0..1_000_000 {
            index.insert(index.hash(&key(number)), id(number));
        }
        let full = index.memory_bytes();
        assert!(full <= 11_000_000, "{full} bytes for a million keys");
        for number in 0..900_000 {
            index.remove(index.hash(&key(number)), id(number));
        }
        assert!(index.memory_bytes() < full / 5, "{} bytes for a tenth", index.memory_bytes());
    }

    #[test]
    fn keys_spread_evenly_over_shards() {
        let index = KeyIndex::new();
        for number in 0..400_000 {
            index.insert(index.hash(&key(number)), id(number));
        }
        let largest = index.shards.iter().map(|shard| shard.read().used).max().expect("shards");
        assert!(largest < 200, "{largest} keys in a shard, 98 on average");
    }
}
