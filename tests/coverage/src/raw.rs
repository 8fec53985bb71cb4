//! LLVM's raw profile, as LLVM's own run-time library in C writes it to a file.
//!
//! There is no such library for wasm32-unknown-unknown. The compiler puts counters,
//! names and records into sections, the linker says where these begin and end, and a
//! profile is these sections behind a header.

use std::slice;

/// The version of the format that LLVM 20 to 22 write. `llvm-profdata` of another
/// version refuses the profile and says so.
const VERSION: u64 = 10;
/// `\xfflprofR\x81`, the mark of a profile with 32-bit pointers.
const MAGIC: u64 = u64::from_be_bytes(*b"\xfflprofR\x81");
/// The size of one record of `__llvm_prf_data` where pointers have 32 bits.
const RECORD: usize = 48;

/// The compiler refers to this name to make LLVM's library part of a program.
#[unsafe(no_mangle)]
static __llvm_profile_runtime: u8 = 0;

/// A section's first byte and its length.
macro_rules! section {
    ($start:ident, $stop:ident) => {{
        unsafe extern "C" {
            static mut $start: u8;
            static mut $stop: u8;
        }
        let (start, stop) = (&raw mut $start, &raw mut $stop);
        (start, stop as usize - start as usize)
    }};
}

/// Copies the counters and sets them to zero.
pub(crate) fn take() -> Vec<u8> {
    let (data, data_len) = section!(__start___llvm_prf_data, __stop___llvm_prf_data);
    let (counters, counters_len) = section!(__start___llvm_prf_cnts, __stop___llvm_prf_cnts);
    let (names, names_len) = section!(__start___llvm_prf_names, __stop___llvm_prf_names);
    let from_data = |to: *mut u8| (to as usize).wrapping_sub(data as usize) as u64;
    let header = [
        MAGIC,
        VERSION,
        0, // the length of the binary's ids
        (data_len / RECORD) as u64,
        0, // padding before the counters
        (counters_len / 8) as u64,
        0, // padding after the counters
        0, // the length of the bitmap
        0, // padding after the bitmap
        names_len as u64,
        from_data(counters),
        from_data(std::ptr::null_mut()),
        names as usize as u64,
        0, // virtual tables
        0, // their names
        2, // the highest kind of value
    ];
    let mut raw: Vec<u8> = header.iter().flat_map(|field| field.to_le_bytes()).collect();
    // SAFETY: the linker made the sections and their ends, they lie in this module's
    // memory for as long as it runs, and this module has one thread, so nothing counts
    // while they are read and set.
    unsafe {
        raw.extend_from_slice(slice::from_raw_parts(data, data_len));
        raw.extend_from_slice(slice::from_raw_parts(counters, counters_len));
        raw.extend_from_slice(slice::from_raw_parts(names, names_len));
        counters.write_bytes(0, counters_len);
    }
    raw.resize(raw.len().next_multiple_of(8), 0);
    raw
}
