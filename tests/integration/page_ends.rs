//! Whether the end of a metrics page is proven, by how the server marks it: a real connection to the reader of pages.

use std::net::Ipv4Addr;
use std::time::Duration;

use lameduck::io::http::Url;
use lameduck::io::page::{MetricsPage, PageSelectors};
use lameduck_machine::reading::{Count, Reading};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The end of a page, without the newline that the format requires.
const PAGE: &str = "active{kind=\"a\"} 1";

/// How a reading of the metrics page ends: with the number of streams, or an error.
async fn read(response: &str) -> Result<Option<u64>, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let url = Url::new("127.0.0.1", address.port(), "/metrics");
    let eager = vec!["active".parse().unwrap()];
    let page = MetricsPage::new(url, PageSelectors { eager, ..PageSelectors::default() });
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await.unwrap();
        stream.write_all(response.as_bytes()).await.unwrap();
    };
    let connection = TcpStream::connect(address).await.unwrap();
    let (result, ()) = tokio::join!(page.read(Ok(connection), Duration::from_secs(60)), server);
    match &result.readings[0].1 {
        Reading::Counts(counts) => Ok(counts[0].map(|count: Count| count.streams)),
        Reading::Unknown(error) => Err(error.message.clone()),
    }
}

#[tokio::test]
async fn last_line_without_newline_counts_if_transport_proves_the_end() {
    let length = PAGE.len();
    let with_length = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{PAGE}");
    assert_eq!(read(&with_length).await, Ok(Some(1)));
    let chunked = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{PAGE}\r\n0\r\n\r\n");
    assert_eq!(read(&chunked).await, Ok(Some(1)));
}

#[tokio::test]
async fn last_line_without_newline_is_unknown_if_nothing_proves_the_end() {
    let until_close = format!("HTTP/1.1 200 OK\r\n\r\n{PAGE}");
    let error = read(&until_close).await.unwrap_err();
    assert!(error.ends_with("line 1: truncated inside the line"), "{error}");
    let with_newline = format!("{until_close}\n");
    assert_eq!(read(&with_newline).await, Ok(Some(1)));
}

#[tokio::test]
async fn body_that_ends_too_soon_is_unknown() {
    let length = PAGE.len() + 1;
    let with_length = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{PAGE}");
    assert!(read(&with_length).await.unwrap_err().contains("page is truncated"));
    let chunked = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{PAGE}\r\n", PAGE.len());
    assert!(read(&chunked).await.unwrap_err().contains("page is truncated"));
}
