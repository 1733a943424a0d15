//! The seam to what only the world outside knows: the time, and ids that nobody else has made.

use crate::model::Timestamp;

/// The clock and the maker of ids. The engine never calls it by itself: whoever builds a [`Command`](crate::command::Command)
/// asks the host first, so that planning and applying stay pure.
pub trait Host {
    /// The present time.
    fn now(&self) -> Timestamp;

    /// A new id that is unique everywhere, such as a UUIDv7.
    fn new_id(&self) -> String;
}
