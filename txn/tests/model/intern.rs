//! Values that many states share are kept once and named by a number: so a state is a few numbers.

use std::{collections::HashMap, hash::Hash, sync::Arc};

/// Numbers are handed out in the order in which values come.
pub struct Interner<T> {
    numbers: HashMap<Arc<T>, u32>,
    values: Vec<Arc<T>>,
}

impl<T> Default for Interner<T> {
    fn default() -> Interner<T> {
        Interner { numbers: HashMap::new(), values: Vec::new() }
    }
}

impl<T: Hash + Eq> Interner<T> {
    pub fn number(&mut self, value: T) -> u32 {
        if let Some(number) = self.numbers.get(&value) {
            return *number;
        }
        let number = self.values.len() as u32;
        let value = Arc::new(value);
        self.values.push(value.clone());
        self.numbers.insert(value, number);
        number
    }

    pub fn value(&self, number: u32) -> Arc<T> {
        self.values[number as usize].clone()
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }
}
