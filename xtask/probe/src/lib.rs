//! Ground and field, linked without an operating system.
//!
//! This library has a panic handler and an allocator of its own, and calls into each crate
//! that must be free of `std`. It is built by `cargo xtask probe` and run by nobody: that it
//! builds is the proof.
#![no_std]

#[cfg(feature = "control")]
extern crate std;

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicUsize, Ordering};

use audit::proof::Receipt;
use card::memory::{Memory, MemoryFault, PAGE_BYTES};
use card::{Card, ENTROPY_BYTES};
use credential::crypto::{Crypto, P256Secret};
use credential::mdoc::{self, Expectation};
use credential::rustcrypto::RustCrypto;
use credential::x509::TrustAnchors;
use presentation::engagement;
use presentation::standard::message::Offer;
use reader::journal::Event;
use vocabulary::time::Instant;
use wallet as _;

const HEAP_BYTES: usize = 64 * 1024;

/// Memory that is handed out once and never taken back: enough for a probe.
struct Heap {
    bytes: UnsafeCell<[u8; HEAP_BYTES]>,
    used: AtomicUsize,
}

// SAFETY: `used` hands out each byte at most once.
unsafe impl Sync for Heap {}

// SAFETY: each block lies inside `bytes`, is aligned as asked, and overlaps no other.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let begin = self.bytes.get() as usize;
        let take = |used: usize| {
            let at = (begin + used).next_multiple_of(layout.align()) - begin;
            let end = at.checked_add(layout.size())?;
            (end <= HEAP_BYTES).then_some(end)
        };
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(used) => {
                let at = (begin + used).next_multiple_of(layout.align()) - begin;
                self.bytes.get().cast::<u8>().wrapping_add(at)
            }
            Err(_) => core::ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, _block: *mut u8, _layout: Layout) {}
}

#[global_allocator]
static HEAP: Heap = Heap { bytes: UnsafeCell::new([0; HEAP_BYTES]), used: AtomicUsize::new(0) };

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// Takes an instant and 128 bytes at `input`, and gives back how many of the crates found
/// their input good.
///
/// # Safety
/// `input` points to 128 readable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn limen_probe(at_micros: i64, input: *const u8) -> usize {
    // SAFETY: the caller promises 128 readable bytes.
    let input = unsafe { core::slice::from_raw_parts(input, 128) };
    let found = [
        is_document(input, Instant::from_unix_micros(at_micros)),
        is_signed(input),
        engagement::parse(input).is_ok(),
        Offer::parse(input).is_ok(),
        Receipt::parse(input).is_ok(),
        Event::decode(input).is_ok(),
        is_answered(input),
    ];
    found.iter().filter(|good| **good).count()
}

fn is_document(input: &[u8], at: Instant) -> bool {
    let anchors = TrustAnchors::new();
    let expectation =
        Expectation { crypto: &RustCrypto, anchors: &anchors, at, doc_type: None, session: None };
    mdoc::verify_issuer_signed(input, &expectation, None).is_ok()
}

/// A memory of nothing but zeros, which holds no card.
struct Zeros;

impl Memory for Zeros {
    fn read(&self, _page: usize) -> Result<[u8; PAGE_BYTES], MemoryFault> {
        Ok([0; PAGE_BYTES])
    }

    fn write(&mut self, _page: usize, _bytes: &[u8; PAGE_BYTES]) -> Result<(), MemoryFault> {
        Err(MemoryFault)
    }

    fn settle(&mut self) -> Result<(), MemoryFault> {
        Err(MemoryFault)
    }
}

fn is_answered(input: &[u8]) -> bool {
    let card = Card::open(Zeros, &RustCrypto);
    card.is_ok_and(|mut card| !card.command(&RustCrypto, &[0; ENTROPY_BYTES], input).is_empty())
}

fn is_signed(input: &[u8]) -> bool {
    let mut secret = [0; 32];
    secret.iter_mut().zip(input).for_each(|(to, from)| *to = *from);
    RustCrypto.p256_sign(&P256Secret::from_bytes(secret), input).is_ok()
}
