//! The table `[stream]` of `config.toml`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use poq_proto::PPM;
use serde::Deserialize;

use crate::compute::SessionLimits;

/// The settings of the stream API.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StreamConfig {
    /// Whether the node serves sessions.
    pub enabled: bool,
    /// Listen address.
    pub listen: SocketAddr,
    /// PEM file with the chain of TLS certificates, the node's first.
    pub certificate: Option<PathBuf>,
    /// PEM file with the private key of the node's certificate.
    pub private_key: Option<PathBuf>,
    /// Whether plain HTTP is served because TLS ends at a proxy, which adds `x-forwarded-for`.
    pub behind_proxy: bool,
    /// Most tokens of an answer; at least 1.
    pub max_tokens: usize,
    /// Most queued answers; further orders are refused.
    pub queue: usize,
    /// Seconds from an answer's start to its end; at least 1.
    pub deadline_seconds: u64,
    /// Seconds after which a duty that waits for a place cuts an answer.
    pub duty_wait_seconds: u64,
    /// Highest quality that an order may demand, 0 to 1; the model's target unless set.
    pub max_min_quality: Option<f64>,
    /// Folder with the files of the chain's evaluator models; without it nothing is scored here.
    pub evaluator_models: Option<PathBuf>,
    /// Part of full pay, 0 to 1, below which the last answers of a session end it.
    pub min_pay: f64,
}

/// Time within which an accepted order begins.
const START: Duration = Duration::from_secs(20);

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            listen: SocketAddr::from(([0, 0, 0, 0], 8443)),
            certificate: None,
            private_key: None,
            behind_proxy: false,
            max_tokens: 1024,
            queue: 2,
            deadline_seconds: 300,
            duty_wait_seconds: 15,
            max_min_quality: None,
            evaluator_models: None,
            min_pay: 0.4,
        }
    }
}

impl StreamConfig {
    /// Checks the ranges of all settings.
    ///
    /// # Errors
    /// The setting and its range, as a message.
    pub(crate) fn validate(&self) -> Result<(), String> {
        if self.max_tokens == 0 {
            return Err("stream.max_tokens must be at least 1".into());
        }
        if self.deadline_seconds == 0 {
            return Err("stream.deadline_seconds must be at least 1".into());
        }
        if let Some(quality) = self.max_min_quality
            && !(0.0..=1.0).contains(&quality)
        {
            return Err("stream.max_min_quality must be in 0..=1".into());
        }
        if !(0.0..=1.0).contains(&self.min_pay) {
            return Err("stream.min_pay must be in 0..=1".into());
        }
        match (&self.certificate, &self.private_key) {
            (Some(_), Some(_)) if self.behind_proxy => {
                Err("stream.behind_proxy is for plain HTTP: remove it, or the certificate".into())
            }
            (Some(_), Some(_)) => Ok(()),
            (None, None) if self.behind_proxy || self.listen.ip().is_loopback() => Ok(()),
            (None, None) if !self.enabled => Ok(()),
            (None, None) => Err(
                "stream.listen is not a loopback address: set stream.certificate and \
                 stream.private_key, or stream.behind_proxy if TLS ends at a proxy"
                    .into(),
            ),
            _ => Err("stream.certificate and stream.private_key belong together".into()),
        }
    }

    /// Limits for the model's queue.
    pub(crate) fn limits(&self) -> SessionLimits {
        SessionLimits {
            queue: self.queue,
            start: START,
            deadline: Duration::from_secs(self.deadline_seconds),
            duty_wait: Duration::from_secs(self.duty_wait_seconds),
        }
    }

    /// Highest quality that an order may demand, ppm.
    pub(super) fn max_min_quality_ppm(&self) -> u32 {
        self.max_min_quality
            .map_or(u32::MAX, |quality| (quality * PPM as f64).round() as u32)
    }

    /// The least mean part of full pay, ppm.
    pub(super) fn min_pay_ppm(&self) -> u32 {
        (self.min_pay * PPM as f64).round() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let config: StreamConfig = toml::from_str(text).unwrap();
        config.validate().unwrap_err()
    }

    #[test]
    fn without_tls_it_listens_on_loopback_or_behind_a_proxy_only() {
        StreamConfig::default().validate().unwrap();
        for good in [
            "enabled = true\nlisten = '127.0.0.1:1'",
            "enabled = true\nlisten = '[::1]:1'",
            "enabled = true\nbehind_proxy = true",
            "enabled = true\ncertificate = 'c'\nprivate_key = 'k'",
        ] {
            let config: StreamConfig = toml::from_str(good).unwrap();
            config.validate().unwrap();
        }
        assert!(refused("enabled = true").contains("stream.behind_proxy"));
        let half = refused("enabled = true\ncertificate = 'c'");
        assert!(half.contains("belong together"), "{half}");
        let both = "behind_proxy = true\ncertificate = 'c'\nprivate_key = 'k'";
        assert!(refused(both).contains("plain HTTP"));
    }

    #[test]
    fn limits_have_a_range() {
        assert!(refused("max_tokens = 0").contains("max_tokens"));
        assert!(refused("deadline_seconds = 0").contains("deadline_seconds"));
        assert!(refused("max_min_quality = 1.5").contains("max_min_quality"));
        assert!(refused("min_pay = -0.1").contains("min_pay"));
        let config: StreamConfig = toml::from_str("min_pay = 0.43").unwrap();
        assert_eq!(config.min_pay_ppm(), 430_000);
        let config: StreamConfig = toml::from_str("max_min_quality = 0.75").unwrap();
        assert_eq!(config.max_min_quality_ppm(), 750_000);
        assert_eq!(StreamConfig::default().max_min_quality_ppm(), u32::MAX);
    }
}
