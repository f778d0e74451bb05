//! Work off the client's path (resolving intents, releasing locks): bounded in number and in memory. All of it is a courtesy;
//! what is dropped here, whoever meets the leftovers does instead.

use std::{collections::VecDeque, sync::Arc};

use base::BoxFuture;
use parking_lot::Mutex;

use crate::client::TxnClient;

/// Tasks at work at the same time.
const RUNNING_MAX: usize = 128;
/// Tasks that wait for their turn; more are dropped.
const WAITING_MAX: usize = 16 << 10;

#[derive(Default)]
pub(crate) struct Background {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: usize,
    waiting: VecDeque<BoxFuture<'static, ()>>,
}

impl TxnClient {
    pub(crate) fn background(&self, task: BoxFuture<'static, ()>) {
        {
            let mut state = self.shared.background.state.lock();
            if state.running >= RUNNING_MAX {
                if state.waiting.len() < WAITING_MAX {
                    state.waiting.push_back(task);
                }
                return;
            }
            state.running += 1;
        }
        let shared = Arc::clone(&self.shared);
        self.runtime.spawn(Box::pin(async move {
            let mut next = Some(task);
            while let Some(task) = next {
                task.await;
                let mut state = shared.background.state.lock();
                next = state.waiting.pop_front();
                state.running -= usize::from(next.is_none());
            }
        }));
    }
}
