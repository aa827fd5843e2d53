//! HTTP as no client library would send it.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::Server;

/// Sends these bytes after a request line and a `Host`, and gives the whole answer as text.
///
/// `head` goes on after `Host`: further headers, the empty line, the body.
pub async fn exchange(server: &Server, request_line: &str, head: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address()).await.expect("the server is there");
    let host = server.address();
    let start = format!("{request_line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    // A server that has read enough may answer, and close, before the end of what is sent.
    let _ = stream.write_all(&[start.as_bytes(), head].concat()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.is_empty(), "{request_line} is not answered");
    String::from_utf8_lossy(&answer).into_owned()
}
