//! The threads that call the token, so that no asynchronous task waits inside a foreign library.
//!
//! Work waits in one queue of at most [`QUEUE_MAX`]; past that it is refused at once, because a token
//! that is behind by so much will not answer in time. Work whose caller has gone is not begun.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use tokio::sync::oneshot;

/// Pieces of work that wait for a thread.
pub const QUEUE_MAX: usize = 1024;

type Work = Box<dyn FnOnce() + Send>;

/// Threads and their queue. Dropping it finishes what is queued and ends the threads.
pub(crate) struct Signers {
    queue: Option<SyncSender<Work>>,
    threads: Vec<JoinHandle<()>>,
}

impl Signers {
    pub(crate) fn start(count: usize, label: &str) -> io::Result<Self> {
        let (queue, waiting) = sync_channel::<Work>(QUEUE_MAX);
        let waiting = Arc::new(Mutex::new(waiting));
        let name = format!("token {label}");
        let threads = (0..count)
            .map(|_| {
                let waiting = Arc::clone(&waiting);
                Builder::new().name(name.clone()).spawn(move || serve(&waiting))
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { queue: Some(queue), threads })
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

    /// Has `work` done without an answer. Whether there was room in the queue.
    pub(crate) fn tell(&self, work: impl FnOnce() + Send + 'static) -> bool {
        self.queue.as_ref().is_some_and(|queue| match queue.try_send(Box::new(work)) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        })
    }
}

fn serve(waiting: &Mutex<Receiver<Work>>) {
    loop {
        // One thread waits in the queue, the others for the lock: no work is taken twice.
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(work) => work(),
            Err(_) => return,
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
        let gate = Arc::new((Barrier::new(2), Barrier::new(2)));
        let inside = Arc::clone(&gate);
        assert!(signers.tell(move || {
            inside.0.wait();
            inside.1.wait();
        }));
        // The thread is busy from here on; the queue is empty.
        gate.0.wait();
        let answers: Vec<_> = (0..QUEUE_MAX).map(|n| signers.ask(move || n).unwrap()).collect();
        assert!(signers.ask(|| ()).is_none());
        gate.1.wait();
        for (n, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer.blocking_recv(), Ok(n));
        }
        assert!(signers.ask(|| ()).is_some());
    }
}
