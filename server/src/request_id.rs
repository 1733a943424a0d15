//! The id of the request that is being answered, for whoever writes of it.

use std::sync::{
    LazyLock,
    atomic::{AtomicU64, Ordering},
};

use uuid::Uuid;

/// The ids that are made here follow each other from a random one: to ask the system for each takes longer than all else of it.
static FIRST: LazyLock<u128> = LazyLock::new(|| Uuid::now_v7().as_u128());
static MADE: AtomicU64 = AtomicU64::new(0);

tokio::task_local! {
    static CURRENT: String;
}

/// A new id.
pub(crate) fn new() -> String {
    Uuid::from_u128(FIRST.wrapping_add(MADE.fetch_add(1, Ordering::Relaxed).into())).to_string()
}

/// The id; empty where no request is being answered.
pub(crate) fn current() -> String {
    CURRENT.try_with(Clone::clone).unwrap_or_default()
}

/// Work for the request of this id.
pub(crate) fn under<F: Future>(id: String, work: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(id, work)
}

/// The same for work that keeps its thread.
pub(crate) fn during<T>(id: String, work: impl FnOnce() -> T) -> T {
    CURRENT.sync_scope(id, work)
}
