//! The commit queue: what waits to be written, and whose turn it is to write.
//!
//! One at a time *leads*: it takes all that waits (a group), writes it, and takes again. Who adds something while nobody leads
//! and nothing was written in company before may lead itself, without waking anybody: a single writer so pays for no change of
//! threads. Else a thread that [waits for the lead](Queue::wait) is woken; it leads until nothing waits.
//!
//! The queue knows neither what is written nor how. It has one lock, held for a few instructions.

use std::{collections::VecDeque, time::Instant};

use super::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How many items.
    pub(crate) items: usize,
    /// Their weight together; a single item may have more.
    pub(crate) weight: usize,
}

/// Items that wait, and who writes them.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    inner: Mutex<Inner<T>>,
    /// Wakes the thread that waits for the lead.
    wake: Condvar,
    limits: Limits,
}

#[derive(Debug)]
struct Inner<T> {
    waiting: VecDeque<(T, usize)>,
    weight: usize,
    /// Whether somebody leads.
    led: bool,
    /// Whether the last group had more than one item.
    company: bool,
    /// When somebody must lead even if nothing waits.
    due: Option<Instant>,
    /// Whether the thread has yet to hear of `due`.
    alarm: bool,
    closed: bool,
}

/// Why an item was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Too much waits; the numbers of items and their weight.
    Full(usize, usize),
    /// The queue takes nothing more.
    Closed,
}

impl<T> Queue<T> {
    pub(crate) fn new(limits: Limits) -> Self {
        let inner =
            Inner { waiting: VecDeque::new(), weight: 0, led: false, company: false, due: None, alarm: false, closed: false };
        Self { inner: Mutex::new(inner), wake: Condvar::new(), limits }
    }

    /// Adds an item. With `Some`, the caller leads, and has to write.
    pub(crate) fn push(&self, item: T, weight: usize) -> Result<Option<Lead<'_, T>>, Refused> {
        let mut inner = self.inner();
        if inner.closed {
            return Err(Refused::Closed);
        }
        let (items, total) = (inner.waiting.len(), inner.weight.saturating_add(weight));
        if items > 0 && (items >= self.limits.items || total > self.limits.weight) {
            return Err(Refused::Full(items, inner.weight));
        }
        let leads = !inner.led && items == 0 && !inner.company;
        inner.waiting.push_back((item, weight));
        inner.weight = total;
        if leads {
            inner.led = true;
            return Ok(Some(Lead { queue: self }));
        }
        if !inner.led && items == 0 {
            self.wake.notify_one();
        }
        Ok(None)
    }

    /// Waits until something waits that nobody writes, or is due, and leads. `None` once the queue is closed and empty.
    pub(crate) fn wait(&self) -> Option<Lead<'_, T>> {
        let mut inner = self.inner();
        loop {
            let now = inner.due.map(|_| Instant::now());
            let due = inner.due <= now && now.is_some();
            if !inner.led && (!inner.waiting.is_empty() || due) {
                inner.led = true;
                inner.due = None;
                return Some(Lead { queue: self });
            }
            if inner.closed && inner.waiting.is_empty() && !inner.led {
                return None;
            }
            inner = match inner.due.zip(now) {
                Some((due, now)) if !inner.led => {
                    let waited = self.wake.wait_timeout(inner, due.duration_since(now));
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                _ => self.wake.wait(inner).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Takes nothing more. What waits is still written.
    pub(crate) fn close(&self) {
        self.inner().closed = true;
        self.wake.notify_all();
    }

    /// How much waits: the numbers of items and their weight.
    pub(crate) fn depth(&self) -> (usize, usize) {
        let inner = self.inner();
        (inner.waiting.len(), inner.weight)
    }

    /// Nothing that is done under the lock can leave it half done.
    fn inner(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right and the duty to write what waits. Somebody else can lead when it is dropped.
#[derive(Debug)]
pub(crate) struct Lead<'a, T> {
    queue: &'a Queue<T>,
}

impl<T> Lead<'_, T> {
    /// Takes what waits, in order: up to `items` of up to `weight` together, but at least one if there is any.
    pub(crate) fn take(&self, items: usize, weight: usize) -> Vec<T> {
        let mut inner = self.queue.inner();
        let mut taken = Vec::with_capacity(inner.waiting.len().min(items));
        let mut total = 0_usize;
        while let Some((_, next)) = inner.waiting.front() {
            total = total.saturating_add(*next);
            if taken.len() >= items || !taken.is_empty() && total > weight {
                break;
            }
            if let Some((item, weight)) = inner.waiting.pop_front() {
                inner.weight -= weight;
                taken.push(item);
            }
        }
        if !taken.is_empty() {
            inner.company = taken.len() > 1;
        }
        taken
    }

    /// Sees to it that somebody leads again at `due`, at the latest.
    pub(crate) fn again_at(&self, due: Option<Instant>) {
        let mut inner = self.queue.inner();
        inner.alarm |= due.is_some() && inner.due != due;
        inner.due = due;
    }
}

impl<T> Drop for Lead<'_, T> {
    fn drop(&mut self) {
        let mut inner = self.queue.inner();
        inner.led = false;
        if !inner.waiting.is_empty() || std::mem::take(&mut inner.alarm) || inner.closed {
            self.queue.wake.notify_one();
        }
    }
}
