//! Rows that are found by key and then locked are locked and read in one go: one round trip for an UPDATE by primary key.

use txn::{LockMode, WaitPolicy};

use super::{bottom_up, change_of};
use crate::{
    error::Result,
    plan::{Change, Plan},
};

pub(super) fn apply(plan: Plan) -> Result<Plan> {
    bottom_up(plan, &mut |mut plan| {
        if let Some(change) = change_of(&mut plan) {
            match change {
                Change::Update(update) => {
                    let mode = update.mode();
                    update.locked = lock_scan(&mut update.source, mode, WaitPolicy::Wait);
                }
                Change::Delete(delete) => {
                    delete.locked = lock_scan(&mut delete.source, LockMode::Update, WaitPolicy::Wait);
                }
                Change::Insert(_) => {}
            }
            return Ok(plan);
        }
        match plan {
            Plan::Lock { mut input, rows, limit: None } => {
                // With the weakest lock the transaction does not depend on the value that comes with it, but the reader does.
                if let [row] = &rows[..]
                    && row.mode > LockMode::KeyShare
                    && lock_scan(&mut input, row.mode, row.wait)
                {
                    return Ok(*input);
                }
                Ok(Plan::Lock { input, rows, limit: None })
            }
            other => Ok(other),
        }
    })
}

/// Makes the one scan below lock what it reads, where it reads by key and nothing between drops rows.
fn lock_scan(plan: &mut Plan, mode: LockMode, wait: WaitPolicy) -> bool {
    match plan {
        Plan::Scan(scan) if scan.is_point() && scan.lock.is_none() => {
            scan.lock = Some((mode, wait));
            true
        }
        Plan::Project { input, .. } | Plan::Sort { input, limit: None, .. } => lock_scan(input, mode, wait),
        _ => false,
    }
}
