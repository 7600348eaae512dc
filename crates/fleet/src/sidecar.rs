//! The HTTP client of the sidecars.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use lameduck_fleet_machine::io::DeadlineReply;
use lameduck_fleet_machine::status::SidecarStatus;
use tokio::net::TcpStream;

use crate::sidecar_json;

/// How long a sidecar may take to answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The maximum size of an answer, in bytes.
const MAX_BYTES: usize = 64 * 1024;

/// A client of all sidecars.
#[derive(Clone, Debug)]
pub struct Sidecars {
    port: u16,
    token: Option<HeaderValue>,
}

impl Sidecars {
    /// Sidecars that listen on this port. `token` is needed to shorten deadlines.
    ///
    /// # Errors
    /// Fails if the token cannot be sent in a header.
    pub fn new(port: u16, token: Option<&str>) -> Result<Self, String> {
        let header = |token| {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| "the token must consist of visible ASCII characters".to_owned())?;
            value.set_sensitive(true);
            Ok::<_, String>(value)
        };
        Ok(Self { port, token: token.map(header).transpose()? })
    }

    /// Reads the status of the sidecar at this address.
    ///
    /// # Errors
    /// Fails if the sidecar does not answer in time, or not with a status.
    pub async fn status(&self, ip: IpAddr) -> Result<SidecarStatus, String> {
        match self.exchange(ip, Method::GET, "/status", Bytes::new()).await? {
            (StatusCode::OK, body) => sidecar_json::status(&body),
            (status, _) => Err(format!("/status answers {status}")),
        }
    }

    /// Tells the sidecar that its drain must end within this time.
    pub async fn shorten_deadline(&self, ip: IpAddr, remaining: Duration) -> DeadlineReply {
        let body = format!(r#"{{"remaining_seconds":{:.3}}}"#, remaining.as_secs_f64());
        match self.exchange(ip, Method::POST, "/deadline", body.into()).await {
            Ok((StatusCode::OK, _)) => DeadlineReply::Accepted,
            Ok((StatusCode::CONFLICT, _)) => DeadlineReply::NoDrain,
            Ok((status, _)) if status.is_client_error() => DeadlineReply::Refused,
            Ok(_) | Err(_) => DeadlineReply::Failed,
        }
    }

    async fn exchange(
        &self,
        ip: IpAddr,
        method: Method,
        path: &'static str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), String> {
        let exchange = self.send(ip, method, path, body);
        let late = |_| Err(format!("no answer within {TIMEOUT:?}"));
        tokio::time::timeout(TIMEOUT, exchange).await.unwrap_or_else(late)
    }

    async fn send(
        &self,
        ip: IpAddr,
        method: Method,
        path: &'static str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), String> {
        let address = SocketAddr::new(ip, self.port);
        let stream = TcpStream::connect(address).await.map_err(|error| format!("cannot connect: {error}"))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| format!("no HTTP: {error}"))?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method.clone();
        *request.uri_mut() = hyper::Uri::from_static(path);
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::from_str(&address.to_string()).map_err(|error| error.to_string())?);
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("lameduck-fleet/", env!("CARGO_PKG_VERSION"))));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        if method == Method::POST {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.extend(self.token.clone().map(|token| (AUTHORIZATION, token)));
        }
        let answer = async {
            let response = sender.send_request(request).await.map_err(|error| format!("no answer: {error}"))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_BYTES).collect().await;
            Ok((status, body.map_err(|error| format!("incomplete answer: {error}"))?.to_bytes()))
        };
        // The connection is a part of this future, so it ends with it.
        tokio::pin!(connection);
        tokio::pin!(answer);
        tokio::select! {
            answer = &mut answer => return answer,
            ended = &mut connection => ended.map_err(|error| format!("no answer: {error}"))?,
        }
        answer.await
    }
}
