//! The Tocsin host: runs the components on wasmtime and gives them storage, signing and files.
//!
//! Map: [`engine`] runs components, [`capability`] is what they may ask for, [`storage`], [`signing`] and [`blobs`] do
//! it. [`http`] is what phones and operators reach, [`jobs`] the timer, [`admin`] and [`cli`] the
//! commands, [`phone`] the phones that try it all. [`outgoing`] asks others, and [`key_sets`] health authorities for keys.
//! [`validators`] runs the components of health authorities that judge submissions.

pub mod admin;
pub mod bindings;
pub mod blobs;
mod capability;
pub mod cli;
pub mod components;
pub mod config;
pub mod engine;
mod explain;
pub mod http;
pub mod jobs;
pub mod key_sets;
pub mod outgoing;
pub mod phone;
pub mod server;
pub mod services;
pub mod signing;
pub mod state;
pub mod storage;
pub mod telemetry;
pub mod validators;
