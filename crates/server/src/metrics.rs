//! Figures for Prometheus: counts and times by route and outcome, never by person or token.

use prometheus::{Encoder, HistogramVec, IntCounterVec, Registry, TextEncoder};

/// The figures of one server.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
}

impl Metrics {
    /// Figures that all stand at zero.
    ///
    /// # Errors
    /// [`prometheus::Error`] if two figures had one name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            prometheus::opts!("limen_http_requests_total", "Requests answered"),
            &["method", "route", "status"],
        )?;
        let seconds = HistogramVec::new(
            prometheus::histogram_opts!(
                "limen_http_request_seconds",
                "Time from the header to the answer",
                vec![0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0]
            ),
            &["method", "route"],
        )?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        Ok(Self { registry, requests, seconds })
    }

    /// Counts one answered request. `route` is the pattern, never the path with its identifiers.
    pub fn answered(&self, method: &str, route: &str, status: u16, seconds: f64) {
        self.requests.with_label_values(&[method, route, &status.to_string()]).inc();
        self.seconds.with_label_values(&[method, route]).observe(seconds);
    }

    /// The figures in Prometheus' text format.
    ///
    /// # Errors
    /// [`prometheus::Error`] if a figure cannot be written as text.
    pub fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}
