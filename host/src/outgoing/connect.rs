//! From a name to a connection.

use super::OutgoingError;
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};

/// Tries the host's addresses one after the other. The error is that of the last one.
pub(super) async fn connect(host: &str, port: u16, timeout: Duration) -> Result<TcpStream, OutgoingError> {
    let addresses = lookup_host((host, port)).await.map_err(|_| OutgoingError::UnknownHost)?;
    let mut error = OutgoingError::UnknownHost;
    for address in addresses {
        match tokio::time::timeout(timeout, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            // The kind only: the error itself may name the address.
            Ok(Err(refused)) => error = OutgoingError::Connect(refused.kind()),
            Err(_) => error = OutgoingError::Timeout,
        }
    }
    Err(error)
}
