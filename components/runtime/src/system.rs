//! The C library's system functions, as far as the standard library calls them, without a system.
//!
//! A panic in the standard library looks up the environment (`RUST_BACKTRACE`), the working directory and standard error.
//! The C library's versions of these pull in twenty imports (environment, standard streams, terminals), which a
//! component of ours never uses, which whoever grants its imports has to look through, and which cost time in every
//! instance (`docs/benchmarks.md`). The functions here are found first, so the C library's are left out.
//!
//! A panic then ends in a trap without a message. Our host gives components no output anyway, and a message could hold
//! what a phone sent.

#![expect(unsafe_code, reason = "replaces functions of the C library")]

use std::ffi::{c_char, c_int, c_void};

/// Writes to nowhere, and says that all was written.
#[unsafe(no_mangle)]
extern "C" fn write(_descriptor: c_int, _bytes: *const c_void, count: usize) -> isize {
    isize::try_from(count).unwrap_or(isize::MAX)
}

/// Nothing is in the environment.
#[unsafe(no_mangle)]
extern "C" fn getenv(_name: *const c_char) -> *mut c_char {
    std::ptr::null_mut()
}

/// There is no working directory.
#[unsafe(no_mangle)]
extern "C" fn getcwd(_buffer: *mut c_char, _size: usize) -> *mut c_char {
    std::ptr::null_mut()
}

/// Traps.
#[unsafe(no_mangle)]
extern "C" fn abort() -> ! {
    core::arch::wasm32::unreachable()
}
