//! A single-threaded executor on simulated time. Tasks run in the order in which they were woken; timers fire from the
//! world's event heap. Nothing here depends on addresses, hashes or real time, so a run replays exactly.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use base::{BoxFuture, Monotonic, Rng, Runtime};

type TaskId = u64;

/// Whose task it is: killing a process drops all tasks of its owner, and whatever those would still spawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(pub u64);

/// The test's own tasks (clients), which are never killed.
pub const WORLD: Owner = Owner(0);

/// The part that tasks, timers and wakers share.
#[derive(Default)]
struct Shared {
    now: Monotonic,
    wall_offset_micros: i64,
    ready: VecDeque<TaskId>,
    spawned: Vec<(Owner, BoxFuture<'static, ()>)>,
    dead: BTreeSet<Owner>,
    /// Timers by (deadline, number); the number keeps equal deadlines in order of creation.
    timers: BTreeMap<(Monotonic, u64), Waker>,
    next_timer: u64,
}

/// Runs tasks; owned by the world.
pub struct Executor {
    shared: Arc<Mutex<Shared>>,
    tasks: BTreeMap<TaskId, (Owner, BoxFuture<'static, ()>)>,
    next_task: TaskId,
}

/// The handle that code under simulation gets as its [`Runtime`]. Each component has its own random stream.
pub struct SimRuntime {
    owner: Owner,
    shared: Arc<Mutex<Shared>>,
    rng: Mutex<Rng>,
}

struct TaskWaker {
    task: TaskId,
    shared: Arc<Mutex<Shared>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        lock(&self.shared).ready.push_back(self.task);
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Simulated wall clock at the start of every run: 2026-01-01 UTC.
const EPOCH_MICROS: i64 = 1_767_225_600_000_000;

impl Executor {
    pub fn new() -> Executor {
        Executor { shared: Arc::default(), tasks: BTreeMap::new(), next_task: 0 }
    }

    pub fn runtime(&self, owner: Owner, rng: Rng) -> Arc<SimRuntime> {
        Arc::new(SimRuntime { owner, shared: self.shared.clone(), rng: Mutex::new(rng) })
    }

    pub fn now(&self) -> Monotonic {
        lock(&self.shared).now
    }

    /// Advances simulated time; it never goes back.
    pub fn set_now(&mut self, now: Monotonic) {
        let mut shared = lock(&self.shared);
        assert!(now >= shared.now, "simulated time goes forward");
        shared.now = now;
    }

    /// Jumps the gateways' wall clock, which nothing may depend on.
    pub fn jump_wall(&mut self, micros: i64) {
        lock(&self.shared).wall_offset_micros += micros;
    }

    pub fn wall_micros(&self) -> i64 {
        let shared = lock(&self.shared);
        EPOCH_MICROS + shared.wall_offset_micros + (shared.now.0 / 1000) as i64
    }

    pub fn next_timer(&self) -> Option<Monotonic> {
        lock(&self.shared).timers.keys().next().map(|(deadline, _)| *deadline)
    }

    /// Wakes the tasks whose timers are due.
    pub fn fire_timers(&mut self) {
        let due: Vec<Waker> = {
            let mut shared = lock(&self.shared);
            let now = shared.now;
            let later = shared.timers.split_off(&(now.next(), 0));
            std::mem::replace(&mut shared.timers, later).into_values().collect()
        };
        due.into_iter().for_each(Waker::wake);
    }

    /// Runs every task that can make progress, until none can. Returns how many polls that took.
    pub fn run_ready(&mut self) -> u64 {
        let mut polls = 0;
        loop {
            self.adopt_spawned();
            let Some(task) = lock(&self.shared).ready.pop_front() else { return polls };
            let Some((owner, mut future)) = self.tasks.remove(&task) else { continue };
            let waker = Waker::from(Arc::new(TaskWaker { task, shared: self.shared.clone() }));
            polls += 1;
            if future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                self.tasks.insert(task, (owner, future));
            }
        }
    }

    pub fn spawn(&mut self, task: BoxFuture<'static, ()>) {
        lock(&self.shared).spawned.push((WORLD, task));
    }

    /// The process dies: its tasks are dropped where they stand, and nothing is spawned in its name any more.
    pub fn kill(&mut self, owner: Owner) {
        lock(&self.shared).dead.insert(owner);
        self.adopt_spawned();
        let victims: Vec<TaskId> =
            self.tasks.iter().filter(|(_, (of, _))| *of == owner).map(|(task, _)| *task).collect();
        for task in victims {
            drop(self.tasks.remove(&task));
        }
    }

    fn adopt_spawned(&mut self) {
        let (spawned, dead) = {
            let mut shared = lock(&self.shared);
            (std::mem::take(&mut shared.spawned), shared.dead.clone())
        };
        for (owner, future) in spawned {
            // Dropping the task of a dead process may try to spawn once more; that is dropped at the next turn.
            if !dead.contains(&owner) {
                self.tasks.insert(self.next_task, (owner, future));
                lock(&self.shared).ready.push_back(self.next_task);
                self.next_task += 1;
            }
        }
    }
}

impl Default for Executor {
    fn default() -> Executor {
        Executor::new()
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        // Tasks may own handles back to the shared state, and dropping one may spawn another (a rollback in the background).
        loop {
            self.adopt_spawned();
            if std::mem::take(&mut self.tasks).is_empty() {
                break;
            }
        }
    }
}

trait Next {
    fn next(self) -> Self;
}

impl Next for Monotonic {
    fn next(self) -> Monotonic {
        Monotonic(self.0 + 1)
    }
}

impl Runtime for SimRuntime {
    fn now(&self) -> Monotonic {
        lock(&self.shared).now
    }

    fn wall_micros(&self) -> i64 {
        let shared = lock(&self.shared);
        EPOCH_MICROS + shared.wall_offset_micros + (shared.now.0 / 1000) as i64
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let deadline = self.now() + duration;
        Box::pin(Sleep { deadline, shared: self.shared.clone(), timer: None })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        lock(&self.shared).spawned.push((self.owner, task));
    }

    fn random_u64(&self) -> u64 {
        self.rng.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next_u64()
    }
}

struct Sleep {
    deadline: Monotonic,
    shared: Arc<Mutex<Shared>>,
    timer: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let shared = self.shared.clone();
        let mut shared = lock(&shared);
        if shared.now >= self.deadline {
            return Poll::Ready(());
        }
        let timer = match self.timer {
            Some(timer) => timer,
            None => {
                shared.next_timer += 1;
                shared.next_timer
            }
        };
        self.timer = Some(timer);
        shared.timers.insert((self.deadline, timer), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            lock(&self.shared).timers.remove(&(self.deadline, timer));
        }
    }
}

#[cfg(test)]
#[path = "executor_test.rs"]
mod tests;
