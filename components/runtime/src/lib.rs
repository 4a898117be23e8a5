//! What every component of ours is linked with: an allocator for instances that live for one call, and the C library
//! without a system. Whoever depends on this crate, and says so with `use tocsin_runtime as _`, gets both.

#![warn(missing_docs)]

pub mod arena;
#[cfg(target_family = "wasm")]
mod system;

#[cfg(target_family = "wasm")]
#[global_allocator]
static ALLOCATOR: arena::ArenaAllocator = arena::ArenaAllocator::new();
