//! The Vecino server: the engine with files, a network and a clock.
//!
//! Reading order: [`cli`] says what the program can be told, [`commands`] has what it does once and then ends, [`storage`] is
//! the engine's storage over a folder, [`service`] what is done for a client, whatever the way in.

pub mod cli;
pub mod commands;
pub mod service;
pub mod storage;
