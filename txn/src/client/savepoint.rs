//! Savepoints: marks in the logs of what was written and of what was locked.

use futures::channel::oneshot;

use crate::client::Txn;

/// A point that a transaction can go back to: its depth among those that are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Savepoint(usize);

#[derive(Debug, Default)]
pub(crate) struct Savepoints {
    open: Vec<Mark>,
    /// Locks are being given back; the next request for locks waits for that, lest it be overtaken by the release of what it
    /// has just taken.
    releasing: Option<oneshot::Receiver<()>>,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    writes: usize,
    locks: usize,
}

impl Txn {
    pub(super) fn make_savepoint(&mut self) -> Savepoint {
        let mark = Mark { writes: self.writes.mark(), locks: self.open.mark() };
        self.savepoints.open.push(mark);
        Savepoint(self.savepoints.open.len() - 1)
    }

    pub(super) fn go_back_to(&mut self, savepoint: Savepoint) {
        let Some(mark) = self.savepoints.open.get(savepoint.0).copied() else { return };
        self.savepoints.open.truncate(savepoint.0 + 1);
        self.writes.rollback_to(mark.writes);
        // A value that was seen under a lock has been seen: under SERIALIZABLE it must be true at the commit.
        let undone = self.open.rollback_to(mark.locks, self.times.serial);
        if undone.is_empty() {
            return;
        }
        let (done, released) = oneshot::channel();
        let earlier = self.savepoints.releasing.replace(released);
        let client = self.client.clone();
        let txn = self.open.id;
        self.client.background(Box::pin(async move {
            if let Some(earlier) = earlier {
                let _dropped = earlier.await;
            }
            client.give_back(txn, undone).await;
            // The transaction may be over.
            let _nobody_waits = done.send(());
        }));
    }

    pub(super) fn forget_savepoint(&mut self, savepoint: Savepoint) {
        self.savepoints.open.truncate(savepoint.0);
        if self.savepoints.open.is_empty() {
            self.writes.forget_marks();
            self.open.forget_marks();
        }
    }

    /// Waits until what going back to a savepoint releases is released.
    pub(super) async fn locks_released(&mut self) {
        if let Some(releasing) = &mut self.savepoints.releasing {
            // Dropped when there was too much to do in the background: then the locks are still held, which does no harm.
            let _dropped = releasing.await;
        }
        self.savepoints.releasing = None;
    }
}
