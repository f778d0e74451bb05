use super::*;

#[test]
fn sleeps_end_in_order_of_their_deadlines() {
    let mut executor = Executor::new();
    let runtime = executor.runtime(WORLD, Rng::new(1));
    let log = Arc::new(Mutex::new(Vec::new()));
    for millis in [30, 10, 20] {
        let (clock, log) = (runtime.clone(), log.clone());
        executor.spawn(Box::pin(async move {
            clock.sleep(Duration::from_millis(millis)).await;
            log.lock().unwrap().push((millis, clock.now()));
        }));
    }
    executor.run_ready();
    while let Some(next) = executor.next_timer() {
        executor.set_now(next);
        executor.fire_timers();
        executor.run_ready();
    }
    let expected: Vec<_> = [10, 20, 30].map(|ms| (ms, Monotonic(ms * 1_000_000))).into();
    assert_eq!(*log.lock().unwrap(), expected);
}

#[test]
fn a_dropped_sleep_leaves_no_timer() {
    let mut executor = Executor::new();
    let runtime = executor.runtime(WORLD, Rng::new(1));
    executor.spawn(Box::pin(async move {
        let deadline = runtime.now() + Duration::from_millis(5);
        let slow = runtime.sleep(Duration::from_secs(60));
        assert!(base::runtime::timeout_at(&*runtime, deadline, slow).await.is_none());
    }));
    executor.run_ready();
    let first = executor.next_timer().unwrap();
    executor.set_now(first);
    executor.fire_timers();
    executor.run_ready();
    assert_eq!(executor.next_timer(), None);
}

#[test]
fn a_killed_process_runs_no_further() {
    let mut executor = Executor::new();
    let (alive, doomed) = (executor.runtime(WORLD, Rng::new(1)), executor.runtime(Owner(1), Rng::new(2)));
    let count = Arc::new(Mutex::new(0));
    for runtime in [alive, doomed.clone()] {
        let (clock, count) = (runtime.clone(), count.clone());
        runtime.spawn(Box::pin(async move {
            clock.sleep(Duration::from_millis(1)).await;
            *count.lock().unwrap() += 1;
        }));
    }
    executor.run_ready();
    executor.kill(Owner(1));
    doomed.spawn(Box::pin(async { panic!("spawned by a dead process") }));
    executor.set_now(Monotonic(2_000_000));
    executor.fire_timers();
    executor.run_ready();
    assert_eq!(*count.lock().unwrap(), 1);
}
