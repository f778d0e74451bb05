//! The server half by itself: golden scripts, and models that are too simple to be wrong.

mod model;
mod range;
mod script;

use test_each_file::test_each_path;

test_each_path! { in "./txn/tests/scripts/mvcc" as mvcc => script::run }
test_each_path! { in "./txn/tests/scripts/server" as server => script::run }
