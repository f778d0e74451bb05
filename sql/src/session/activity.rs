//! What others see of a session: `pg_stat_activity`, and the handle that cancels its statement.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use base::{Runtime, TxnId};
use futures::task::AtomicWaker;
use parking_lot::Mutex;
use txn::CommitInfo;

use crate::error::{Result, SqlError, SqlState};

/// Cancels the statement that runs now, if any. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Canceller {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    flag: AtomicBool,
    waker: AtomicWaker,
    /// The session is to end.
    terminated: AtomicBool,
    terminated_waker: AtomicWaker,
}

impl Canceller {
    pub fn cancel(&self) {
        self.shared.flag.store(true, Ordering::Release);
        self.shared.waker.wake();
    }

    /// Cancels what runs and has the session ended, at the next moment at which its front end looks.
    pub fn terminate(&self) {
        self.shared.terminated.store(true, Ordering::Release);
        self.cancel();
        self.shared.terminated_waker.wake();
    }

    pub fn is_terminated(&self) -> bool {
        self.shared.terminated.load(Ordering::Acquire)
    }

    /// Completes when the session is to end. One task may wait for it.
    pub async fn terminated(&self) {
        std::future::poll_fn(|context| {
            self.shared.terminated_waker.register(context.waker());
            if self.is_terminated() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await
    }

    /// A new statement begins: what was meant for the one before does not concern it.
    pub(crate) fn clear(&self) {
        self.shared.flag.store(self.is_terminated(), Ordering::Release);
    }

    pub(crate) fn flag(&self) -> &AtomicBool {
        &self.shared.flag
    }

    /// Runs a part of a statement until it ends, is cancelled or has taken longer than `timeout`. In the latter cases the
    /// future is dropped wherever it waits: the caller must give up the transaction, and must never wrap a commit.
    pub(crate) async fn guard<T>(
        &self,
        runtime: &dyn Runtime,
        timeout: Option<Duration>,
        mut future: Pin<&mut impl Future<Output = Result<T>>>,
    ) -> Result<T> {
        let mut sleep = timeout.map(|timeout| runtime.sleep(timeout));
        std::future::poll_fn(|context| {
            self.shared.waker.register(context.waker());
            if self.shared.flag.load(Ordering::Acquire) {
                return Poll::Ready(Err(cancelled("user request")));
            }
            if let Some(sleep) = &mut sleep
                && sleep.as_mut().poll(context).is_ready()
            {
                return Poll::Ready(Err(cancelled("statement timeout")));
            }
            future.as_mut().poll(context)
        })
        .await
    }
}

fn cancelled(reason: &str) -> SqlError {
    SqlError::new(SqlState::QUERY_CANCELED, format!("canceling statement due to {reason}"))
}

/// What a session does, for everybody to see.
#[derive(Debug)]
pub struct Activity {
    pub pid: i32,
    pub user: String,
    pub client: super::ClientInfo,
    pub database: String,
    /// Microseconds since 1970.
    pub backend_start: i64,
    pub canceller: Canceller,
    pub now: Mutex<Now>,
}

#[derive(Clone, Debug, Default)]
pub struct Now {
    pub application_name: String,
    /// `active`, `idle`, `idle in transaction`, `idle in transaction (aborted)`.
    pub state: &'static str,
    pub query: Arc<str>,
    pub query_start: Option<i64>,
    pub state_change: Option<i64>,
    pub transaction_start: Option<i64>,
    /// The transaction that it has begun last.
    pub transaction: Option<TxnId>,
    /// What its last transaction that wrote something has cost.
    pub last_commit: Option<CommitInfo>,
}
