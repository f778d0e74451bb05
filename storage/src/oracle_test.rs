use base::NodeId;

use super::*;

fn raise(oracle: &mut Oracle, state: &mut SystemState, wall_ms: u64) {
    if let Some(command) = oracle.raise(state, wall_ms) {
        state.apply(1, command, &mut WriteBatch::default()).unwrap();
    }
}

#[test]
fn timestamps_stay_below_the_ceiling_and_a_new_leader_begins_there() {
    let mut state = SystemState::default();
    let mut oracle = Oracle::default();
    assert!(oracle.allocate(&state, 1, 1000).is_none(), "not leading");
    oracle.lead(&state, false);
    assert!(oracle.allocate(&state, 1, 1000).is_none(), "no ceiling yet");
    raise(&mut oracle, &mut state, 1000);
    let a = oracle.allocate(&state, 10, 1000).unwrap().timestamp;
    let b = oracle.allocate(&state, 1, 1000).unwrap().timestamp;
    assert!(b.0 >= a.0 + 10 && b < state.ceiling);
    let mut next = Oracle::default();
    next.lead(&state, false);
    assert!(next.allocate(&state, 1, 0).is_none(), "all below the ceiling belongs to the old leader");
    raise(&mut next, &mut state, 0);
    assert!(next.allocate(&state, 1, 0).unwrap().timestamp > b, "though the wall clock went back");
}

#[test]
fn the_planted_fault_hands_out_old_timestamps() {
    let mut state = SystemState::default();
    let mut oracle = Oracle::default();
    oracle.lead(&state, false);
    raise(&mut oracle, &mut state, 10_000);
    let a = oracle.allocate(&state, 1, 10_000).unwrap().timestamp;
    let mut next = Oracle::default();
    next.lead(&state, true);
    assert!(next.allocate(&state, 1, 11_000).unwrap().timestamp <= a);
}

#[test]
fn fences_change_only_forward() {
    let mut state = SystemState::default();
    let mut batch = WriteBatch::default();
    let mut apply = |state: &mut SystemState, index, op| {
        state.apply(index, SystemCommand::Fence { op, at: Timestamp(index) }, &mut batch).unwrap();
        (state.fence, state.open.len())
    };
    assert_eq!(apply(&mut state, 5, FenceOp::Open(7)), (5, 1));
    assert_eq!(apply(&mut state, 6, FenceOp::Open(7)), (5, 1), "idempotent");
    assert_eq!(apply(&mut state, 7, FenceOp::Open(8)), (7, 2));
    assert_eq!(apply(&mut state, 8, FenceOp::CloseOlderThan(Timestamp(7))), (8, 1));
    assert_eq!(apply(&mut state, 9, FenceOp::Close(7)), (8, 1));
    assert_eq!(apply(&mut state, 10, FenceOp::Close(8)), (10, 0));
}

#[test]
fn range_ids_are_fresh() {
    let mut state = SystemState::default();
    let mut batch = WriteBatch::default();
    let a = state.apply(1, SystemCommand::AllocateRange, &mut batch).unwrap();
    let b = state.apply(2, SystemCommand::AllocateRange, &mut batch).unwrap();
    assert!(matches!((a, b), (Applied::RangeId(RangeId(3)), Applied::RangeId(RangeId(4)))));
    let descriptor = crate::range::admin::bootstrap(&[NodeId(1)])[1].clone();
    state.apply(3, SystemCommand::Map { descriptor, leader: NodeId(1) }, &mut batch).unwrap();
    assert_eq!(batch.ops.len(), 3);
}
