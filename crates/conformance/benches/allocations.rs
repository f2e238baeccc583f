//! How often a verification asks for memory: from the sealed message to the decision, for documents
//! of 1 to 512 elements.
#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    unreachable_pub,
    missing_docs,
    reason = "a benchmark may panic, and uses a part of what all share"
)]
#![allow(unsafe_code, reason = "an allocator that counts is an allocator")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU32, Ordering};

use support::city::City;
use support::door::Gate;
use support::licence::{Order, Presentation, elements, many_elements};
use support::measure::{Bench, Direction};

static ALLOCATIONS: AtomicU32 = AtomicU32::new(0);

/// The allocator of the system, with a count of what is asked of it. What grows in place counts, too.
struct Counting;

// SAFETY: every call is handed on as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and `pointer` is of `System`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `realloc`, and `pointer` is of `System`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    let city = City::new();
    let gate = Gate::new(&city);
    let licences = [many_elements(1), many_elements(6), elements(), many_elements(512)];
    let counts = licences.map(|elements| {
        let names: Vec<String> = elements.iter().map(|(name, _)| name.clone()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let licence = Order::of(elements).issue(&city);
        let presentation = Presentation::new(&city, &licence, &names);
        let mut channels = presentation.channels(2);
        gate.judge(&presentation, channels.pop().unwrap(), None);
        let channel = channels.pop().unwrap();
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        gate.judge(&presentation, channel, None);
        let count = ALLOCATIONS.load(Ordering::Relaxed) - before;
        eprintln!("verify_allocations of {} elements: {count}", names.len());
        count
    });
    let most = f64::from(counts.into_iter().max().unwrap_or(0));
    Bench {
        name: "verify_allocations",
        value: most,
        baseline: 1.0,
        ratio: most,
        goal: 40.0,
        direction: Direction::AtMost,
    }
    .report();
}
