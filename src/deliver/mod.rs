//! Getting something to the outside for certain: secrets, one HTTP client, the retry ladder, and the worker
//! that takes the outbox to its actions.
//!
//! An action or forwarder only says whether a failure may pass ([`DeliveryError::Retryable`]) or not; when to
//! try again and when to give up is decided here.

mod error;
mod secret;
mod retry;
mod tagged;
mod unit;
mod egress;
mod http;
mod shown;
mod breaker;
mod due;
mod compose;
mod attempt;
mod worker;
#[cfg(test)]
mod worker_tests;

pub use compose::{compose, response};
pub use egress::{Egress, Network};
pub use error::{ConfigError, DeliveryError};
pub use http::{
    Answer, Http, HttpOptions, Method, Request, TIMEOUT, Url, causes, chain, header, is_loopback_host,
    one_line, origin, parse_url, quoted, set_content_type,
};
pub use retry::{ATTEMPTS_MAX, delay, delay_forever, with_wish};
pub use secret::{Secret, SecretError, SecretRef, TextOrSecret, redact};
pub use shown::header_secrets;
pub use tagged::{Variants, tagged};
pub use unit::{BuildContext, Bytes as ByteSize, Lookup, span, span_or_none};
pub use worker::{RuleTextOf, Worker, work};

pub use crate::encode::{Notification, RuleText};
