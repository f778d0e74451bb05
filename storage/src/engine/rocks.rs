//! The engine of real nodes, on RocksDB. The only file that names it.
//!
//! The write-ahead log is off: durability comes from the Raft log, and from atomic flushes that take all column families to
//! the same point (so that the applied indexes in `meta` tell the truth about `data` and `intent`).

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompressionType, DBRawIterator, FlushOptions, Options,
    Range, ReadOptions, Snapshot, WriteOptions,
};
use self_cell::self_cell;

use super::{ColumnFamily, Cursor, Engine, Reader, WriteBatch, WriteOp};
use crate::error::{Error, Result};

/// Sizes of a [`RocksEngine`].
#[derive(Clone, Debug)]
pub struct RocksOptions {
    /// Uncompressed blocks kept in memory, shared by all column families.
    pub block_cache_bytes: usize,
    /// Memory of one memtable; when full it is flushed with those of the other column families.
    pub write_buffer_bytes: usize,
}

impl Default for RocksOptions {
    fn default() -> RocksOptions {
        RocksOptions { block_cache_bytes: 256 << 20, write_buffer_bytes: 64 << 20 }
    }
}

/// An [`Engine`] in a directory. Holds the directory's lock until it is dropped (with all of its snapshots).
pub struct RocksEngine {
    db: Arc<DB>,
    write_options: WriteOptions,
}

impl RocksEngine {
    /// Opens the store in `path`, or creates it.
    pub fn open(path: &Path, options: &RocksOptions) -> Result<RocksEngine> {
        let mut db_options = Options::default();
        db_options.create_if_missing(true);
        db_options.create_missing_column_families(true);
        db_options.set_atomic_flush(true);
        db_options.set_paranoid_checks(true);
        db_options.set_max_background_jobs(2);
        // Spreads the writes of flushes and compactions, so that the log's fdatasync does not wait behind a burst.
        db_options.set_bytes_per_sync(1 << 20);
        db_options.set_keep_log_file_num(4);
        let cache = Cache::new_lru_cache(options.block_cache_bytes);
        let families = ColumnFamily::ALL
            .map(|cf| ColumnFamilyDescriptor::new(cf.name(), family_options(&cache, options.write_buffer_bytes)));
        // RocksDB insists on its own "default" family and opens it even if unnamed; it stays empty.
        let db = DB::open_cf_descriptors(&db_options, path, families).map_err(failed)?;
        let mut write_options = WriteOptions::default();
        write_options.disable_wal(true);
        Ok(RocksEngine { db: Arc::new(db), write_options })
    }

    /// The least key above every key of the family, counting those that `batch` has put already.
    fn upper_bound(&self, cf: ColumnFamily, earlier: &[WriteOp]) -> Result<Vec<u8>> {
        let mut cursor = self.cursor(cf, &[], &[])?;
        cursor.seek_before(&[])?;
        let stored = cursor.key().map(<[u8]>::to_vec).unwrap_or_default();
        let put = earlier.iter().filter_map(|op| match op {
            WriteOp::Put { cf: put_cf, key, .. } if *put_cf == cf => Some(key.to_vec()),
            _ => None,
        });
        let mut last = put.fold(stored, Vec::max);
        last.push(0);
        Ok(last)
    }
}

fn family_options(cache: &Cache, write_buffer_bytes: usize) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_bloom_filter(10.0, false);
    blocks.set_block_size(16 << 10);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    blocks.set_format_version(5);
    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_bottommost_compression_type(DBCompressionType::Lz4);
    options.set_write_buffer_size(write_buffer_bytes);
    options.set_max_write_buffer_number(4);
    options.set_level_compaction_dynamic_level_bytes(true);
    options
}

fn failed(error: rocksdb::Error) -> Error {
    Error::Corrupt(format!("rocksdb: {error}"))
}

fn family(db: &DB, cf: ColumnFamily) -> Result<&rocksdb::ColumnFamily> {
    db.cf_handle(cf.name()).ok_or_else(|| Error::Corrupt(format!("column family {} is missing", cf.name())))
}

fn bounded(start: &[u8], end: &[u8]) -> ReadOptions {
    let mut options = ReadOptions::default();
    if !start.is_empty() {
        options.set_iterate_lower_bound(start);
    }
    if !end.is_empty() {
        options.set_iterate_upper_bound(end);
    }
    options
}

impl Reader for RocksEngine {
    fn get(&self, cf: ColumnFamily, key: &[u8]) -> Result<Option<Bytes>> {
        let found = self.db.get_pinned_cf(family(&self.db, cf)?, key).map_err(failed)?;
        Ok(found.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn cursor<'a>(&'a self, cf: ColumnFamily, start: &[u8], end: &[u8]) -> Result<Box<dyn Cursor + 'a>> {
        let family = family(&self.db, cf)?;
        let iterator = || self.db.raw_iterator_cf_opt(family, bounded(start, end));
        Ok(RocksCursor::boxed(start, end, iterator))
    }
}

impl Engine for RocksEngine {
    fn write(&self, batch: &WriteBatch) -> Result<()> {
        let mut rocks = rocksdb::WriteBatch::default();
        for (i, op) in batch.ops.iter().enumerate() {
            match op {
                WriteOp::Put { cf, key, value } => rocks.put_cf(family(&self.db, *cf)?, key, value),
                WriteOp::Delete { cf, key } => rocks.delete_cf(family(&self.db, *cf)?, key),
                WriteOp::DeleteRange { cf, start, end } => {
                    let end = if end.is_empty() { self.upper_bound(*cf, &batch.ops[..i])? } else { end.to_vec() };
                    if start[..] < end[..] {
                        rocks.delete_range_cf(family(&self.db, *cf)?, &start[..], &end[..]);
                    }
                }
            }
        }
        self.db.write_opt(rocks, &self.write_options).map_err(failed)
    }

    fn flush(&self) -> Result<()> {
        let families = ColumnFamily::ALL.map(|cf| family(&self.db, cf)).into_iter().collect::<Result<Vec<_>>>()?;
        let mut options = FlushOptions::default();
        options.set_wait(true);
        self.db.flush_cfs_opt(&families, &options).map_err(failed)
    }

    fn snapshot(&self) -> Box<dyn Reader> {
        Box::new(RocksSnapshot::new(self.db.clone(), |db| db.snapshot()))
    }

    fn approximate_bytes(&self, cf: ColumnFamily, start: &[u8], end: &[u8]) -> Result<u64> {
        // Above every key there is: user keys begin with a small table tag.
        const AFTER_ALL: &[u8] = &[0xff; 32];
        let end = if end.is_empty() { AFTER_ALL } else { end };
        if start >= end {
            return Ok(0);
        }
        let sizes = self.db.get_approximate_sizes_cf(family(&self.db, cf)?, &[Range::new(start, end)]);
        Ok(sizes.first().copied().unwrap_or(0))
    }

    fn sizes(&self) -> Vec<(&'static str, u64)> {
        let total = |property: &str| -> u64 {
            let families = ColumnFamily::ALL.into_iter().filter_map(|cf| family(&self.db, cf).ok());
            families.filter_map(|family| self.db.property_int_value_cf(family, property).ok().flatten()).sum()
        };
        vec![
            ("engine_files_bytes", total("rocksdb.total-sst-files-size")),
            ("engine_live_bytes", total("rocksdb.live-sst-files-size")),
            ("engine_memtables_bytes", total("rocksdb.cur-size-all-mem-tables")),
            ("engine_pending_compaction_bytes", total("rocksdb.estimate-pending-compaction-bytes")),
        ]
    }
}

self_cell! {
    /// A snapshot together with the store that it borrows.
    struct RocksSnapshot {
        owner: Arc<DB>,
        #[covariant]
        dependent: Snapshot,
    }
}

impl Reader for RocksSnapshot {
    fn get(&self, cf: ColumnFamily, key: &[u8]) -> Result<Option<Bytes>> {
        let found = self.borrow_dependent().get_pinned_cf(family(self.borrow_owner(), cf)?, key).map_err(failed)?;
        Ok(found.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn cursor<'a>(&'a self, cf: ColumnFamily, start: &[u8], end: &[u8]) -> Result<Box<dyn Cursor + 'a>> {
        let family = family(self.borrow_owner(), cf)?;
        let iterator = || self.borrow_dependent().raw_iterator_cf_opt(family, bounded(start, end));
        Ok(RocksCursor::boxed(start, end, iterator))
    }
}

/// Lets RocksDB enforce the bounds. An inverted span never reaches it: it has no iterator.
struct RocksCursor<'a> {
    iterator: Option<DBRawIterator<'a>>,
}

impl<'a> RocksCursor<'a> {
    fn boxed(start: &[u8], end: &[u8], make: impl FnOnce() -> DBRawIterator<'a>) -> Box<dyn Cursor + 'a> {
        let nothing = !end.is_empty() && start >= end;
        Box::new(RocksCursor { iterator: (!nothing).then(make) })
    }

    /// Runs one move and tells the end of the keys from a failure.
    fn run(&mut self, step: impl FnOnce(&mut DBRawIterator<'a>)) -> Result<()> {
        let Some(iterator) = &mut self.iterator else { return Ok(()) };
        step(iterator);
        if iterator.valid() { Ok(()) } else { iterator.status().map_err(failed) }
    }
}

impl Cursor for RocksCursor<'_> {
    fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.run(|iterator| iterator.seek(key))
    }

    fn seek_before(&mut self, key: &[u8]) -> Result<()> {
        self.run(|iterator| {
            if key.is_empty() {
                iterator.seek_to_last();
                return;
            }
            iterator.seek_for_prev(key);
            if iterator.key() == Some(key) {
                iterator.prev();
            }
        })
    }

    fn next(&mut self) -> Result<()> {
        self.run(|iterator| {
            if iterator.valid() {
                iterator.next();
            }
        })
    }

    fn prev(&mut self) -> Result<()> {
        self.run(|iterator| {
            if iterator.valid() {
                iterator.prev();
            }
        })
    }

    fn key(&self) -> Option<&[u8]> {
        self.iterator.as_ref()?.key()
    }

    fn value(&self) -> &[u8] {
        self.iterator.as_ref().and_then(|iterator| iterator.value()).unwrap_or(&[])
    }
}
