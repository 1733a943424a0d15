//! The commit queue: what waits to be written, and whose turn it is to gather and to write.
//!
//! One at a time *leads*: it takes what waits and plans it, until nobody else writes; then it has its *turn* to write what it has
//! gathered, and somebody else may lead meanwhile. So the next group is planned while the disk is busy with the one before, and the
//! disk never waits for a group to be complete. Groups are written in the order in which they were taken.
//!
//! Who adds something while nobody leads or writes, and nothing was written in company before, leads itself, without waking
//! anybody: a single writer so pays for no change of threads. Else a thread that [waits for the lead](Queue::wait) is woken.
//!
//! The queue knows neither what is written nor how. It has one lock, held for a few instructions.

use std::{collections::VecDeque, time::Instant};

use super::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How much may wait, or be written at once.
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
    /// Wakes threads that wait for the lead.
    wake: Condvar,
    /// Wakes the one that leads, when it may write or gather more.
    go_on: Condvar,
    limits: Limits,
}

#[derive(Debug)]
struct Inner<T> {
    waiting: VecDeque<(T, usize)>,
    weight: usize,
    /// What was gathered and is not yet written: how many items, and their weight.
    gathered: (usize, usize),
    /// Whether somebody leads.
    led: bool,
    /// Whether the one that leads waits to go on.
    paused: bool,
    /// Whether somebody writes.
    writing: bool,
    /// Whether the last group had more than one item.
    company: bool,
    /// When somebody must write even if nothing waits.
    due: Option<Instant>,
    /// Whether a thread waits until `due`, or not as long.
    timed: bool,
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
        let inner = Inner {
            waiting: VecDeque::new(),
            weight: 0,
            gathered: (0, 0),
            led: false,
            paused: false,
            writing: false,
            company: false,
            due: None,
            timed: false,
            closed: false,
        };
        Self { inner: Mutex::new(inner), wake: Condvar::new(), go_on: Condvar::new(), limits }
    }

    /// Adds an item. With `Some`, the caller leads, and has to write.
    pub(crate) fn push(&self, item: T, weight: usize) -> Result<Option<Lead<'_, T>>, Refused> {
        let mut inner = self.inner();
        if inner.closed {
            return Err(Refused::Closed);
        }
        let (items, before) = inner.depth();
        if items > 0 && (items >= self.limits.items || before.saturating_add(weight) > self.limits.weight) {
            return Err(Refused::Full(items, before));
        }
        let leads = !inner.led && !inner.writing && items == 0 && !inner.company;
        inner.waiting.push_back((item, weight));
        inner.weight = inner.weight.saturating_add(weight);
        if leads {
            inner.led = true;
            return Ok(Some(Lead { queue: self }));
        }
        if !inner.led && inner.waiting.len() == 1 {
            self.wake.notify_one();
        }
        self.resume(&mut inner);
        Ok(None)
    }

    /// Waits until something waits that nobody gathers, or is due, and leads. `None` once the queue is closed and empty.
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
                Some((due, now)) if !inner.led && !inner.timed => {
                    inner.timed = true;
                    let waited = self.wake.wait_timeout(inner, due.duration_since(now));
                    let mut inner = waited.unwrap_or_else(PoisonError::into_inner).0;
                    inner.timed = false;
                    inner
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

    /// How much waits for its turn to be written: the numbers of items and their weight.
    pub(crate) fn depth(&self) -> (usize, usize) {
        self.inner().depth()
    }

    /// How many items are gathered and wait for their turn.
    #[cfg(test)]
    pub(crate) fn gathered(&self) -> usize {
        self.inner().gathered.0
    }

    /// Wakes the one that leads, if it waits.
    fn resume(&self, inner: &mut Inner<T>) {
        if std::mem::take(&mut inner.paused) {
            self.go_on.notify_one();
        }
    }

    /// Wakes a thread that could lead, if there is a reason to.
    fn call(&self, inner: &Inner<T>) {
        let alarm = inner.due.is_some() && !inner.timed;
        if inner.closed {
            self.wake.notify_all();
        } else if !inner.led && (alarm || !inner.waiting.is_empty()) {
            self.wake.notify_one();
        }
    }

    /// Nothing that is done under the lock can leave it half done.
    fn inner(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Inner<T> {
    fn depth(&self) -> (usize, usize) {
        let (items, weight) = self.gathered;
        (self.waiting.len() + items, self.weight.saturating_add(weight))
    }

    /// Takes what waits as long as it fits into the group.
    fn gather(&mut self, group: Limits) -> Vec<T> {
        let mut taken = Vec::with_capacity(self.waiting.len().min(group.items.saturating_sub(self.gathered.0)));
        while let Some((_, next)) = self.waiting.front() {
            let (items, total) = (self.gathered.0, self.gathered.1.saturating_add(*next));
            if items >= group.items || items > 0 && total > group.weight {
                break;
            }
            if let Some((item, weight)) = self.waiting.pop_front() {
                self.weight -= weight;
                self.gathered = (items + 1, total);
                taken.push(item);
            }
        }
        taken
    }
}

/// The right and the duty to gather what waits, and to write it. Somebody else can lead when it is dropped.
#[derive(Debug)]
pub(crate) struct Lead<'a, T> {
    queue: &'a Queue<T>,
}

/// What the one that leads does next.
#[derive(Debug)]
pub(crate) enum Next<'a, T> {
    /// Takes these items too.
    Gather(Vec<T>),
    /// Writes what it has gathered, if anything.
    Write(Turn<'a, T>),
}

impl<'a, T> Lead<'a, T> {
    /// Items that wait, in order: as many as fit into the group, but at least one to begin with, if there is any. Or, as soon as
    /// nobody else writes, the turn to write those that were given before. Waits for one of the two.
    pub(crate) fn next(&self, group: Limits) -> Next<'a, T> {
        let mut inner = self.queue.inner();
        loop {
            let first = inner.gathered.0 == 0 && !inner.waiting.is_empty();
            if !first && !inner.writing {
                inner.writing = true;
                let (items, _) = std::mem::take(&mut inner.gathered);
                if items > 0 {
                    inner.company = items > 1;
                }
                return Next::Write(Turn { queue: self.queue });
            }
            let taken = inner.gather(group);
            if !taken.is_empty() {
                return Next::Gather(taken);
            }
            inner.paused = true;
            inner = self.queue.go_on.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> Drop for Lead<'_, T> {
    fn drop(&mut self) {
        let mut inner = self.queue.inner();
        // Something is left where it panicked before its turn.
        (inner.led, inner.paused, inner.gathered) = (false, false, (0, 0));
        self.queue.call(&inner);
    }
}

/// The right and the duty to write what was gathered. Somebody else can write when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a, T> {
    queue: &'a Queue<T>,
}

impl<T> Turn<'_, T> {
    /// Sees to it that somebody writes again at `due`, at the latest.
    pub(crate) fn again_at(&self, due: Option<Instant>) {
        self.queue.inner().due = due;
    }
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        let mut inner = self.queue.inner();
        inner.writing = false;
        self.queue.resume(&mut inner);
        self.queue.call(&inner);
    }
}
