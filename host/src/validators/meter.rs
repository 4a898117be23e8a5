//! What a call costs, and where it ends.

use super::failure::{Failure, FailureKind};
use parking_lot::Mutex;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use wasmtime::ResourceLimiter;

/// Tables of all instances together may have this many elements: eight bytes each.
const MAX_TABLE_ELEMENTS: usize = 200_000;

/// Limits of one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallLimits {
    /// All linear memories together, in bytes.
    pub(super) memory_bytes: usize,
    /// Time spent executing.
    pub(super) compute: Duration,
    /// Units of fuel.
    pub(super) fuel: u64,
    /// Bytes passed to the host at once, in arguments or a result.
    pub(super) result_bytes: usize,
}

/// Measures the time a future runs, without the time it waits or others run. Clones share one measure.
#[derive(Clone, Debug, Default)]
pub(super) struct ComputeMeter(Arc<Mutex<Running>>);

#[derive(Debug, Default)]
struct Running {
    before: Duration,
    since: Option<Instant>,
}

impl ComputeMeter {
    /// The time so far; exact also when called from inside the future.
    pub(super) fn spent(&self) -> Duration {
        let running = self.0.lock();
        running.before + running.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Runs a future and measures it; `None`: it was not done after `limit`, waiting included.
    pub(super) async fn run<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        // Most calls never wait: they are spared the timer, which costs as much as a short call.
        let mut timer = None;
        std::future::poll_fn(move |context| {
            self.0.lock().since = Some(Instant::now());
            let polled = future.as_mut().poll(context);
            let mut running = self.0.lock();
            let ran = running.since.take().map_or(Duration::ZERO, |since| since.elapsed());
            running.before += ran;
            drop(running);
            match polled {
                Poll::Ready(done) => Poll::Ready(Some(done)),
                Poll::Pending => {
                    let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
                    timer.as_mut().poll(context).map(|()| None)
                }
            }
        })
        .await
    }
}

/// Counts memory over all memories and tables of a store: a component may have many of each.
#[derive(Debug)]
pub(super) struct SpaceLimiter {
    memory_limit: usize,
    memory: usize,
    table_elements: usize,
}

impl SpaceLimiter {
    pub(super) fn new(memory_limit: usize) -> Self {
        Self { memory_limit, memory: 0, table_elements: 0 }
    }

    /// Bytes of all memories.
    pub(super) fn memory_bytes(&self) -> usize {
        self.memory
    }
}

impl ResourceLimiter for SpaceLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory.saturating_add(desired.saturating_sub(current));
        if total > self.memory_limit {
            let rule = format!("more than {} MiB of memory (memory_mib)", self.memory_limit / (1024 * 1024));
            return Err(Failure::new(FailureKind::OutOfMemory, rule).into());
        }
        self.memory = total;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.table_elements.saturating_add(desired.saturating_sub(current));
        if total > MAX_TABLE_ELEMENTS {
            let rule = format!("more than {MAX_TABLE_ELEMENTS} elements in tables");
            return Err(Failure::new(FailureKind::OutOfMemory, rule).into());
        }
        self.table_elements = total;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_count_together() {
        let mut space = SpaceLimiter::new(10);
        assert!(space.memory_growing(0, 4, None).is_ok_and(|may| may));
        assert!(space.memory_growing(0, 4, None).is_ok_and(|may| may));
        assert!(space.memory_growing(4, 6, None).is_ok_and(|may| may));
        let error = space.memory_growing(4, 5, None).expect_err("too much");
        assert_eq!(error.downcast_ref::<Failure>().map(|failure| failure.kind), Some(FailureKind::OutOfMemory));
        assert_eq!(space.memory_bytes(), 10);
    }

    #[tokio::test]
    async fn waiting_does_not_count() {
        let meter = ComputeMeter::default();
        let wait = Duration::from_millis(50);
        let waited = meter.run(Duration::from_secs(3600), tokio::time::sleep(wait)).await;
        assert_eq!(waited, Some(()));
        assert!(meter.spent() < wait, "{:?}", meter.spent());
        let spent = meter.spent();
        let compute = async { while meter.spent() == spent {} };
        assert_eq!(meter.run(Duration::ZERO, compute).await, Some(()), "it did not wait");
        assert_eq!(meter.run(wait, std::future::pending::<()>()).await, None);
        assert!(meter.spent() > Duration::ZERO);
    }
}
