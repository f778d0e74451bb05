//! Who may cancel what: every session has a number and a secret, told to its client at start-up. A cancel request comes on a
//! connection of its own and names both.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use sql::session::Canceller;

/// The sessions of this gateway that can be cancelled.
#[derive(Default)]
pub(crate) struct Registry {
    sessions: Mutex<Sessions>,
}

#[derive(Default)]
struct Sessions {
    last_pid: i32,
    by_pid: BTreeMap<i32, Entry>,
}

struct Entry {
    secret: i32,
    /// `None` until the session exists.
    canceller: Option<Canceller>,
}

/// A place in the registry; given back when dropped.
pub(crate) struct Registration {
    registry: Arc<Registry>,
    pub(crate) pid: i32,
    pub(crate) secret: i32,
}

impl Registry {
    /// Takes a number for a new session. `secret` must be unguessable.
    pub(crate) fn register(self: &Arc<Registry>, secret: i32) -> Registration {
        let mut sessions = self.sessions.lock();
        let pid = loop {
            sessions.last_pid = sessions.last_pid.checked_add(1).unwrap_or(1);
            if !sessions.by_pid.contains_key(&sessions.last_pid) {
                break sessions.last_pid;
            }
        };
        sessions.by_pid.insert(pid, Entry { secret, canceller: None });
        Registration { registry: self.clone(), pid, secret }
    }

    /// Cancels what the session runs, if the secret is right. The asker is not told what came of it.
    pub(crate) fn cancel(&self, pid: i32, secret: i32) {
        let canceller = match self.sessions.lock().by_pid.get(&pid) {
            Some(entry) if entry.secret == secret => entry.canceller.clone(),
            Some(_) => {
                tracing::warn!(pid, "wrong key in cancel request");
                None
            }
            None => {
                tracing::debug!(pid, "cancel request matches no session");
                None
            }
        };
        if let Some(canceller) = canceller {
            canceller.cancel();
        }
    }

    /// Sessions that exist now.
    pub(crate) fn len(&self) -> usize {
        self.sessions.lock().by_pid.len()
    }
}

impl Registration {
    pub(crate) fn attach(&self, canceller: Canceller) {
        if let Some(entry) = self.registry.sessions.lock().by_pid.get_mut(&self.pid) {
            entry.canceller = Some(canceller);
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.sessions.lock().by_pid.remove(&self.pid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_and_given_back() {
        let registry = Arc::new(Registry::default());
        let first = registry.register(1);
        let second = registry.register(2);
        assert_ne!(first.pid, second.pid);
        assert_eq!(registry.len(), 2);
        drop(first);
        assert_eq!(registry.len(), 1);
    }

    #[test]
    fn numbers_wrap_around_to_positive_ones_that_are_free() {
        let registry = Arc::new(Registry::default());
        let first = registry.register(1);
        registry.sessions.lock().last_pid = i32::MAX;
        let second = registry.register(2);
        assert_eq!((first.pid, second.pid), (1, 2));
    }
}
