//! Golden scripts of the planner and the executor: statements against tables made by a small DDL of the harness, on the real
//! transaction layer over a world in memory. Regenerate with `UPDATE_GOLDENFILES=1 cargo test -p locus-sql --test query`.
//!
//! A line `> SQL` runs a statement in a transaction of its own and prints its rows, tag or error. Tags: `[plan]` prints the
//! optimised plan first, `[bound]` the plan before the optimiser, `[types]` the names and types of columns and parameters,
//! `[rollback]` leaves no trace. Parameters follow the statement in a comment: `select $1 -- 1, 'x'`.

mod schema;
mod world;

use std::error::Error;

use goldenscript::{Command, Context, Runner};
use test_each_file::test_each_path;

test_each_path! { in "./sql/tests/scripts/bind" as bind => test }
test_each_path! { in "./sql/tests/scripts/optimize" as optimize => test }
test_each_path! { in "./sql/tests/scripts/query" as query => test }
test_each_path! { in "./sql/tests/scripts/change" as change => test }

fn test(path: &std::path::Path) {
    goldenscript::run(&mut Script { world: world::World::new() }, path).expect("script");
}

struct Script {
    world: world::World,
}

impl Runner for Script {
    type Command = Command;

    fn run(&mut self, command: &Command, context: &Context) -> Result<String, Box<dyn Error>> {
        let mut output = String::new();
        if let Some(error) = self.world.run(&command.name, &context.tags, &mut output).err() {
            output.push_str(&world::show_error(&error));
        }
        Ok(output)
    }
}
