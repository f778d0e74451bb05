use super::*;

const SECOND: u64 = 1_000_000_000;

/// `rate` successes a second, evenly.
fn steady(from: u64, to: u64, rate: u64) -> impl Iterator<Item = u64> {
    (from * rate..to * rate).map(move |number| number * SECOND / rate)
}

#[test]
fn recovery_is_measured_from_the_healing_on() {
    // Calm for 5 s, nothing from 5 to 12, healed at 10, slow from 12 to 14, as before from 14 on.
    let successes: Vec<u64> = steady(0, 5, 100).chain(steady(12, 14, 20)).chain(steady(14, 20, 100)).collect();
    let recovery = recovery(&successes, 5 * SECOND, 10 * SECOND, 20 * SECOND);
    assert_eq!(recovery.first_success_ms, Some(2000));
    let half = recovery.half_throughput_ms.unwrap();
    assert!((3000..4000).contains(&half), "{half}");
    assert!((7000..7020).contains(&recovery.longest_gap_ms));
}

#[test]
fn what_does_not_recover_is_not_said_to() {
    let successes: Vec<u64> = steady(0, 5, 100).chain(steady(11, 20, 10)).collect();
    let slow = recovery(&successes, 5 * SECOND, 10 * SECOND, 20 * SECOND);
    assert_eq!((slow.first_success_ms, slow.half_throughput_ms), (Some(1000), None));
    let successes: Vec<u64> = steady(0, 5, 100).collect();
    let dead = recovery(&successes, 5 * SECOND, 10 * SECOND, 20 * SECOND);
    assert_eq!((dead.first_success_ms, dead.half_throughput_ms, dead.longest_gap_ms > 14_900), (None, None, true));
}
