//! The history of one seed.

use vecino_engine::{
    Code, Error,
    journal::{self, Recovery},
    plan::Plan,
    pool::Sequential,
    state::State,
};
use vecino_server::storage::FileStorage;

use super::{
    Tally,
    commands::Commands,
    compare,
    disk::{End, SimDisk, Weather},
    plant::Plant,
    process::{Durability, Process},
};
use crate::{
    oracle::{Oracle, Outcome},
    rng::Rng,
};

/// What may be found after a crash.
struct Moment {
    state: State,
    oracle: Oracle,
}

struct World<'a> {
    rng: Rng,
    commands: Commands,
    disk: SimDisk,
    process: Option<Process>,
    /// The synced state, and those after each record that was submitted since and may or may not be in the log.
    possible: Vec<Moment>,
    /// Which of them was acknowledged last, and so outlives the process: that is what readers see.
    logged: usize,
    /// Whether the page cache was lost since the folder was open.
    power_lost: bool,
    plant: Option<Plant>,
    tally: Tally,
    story: Option<&'a mut Vec<String>>,
}

/// Runs the history of a seed until it has had so many crashes, and tells it if there is a place for it.
pub(super) fn run(seed: u64, crashes: u64, plant: Option<Plant>, story: Option<&mut Vec<String>>) -> Result<Tally, String> {
    let mut rng = Rng::new(seed);
    let disk = SimDisk::new(rng.bits(), plant);
    let mut world = World {
        commands: Commands::new(Rng::new(rng.bits())),
        rng,
        process: None,
        possible: vec![Moment { state: State::default(), oracle: Oracle::default() }],
        logged: 0,
        power_lost: false,
        disk,
        plant,
        tally: Tally { seeds: 1, ..Tally::default() },
        story,
    };
    world.open()?;
    while world.tally.crashes < crashes {
        world.life()?;
        world.open()?;
    }
    Ok(world.tally)
}

impl World<'_> {
    fn tell(&mut self, what: impl FnOnce(&Self) -> String) {
        if self.story.is_some() {
            let what = what(self);
            self.story.as_mut().into_iter().for_each(|story| story.push(what.clone()));
        }
    }

    /// One life of a process, from opening to its end.
    fn life(&mut self) -> Result<(), String> {
        if self.rng.once_in(3) {
            let errors = self.rng.once_in(2).then(|| 20 + self.rng.below(100));
            self.disk.set_weather(Weather { errors, short_writes: Some(12) });
        }
        if self.rng.once_in(10) {
            let room = self.rng.below(4_000);
            self.disk.set_room(Some(room));
        }
        let (calls, segment_bytes) = (self.rng.below(60), 300 + self.rng.below(3_000) as u64);
        self.process()?.set_segment_bytes(segment_bytes);
        self.disk.stop_after(calls);
        for _ in 0..1 + self.rng.below(12) {
            if self.disk.stopped() || self.process()?.failure().is_some() {
                break;
            }
            match self.rng.below(13) {
                0 | 1 => self.checkpoint()?,
                2 => self.second_process()?,
                3 => self.take_in()?,
                4 => self.prepare()?,
                _ => self.write()?,
            }
        }
        if !self.disk.stopped() && self.rng.once_in(4) && self.close()? {
            return Ok(());
        }
        self.crash();
        Ok(())
    }

    fn process(&mut self) -> Result<&mut Process, String> {
        self.process.as_mut().ok_or_else(|| "there is no process".to_owned())
    }

    /// A group of commands: those that are not refused go into the log as one step.
    fn write(&mut self) -> Result<(), String> {
        let before = self.possible.len();
        let mut records = Vec::new();
        // Only what reaches over several sectors can be torn.
        let most = if self.rng.once_in(2) { 12 } else { 3 };
        for _ in 0..1 + self.rng.below(most) {
            let Some(last) = self.possible.last() else { break };
            let (mut oracle, mut state) = (last.oracle.clone(), last.state.clone());
            let command = self.commands.next(&oracle);
            let seq = state.seq() + 1;
            let (expected, planned) = (oracle.apply(&command, seq), state.plan(command.clone()));
            match (expected, planned) {
                (Outcome::Refused, Err(_)) | (Outcome::Nothing | Outcome::Unseen, Ok(Plan { record: None, .. })) => {}
                (Outcome::Done | Outcome::Unseen, Ok(Plan { record: Some(record), .. })) => {
                    if expected == Outcome::Unseen {
                        record.library().into_iter().for_each(|library| oracle.wrote(library.as_str(), seq));
                    }
                    state.apply(seq, record.clone());
                    records.push(record);
                    self.possible.push(Moment { state, oracle });
                }
                (expected, planned) => return Err(format!("{command:?} is {expected:?} for the model, here {planned:?}")),
            }
        }
        let Some(after) = self.possible.last().filter(|_| !records.is_empty()).map(|moment| moment.state.clone()) else {
            return Ok(());
        };
        let (next, early) = (self.possible[before - 1].state.seq() + 1, self.plant == Some(Plant::ApplyBeforeAppend));
        let durability = if self.rng.once_in(3) { Durability::Logged } else { Durability::Synced };
        let process = self.process()?;
        if early {
            process.state = after.clone();
        }
        let written = process.commit(&records, &after, durability);
        let result = written.as_ref().map_err(|error| &error.detail);
        self.tell(|_| format!("write {} records from {next}, {durability:?}: {result:?}", records.len()));
        match written {
            Ok(first) if first == next => {
                self.tally.acknowledged += records.len() as u64;
                self.logged = self.possible.len() - 1;
                if durability == Durability::Synced {
                    self.possible.drain(..self.logged);
                    self.logged = 0;
                }
                Ok(())
            }
            Ok(first) => Err(format!("record {next} got the sequence {first}")),
            Err(error) => {
                self.tally.unacknowledged += records.len() as u64;
                self.not_written(&error, before)
            }
        }
    }

    /// After a write that failed: nothing of it is seen, and either it is known that it is not in the log, or nothing more is
    /// written until the next opening.
    fn not_written(&mut self, error: &Error, before: usize) -> Result<(), String> {
        let acknowledged = self.possible[self.logged].state.seq();
        let process = self.process()?;
        let (seen, failed) = (process.state.seq(), process.failure().is_some());
        if seen != acknowledged {
            return Err(format!("a write that failed ({error}) can be seen"));
        }
        if self.disk.stopped() {
            return Ok(());
        }
        self.tally.failed_calls += 1;
        if !failed {
            self.possible.truncate(before);
            return Ok(());
        }
        match self.process()?.begin_checkpoint() {
            Err(_) => Ok(()),
            Ok(_) => Err("the journal goes on after a failure".to_owned()),
        }
    }

    /// A checkpoint; while it is written, records are.
    fn checkpoint(&mut self) -> Result<(), String> {
        let mut checkpointing = match self.process()?.begin_checkpoint() {
            Ok(checkpointing) => checkpointing,
            Err(_) => {
                self.tally.failed_calls += u64::from(!self.disk.stopped());
                return Ok(());
            }
        };
        // The log is synced up to where it was cut.
        self.possible.drain(..self.logged);
        self.logged = 0;
        let seq = checkpointing.seq();
        let mut meanwhile = Ok(());
        let written = checkpointing.write(|| {
            let usable = self.process.as_ref().is_some_and(|process| process.failure().is_none());
            if meanwhile.is_ok() && usable && !self.disk.stopped() && self.rng.once_in(2) {
                meanwhile = self.write();
            }
        });
        meanwhile?;
        let result = written.as_ref().map_err(|error| &error.detail);
        self.tell(|_| format!("checkpoint at {seq}: {result:?}"));
        self.process()?.finish_checkpoint(checkpointing, written.is_ok());
        match written {
            Ok(done) if done.seq == seq => self.tally.checkpoints += 1,
            Ok(done) => return Err(format!("a checkpoint at {} instead of {seq}", done.seq)),
            Err(_) => self.tally.failed_calls += u64::from(!self.disk.stopped()),
        }
        Ok(())
    }

    /// Zeros for the next segment; the log does not need them.
    fn prepare(&mut self) -> Result<(), String> {
        let bytes = self.rng.below(6_000) as u64;
        let prepared = self.process()?.prepare(bytes);
        self.tell(|_| format!("prepare {bytes} bytes: {:?}", prepared.as_ref().map_err(|error| &error.detail)));
        match prepared {
            Ok(()) => self.tally.prepared += u64::from(bytes > 0),
            Err(_) => self.tally.failed_calls += u64::from(!self.disk.stopped()),
        }
        Ok(())
    }

    /// Indexes take in what waits, and what readers see is what was acknowledged.
    fn take_in(&mut self) -> Result<(), String> {
        while let Some(job) = self.process()?.state.index_job() {
            let done = job.run(&Sequential).ok_or("a job has stopped")?;
            self.process()?.state.install(&done);
            // The next state that is shown has it, too.
            self.possible.iter_mut().for_each(|moment| moment.state.install(&done));
            self.tally.index_jobs += 1;
        }
        let process = self.process.as_ref().ok_or("there is no process")?;
        compare::same(&process.state, &self.possible[self.logged].oracle)
    }

    /// Another process can neither take nor read the folder.
    fn second_process(&mut self) -> Result<(), String> {
        let other = self.disk.another_process();
        for opened in [FileStorage::own(other.clone()), FileStorage::share(other)] {
            match opened {
                Err(error) if error.code == Code::Locked => {}
                other => return Err(format!("a second process got {:?}", other.map(drop))),
            }
        }
        Ok(())
    }

    /// An orderly end; whether it came to it.
    fn close(&mut self) -> Result<bool, String> {
        let Some(process) = self.process.take() else { return Ok(false) };
        let closed = process.close();
        self.tell(|_| format!("close: {:?}", closed.as_ref().map_err(|e| &e.detail)));
        if closed.is_err() {
            return Ok(false);
        }
        let end = if self.rng.once_in(2) { End::Kill } else { End::PowerCut };
        self.disk = self.disk.end(end);
        // All of the log was synced.
        self.possible.drain(..self.logged);
        self.logged = 0;
        self.check(false)?;
        Ok(true)
    }

    fn crash(&mut self) {
        let end = if self.rng.once_in(4) { End::Kill } else { End::PowerCut };
        self.disk = self.disk.end(end);
        self.process = None;
        self.power_lost |= end == End::PowerCut;
        self.tell(|world| format!("{end:?}; left are {:?}", world.disk.files()));
        self.tally.crashes += 1;
        self.tally.power_cuts += u64::from(end == End::PowerCut);
    }

    /// Opens the folder, possibly with crashes on the way, and compares.
    fn open(&mut self) -> Result<(), String> {
        if self.rng.once_in(4) {
            self.check(true)?;
        }
        if self.rng.once_in(4) {
            self.rot()?;
        }
        while self.rng.once_in(3) {
            let calls = self.rng.below(20);
            self.disk.stop_after(calls);
            if self.rng.once_in(3) {
                self.disk.set_weather(Weather { errors: Some(2 + self.rng.below(20)), short_writes: Some(12) });
            }
            let opened = Process::open(self.disk.clone());
            let stopped = self.disk.stopped();
            self.tell(|_| format!("open, to be stopped after {calls} calls: {:?}", opened.as_ref().map(|(_, found)| found)));
            if let Some(error) = opened.as_ref().err().filter(|error| !matches!(error.code, Code::Storage | Code::StorageFull)) {
                return Err(format!("a call that failed is taken for {error:?}"));
            }
            drop(opened);
            self.crash();
            self.tally.in_recovery += u64::from(stopped);
        }
        let (process, recovery) =
            Process::open(self.disk.clone()).map_err(|error| format!("the folder cannot be opened: {error:?}"))?;
        self.tally.torn_tails += u64::from(recovery.torn_bytes > 0);
        self.tell(|_| format!("open at {}: {recovery:?}", process.state.seq()));
        let found = self.moment(&process.state, &recovery)?;
        // What was found is seen, so it must stay.
        self.possible.drain(..found);
        self.possible.truncate(1);
        (self.logged, self.power_lost) = (0, false);
        compare::same(&process.state, &self.possible[0].oracle)?;
        self.process = Some(process);
        Ok(())
    }

    /// Which of the possible moments a state is.
    fn moment(&self, state: &State, recovery: &Recovery) -> Result<usize, String> {
        let (first, seq) = (self.possible[0].state.seq(), state.seq());
        let least = if self.power_lost { first } else { self.possible[self.logged].state.seq() };
        if seq < least {
            return Err(format!("record {least} was acknowledged; after the crash the last one is {seq}"));
        }
        let found = (seq - first) as usize;
        let Some(moment) = self.possible.get(found) else {
            return Err(format!("record {seq} is there, and was never submitted"));
        };
        if !recovery.repaired.is_empty() {
            // An index that was made anew stands at another place of the log.
            compare::same(state, &moment.oracle)?;
        } else if compare::bytes(state)? != compare::bytes(&moment.state)? {
            let what = compare::same(state, &moment.oracle).err().unwrap_or_else(|| "bytes that no query shows".to_owned());
            return Err(format!("the state at record {seq} is another one: {what}"));
        }
        Ok(found)
    }

    /// A check finds nothing, or after a crash a torn tail.
    fn check(&self, torn: bool) -> Result<(), String> {
        let storage = FileStorage::share(self.disk.clone()).map_err(|error| format!("{error:?}"))?;
        let found = journal::check(&storage).map_err(|error| format!("the folder cannot be checked: {error:?}"))?;
        let may_be = |error: &Error| torn && error.detail.contains("never acknowledged");
        match found.into_iter().flat_map(|file| file.problems).find(|problem| !may_be(problem)) {
            Some(problem) => Err(format!("the check finds {problem:?}")),
            None => Ok(()),
        }
    }

    /// A copy with a flipped bit is refused, or shows what there was.
    fn rot(&mut self) -> Result<(), String> {
        let copy = self.disk.copy();
        let Some(place) = copy.rot() else { return Ok(()) };
        self.tally.rotted += 1;
        match Process::open(copy) {
            Ok((process, recovery)) => {
                self.moment(&process.state, &recovery).map(drop).map_err(|what| format!("a flipped bit in {place}: {what}"))
            }
            Err(error) if matches!(error.code, Code::Damaged | Code::UnsupportedVersion) => {
                self.tally.rot_found += 1;
                Ok(())
            }
            Err(error) => Err(format!("a flipped bit in {place}: {error:?}")),
        }
    }
}
