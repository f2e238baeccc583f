//! The threads that call the token, so that no asynchronous task waits inside a foreign library.
//!
//! Work waits in one queue of at most [`QUEUE_MAX`]; past that it is refused at once, because a token
//! that is behind by so much will not answer in time. Work whose caller has gone is not begun.
//!
//! To wake a caller may cost a third of what a soft token's signature costs, and the token waits
//! meanwhile. While more work waits than a thread holds back, it therefore signs on, and then hands out
//! several signatures at once: one wake-up serves them all.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// Pieces of work that wait for a thread.
pub const QUEUE_MAX: usize = 1024;
/// Signatures that a thread holds back.
pub const HELD_MAX: usize = 8;
/// A signature that took longer is handed out at once, with those that were held back.
pub const BRIEF: Duration = Duration::from_micros(250);

/// Hands the outcome to the caller.
type Answer = Box<dyn FnOnce() + Send>;

enum Work {
    /// Its answer may be held back.
    Signature(Box<dyn FnOnce() -> Answer + Send>),
    /// Every answer is out before it begins, for it may take long.
    Other(Box<dyn FnOnce() + Send>),
}

/// Threads and their queue. Dropping it finishes what is queued and ends the threads.
pub(crate) struct Signers {
    queue: Option<SyncSender<Work>>,
    waiting: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
}

impl Signers {
    pub(crate) fn start(count: usize, label: &str) -> io::Result<Self> {
        let (queue, works) = sync_channel::<Work>(QUEUE_MAX);
        let works = Arc::new(Mutex::new(works));
        let waiting = Arc::new(AtomicUsize::new(0));
        let name = format!("token {label}");
        let threads = (0..count)
            .map(|_| {
                let queue = Queue { works: Arc::clone(&works), waiting: Arc::clone(&waiting) };
                Builder::new().name(name.clone()).spawn(move || serve(&queue))
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { queue: Some(queue), waiting, threads })
    }

    /// Has `work` done by one of the threads. `None` when the queue is full.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<oneshot::Receiver<T>> {
        let (answer, answered) = oneshot::channel();
        self.tell(move || {
            if !answer.is_closed() {
                // Who asked may be gone by now.
                let _ = answer.send(work());
            }
        })
        .then_some(answered)
    }

    /// As [`Signers::ask`], for a signature.
    pub(crate) fn sign<T: Send + 'static>(
        &self,
        sign: impl FnOnce() -> T + Send + 'static,
    ) -> Option<oneshot::Receiver<T>> {
        let (answer, answered) = oneshot::channel();
        self.queue(Work::Signature(Box::new(move || {
            let signed = (!answer.is_closed()).then(sign);
            Box::new(move || {
                if let Some(signed) = signed {
                    // Who asked may be gone by now.
                    let _ = answer.send(signed);
                }
            })
        })))
        .then_some(answered)
    }

    /// Has `work` done without an answer. Whether there was room in the queue.
    pub(crate) fn tell(&self, work: impl FnOnce() + Send + 'static) -> bool {
        self.queue(Work::Other(Box::new(work)))
    }

    fn queue(&self, work: Work) -> bool {
        let Some(queue) = &self.queue else { return false };
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let is_queued = queue.try_send(work).is_ok();
        if !is_queued {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        is_queued
    }
}

/// The end of the queue where the threads take work.
struct Queue {
    works: Arc<Mutex<Receiver<Work>>>,
    waiting: Arc<AtomicUsize>,
}

impl Queue {
    fn next_at_once(&self) -> Option<Work> {
        // Where another thread has the lock it waits for work: there is none.
        let work = self.works.try_lock().ok()?.try_recv().ok()?;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        Some(work)
    }

    /// `None` when there will be no more.
    fn next(&self) -> Option<Work> {
        // One thread waits in the queue, the others for the lock: no work is taken twice.
        let work = self.works.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()?;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        Some(work)
    }
}

/// Signatures that a thread holds back. Dropping it hands them out, even where the thread panics.
#[derive(Default)]
struct Held(Vec<Answer>);

impl Held {
    /// Whether to hand out after a signature that took so long, while so many pieces of work wait. To
    /// hold back more than wait would leave the thread idle before the callers ask again.
    fn are_due(&self, waiting: usize, took: Duration) -> bool {
        self.0.len() >= waiting.min(HELD_MAX) || took > BRIEF
    }

    fn hand_out(&mut self) {
        self.0.drain(..).for_each(|answer| answer());
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.hand_out();
    }
}

fn serve(queue: &Queue) {
    let mut held = Held::default();
    loop {
        let work = queue.next_at_once().or_else(|| {
            held.hand_out();
            queue.next()
        });
        match work {
            Some(Work::Signature(sign)) => {
                let begin = Instant::now();
                held.0.push(sign());
                if held.are_due(queue.waiting.load(Ordering::Relaxed), begin.elapsed()) {
                    held.hand_out();
                }
            }
            Some(Work::Other(work)) => {
                held.hand_out();
                work();
            }
            None => return,
        }
    }
}

impl Drop for Signers {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn queue_takes_its_limit_and_not_one_more() {
        let signers = Signers::start(1, "test").unwrap();
        // The queue is empty while the thread is busy.
        let gate = busy(&signers);
        let answers: Vec<_> = (0..QUEUE_MAX).map(|n| signers.ask(move || n).unwrap()).collect();
        assert!(signers.ask(|| ()).is_none());
        gate.wait();
        for (n, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer.blocking_recv(), Ok(n));
        }
        assert!(signers.ask(|| ()).is_some());
    }

    /// Keeps the thread busy until somebody waits at the answer.
    fn busy(signers: &Signers) -> Arc<Barrier> {
        let gate = Arc::new(Barrier::new(2));
        let inside = Arc::clone(&gate);
        assert!(signers.tell(move || {
            inside.wait();
            inside.wait();
        }));
        gate.wait();
        gate
    }

    #[test]
    fn signatures_are_held_back_while_more_are_asked_for_than_held() {
        let check = |held: usize, waiting, took, due| {
            let answers = (0..held).map(|_| Box::new(|| ()) as Answer).collect();
            assert_eq!(Held(answers).are_due(waiting, took), due, "{held} {waiting} {took:?}");
        };
        let more = Duration::from_nanos(1);
        check(1, 0, BRIEF, true);
        check(1, 1, BRIEF, true);
        check(1, 2, BRIEF, false);
        check(1, 2, BRIEF + more, true);
        check(HELD_MAX - 1, QUEUE_MAX, BRIEF, false);
        check(HELD_MAX, QUEUE_MAX, BRIEF, true);
    }

    #[test]
    fn every_signature_is_handed_out() {
        let signers = Signers::start(2, "test").unwrap();
        for count in 1..=4 * HELD_MAX {
            let answers: Vec<_> = (0..count).map(|n| signers.sign(move || n).unwrap()).collect();
            for (n, answer) in answers.into_iter().enumerate() {
                assert_eq!(answer.blocking_recv(), Ok(n));
            }
        }
        assert_eq!(signers.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn other_work_begins_after_every_signature_is_out() {
        let signers = Signers::start(1, "test").unwrap();
        let gate = busy(&signers);
        let mut before: Vec<_> = (0..3).map(|n| signers.sign(move || n).unwrap()).collect();
        let out = signers.ask(move || before.iter_mut().all(|answer| answer.try_recv().is_ok()));
        let _after: Vec<_> = (0..HELD_MAX).map(|n| signers.sign(move || n).unwrap()).collect();
        gate.wait();
        assert_eq!(out.unwrap().blocking_recv(), Ok(true));
    }

    #[test]
    fn signature_is_handed_out_even_where_the_next_one_panics() {
        let signers = Signers::start(1, "test").unwrap();
        let gate = busy(&signers);
        let good = signers.sign(|| 1).unwrap();
        let bad = signers.sign(|| -> u8 { panic!("on purpose") }).unwrap();
        let unserved = signers.sign(|| 3).unwrap();
        gate.wait();
        assert_eq!(good.blocking_recv(), Ok(1));
        assert!(bad.blocking_recv().is_err());
        assert!(unserved.blocking_recv().is_err());
        assert!(signers.sign(|| 4).is_none());
    }

    #[test]
    fn signature_is_not_made_for_a_caller_that_has_gone() {
        let signers = Signers::start(1, "test").unwrap();
        let gate = busy(&signers);
        drop(signers.sign(|| panic!("nobody asked")));
        let next = signers.sign(|| 2).unwrap();
        gate.wait();
        assert_eq!(next.blocking_recv(), Ok(2));
    }
}
