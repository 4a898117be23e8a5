//! The allocator of the components.
//!
//! An instance lives for one request, so most of what it allocates need never be freed. The first half megabyte comes
//! from an arena in the component's initial memory by moving a pointer: no search, and no `memory.grow`, which costs the
//! host two changes of page protection for each instance. What does not fit, and all that a long job needs, comes from
//! the standard allocator. `docs/benchmarks.md` has what it gains.

#![expect(unsafe_code, reason = "an allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, UnsafeCell};

const ARENA_BYTES: usize = 512 * 1024;

/// Allocates from the arena first.
#[derive(Debug)]
pub struct ArenaAllocator {
    arena: UnsafeCell<[u8; ARENA_BYTES]>,
    /// Offset of the first free byte.
    free: Cell<usize>,
    /// Offset where the newest block starts, which alone can grow, shrink and be given back.
    newest: Cell<usize>,
}

// Safety: components have one thread.
unsafe impl Sync for ArenaAllocator {}

impl ArenaAllocator {
    /// With an empty arena.
    pub const fn new() -> Self {
        Self { arena: UnsafeCell::new([0; ARENA_BYTES]), free: Cell::new(0), newest: Cell::new(0) }
    }

    fn base(&self) -> *mut u8 {
        self.arena.get().cast()
    }

    /// Offset of a block in the arena; `None` if the standard allocator made it.
    fn offset(&self, block: *mut u8) -> Option<usize> {
        let offset = block.addr().wrapping_sub(self.base().addr());
        (offset < ARENA_BYTES).then_some(offset)
    }
}

impl Default for ArenaAllocator {
    fn default() -> Self {
        Self::new()
    }
}

// Safety: blocks of the arena are disjoint (`free` only moves past them, and back only over the newest), aligned (the
// padding is computed from the address) and inside it (checked); all other blocks are the standard allocator's.
unsafe impl GlobalAlloc for ArenaAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let free = self.free.get();
        // Safety: `free` is at most the length of the arena.
        let padding = unsafe { self.base().add(free) }.align_offset(layout.align());
        let start = free.saturating_add(padding);
        match start.checked_add(layout.size()) {
            Some(end) if end <= ARENA_BYTES => {
                self.newest.set(start);
                self.free.set(end);
                // Safety: `start` is inside the arena.
                unsafe { self.base().add(start) }
            }
            // Safety: the caller's promises are those the standard allocator asks for.
            Some(_) | None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match self.offset(block) {
            Some(offset) if offset == self.newest.get() && offset + layout.size() == self.free.get() => {
                self.free.set(offset);
            }
            Some(_) => {}
            // Safety: the block is not the arena's, so the standard allocator made it.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let Some(offset) = self.offset(block) else {
            // Safety: the block is not the arena's, so the standard allocator made it.
            return unsafe { System.realloc(block, layout, new_size) };
        };
        let is_newest = offset == self.newest.get() && offset + layout.size() == self.free.get();
        if is_newest && let Some(end) = offset.checked_add(new_size).filter(|end| *end <= ARENA_BYTES) {
            self.free.set(end);
            return block;
        }
        if new_size <= layout.size() {
            return block;
        }
        // Safety: the caller promises that the new size is valid for this alignment.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // Safety: as above; both blocks are valid for the old size, which is the smaller, and they are disjoint.
        unsafe {
            let new_block = self.alloc(new_layout);
            if !new_block.is_null() {
                std::ptr::copy_nonoverlapping(block, new_block, layout.size());
            }
            new_block
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 16).expect("a layout")
    }

    #[test]
    fn blocks_are_disjoint_aligned_and_keep_their_content() {
        let arena = Box::new(ArenaAllocator::new());
        let mut blocks = Vec::new();
        for size in [1usize, 7, 16, 100, 4096, 70_000] {
            // Safety: the size is not zero.
            let block = unsafe { arena.alloc(layout(size)) };
            assert!(block.addr().is_multiple_of(16) && arena.offset(block).is_some());
            // Safety: the block has that size.
            unsafe { block.write_bytes(size as u8, size) };
            blocks.push((block, size));
        }
        for (block, size) in blocks {
            // Safety: the block was filled above.
            let content = unsafe { std::slice::from_raw_parts(block, size) };
            assert!(content.iter().all(|byte| *byte == size as u8), "{size}");
        }
    }

    #[test]
    fn newest_block_grows_in_place_and_is_given_back() {
        let arena = Box::new(ArenaAllocator::new());
        // Safety: sizes are not zero, and each block is used with the layout it has.
        unsafe {
            let first = arena.alloc(layout(64));
            let grown = arena.realloc(first, layout(64), 1000);
            assert_eq!(grown, first);
            let second = arena.alloc(layout(64));
            let moved = arena.realloc(first, layout(1000), 2000);
            assert_ne!(moved, first, "an older block has to move");
            arena.dealloc(moved, layout(2000));
            assert_eq!(arena.alloc(layout(10)), moved, "the newest block was given back");
            arena.dealloc(second, layout(64));
        }
    }

    #[test]
    fn what_does_not_fit_comes_from_the_standard_allocator() {
        let arena = Box::new(ArenaAllocator::new());
        // Safety: sizes are not zero, and each block is used with the layout it has.
        unsafe {
            let large = arena.alloc(layout(ARENA_BYTES + 1));
            assert!(arena.offset(large).is_none());
            let larger = arena.realloc(large, layout(ARENA_BYTES + 1), 2 * ARENA_BYTES);
            arena.dealloc(larger, layout(2 * ARENA_BYTES));
            let small = arena.alloc(layout(ARENA_BYTES - 64));
            small.write(42);
            let moved = arena.realloc(small, layout(ARENA_BYTES - 64), ARENA_BYTES + 64);
            assert!(arena.offset(moved).is_none());
            assert_eq!(moved.read(), 42);
            arena.dealloc(moved, layout(ARENA_BYTES + 64));
        }
    }
}
