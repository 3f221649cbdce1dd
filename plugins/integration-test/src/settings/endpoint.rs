//! What `wait_for` may name.

use std::fmt;
use std::str::FromStr;

use granary_redact::SafeUrl;
use thiserror::Error;
use url::{Host, Url};

/// Something that tests need and that may still be starting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Ready when it takes a connection.
    Tcp {
        /// Name or address, without brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// Ready when it answers with a status below 400.
    Http(Url),
}

/// Why a text names nothing that could be waited for.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum EndpointError {
    /// No URL at all. Not shown: it might hold a password.
    #[error("an item is no URL")]
    NoUrl,
    /// Another scheme.
    #[error("`{scheme}://` cannot be waited for")]
    Scheme {
        /// What stands before the colon.
        scheme: String,
    },
    /// Credentials belong into no URL.
    #[error("a URL holds a user or password, which would be shown in the log")]
    Credentials,
    /// No host.
    #[error("a URL names no host")]
    NoHost,
    /// `tcp://host` alone.
    #[error("`tcp://{host}` names no port")]
    NoPort {
        /// The host.
        host: String,
    },
    /// `tcp://host:port/path`.
    #[error("`tcp://{host}:{port}` has something behind the port")]
    MoreThanPort {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text.trim()).map_err(|_| EndpointError::NoUrl)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::Credentials);
        }
        match url.scheme() {
            "http" | "https" => Ok(Endpoint::Http(url)),
            "tcp" => {
                let host = match url.host() {
                    Some(Host::Ipv6(address)) => address.to_string(),
                    Some(host) if !host.to_string().is_empty() => host.to_string(),
                    _ => return Err(EndpointError::NoHost),
                };
                let Some(port) = url.port() else { return Err(EndpointError::NoPort { host }) };
                let bare =
                    matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
                match bare {
                    true => Ok(Endpoint::Tcp { host, port }),
                    false => Err(EndpointError::MoreThanPort { host, port }),
                }
            }
            scheme => Err(EndpointError::Scheme { scheme: scheme.to_owned() }),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp { host, port } if host.contains(':') => write!(formatter, "tcp://[{host}]:{port}"),
            Endpoint::Tcp { host, port } => write!(formatter, "tcp://{host}:{port}"),
            Endpoint::Http(url) => SafeUrl::new(url).fmt(formatter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_told_apart_and_others_are_refused() {
        let shown = |text: &str| match text.parse::<Endpoint>() {
            Ok(endpoint) => endpoint.to_string(),
            Err(error) => format!("error: {error}"),
        };
        let table = [
            ("tcp://db:5432", "tcp://db:5432"),
            (" tcp://127.0.0.1:80/ ", "tcp://127.0.0.1:80"),
            ("tcp://[::1]:5432", "tcp://[::1]:5432"),
            ("http://app:8080/health", "http://app:8080/health"),
            ("https://app.test", "https://app.test/"),
            ("db:5432", "error: `db://` cannot be waited for"),
            ("5432", "error: an item is no URL"),
            ("tcp://db", "error: `tcp://db` names no port"),
            ("tcp://:5432", "error: an item is no URL"),
            ("tcp://db:70000", "error: an item is no URL"),
            ("tcp://db:5432/x", "error: `tcp://db:5432` has something behind the port"),
            ("udp://db:53", "error: `udp://` cannot be waited for"),
            (
                "http://u:hunter2@app/",
                "error: a URL holds a user or password, which would be shown in the log",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(shown(text), expected, "{text}");
        }
        assert!(!shown("http://app/ready?token=hunter2").contains("hunter2"));
    }
}
