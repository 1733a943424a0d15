//! What the server does for a client, whatever the way in.

pub mod split;
