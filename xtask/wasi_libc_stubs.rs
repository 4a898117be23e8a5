//! C functions that Rust's standard library refers to and the wasi-libc of 2022 does not have: threads, `realpath` and
//! sockets. Each reports failure, which Rust turns into an `io::Error`. Components call none of them; they must link.
//!
//! Compiled by `cargo xtask setup` into the fallback's C library; not a part of any crate.
#![no_std]

use core::ffi::{c_char, c_int, c_void};
use core::ptr;

/// WASI's error code for what is not supported.
const NOT_SUPPORTED: c_int = 58;
/// `EAI_FAIL` of wasi-libc: a name cannot be resolved, now or later.
const NAME_FAILURE: c_int = -4;

/// A C function that takes whatever is listed and returns always the same.
macro_rules! stub {
    ($name:ident($($argument:ty),*) -> $result:ty = $value:expr) => {
        #[unsafe(no_mangle)]
        pub extern "C" fn $name($(_: $argument),*) -> $result {
            $value
        }
    };
}

type Any = *mut c_void;
type Text = *const c_char;
type Size = usize;

// Attributes of a thread that is never made.
stub!(pthread_attr_init(Any) -> c_int = 0);
stub!(pthread_attr_setstacksize(Any, Size) -> c_int = 0);
stub!(pthread_attr_destroy(Any) -> c_int = 0);
stub!(pthread_create(Any, Any, Any, Any) -> c_int = NOT_SUPPORTED);
stub!(pthread_join(Any, Any) -> c_int = NOT_SUPPORTED);
stub!(pthread_detach(Any) -> c_int = NOT_SUPPORTED);

stub!(realpath(Text, Any) -> *mut c_char = ptr::null_mut());

stub!(getaddrinfo(Text, Text, Any, Any) -> c_int = NAME_FAILURE);
stub!(gai_strerror(c_int) -> Text = c"not supported".as_ptr());

#[unsafe(no_mangle)]
pub extern "C" fn freeaddrinfo(_: Any) {}

stub!(socket(c_int, c_int, c_int) -> c_int = -1);
stub!(bind(c_int, Any, u32) -> c_int = -1);
stub!(listen(c_int, c_int) -> c_int = -1);
stub!(connect(c_int, Any, u32) -> c_int = -1);
stub!(getsockname(c_int, Any, Any) -> c_int = -1);
stub!(getpeername(c_int, Any, Any) -> c_int = -1);
stub!(setsockopt(c_int, c_int, c_int, Any, u32) -> c_int = -1);
stub!(sendto(c_int, Any, Size, c_int, Any, u32) -> isize = -1);
stub!(recvfrom(c_int, Any, Size, c_int, Any, Any) -> isize = -1);
