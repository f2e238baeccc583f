//! The two encodings of an mdoc: the field names of ISO/IEC 18013-5, and the compact labels of access
//! documents. The code knows the names of the standard; a table gives the labels.

/// How fields are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Labels {
    /// By the names of ISO/IEC 18013-5.
    Iso,
    /// By digits as text.
    Compact,
}

/// A structure, within which names are unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Structure {
    IssuerSigned,
    Item,
    MobileSecurityObject,
    DeviceKeyInfo,
    Validity,
    DeviceRequest,
    DocRequest,
    ItemsRequest,
    DeviceResponse,
    Document,
}

impl Structure {
    /// The fields that the compact encoding has: label and name.
    const fn compact(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::IssuerSigned => &[("1", "nameSpaces"), ("2", "issuerAuth")],
            Self::Item => &[
                ("1", "digestID"),
                ("2", "random"),
                ("3", "elementIdentifier"),
                ("4", "elementValue"),
            ],
            Self::MobileSecurityObject => &[
                ("1", "version"),
                ("2", "digestAlgorithm"),
                ("3", "valueDigests"),
                ("4", "deviceKeyInfo"),
                ("5", "docType"),
                ("6", "validityInfo"),
                ("7", "timeVerificationRequired"),
            ],
            Self::DeviceKeyInfo => &[("1", "deviceKey"), ("2", "keyInfo")],
            Self::Validity => &[
                ("1", "signed"),
                ("2", "validFrom"),
                ("3", "validUntil"),
                ("4", "expectedUpdate"),
                ("5", "validityIteration"),
            ],
            Self::DeviceRequest => &[("1", "version"), ("2", "docRequests")],
            Self::DocRequest => &[("1", "itemsRequest")],
            Self::ItemsRequest => &[("1", "nameSpaces"), ("2", "requestInfo"), ("5", "docType")],
            Self::DeviceResponse => &[("1", "version"), ("2", "documents"), ("3", "status")],
            Self::Document => &[("1", "issuerSigned"), ("5", "docType")],
        }
    }
}

impl Labels {
    /// The name of the field with this label; nothing that any code knows where there is none.
    pub(crate) fn name(self, structure: Structure, label: &str) -> &str {
        match self {
            Self::Iso => label,
            Self::Compact => {
                let fields = structure.compact();
                fields.iter().find(|(known, _)| *known == label).map_or("", |(_, name)| name)
            }
        }
    }

    /// The label of a field.
    pub(crate) fn label(self, structure: Structure, name: &'static str) -> &'static str {
        match self {
            Self::Iso => name,
            Self::Compact => {
                let fields = structure.compact();
                // INVARIANT: no code writes a field that the compact encoding does not have.
                fields.iter().find(|(_, known)| *known == name).map_or(name, |(label, _)| label)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoding_reads_its_own_labels_and_no_others() {
        let object = Structure::MobileSecurityObject;
        assert_eq!(Labels::Iso.name(object, "docType"), "docType");
        assert_eq!(Labels::Iso.name(object, "5"), "5");
        assert_eq!(Labels::Compact.name(object, "5"), "docType");
        assert_eq!(Labels::Compact.name(object, "docType"), "");
        assert_eq!(Labels::Compact.label(object, "docType"), "5");
        assert_eq!(Labels::Iso.label(object, "docType"), "docType");
    }
}
