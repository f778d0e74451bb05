//! What a running statement sees of its session, apart from the transaction.

use std::sync::{Arc, atomic::AtomicBool};

use txn::Txn;

use crate::{
    catalog::{sequence::StatementSequences, system::SystemViews},
    exec,
    expr::EvalContext,
};

pub(crate) struct Environment {
    pub eval: EvalContext,
    pub system: SystemViews,
    pub sequences: StatementSequences,
    pub memory_bytes_max: usize,
}

impl Environment {
    pub(crate) fn context<'a>(&'a self, txn: &'a mut Txn, cancel: &'a AtomicBool) -> exec::Context<'a> {
        exec::Context {
            txn,
            eval: self.eval.clone(),
            cancel,
            system: &self.system,
            sequences: &self.sequences,
            memory_bytes_max: self.memory_bytes_max,
        }
    }

    pub(crate) fn parameters(&mut self, parameters: Arc<[crate::types::Value]>) {
        self.eval.parameters = parameters;
    }
}
