//! Concurrent histories against a model.
//!
//! Every write that succeeds tells its sequence and every read the sequence of its state, so a history names the order in which
//! it claims to have happened. It is linearizable if that order fits the times at which calls began and ended, and if every
//! answer is what the model gives at that place of the order.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
};

use super::*;

#[derive(Clone, Debug)]
enum Call {
    Add(String),
    Delete(String),
    Read,
}

#[derive(Clone, Debug)]
enum Outcome {
    Done(u64),
    Refused(Code),
    Seen(u64, BTreeSet<String>),
}

/// A call with the ticks of a common clock at which it began and ended.
#[derive(Clone, Debug)]
struct Event {
    began: u64,
    ended: u64,
    call: Call,
    outcome: Outcome,
}

/// The documents after the write of each sequence, from `first` on.
struct Model {
    first: u64,
    states: Vec<BTreeSet<String>>,
}

impl Model {
    fn of(events: &[Event], first: u64) -> std::result::Result<Self, String> {
        let mut writes: Vec<(u64, &Call)> = Vec::new();
        for event in events {
            if let Outcome::Done(seq) = event.outcome {
                writes.push((seq, &event.call));
            }
        }
        writes.sort_by_key(|(seq, _)| *seq);
        let mut states = vec![BTreeSet::new()];
        for (place, (seq, call)) in writes.into_iter().enumerate() {
            if seq != first + 1 + place as u64 {
                return Err(format!("the sequence {seq} stands twice, or one before it is missing"));
            }
            let mut next = states.last().cloned().unwrap_or_default();
            let fits = match call {
                Call::Add(id) => next.insert(id.clone()),
                Call::Delete(id) => next.remove(id),
                Call::Read => false,
            };
            if !fits {
                return Err(format!("{call:?} cannot have succeeded at {seq}"));
            }
            states.push(next);
        }
        Ok(Self { first, states })
    }

    fn at(&self, seq: u64) -> Option<&BTreeSet<String>> {
        self.states.get(seq.checked_sub(self.first)? as usize)
    }

    /// Whether a call is refused so at the sequence.
    fn refuses(&self, call: &Call, code: Code, seq: u64) -> bool {
        let Some(state) = self.at(seq) else { return false };
        match call {
            Call::Add(id) => code == Code::DocumentExists && state.contains(id),
            Call::Delete(id) => code == Code::DocumentNotFound && !state.contains(id),
            Call::Read => false,
        }
    }
}

/// What is wrong with a history that began at the sequence `first`.
fn check(events: &[Event], first: u64) -> std::result::Result<(), String> {
    let model = Model::of(events, first)?;
    let last = first + model.states.len() as u64 - 1;
    for event in events {
        // What had ended before this began must be behind it, and what began after this ended, before it.
        let told = |other: &Event| match other.outcome {
            Outcome::Done(seq) | Outcome::Seen(seq, _) => Some((seq, matches!(other.outcome, Outcome::Done(_)))),
            Outcome::Refused(_) => None,
        };
        let least = events.iter().filter(|other| other.ended < event.began).filter_map(told).map(|(seq, _)| seq);
        let least = least.max().unwrap_or(first);
        let most = events.iter().filter(|other| other.began > event.ended).filter_map(told);
        let most = most.map(|(seq, wrote)| seq - u64::from(wrote)).min().unwrap_or(last);
        let fits = match &event.outcome {
            Outcome::Done(seq) => *seq > least && *seq <= most,
            Outcome::Seen(seq, seen) => (least..=most).contains(seq) && model.at(*seq) == Some(seen),
            Outcome::Refused(code) => (least..=most).any(|seq| model.refuses(&event.call, *code, seq)),
        };
        if !fits {
            return Err(format!("{event:?} does not fit between {least} and {most}"));
        }
    }
    Ok(())
}

fn history(store: &Arc<Store<Faulty>>, seed: u64) -> Vec<Event> {
    let clock = AtomicU64::new(0);
    let worker = |number: u64| {
        let mut random = seed.wrapping_mul(31).wrapping_add(number).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut events = Vec::new();
        for _ in 0..60 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let id = format!("d{}", random % 5);
            let call = match random >> 32 & 3 {
                0 | 1 => Call::Add(id),
                2 => Call::Delete(id),
                _ => Call::Read,
            };
            let began = clock.fetch_add(1, Ordering::SeqCst);
            let outcome = match call.clone() {
                Call::Add(id) => run(store, add(&id)).map_or_else(|error| Outcome::Refused(error.code), Outcome::Done),
                Call::Delete(id) => run(store, delete(&id)).map_or_else(|error| Outcome::Refused(error.code), Outcome::Done),
                Call::Read => {
                    let state = store.state();
                    Outcome::Seen(state.seq(), documents(&state).into_iter().collect())
                }
            };
            events.push(Event { began, ended: clock.fetch_add(1, Ordering::SeqCst), call, outcome });
        }
        events
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..6).map(|number| scope.spawn(move || worker(number))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn concurrent_histories_are_linearizable() {
    for seed in 0..20 {
        let (store, storage) = store();
        let checkpoints = thread::spawn({
            let store = Arc::clone(&store);
            move || {
                for _ in 0..3 {
                    store.checkpoint().unwrap();
                }
            }
        });
        let events = history(&store, seed);
        checkpoints.join().unwrap();
        check(&events, 1).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        assert_eq!(documents(&reopened(&storage).0), documents(&store.state()));
    }
}

#[test]
fn histories_that_are_not_linearizable_are_found() {
    let event = |began, ended, call: Call, outcome| Event { began, ended, call, outcome };
    let add = |id: &str| Call::Add(id.to_owned());
    let seen = |seq, ids: &[&str]| Outcome::Seen(seq, ids.iter().map(|id| (*id).to_owned()).collect());
    let wrote = event(0, 1, add("a"), Outcome::Done(2));
    for (what, second) in [
        ("a stale read", event(2, 3, Call::Read, seen(1, &[]))),
        ("a read of what never was", event(2, 3, Call::Read, seen(2, &["b"]))),
        ("a write that came back", event(2, 3, add("a"), Outcome::Done(3))),
        ("a sequence twice", event(2, 3, add("b"), Outcome::Done(2))),
        ("a refusal without a reason", event(2, 3, add("b"), Outcome::Refused(Code::DocumentExists))),
        ("a refusal of another kind", event(2, 3, add("a"), Outcome::Refused(Code::Storage))),
    ] {
        assert!(check(&[wrote.clone(), second], 1).is_err(), "{what}");
    }
    // Two writes one after the other, whose sequences say the opposite.
    assert!(check(&[event(0, 1, add("a"), Outcome::Done(3)), event(2, 3, add("b"), Outcome::Done(2))], 1).is_err());
    // Beside each other they may have either.
    check(&[event(0, 3, add("a"), Outcome::Done(3)), event(1, 2, add("b"), Outcome::Done(2))], 1).unwrap();
    check(&[wrote, event(0, 2, Call::Read, seen(1, &[])), event(0, 2, Call::Read, seen(2, &["a"]))], 1).unwrap();
}
