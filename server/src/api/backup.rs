//! `/v1/backup`.

use std::{
    io::{self, Write},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use http_body::Frame;
use tokio::{runtime::Handle, sync::mpsc, time::timeout};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{App, responses::Failures};

/// Bytes that are sent at once.
const PIECE: usize = 256 << 10;
/// Pieces that wait for the client.
const WAITING: usize = 4;
/// A client that takes nothing for so long is given up, since checkpoints wait for it.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(back_up))
}

/// Makes a backup of all libraries while reading and writing go on.
///
/// A tar archive that `vecino restore` makes a data folder from. One that was cut short is recognised there.
#[utoipa::path(get, path = "/v1/backup", tag = "system",
    responses((status = 200, description = "The archive.", body = Vec<u8>, content_type = "application/x-tar"), Failures))]
async fn back_up(State(app): State<App>) -> Response {
    let (sender, receiver) = mpsc::channel(WAITING);
    let (service, runtime) = (Arc::clone(&app.service), Handle::current());
    tokio::task::spawn_blocking(move || {
        let mut out = io::BufWriter::with_capacity(PIECE, Pieces { sender: sender.clone(), runtime: runtime.clone() });
        let done = service.back_up(&mut out).map_err(io::Error::other).and_then(|files| out.flush().map(|()| files));
        match done {
            Ok(files) => tracing::info!(files, "a backup was made"),
            Err(error) => {
                tracing::warn!(%error, "a backup came to nothing");
                // So that the client hears that it is not whole.
                let _ = runtime.block_on(timeout(PATIENCE, sender.send(Err(error))));
            }
        }
    });
    let name = "attachment; filename=\"vecino-backup.tar\"";
    let headers = [(header::CONTENT_TYPE, "application/x-tar"), (header::CONTENT_DISPOSITION, name)];
    (headers, Body::new(Streamed { receiver })).into_response()
}

type Piece = io::Result<Bytes>;

/// Hands what is written to the network.
struct Pieces {
    sender: mpsc::Sender<Piece>,
    runtime: Handle,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Bytes::copy_from_slice(bytes);
        match self.runtime.block_on(timeout(PATIENCE, self.sender.send(Ok(piece)))) {
            Ok(Ok(())) => Ok(bytes.len()),
            Ok(Err(_)) => Err(io::Error::new(io::ErrorKind::BrokenPipe, "the client is gone")),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Streamed {
    receiver: mpsc::Receiver<Piece>,
}

impl HttpBody for Streamed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.receiver.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
