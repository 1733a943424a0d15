//! Long work: jobs that go on after the answer, tell how far they are, and can be cancelled.
//!
//! Jobs live in memory, the last thousand of them: a restart ends those that run and forgets the others. What a job has written
//! stays written.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use serde::Serialize;
use serde_json::Value as Json;
use tokio::sync::watch;
use utoipa::ToSchema;
use vecino_engine::{Error, host::Host};

use super::Service;

/// Jobs that may run at once.
pub const MAX_RUNNING_JOBS: usize = 8;

/// Jobs that are remembered.
pub const MAX_JOBS: usize = 1_000;

/// A job as users see it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Job)]
pub struct JobView {
    /// Its id.
    pub id: String,
    /// What it does, such as `import` or `delete`.
    pub kind: String,
    /// The library that it works on, as the request named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub library: Option<String>,
    /// How it stands.
    pub state: JobState,
    /// How many things are done: lines, documents, chunks or bytes, as befits its kind.
    pub done: u64,
    /// How many there are, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub total: Option<u64>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub ended_at: Option<String>,
    /// What came of it, once it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, nullable = false)]
    pub result: Option<Json>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub error: Option<JobError>,
}

/// Why a job failed, in the words of a problem document.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct JobError {
    /// The kind of problem, for programs.
    pub code: String,
    /// What happened.
    pub detail: String,
    /// The field at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub field: Option<String>,
}

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It is at work.
    Running,
    /// It came to its end.
    Done,
    /// It was refused or failed half way.
    Failed,
    /// It was told to stop.
    Cancelled,
}

/// Why a job stops early.
#[derive(Clone, Debug, PartialEq)]
pub enum Stop {
    /// It was told to.
    Cancelled,
    /// It cannot go on.
    Failed(JobError),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(JobError { code: error.code.as_str().to_owned(), detail: error.detail, field: error.field })
    }
}

/// All jobs.
#[derive(Debug, Default)]
pub struct Jobs {
    /// The oldest first.
    all: Mutex<VecDeque<Arc<Job>>>,
}

#[derive(Debug)]
struct Job {
    view: watch::Sender<JobView>,
    cancelled: AtomicBool,
}

/// A job that runs. Dropped without an end, it counts as cancelled.
#[derive(Debug)]
pub struct Running {
    job: Arc<Job>,
}

impl Jobs {
    /// Notes that a job has begun; `None` when too many run already.
    fn begin(&self, kind: &str, library: Option<&str>, host: &dyn Host) -> Option<Running> {
        let mut all = self.all();
        let runs = |job: &Arc<Job>| job.view.borrow().state == JobState::Running;
        if all.iter().filter(|job| runs(job)).count() >= MAX_RUNNING_JOBS {
            return None;
        }
        if all.len() >= MAX_JOBS
            && let Some(oldest) = all.iter().position(|job| !runs(job))
        {
            all.remove(oldest);
        }
        let view = JobView {
            id: host.new_id(),
            kind: kind.to_owned(),
            library: library.map(str::to_owned),
            state: JobState::Running,
            done: 0,
            total: None,
            created_at: host.now().to_string(),
            ended_at: None,
            result: None,
            error: None,
        };
        let job = Arc::new(Job { view: watch::Sender::new(view), cancelled: AtomicBool::new(false) });
        all.push_back(Arc::clone(&job));
        Some(Running { job })
    }

    fn find(&self, id: &str) -> Option<Arc<Job>> {
        self.all().iter().find(|job| job.view.borrow().id == id).cloned()
    }

    /// The list is whole at every step, also where a thread panicked with the lock.
    fn all(&self) -> MutexGuard<'_, VecDeque<Arc<Job>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// The job as users see it.
    pub fn view(&self) -> JobView {
        self.job.view.borrow().clone()
    }

    /// Tells how far it is.
    ///
    /// # Errors
    /// [`Stop::Cancelled`] when it was told to stop.
    pub fn progress(&self, done: u64, total: Option<u64>) -> Result<(), Stop> {
        self.job.view.send_modify(|view| (view.done, view.total) = (done, total));
        if self.job.cancelled.load(Ordering::Relaxed) { Err(Stop::Cancelled) } else { Ok(()) }
    }

    /// Notes how it ended.
    pub fn end(&self, outcome: Result<Json, Stop>, host: &dyn Host) {
        self.job.view.send_modify(|view| {
            view.ended_at = Some(host.now().to_string());
            match outcome {
                Ok(result) => (view.state, view.result) = (JobState::Done, Some(result)),
                Err(Stop::Cancelled) => view.state = JobState::Cancelled,
                Err(Stop::Failed(error)) => (view.state, view.error) = (JobState::Failed, Some(error)),
            }
            tracing::info!(job = view.id, kind = view.kind, state = ?view.state, "a job has ended");
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.job.view.send_if_modified(|view| {
            let runs = view.state == JobState::Running;
            if runs {
                view.state = JobState::Cancelled;
            }
            runs
        });
    }
}

impl Service {
    /// Begins a job that the caller carries on and ends; `None` when too many run already.
    pub fn begin_job(&self, kind: &str, library: Option<&str>) -> Option<Running> {
        self.jobs.begin(kind, library, &self.host)
    }

    /// Begins a job and does its work; `None` when too many run already.
    pub fn start_job<F: Future<Output = Result<Json, Stop>> + Send + 'static>(
        self: &Arc<Self>,
        kind: &str,
        library: Option<&str>,
        work: impl FnOnce(Arc<Self>, Arc<Running>) -> F,
    ) -> Option<JobView> {
        let running = Arc::new(self.begin_job(kind, library)?);
        let view = running.view();
        let (work, host) = (work(Arc::clone(self), Arc::clone(&running)), self.host);
        tokio::spawn(async move {
            let outcome = work.await;
            running.end(outcome, &host);
        });
        Some(view)
    }

    /// Notes how a job ended.
    pub fn end_job(&self, job: &Running, outcome: Result<Json, Stop>) {
        job.end(outcome, &self.host);
    }

    /// Every job that is remembered, the newest first.
    pub fn jobs(&self) -> Vec<JobView> {
        self.jobs.all().iter().rev().map(|job| job.view.borrow().clone()).collect()
    }

    /// A job, and a way to hear of its changes.
    pub fn watch_job(&self, id: &str) -> Option<watch::Receiver<JobView>> {
        self.jobs.find(id).map(|job| job.view.subscribe())
    }

    /// Tells a job to stop, which it does at its next step. One that has ended stays as it is.
    pub fn cancel_job(&self, id: &str) -> Option<JobView> {
        let job = self.jobs.find(id)?;
        job.cancelled.store(true, Ordering::Relaxed);
        Some(job.view.borrow().clone())
    }
}
