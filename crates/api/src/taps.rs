//! What taps must prove at doors of each class, and how fast.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What holds at every door of the city, by its class.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Taps {
    /// At doors of low class.
    pub low: TapPolicy,
    /// At doors of normal class.
    pub normal: TapPolicy,
    /// At doors of high class.
    pub high: TapPolicy,
}

/// What holds at doors of one class.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct TapPolicy {
    /// The least profile: `express`, `fast`, `standard` or `identity`.
    #[schema(example = "standard")]
    pub least: String,
    /// Of a thousand taps that could be express, how many go by a stronger profile instead.
    #[schema(maximum = 1000)]
    pub stronger_per_mille: u16,
    /// What one response may take, in milliseconds.
    #[schema(minimum = 50, maximum = 60000)]
    pub apdu_ms: u32,
    /// What all responses of a tap may take together, in milliseconds.
    #[schema(minimum = 100, maximum = 120000)]
    pub total_ms: u32,
}

/// What shall hold from now on; what is absent stays as it is.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TapsChange {
    /// At doors of low class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<TapPolicyChange>,
    /// At doors of normal class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normal: Option<TapPolicyChange>,
    /// At doors of high class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<TapPolicyChange>,
}

/// What shall hold at doors of one class from now on; what is absent stays as it is.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TapPolicyChange {
    /// The least profile: `express`, `fast`, `standard` or `identity`; at doors of high class no less than
    /// `standard`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least: Option<String>,
    /// Of a thousand taps that could be express, how many go by a stronger profile instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1000)]
    pub stronger_per_mille: Option<u16>,
    /// What one response may take, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 50, maximum = 60000)]
    pub apdu_ms: Option<u32>,
    /// What all responses of a tap may take together, in milliseconds; no less than one may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 100, maximum = 120000)]
    pub total_ms: Option<u32>,
}
