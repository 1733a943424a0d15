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

use queue::{Lead, Limits, Next, Queue, Refused};

const LIMITS: Limits = Limits { items: 8, weight: 8 };

/// What is written at once.
const GROUP: Limits = Limits { items: 2, weight: 8 };

/// A queue, and what was gathered and what was written, each in the order in which it was.
struct World {
    queue: Queue<(usize, usize)>,
    gathered: Mutex<Vec<(usize, usize)>>,
    written: Mutex<Vec<(usize, usize)>>,
    /// Wakes those who wait for what they have pushed.
    answered: Condvar,
    /// Loom's locks, taken without waiting: whoever finds one taken leads, or writes, beside another.
    leading: Mutex<()>,
    writing: Mutex<()>,
}

impl World {
    fn new() -> Arc<Self> {
        let [leading, writing] = [(); 2].map(Mutex::new);
        let (gathered, written) = (Mutex::default(), Mutex::default());
        Arc::new(Self { queue: Queue::new(LIMITS), gathered, written, answered: Condvar::new(), leading, writing })
    }

    /// Gathers and writes a group.
    fn write(&self, lead: Lead<'_, (usize, usize)>) {
        let leads = self.leading.try_lock().expect("two lead at a time");
        let mut group = Vec::new();
        let turn = loop {
            match lead.next(GROUP) {
                Next::Gather(items) => {
                    self.gathered.lock().unwrap().extend(&items);
                    group.extend(items);
                }
                Next::Write(turn) => break turn,
            }
        };
        let writes = self.writing.try_lock().expect("two write at a time");
        drop(leads);
        drop(lead);
        assert!(group.len() <= GROUP.items, "{group:?}");
        self.written.lock().unwrap().extend(&group);
        self.answered.notify_all();
        drop(writes);
        drop(turn);
    }

    /// What was written, in the order in which it was gathered.
    fn written(&self) -> Vec<(usize, usize)> {
        let written = self.written.lock().unwrap().clone();
        assert_eq!(*self.gathered.lock().unwrap(), written);
        written
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
            self.write(lead);
        }
        Ok(())
    }

    /// What a thread of the store does.
    fn serve(&self) {
        while let Some(lead) = self.queue.wait() {
            self.write(lead);
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
        let written = world.written();
        assert_eq!(written.len(), 3, "{written:?}");
        assert_eq!(written.iter().filter(|(writer, _)| *writer == 1).map(|(_, number)| *number).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(world.queue.depth(), (0, 0));
    });
}

#[test]
fn two_threads_gather_and_write_in_turn() {
    explore(|| {
        let world = World::new();
        let servers = [(); 2].map(|()| {
            let world = Arc::clone(&world);
            thread::spawn(move || world.serve())
        });
        (0..3).for_each(|number| world.push((1, number)).unwrap());
        world.queue.close();
        servers.into_iter().for_each(|server| server.join().unwrap());
        assert_eq!(world.written(), [(1, 0), (1, 1), (1, 2)]);
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
        assert_eq!(world.written().len(), taken);
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
        world.write(lead);
        let taken = usize::from(pusher.join().unwrap());
        world.queue.close();
        world.serve();
        assert_eq!(world.written().len(), 2 + taken);
    });
}
