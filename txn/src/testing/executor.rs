//! Runs futures on virtual time: when nothing can go on, the clock jumps to the next timer.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use base::{BoxFuture, Monotonic, Rng, Runtime};
use parking_lot::Mutex;

/// Tasks that live and die together: a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group(pub u64);

type TaskId = u64;

pub struct Executor {
    shared: Arc<Shared>,
    groups: u64,
}

struct Shared {
    state: Mutex<State>,
    /// Apart from the state: a waker may be called while the state is locked.
    ready: Arc<Mutex<VecDeque<TaskId>>>,
}

struct State {
    now: Monotonic,
    tasks: BTreeMap<TaskId, Task>,
    next_task: TaskId,
    timers: BTreeMap<(Monotonic, u64), Waker>,
    next_timer: u64,
    dead: BTreeSet<Group>,
    rng: Rng,
}

struct Task {
    group: Group,
    /// Absent while it is being polled.
    future: Option<BoxFuture<'static, ()>>,
}

impl Executor {
    pub fn new(rng: Rng) -> Executor {
        let state = State {
            now: Monotonic(0),
            tasks: BTreeMap::new(),
            next_task: 0,
            timers: BTreeMap::new(),
            next_timer: 0,
            dead: BTreeSet::new(),
            rng,
        };
        Executor { shared: Arc::new(Shared { state: Mutex::new(state), ready: Arc::default() }), groups: 0 }
    }

    pub fn new_group(&mut self) -> Group {
        self.groups += 1;
        Group(self.groups)
    }

    pub fn runtime(&self, group: Group) -> SimRuntime {
        SimRuntime { shared: self.shared.clone(), group }
    }

    pub fn now(&self) -> Monotonic {
        self.shared.state.lock().now
    }

    /// Drops every task of the group; what they still want to start does not start.
    pub fn kill(&mut self, group: Group) {
        let killed: Vec<Task> = {
            let mut state = self.shared.state.lock();
            state.dead.insert(group);
            let ids: Vec<TaskId> =
                state.tasks.iter().filter(|(_, task)| task.group == group).map(|(id, _)| *id).collect();
            ids.into_iter().filter_map(|id| state.tasks.remove(&id)).collect()
        };
        drop(killed);
    }

    /// Runs everything until this future is done. Panics when nothing can happen any more.
    pub fn block_on<T: Send + 'static>(&mut self, future: impl Future<Output = T> + Send + 'static) -> T {
        let slot = Arc::new(Mutex::new(None));
        let result = slot.clone();
        self.runtime(Group(0)).spawn(Box::pin(async move {
            let value = future.await;
            *result.lock() = Some(value);
        }));
        loop {
            if let Some(value) = slot.lock().take() {
                return value;
            }
            assert!(self.step(None), "nothing can happen any more, and the future is not done");
        }
    }

    /// Runs everything for a while.
    pub fn run_for(&mut self, duration: Duration) {
        let until = self.now() + duration;
        while self.step(Some(until)) {}
        self.shared.state.lock().now = until;
    }

    /// Polls one task, or lets time pass up to the next timer. False when there is none (before `until`).
    fn step(&mut self, until: Option<Monotonic>) -> bool {
        let next = self.shared.ready.lock().pop_front();
        match next {
            Some(id) => {
                self.poll(id);
                true
            }
            None => self.advance(until),
        }
    }

    fn poll(&mut self, id: TaskId) {
        let Some(mut future) = self.shared.state.lock().tasks.get_mut(&id).and_then(|task| task.future.take()) else {
            return;
        };
        let waker = Waker::from(Arc::new(TaskWaker { id, ready: self.shared.ready.clone() }));
        let done = future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        let mut state = self.shared.state.lock();
        if done {
            state.tasks.remove(&id);
        } else if let Some(task) = state.tasks.get_mut(&id) {
            task.future = Some(future);
            return;
        }
        // Dropped without the lock: what a future holds may start tasks when it goes.
        drop(state);
        drop(future);
    }

    fn advance(&mut self, until: Option<Monotonic>) -> bool {
        let mut state = self.shared.state.lock();
        let Some((&(at, _), _)) = state.timers.first_key_value() else { return false };
        if until.is_some_and(|until| at > until) {
            return false;
        }
        state.now = state.now.max(at);
        let later = state.timers.split_off(&(at, u64::MAX));
        let due = std::mem::replace(&mut state.timers, later);
        drop(state);
        due.into_values().for_each(Waker::wake);
        true
    }
}

struct TaskWaker {
    id: TaskId,
    ready: Arc<Mutex<VecDeque<TaskId>>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        let mut ready = self.ready.lock();
        if !ready.contains(&self.id) {
            ready.push_back(self.id);
        }
    }
}

/// The world as the tasks of one group see it.
#[derive(Clone)]
pub struct SimRuntime {
    shared: Arc<Shared>,
    group: Group,
}

/// Milliseconds since 1970 at the begin of virtual time.
pub(super) const EPOCH_MILLIS: u64 = 1_750_000_000_000;

impl Runtime for SimRuntime {
    fn now(&self) -> Monotonic {
        self.shared.state.lock().now
    }

    fn wall_micros(&self) -> i64 {
        (EPOCH_MILLIS * 1000 + self.now().0 / 1000) as i64
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(Sleep { at: self.now() + duration, shared: self.shared.clone(), timer: None })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        let mut state = self.shared.state.lock();
        if state.dead.contains(&self.group) {
            drop(state);
            drop(task);
            return;
        }
        let id = state.next_task;
        state.next_task += 1;
        state.tasks.insert(id, Task { group: self.group, future: Some(task) });
        drop(state);
        self.shared.ready.lock().push_back(id);
    }

    fn random_u64(&self) -> u64 {
        self.shared.state.lock().rng.next_u64()
    }
}

struct Sleep {
    at: Monotonic,
    shared: Arc<Shared>,
    timer: Option<(Monotonic, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let shared = self.shared.clone();
        let mut state = shared.state.lock();
        if state.now >= self.at {
            return Poll::Ready(());
        }
        let at = self.at;
        let timer = *self.timer.get_or_insert_with(|| {
            state.next_timer += 1;
            (at, state.next_timer)
        });
        state.timers.insert(timer, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            self.shared.state.lock().timers.remove(&timer);
        }
    }
}
