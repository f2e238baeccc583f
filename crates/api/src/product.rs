//! Products: the templates of passes, as data.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A product to be added.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProduct {
    /// 1 to 32 of `a-z 0-9 -`; unique within the operator, never reused.
    #[schema(example = "first-class-month")]
    pub code: String,
    /// Everything else.
    pub terms: Terms,
}

/// A product.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Product {
    /// Its code.
    pub code: String,
    /// 1 when added, one more with every change.
    pub version: u32,
    /// When this version was made.
    pub changed_at: String,
    /// Everything else.
    pub terms: Terms,
}

/// What a product is.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Names for people, one per language.
    pub display: Vec<Display>,
    /// What is at stake: `low` or `high`.
    #[schema(example = "low")]
    pub stake: String,
    /// The formats on offer: `mso_mdoc`, `dc+sd-jwt`, `limen-access-document`. The last is given only
    /// where documents are signed by ES256 and it has room for the rights.
    #[serde(default = "all_formats")]
    pub formats: Vec<String>,
    /// The rights that its passes carry.
    pub rights: Rights,
    /// The longest period of a pass, in days.
    pub pass_days_max: u32,
    /// How long one document lives, in hours; after that the wallet needs a new offer.
    pub document_hours: u32,
    /// Documents of one format that one collection yields, each for a device key of its own.
    #[serde(default = "one")]
    pub batch_max: u16,
    /// Handles of the express tap for one pass, zone and day, 64 at the most: what is at risk with a
    /// copied wallet. 0 for no express tap.
    #[serde(default = "thirty_two")]
    pub handles_max: u16,
    /// What must be attested of the wallet's keys.
    #[serde(default = "software")]
    #[schema(example = "urn:limen:key-storage:software")]
    pub attestation_min: String,
    /// Whether an offer asks for a code told over another channel.
    #[serde(default)]
    pub transaction_code: bool,
}

/// A name for people in one language.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Display {
    /// A BCP 47 tag.
    #[schema(example = "en")]
    pub language: String,
    /// The name.
    pub name: String,
    /// One sentence more.
    #[serde(default)]
    pub description: String,
}

/// The rights of a product's passes.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rights {
    /// Class of service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Zones in which they hold.
    #[serde(default)]
    pub zones: Vec<String>,
    /// Places that they open, with all that lies inside.
    #[serde(default)]
    pub places: Vec<String>,
    /// When they hold, as a recurrence rule (subset of RFC 5545); always where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recurrence: Option<String>,
    /// How many times they may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses_max: Option<u32>,
    /// Whether only the holder in person may use them.
    #[serde(default)]
    pub holder_only: bool,
}

fn all_formats() -> Vec<String> {
    ["mso_mdoc", "dc+sd-jwt", "limen-access-document"].map(String::from).into()
}

const fn thirty_two() -> u16 {
    32
}

const fn one() -> u16 {
    1
}

fn software() -> String {
    String::from("urn:limen:key-storage:software")
}
