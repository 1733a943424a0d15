//! `/v1/jobs`: long work that goes on after its answer.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vecino_engine::command::Kind;

use super::{
    App,
    extract::{NoParams, Params, Path},
    problem::{Answer, Problem},
    responses::{Failures, NotFound, Refused},
};
use crate::service::{
    Service, WriteOptions,
    jobs::{JobError, JobState, JobView, MAX_RUNNING_JOBS, Running, Stop},
    selection::{ManyDeleted, Selection},
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_jobs))
        .routes(routes!(get_job))
        .routes(routes!(cancel_job))
        .routes(routes!(watch_job))
}

/// The jobs.
#[derive(Debug, Serialize, ToSchema)]
struct JobList {
    /// The newest first; a thousand are remembered, until the server ends.
    jobs: Vec<JobView>,
}

/// An event: that a job has changed.
#[derive(Debug, Serialize, ToSchema)]
struct JobEvent {
    /// `job`.
    #[schema(example = "job")]
    event: String,
    /// The job as it is now, in JSON.
    #[schema(content_media_type = "application/json")]
    data: String,
}

/// Lists the jobs.
#[utoipa::path(get, path = "/v1/jobs", tag = "jobs",
    responses((status = 200, description = "As asked.", body = JobList), Refused, Failures))]
async fn list_jobs(State(app): State<App>, _: Params<NoParams>) -> Json<JobList> {
    Json(JobList { jobs: app.service.jobs() })
}

/// Tells of a job.
#[utoipa::path(get, path = "/v1/jobs/{job}", tag = "jobs", params(("job" = String, Path, description = "Its id.")),
    responses((status = 200, description = "As asked.", body = JobView), Refused, NotFound, Failures))]
async fn get_job(State(app): State<App>, Path(job): Path<String>, _: Params<NoParams>) -> Answer<Json<JobView>> {
    let watched = app.service.watch_job(&job).ok_or_else(|| not_found(&job))?;
    let view = watched.borrow().clone();
    Ok(Json(view))
}

/// Tells a job to stop. What it has written stays written; one that has ended stays as it is.
#[utoipa::path(post, path = "/v1/jobs/{job}/cancel", tag = "jobs", params(("job" = String, Path, description = "Its id.")),
    responses((status = 202, description = "It stops at its next step.", body = JobView), Refused, NotFound, Failures))]
async fn cancel_job(State(app): State<App>, Path(job): Path<String>, _: Params<NoParams>) -> Answer<(StatusCode, Json<JobView>)> {
    let view = app.service.cancel_job(&job).ok_or_else(|| not_found(&job))?;
    Ok((StatusCode::ACCEPTED, Json(view)))
}

/// Watches a job: server-sent events, each with the job as JSON, until it has ended.
#[utoipa::path(get, path = "/v1/jobs/{job}/events", tag = "jobs", params(("job" = String, Path, description = "Its id.")),
    responses((status = 200, description = "The events.", content_type = "text/event-stream", body = JobEvent),
        Refused, NotFound, Failures))]
async fn watch_job(State(app): State<App>, Path(job): Path<String>, _: Params<NoParams>) -> Answer<Response> {
    let mut watched = app.service.watch_job(&job).ok_or_else(|| not_found(&job))?;
    watched.mark_changed();
    let events = stream::unfold(Some(watched), |watched| async {
        let (event, next) = next_event(watched?).await?;
        Some((Ok::<_, Infallible>(event), next))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

/// The next event; nothing follows the one of the end.
async fn next_event(mut watched: watch::Receiver<JobView>) -> Option<(Event, Option<watch::Receiver<JobView>>)> {
    watched.changed().await.ok()?;
    let view = watched.borrow_and_update().clone();
    let event = Event::default().event("job").json_data(&view).ok()?;
    Some((event, (view.state == JobState::Running).then_some(watched)))
}

fn not_found(job: &str) -> Problem {
    Problem::new("job_not_found", format!("there is no job '{job}'; a thousand are remembered, until the server ends"))
        .field("job")
}

impl From<&Problem> for JobError {
    fn from(problem: &Problem) -> Self {
        let document = problem.document();
        Self { code: document.code.clone(), detail: document.detail.clone(), field: document.field.clone() }
    }
}

/// The problem when no job can be begun.
pub(super) fn busy() -> Problem {
    let detail = format!("{MAX_RUNNING_JOBS} jobs run already; wait for one of them");
    Problem::new("too_many_jobs", detail).retry_after(Duration::from_secs(1))
}

/// The answer that names a job which has begun.
pub(super) fn accepted(view: Option<JobView>) -> Answer<Response> {
    let view = view.ok_or_else(busy)?;
    let location = format!("/v1/jobs/{}", view.id);
    Ok((StatusCode::ACCEPTED, [(axum::http::header::LOCATION, location)], Json(view)).into_response())
}

/// Deletes a selection: the first step at once, all others as a job.
pub(super) async fn deletion(
    app: &App,
    library: String,
    kind: Kind,
    selection: Selection,
    options: WriteOptions,
) -> Answer<Response> {
    let first = app.service.delete_many(&library, kind, &selection, options).await?;
    let (first, true) = first else { return Ok(Json(first.0).into_response()) };
    let name = library.clone();
    accepted(app.service.start_job("delete", Some(&name), move |service, running| async move {
        delete_rest(&service, &running, &library, kind, &selection, first).await
    }))
}

async fn delete_rest(
    service: &Service,
    running: &Running,
    library: &str,
    kind: Kind,
    selection: &Selection,
    mut so_far: ManyDeleted,
) -> Result<serde_json::Value, Stop> {
    let mut more = true;
    while more {
        running.progress(so_far.deleted as u64, None)?;
        let (step, again) = service.delete_many(library, kind, selection, WriteOptions::default()).await?;
        so_far = ManyDeleted { deleted: so_far.deleted + step.deleted, seq: step.seq };
        more = again;
    }
    Ok(serde_json::json!(so_far))
}
