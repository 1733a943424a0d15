//! How near two vectors are.
