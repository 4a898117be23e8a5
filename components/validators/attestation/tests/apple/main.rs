//! App Attest and DeviceCheck, over real evidence where its files are present, and over evidence of our own making.

mod assertions;
mod certificates;
mod component;
mod device_check;
mod forge;
mod forged;
mod hostile;
mod real;
mod receipts;
mod support;
