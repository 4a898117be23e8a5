//! A timer for waits of a few milliseconds. The runtime's has steps of one millisecond, and real answers take one to five:
//! an observer would see the steps.

use parking_lot::{Condvar, Mutex};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Chaff that may wait at a time. Each takes a connection and a few hundred bytes, for one second at most by default.
const MAX_WAITING: usize = 4_096;

/// The estimate of how late waits end moves by this with each of them.
const STEP_NANOSECONDS: u64 = 2_000;
/// It starts at what a quiet Linux takes, and is never more than the second figure: then the machine is busy, and real
/// answers are as late.
const TYPICAL_LATENESS_NANOSECONDS: u64 = 80_000;
const MAX_LATENESS_NANOSECONDS: u64 = 500_000;

/// A thread that ends waits, about 0.1 ms precise.
#[derive(Debug)]
pub(super) struct Timer {
    shared: Arc<Shared>,
    lateness: AtomicU64,
    max_waiting: usize,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    /// By end; the number tells apart those that end at the same time. The wait is told whether it was due.
    waiting: BTreeMap<(Instant, u64), oneshot::Sender<bool>>,
    next_number: u64,
    is_closed: bool,
}

impl Timer {
    /// Starts the thread, which ends with this value.
    pub(super) fn start() -> Self {
        Self::start_with(MAX_WAITING)
    }

    fn start_with(max_waiting: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        std::thread::Builder::new()
            .name("chaff-timer".to_owned())
            .spawn(move || of_thread.run())
            // Unwrap safety: a system that cannot start a thread cannot run a server; this is at start.
            .unwrap();
        Self { shared, lateness: AtomicU64::new(TYPICAL_LATENESS_NANOSECONDS), max_waiting }
    }

    /// Waits until `end`. When too many wait already, the one that would have ended next ends now: its answer is early by the
    /// least.
    pub(super) async fn wait_until(&self, end: Instant) {
        // A thread wakes a little after the time it asked for, and a task a little after that. What is left in the median
        // would be a constant difference between chaff and real answers, so it is subtracted.
        let lateness = Duration::from_nanos(self.lateness.load(Ordering::Relaxed));
        let Some(wake) = end.checked_sub(lateness).filter(|wake| *wake > Instant::now()) else { return };
        // The sender is dropped only when the server ends.
        if self.shared.wait(wake, self.max_waiting).await != Ok(true) {
            return;
        }
        let move_by = |lateness: u64| {
            let moved = if Instant::now() > end {
                lateness + STEP_NANOSECONDS
            } else {
                lateness.saturating_sub(STEP_NANOSECONDS)
            };
            Some(moved.min(MAX_LATENESS_NANOSECONDS))
        };
        self.lateness.fetch_update(Ordering::Relaxed, Ordering::Relaxed, move_by).ok();
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.shared.queue.lock().is_closed = true;
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn wait(&self, wake: Instant, max_waiting: usize) -> oneshot::Receiver<bool> {
        let (sender, receiver) = oneshot::channel();
        let mut queue = self.queue.lock();
        if queue.waiting.len() >= max_waiting {
            queue.end_next(false);
        }
        let number = queue.next_number;
        queue.next_number += 1;
        queue.waiting.insert((wake, number), sender);
        let is_first = queue.waiting.first_key_value().is_some_and(|(first, _)| *first == (wake, number));
        drop(queue);
        if is_first {
            self.changed.notify_one();
        }
        receiver
    }

    fn run(&self) {
        let mut queue = self.queue.lock();
        while !queue.is_closed {
            match queue.waiting.first_key_value().map(|((wake, _), _)| *wake) {
                Some(wake) if wake <= Instant::now() => queue.end_next(true),
                Some(wake) => {
                    self.changed.wait_until(&mut queue, wake);
                }
                None => self.changed.wait(&mut queue),
            }
        }
    }
}

impl Queue {
    fn end_next(&mut self, is_due: bool) {
        if let Some((_, sender)) = self.waiting.pop_first() {
            // A client that went away does not wait any more.
            sender.send(is_due).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_end_in_the_order_of_their_ends_and_not_before() {
        let timer = Timer::start();
        let now = Instant::now();
        let [last, mut first, mut second] =
            [30, 10, 20].map(|milliseconds| timer.shared.wait(now + Duration::from_millis(milliseconds), 3));
        assert_eq!(last.await, Ok(true));
        assert!(now.elapsed() >= Duration::from_millis(30));
        assert_eq!((first.try_recv(), second.try_recv()), (Ok(true), Ok(true)), "they had ended before");
    }

    #[tokio::test]
    async fn end_that_has_passed_is_not_waited_for() {
        let timer = Timer::start();
        timer.wait_until(Instant::now()).await;
        timer.wait_until(Instant::now() - Duration::from_millis(5)).await;
        assert!(timer.shared.queue.lock().waiting.is_empty());
    }

    #[tokio::test]
    async fn one_too_many_ends_the_wait_that_would_end_next() {
        let timer = Timer::start_with(2);
        let now = Instant::now();
        let hours = |hours: u64| now + Duration::from_secs(3600 * hours);
        let mut second = timer.shared.wait(hours(2), 2);
        let first = timer.shared.wait(hours(1), 2);
        let mut third = timer.shared.wait(hours(3), 2);
        assert_eq!(first.await, Ok(false), "it is ended, an hour early");
        assert!(second.try_recv().is_err() && third.try_recv().is_err(), "the others wait");
        assert_eq!(timer.shared.queue.lock().waiting.len(), 2);
    }

    #[tokio::test]
    async fn waits_end_with_the_timer() {
        let timer = Timer::start();
        let wait = timer.shared.wait(Instant::now() + Duration::from_secs(3600), 1);
        drop(timer);
        wait.await.expect_err("ended without being called");
    }
}
