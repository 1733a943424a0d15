//! The commit queue: what waits to be written, and whose turn it is to gather and to write.
//!
//! One at a time *leads*: it takes what waits and plans it, until nobody else writes; then it has its *turn* to write what it has
//! gathered, and somebody else may lead meanwhile. So the next group is planned while the disk is busy with the one before. Groups are
//! written in the order in which they were taken.
//!
//! Those who were just answered often come back at once. Were the next group written without them, all would soon fall into two
//! crowds that take turns, each of whom waits for two syncs, where one sync for both costs hardly more than one for the smaller. So
//! the one that leads waits for them, no longer than the last write took. Where that was in vain, it is not tried again for some
//! groups, for twice as many each time. (PostgreSQL's `commit_delay` has the same purpose, with a time that somebody must choose.)
//!
//! Who adds something while nobody leads or writes, and nothing was written in company before, leads itself, without waking
//! anybody: a single writer so pays for no change of threads. Else a thread that [waits for the lead](Queue::wait) is woken.
//!
//! The queue knows neither what is written nor how. It has one lock, held for a few instructions.

use std::{
    cell::Cell,
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// So much is worth waking the one that leads, while it cannot write anyway.
const HANDFUL: Limits = Limits { items: 8, weight: 64 << 10 };

/// No longer is anybody waited for.
const PATIENCE: Duration = Duration::from_millis(5);

/// After this many vain waits in a row the pause until the next one grows no more.
const VAIN: u32 = 6;

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
    /// Whether somebody writes, and how many items.
    writing: Option<usize>,
    hope: Hope,
    /// Whether the last group had more than one item.
    company: bool,
    /// When somebody must write even if nothing waits.
    due: Option<Instant>,
    /// Whether a thread waits until `due`, or not as long.
    timed: bool,
    closed: bool,
}

/// That those who were answered come back.
#[derive(Debug, Default)]
struct Hope {
    /// How many items there may be together, and how many there were when the last write ended.
    expected: usize,
    before: usize,
    /// Until when they are waited for.
    until: Option<Instant>,
    /// How often that was in vain, one time after the other, and for how many groups it is not tried.
    vain: u32,
    pause: u32,
}

impl Hope {
    /// A write of `written` items has ended, which took so long; `there` are others.
    fn begin(&mut self, written: usize, there: usize, took: Duration, now: Instant) {
        if self.pause > 0 {
            self.pause -= 1;
        } else if written > 0 && !took.is_zero() {
            (self.expected, self.before) = (written + there, there);
            self.until = Some(now + took.min(PATIENCE));
        }
    }

    /// How long to wait on, where `there` are items.
    fn rest(&mut self, there: usize, now: Instant) -> Option<Duration> {
        let until = self.until.filter(|_| there > 0)?;
        let rest = until.saturating_duration_since(now);
        if there < self.expected && !rest.is_zero() {
            return Some(rest);
        }
        self.until = None;
        let came = there.saturating_sub(self.before);
        self.vain = if 2 * came >= self.expected - self.before { 0 } else { (self.vain + 1).min(VAIN) };
        self.pause = (1 << self.vain) - 1;
        None
    }
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
            writing: None,
            hope: Hope::default(),
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
        let leads = !inner.led && inner.writing.is_none() && items == 0 && !inner.company;
        inner.waiting.push_back((item, weight));
        inner.weight = inner.weight.saturating_add(weight);
        if leads {
            inner.led = true;
            return Ok(Some(Lead { queue: self }));
        }
        if !inner.led && inner.waiting.len() == 1 {
            self.wake.notify_one();
        }
        let complete = inner.writing.is_none() && items + 1 >= inner.hope.expected;
        if complete || inner.waiting.len() >= HANDFUL.items || inner.weight >= HANDFUL.weight {
            self.resume(&mut inner);
        }
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
    /// none does and nobody else writes, the turn to write those that were given before. Waits for one of the two.
    pub(crate) fn next(&self, group: Limits) -> Next<'a, T> {
        let mut inner = self.queue.inner();
        loop {
            let taken = inner.gather(group);
            if !taken.is_empty() {
                return Next::Gather(taken);
            }
            let free = inner.writing.is_none();
            // What still waits has no room in the group, so nobody else has.
            let there = inner.gathered.0;
            let rest = if free && inner.waiting.is_empty() { inner.hope.rest(there, Instant::now()) } else { None };
            if free && rest.is_none() {
                let (items, _) = std::mem::take(&mut inner.gathered);
                inner.writing = Some(items);
                if items > 0 {
                    inner.company = items > 1;
                }
                return Next::Write(Turn { queue: self.queue, took: Cell::default() });
            }
            inner.paused = true;
            inner = match rest {
                Some(rest) => self.queue.go_on.wait_timeout(inner, rest).unwrap_or_else(PoisonError::into_inner).0,
                None => self.queue.go_on.wait(inner).unwrap_or_else(PoisonError::into_inner),
            };
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
    /// How long others may be waited for afterwards.
    took: Cell<Duration>,
}

impl<T> Turn<'_, T> {
    /// Sees to it that somebody writes again at `due`, at the latest.
    pub(crate) fn again_at(&self, due: Option<Instant>) {
        self.queue.inner().due = due;
    }

    /// Tells how long the write took: it is worth so long to wait for those who come back.
    pub(crate) fn took(&self, time: Duration) {
        self.took.set(time);
    }
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        let mut inner = self.queue.inner();
        let written = inner.writing.take().unwrap_or_default();
        let (there, _) = inner.depth();
        inner.hope.begin(written, there, self.took.get(), Instant::now());
        self.queue.resume(&mut inner);
        self.queue.call(&inner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOK: Duration = Duration::from_millis(1);

    #[test]
    fn those_who_come_back_are_waited_for_as_long_as_the_write_took() {
        let (mut hope, now) = (Hope::default(), Instant::now());
        assert_eq!(hope.rest(3, now), None, "nobody has been answered");
        hope.begin(4, 3, TOOK, now);
        assert_eq!(hope.rest(0, now), None, "nobody waits for company");
        assert_eq!(hope.rest(3, now), Some(TOOK));
        assert_eq!(hope.rest(6, now + TOOK / 4), Some(TOOK * 3 / 4));
        assert_eq!(hope.rest(7, now + TOOK / 2), None, "all are there");
        assert_eq!(hope.rest(3, now), None, "until the next write");
        hope.begin(1, 0, TOOK, now);
        assert_eq!(hope.rest(1, now), None, "who is alone waits for nobody");
        hope.begin(4, 3, TOOK * 1_000, now);
        assert_eq!(hope.rest(3, now), Some(PATIENCE));
        hope.begin(4, 3, Duration::ZERO, now);
        assert_eq!(hope.rest(3, now + PATIENCE), None);
    }

    #[test]
    fn what_was_in_vain_is_tried_again_later() {
        let (mut hope, now) = (Hope::default(), Instant::now());
        let mut tried = Vec::new();
        for write in 0..30 {
            hope.begin(4, 1, TOOK, now);
            if hope.rest(1, now).is_some() {
                tried.push(write);
                assert_eq!(hope.rest(2, now + TOOK), None, "one of four has come");
            }
        }
        assert_eq!(tried, [0, 2, 6, 14]);
        // Once most of them come, it is tried each time.
        while hope.until.is_none() {
            hope.begin(4, 1, TOOK, now);
        }
        assert_eq!(hope.rest(4, now + TOOK), None);
        hope.begin(4, 1, TOOK, now);
        assert_eq!(hope.rest(1, now), Some(TOOK));
    }
}
