//! `/v1/snapshots`: libraries as they were, kept as files.

use std::{io, sync::Arc, time::Duration};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::{sync::mpsc, time::timeout};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vecino_engine::{Code, Error, blob::Blob};

use super::{
    App, blocking,
    extract::{self, NoParams, Params, Path},
    guard,
    jobs::accepted,
    libraries::disposition,
    problem::{Answer, Problem},
    responses::{Conflicts, Failures, NotFound, Refused, Unreadable},
};
use crate::service::{Service, jobs::JobView, restore::Target, snapshots::SnapshotView};

/// Pieces of a body that wait to be written.
const WAITING: usize = 4;

/// A body that has stopped for so long is given up.
const SILENCE: Duration = Duration::from_secs(30);

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_snapshots, take_snapshot))
        .routes(routes!(upload_snapshot))
        .routes(routes!(get_snapshot, delete_snapshot))
        .routes(routes!(download_snapshot))
        .routes(routes!(restore_snapshot))
}

/// All snapshots.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct SnapshotList {
    /// The newest first.
    snapshots: Vec<SnapshotView>,
}

/// What is taken a snapshot of.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SnapshotInput {
    /// The library, by id, name or alias.
    #[schema(min_length = 1, max_length = 255)]
    library: String,
}

/// Where a snapshot goes.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RestoreInput {
    /// The name of a new library; without it, the library that the snapshot was taken of is made to be as it was.
    #[schema(min_length = 1, max_length = 255)]
    name: Option<String>,
}

/// Lists the snapshots that are kept.
#[utoipa::path(get, path = "/v1/snapshots", tag = "snapshots",
    responses((status = 200, description = "As asked.", body = SnapshotList), Refused, Failures))]
async fn list_snapshots(State(app): State<App>, _: Params<NoParams>) -> Json<SnapshotList> {
    Json(SnapshotList { snapshots: app.service.snapshots() })
}

/// Takes a snapshot of a library and keeps it until it is deleted, whatever becomes of the library.
///
/// A job, whose result is the snapshot. Up to 1,000 are kept.
#[utoipa::path(post, path = "/v1/snapshots", tag = "snapshots", request_body = SnapshotInput,
    responses((status = 202, description = "A job takes it.", body = JobView), Refused, Unreadable, NotFound, Failures))]
async fn take_snapshot(
    State(app): State<App>,
    _: Params<NoParams>,
    extract::Body(input): extract::Body<SnapshotInput>,
) -> Answer<Response> {
    let library = input.library;
    app.service.library(&library)?;
    let name = library.clone();
    accepted(app.service.start_job("snapshot", Some(&name), |service, running| async move {
        let job = Arc::clone(&running);
        let taken = tokio::task::spawn_blocking(move || service.take_snapshot(&library, &job)).await;
        let taken = taken.map_err(|error| Error::new(Code::Storage, error.to_string()))?;
        // What failed since it was told to stop was cancelled.
        running.progress(taken.as_ref().map_or(0, |view| view.bytes), None)?;
        Ok(serde_json::json!(taken?))
    }))
}

/// Keeps a snapshot that was downloaded, here or on another server.
///
/// The body is a `.vecino` file of any size. It is checked before it counts.
#[utoipa::path(post, path = "/v1/snapshots:upload", tag = "snapshots",
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The file."),
    responses((status = 201, description = "It is kept.", body = SnapshotView),
        (status = 409, description = "The file is damaged, or no snapshot, or of a version that is not known here.",
            content_type = "application/problem+json", body = super::problem::Document),
        (status = 408, description = "The body has stopped coming.", content_type = "application/problem+json",
            body = super::problem::Document),
        Refused, Unreadable, Failures))]
async fn upload_snapshot(
    State(app): State<App>,
    _: Params<NoParams>,
    request: Request,
) -> Answer<(StatusCode, Json<SnapshotView>)> {
    extract::check_kind(request.headers(), &["application/octet-stream"], "a snapshot is a .vecino file")?;
    let (sender, mut receiver) = mpsc::channel::<io::Result<Bytes>>(WAITING);
    let service = Arc::clone(&app.service);
    let kept = tokio::task::spawn_blocking(move || {
        service.keep_snapshot(&mut |out| {
            while let Some(piece) = receiver.blocking_recv() {
                out.write_all(&piece?)?;
            }
            Ok(())
        })
    });
    let mut body = request.into_body().into_data_stream();
    let failed = loop {
        let piece = match timeout(SILENCE, body.next()).await {
            Ok(None) => break None,
            Ok(Some(Ok(piece))) => Ok(piece),
            Ok(Some(Err(error))) => Err(Problem::new("bad_request", format!("the body did not arrive whole: {error}"))),
            Err(_) => Err(Problem::new("silent_body", format!("nothing has come for {} s", SILENCE.as_secs()))),
        };
        let problem = piece.as_ref().err().cloned();
        // Nobody takes it where it cannot be written: the reason comes below.
        if sender.send(piece.map_err(|_| io::ErrorKind::ConnectionAborted.into())).await.is_err() || problem.is_some() {
            break problem;
        }
    };
    drop(sender);
    let kept = kept.await.map_err(|error| Problem::new("internal", error.to_string()))?;
    match failed {
        Some(problem) => Err(problem),
        None => Ok((StatusCode::CREATED, Json(kept?))),
    }
}

/// Tells of a snapshot.
#[utoipa::path(get, path = "/v1/snapshots/{snapshot}", tag = "snapshots", params(("snapshot" = String, Path, description = "Its id.")),
    responses((status = 200, description = "As asked.", body = SnapshotView), Refused, NotFound, Failures))]
async fn get_snapshot(State(app): State<App>, Path(id): Path<String>, _: Params<NoParams>) -> Answer<Json<SnapshotView>> {
    Ok(Json(app.service.snapshot(&id).ok_or_else(|| not_found(&id))?))
}

/// Deletes a snapshot.
#[utoipa::path(delete, path = "/v1/snapshots/{snapshot}", tag = "snapshots", params(("snapshot" = String, Path, description = "Its id.")),
    responses((status = 200, description = "It was this one.", body = SnapshotView), Refused, NotFound, Failures))]
async fn delete_snapshot(State(app): State<App>, Path(id): Path<String>, _: Params<NoParams>) -> Answer<Json<SnapshotView>> {
    let missing = not_found(&id);
    Ok(Json(blocking(&app, move |service| service.delete_snapshot(&id)).await?.ok_or(missing)?))
}

/// Downloads a snapshot: a `.vecino` file, which a browser and the command line can use as it is.
#[utoipa::path(get, path = "/v1/snapshots/{snapshot}/file", tag = "snapshots",
    params(("snapshot" = String, Path, description = "Its id.")),
    responses((status = 200, description = "The file.", content_type = "application/octet-stream", body = Vec<u8>),
        Refused, NotFound, Failures))]
async fn download_snapshot(State(app): State<App>, Path(id): Path<String>, _: Params<NoParams>) -> Answer<Response> {
    let missing = not_found(&id);
    let (view, file) = blocking(&app, move |service| service.snapshot_file(&id)).await?.ok_or(missing)?;
    let name = HeaderValue::try_from(disposition(&view.name)).map_err(|error| Problem::new("internal", error.to_string()))?;
    let headers =
        [(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")), (header::CONTENT_DISPOSITION, name)];
    // Mapped, so that memory holds only what is on its way.
    Ok((headers, Body::from(Bytes::from_owner(Mapped(file)))).into_response())
}

struct Mapped(Blob);

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        self.0.bytes()
    }
}

/// Makes a library from a snapshot: a new one, or the one that it was taken of as it was then.
///
/// A job. Until it is done, a library that is to be replaced stays as it is, and then it changes at once: its id, its name and its
/// aliases stay. One that was deleted comes again under its id and its name.
#[utoipa::path(post, path = "/v1/snapshots/{snapshot}/restore", tag = "snapshots", request_body = RestoreInput,
    params(("snapshot" = String, Path, description = "Its id.")),
    responses((status = 202, description = "A job restores it.", body = JobView),
        Refused, Unreadable, NotFound, Conflicts, Failures))]
async fn restore_snapshot(
    State(app): State<App>,
    Path(id): Path<String>,
    _: Params<NoParams>,
    extract::Body(input): extract::Body<RestoreInput>,
) -> Answer<Response> {
    let target = input.name.map_or(Target::Own, Target::New);
    let missing = not_found(&id);
    let (view, file) = blocking(&app, move |service| service.snapshot_file(&id)).await?.ok_or(missing)?;
    app.service.check_target(&view, &target)?;
    let room = guard::room(&app, view.bytes)?;
    accepted(app.service.start_job("restore", Some(&view.library), |service: Arc<Service>, running| async move {
        let _room = room;
        service.restore(running, file, target).await
    }))
}

fn not_found(id: &str) -> Problem {
    Problem::new("snapshot_not_found", format!("there is no snapshot '{id}'; GET /v1/snapshots lists them"))
}
