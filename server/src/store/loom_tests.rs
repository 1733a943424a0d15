//! The commit queue under every order of its threads' steps that loom finds.
#![allow(dead_code, reason = "not all of the queue is used here")]

/// loom's locks in the place of the standard library's.
mod sync {
    pub(super) use std::sync::PoisonError;

    pub(super) use loom::sync::{Condvar, Mutex, MutexGuard};
}

#[allow(clippy::duplicate_mod, reason = "the same code over other locks")]
#[path = "queue.rs"]
mod queue;

use loom::{
    sync::{Arc, Condvar, Mutex},
    thread,
};

use queue::{Lead, Limits, Queue, Refused};

const LIMITS: Limits = Limits { items: 8, weight: 8 };

/// A queue, and what was written in the order in which it was.
struct World {
    queue: Queue<(usize, usize)>,
    written: Mutex<Vec<(usize, usize)>>,
    /// Wakes those who wait for what they have pushed.
    answered: Condvar,
    /// Loom's lock, taken without waiting: whoever finds it taken leads beside another.
    leading: Mutex<()>,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self { queue: Queue::new(LIMITS), written: Mutex::default(), answered: Condvar::new(), leading: Mutex::new(()) })
    }

    fn write(&self, lead: &Lead<'_, (usize, usize)>) -> usize {
        let _one = self.leading.try_lock().expect("two lead at a time");
        let group = lead.take(2, LIMITS.weight);
        let count = group.len();
        self.written.lock().unwrap().extend(group);
        self.answered.notify_all();
        count
    }

    /// Waits until an item is written. Where nobody ever writes it, loom finds that all threads wait.
    fn wait_for(&self, item: (usize, usize)) {
        let mut written = self.written.lock().unwrap();
        while !written.contains(&item) {
            written = self.answered.wait(written).unwrap();
        }
    }

    fn push(&self, item: (usize, usize)) -> Result<(), Refused> {
        if let Some(lead) = self.queue.push(item, 1)? {
            self.write(&lead);
        }
        Ok(())
    }

    /// What the thread of the store does.
    fn serve(&self) {
        while let Some(lead) = self.queue.wait() {
            while self.write(&lead) > 0 {}
        }
    }
}

fn explore(check: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(check);
}

#[test]
fn everything_is_written_once_in_the_order_of_each_writer() {
    explore(|| {
        let world = World::new();
        let start = |work: fn(&World)| {
            let world = Arc::clone(&world);
            thread::spawn(move || work(&world))
        };
        let server = start(World::serve);
        let writers = [
            start(|world| {
                (0..2).for_each(|number| world.push((1, number)).unwrap());
                world.wait_for((1, 1));
            }),
            start(|world| {
                world.push((2, 0)).unwrap();
                world.wait_for((2, 0));
            }),
        ];
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        world.queue.close();
        server.join().unwrap();
        let written = world.written.lock().unwrap();
        assert_eq!(written.len(), 3, "{written:?}");
        assert_eq!(written.iter().filter(|(writer, _)| *writer == 1).map(|(_, number)| *number).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(world.queue.depth(), (0, 0));
    });
}

#[test]
fn what_was_taken_before_the_end_is_written_and_nothing_after() {
    explore(|| {
        let world = World::new();
        let (server, writer) = (Arc::clone(&world), Arc::clone(&world));
        let server = thread::spawn(move || server.serve());
        let writer = thread::spawn(move || (0..2).filter(|number| writer.push((1, *number)).is_ok()).count());
        world.queue.close();
        let taken = writer.join().unwrap();
        server.join().unwrap();
        assert_eq!(world.written.lock().unwrap().len(), taken);
        assert_eq!(world.push((1, 9)), Err(Refused::Closed));
    });
}

#[test]
fn a_full_queue_refuses_and_takes_again() {
    explore(|| {
        let world = World::new();
        // Somebody leads and does not take yet.
        let lead = world.queue.push((0, 0), 1).unwrap().unwrap();
        assert!(world.queue.push((0, 1), 7).unwrap().is_none());
        assert_eq!(world.queue.push((0, 2), 1).unwrap_err(), Refused::Full(2, 8));
        let other = Arc::clone(&world);
        let pusher = thread::spawn(move || other.push((1, 0)).is_ok());
        while world.write(&lead) > 0 {}
        drop(lead);
        let taken = usize::from(pusher.join().unwrap());
        world.queue.close();
        world.serve();
        assert_eq!(world.written.lock().unwrap().len(), 2 + taken);
    });
}
