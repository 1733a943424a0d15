//! The Vecino server: the engine with files, a network and a clock.

pub mod service;
