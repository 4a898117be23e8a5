//! The one thread that writes.
//!
//! Publishes that arrive while a commit is being made durable share the next one: no artificial delay, and on a slow disk
//! under load many publishes a sync. Everything else that writes runs on the same thread, between two such commits.

use super::super::row_id::Hour;
use super::Shared;
use super::append::Appender;
use super::exposures::{Statements, store};
use super::failure::{Failure, port_error};
use super::statistics::{KnownRows, Tally};
use rusqlite::Connection;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::exposures::Submission;

/// Publishes in one commit, at most. More gain nothing and make the first wait longer.
const LARGEST_GROUP: usize = 256;
/// Publishes that may wait; beyond that they are refused at once.
const LONGEST_QUEUE: usize = 4_096;

/// Called on the writer thread when the outcome is durable; must not block.
type Reply = Box<dyn FnOnce(Result<(), PortError>) + Send>;

enum Request {
    Publish(Submission, Reply),
    Work(Box<dyn FnOnce(&mut Writer) + Send>),
}

/// Sends work to the writer thread. Dropping it finishes what was sent.
#[derive(Debug)]
pub(super) struct WriterHandle {
    requests: Option<Sender<Request>>,
    waiting: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl WriterHandle {
    pub(super) fn start(mut writer: Writer) -> io::Result<Self> {
        let (requests, receiver) = mpsc::channel();
        let waiting = Arc::clone(&writer.waiting);
        let run = move || writer.run(&receiver);
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(run)?;
        Ok(Self { requests: Some(requests), waiting, thread: Some(thread) })
    }

    /// Queues a publish.
    pub(super) fn publish(&self, submission: Submission, reply: Reply) {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= LONGEST_QUEUE {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            tracing::warn!(waiting = LONGEST_QUEUE, "too many publishes wait for the disk: refused one");
            return reply(Err(PortError::Unavailable));
        }
        self.send(Request::Publish(submission, reply));
    }

    /// Does `work` on the writer thread and waits for it.
    pub(super) fn call<T: Send + 'static, E: From<PortError> + Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let (reply, result) = mpsc::sync_channel(1);
        // A caller that no longer waits is nobody's error.
        let request = Request::Work(Box::new(move |writer: &mut Writer| drop(reply.send(work(writer)))));
        self.send(request);
        result.recv().unwrap_or_else(|_| Err(PortError::Unavailable.into()))
    }

    /// Whether the thread is there. Only a panic, that is, a mistake of ours, ends it early.
    pub(super) fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Should the writer be gone, the request is dropped, and with it the end that its caller waits for.
    fn send(&self, request: Request) {
        if let Some(requests) = &self.requests {
            drop(requests.send(request));
        }
    }
}

impl Drop for WriterHandle {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer had panicked");
        }
    }
}

/// The writer thread's own things.
pub(super) struct Writer {
    connection: Connection,
    shared: Arc<Shared>,
    appender: Appender,
    known_rows: KnownRows,
    waiting: Arc<AtomicUsize>,
}

impl Writer {
    pub(super) fn new(connection: Connection, shared: Arc<Shared>) -> Self {
        Self {
            connection,
            shared,
            appender: Appender::default(),
            known_rows: KnownRows::default(),
            waiting: Arc::default(),
        }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Does `work` in a transaction, which is durable when this returns `Ok` and did not happen otherwise.
    pub(super) fn transaction<T, E: From<rusqlite::Error>>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let transaction = self.connection.unchecked_transaction()?;
        let result = work(&transaction)?;
        transaction.commit()?;
        Ok(result)
    }

    /// The same for work that adds exposures.
    ///
    /// Rows are in the index from the moment they are written. A reader that meets one before the commit finds no such
    /// row on its own connection and treats the key as absent; after a failed commit they are taken out.
    pub(super) fn append<T, E: From<rusqlite::Error>>(
        &mut self,
        work: impl FnOnce(&Connection, &mut Appender, &Shared) -> Result<T, E>,
    ) -> Result<T, E> {
        let transaction = self.connection.unchecked_transaction()?;
        let result = work(&transaction, &mut self.appender, &self.shared)
            .and_then(|result| transaction.commit().map(|()| result).map_err(E::from));
        match &result {
            Ok(_) => self.appender.settle(),
            Err(_) => self.appender.undo(&self.shared.index),
        }
        result
    }

    /// Statistics were deleted.
    pub(super) fn forget_statistics(&mut self) {
        self.known_rows = KnownRows::default();
    }

    /// Hours that are being purged need no memory any more.
    pub(super) fn forget_hours_before(&mut self, hour: Hour) {
        self.appender.forget_before(hour);
    }

    fn run(&mut self, requests: &Receiver<Request>) {
        while let Ok(request) = requests.recv() {
            let mut group = Vec::new();
            let mut next = Some(request);
            while let Some(Request::Publish(submission, reply)) = next {
                group.push((submission, reply));
                next = if group.len() < LARGEST_GROUP { requests.try_recv().ok() } else { None };
            }
            if !group.is_empty() {
                self.publish(group);
            }
            if let Some(Request::Work(work)) = next {
                work(self);
            }
        }
        self.shared.readers.close();
    }

    fn publish(&mut self, group: Vec<(Submission, Reply)>) {
        let size = group.len();
        let (submissions, replies): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        let mut known_rows = std::mem::take(&mut self.known_rows);
        let results = self.append(|connection, appender, shared| {
            let mut statements = Statements::prepare(connection)?;
            let mut tally = Tally::default();
            let mut results = Vec::with_capacity(submissions.len());
            for submission in &submissions {
                let result = store(submission, &mut statements, connection, appender, shared)?;
                if result.is_ok() {
                    tally.add(submission);
                }
                results.push(result);
            }
            tally.write(connection, &mut known_rows)?;
            Ok::<_, rusqlite::Error>(results)
        });
        // After a commit that failed they are not what is stored.
        if results.is_ok() {
            self.known_rows = known_rows;
        }
        self.waiting.fetch_sub(size, Ordering::Relaxed);
        match results {
            Ok(results) => replies.into_iter().zip(results).for_each(|(reply, result)| reply(result)),
            Err(error) => {
                tracing::error!(%error, publishes = size, "the commit failed: nothing of it is stored");
                // A disk that is full, or fails, is the same to all of them.
                let error = match port_error(&error) {
                    PortError::Internal(text) => PortError::Internal(text),
                    PortError::Conflict | PortError::Unavailable | PortError::AlreadyUsed => PortError::Unavailable,
                };
                replies.into_iter().for_each(|reply| reply(Err(error.clone())));
            }
        }
    }
}

/// What [`store`] and its helpers return: SQLite's error ends the whole group, a refusal this publish alone.
pub(super) fn split(result: Result<(), Failure>) -> rusqlite::Result<Result<(), PortError>> {
    match result {
        Ok(()) => Ok(Ok(())),
        Err(Failure::Refused(error)) => Ok(Err(error)),
        Err(Failure::Sql(error)) => Err(error),
    }
}
