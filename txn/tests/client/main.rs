//! The client half against real evaluators in a small world (`txn::testing`): stories as golden scripts, and seeded random runs
//! under loss, repetition, splits, changes of leaders and deaths of gateways.

mod crash;
mod plain;
mod random;
mod replay;
mod story;
mod waiting;

use test_each_file::test_each_path;

test_each_path! { in "./txn/tests/scripts/txn" as txn => story::run }
test_each_path! { in "./txn/tests/scripts/anomaly" as anomaly => story::run }
