//! The reader's end of the express tap asks for no memory, from the first answer to the written state.
//!
//! It stands alone, because the allocator that counts is that of the whole program.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests may panic"
)]
#![allow(unsafe_code, reason = "an allocator that counts is an allocator")]

#[path = "../suite/express_session.rs"]
mod express_session;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use credential::rustcrypto::RustCrypto;
use presentation::express::reader::{HandleOpener, KeysInMemory};

use express_session::Draw;

thread_local! {
    /// What this thread asked for; the harness has threads of its own.
    static ALLOCATIONS: Cell<u32> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is handed on as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and `pointer` is of `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations_of(work: impl FnOnce()) -> u32 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn a_gate_asks_for_no_memory() {
    let mut draw = Draw::new(6);
    let sessions = std::iter::repeat_with(|| draw.session());
    let sessions = sessions.filter(|session| session.has_handle && session.content.is_counted);
    for session in sessions.take(50) {
        let (outcome, _, log) = session.run(|_| {});
        assert!(outcome.is_ok());
        assert_eq!(log.len(), 4, "SELECT, OPEN, PROVE, COMMIT");
        let keys = [session.keys()];
        let prepared = vec![keys[0].prepare(&RustCrypto)];
        let in_memory = KeysInMemory { crypto: &RustCrypto, keys: &keys };
        let openers: [&dyn HandleOpener; 2] = [&in_memory, &prepared];
        for opener in openers {
            let mut gate = session.gate();
            let mut sent = 1;
            let count = allocations_of(|| {
                for exchange in &log {
                    let next = gate.step_with(&RustCrypto, opener, &exchange.answer).unwrap();
                    sent += u32::from(next.is_some());
                }
            });
            assert_eq!((count, sent), (0, 4));
        }
    }
}

#[test]
fn what_is_asked_for_is_counted() {
    assert_eq!(allocations_of(|| drop(std::hint::black_box(vec![0_u8; 10]))), 1);
}
