//! Classes of keys, each with what its keys may do, as data.
//!
//! A [`Rules`] lists the attributes that a key is made with and those that must be found when it is
//! used. A key that may do more than its class says is not used (see `listing`): it would be a second
//! way to the same signature. Names of attributes are those of PKCS #11 2.40, section 4.

use core::fmt;

use cryptoki::object::{Attribute, AttributeType};

use crate::purpose::Purpose;

/// What kind of key, by what it may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Signs while the city runs: made on the token, never leaves it, signs and does nothing else.
    Online,
    /// The root: signs, and leaves the token under the custodians' wrapping key alone.
    Root,
    /// Wraps other keys on their way; leaves the token under the custodians' wrapping key alone.
    Transport,
    /// Epoch, zone and reader keys: of no use on the token; they leave it wrapped for one reader.
    Delivered,
    /// Card masters: keys of cards are derived from them, on the token, and nothing else.
    CardMaster,
    /// Card masters on a token whose derivation needs the master to encrypt, too.
    CardMasterEncrypting,
    /// The custodians' wrapping key: wraps and unwraps keys of [`Class::Root`] and
    /// [`Class::Transport`].
    Custodians,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 7] = [
        Self::Online,
        Self::Root,
        Self::Transport,
        Self::Delivered,
        Self::CardMaster,
        Self::CardMasterEncrypting,
        Self::Custodians,
    ];

    /// The class of the keys of `purpose`.
    #[must_use]
    pub const fn of(purpose: Purpose) -> Self {
        match purpose {
            Purpose::CityRoot => Self::Root,
            _ => Self::Online,
        }
    }

    /// The name, as shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Root => "root",
            Self::Transport => "transport",
            Self::Delivered => "delivered",
            Self::CardMaster => "card-master",
            Self::CardMasterEncrypting => "card-master-encrypting",
            Self::Custodians => "custodians",
        }
    }

    /// What keys of this class may do.
    #[must_use]
    pub const fn rules(self) -> &'static Rules {
        match self {
            Self::Online => &ONLINE,
            Self::Root => &ROOT,
            Self::Transport => &TRANSPORT,
            Self::Delivered => &DELIVERED,
            Self::CardMaster => &CARD_MASTER,
            Self::CardMasterEncrypting => &CARD_MASTER_ENCRYPTING,
            Self::Custodians => &CUSTODIANS,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The attributes of the keys of one class. All are kept on the token, seen after the login alone, and
/// never told in plain text.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// What keys of its kind could be made for.
    uses: &'static [Flag],
    /// Those that it is made for.
    may: &'static [Flag],
    /// Whether it may leave the token, wrapped.
    extractable: bool,
    /// What must be found besides when it is used: what a token sets by itself.
    pub found: &'static [Flag],
    /// What may be found otherwise than it was made.
    pub free: &'static [Flag],
    /// Whether a key is made with `CKA_WRAP_WITH_TRUSTED` where the token's wrapping keys can be
    /// trusted. A security officer marks them; some tokens let no officer see a private key.
    pub wrap_with_trusted: bool,
}

impl Rules {
    /// What a private or secret key is made with.
    #[must_use]
    pub fn made_with(&self) -> Vec<(Flag, bool)> {
        let kept = [(Token, true), (Private, true), (Sensitive, true)];
        let uses = self.uses.iter().map(|flag| (*flag, self.may.contains(flag)));
        kept.into_iter().chain([(Extractable, self.extractable)]).chain(uses).collect()
    }

    /// What must be found when it is used.
    pub(crate) fn held(&self) -> impl Iterator<Item = (Flag, bool)> {
        self.made_with().into_iter().chain(self.found.iter().map(|flag| (*flag, true)))
    }

    /// The template of a private or secret key; `can_trust` says whether the token's officer can mark
    /// a wrapping key as trusted.
    #[must_use]
    pub fn template(&self, can_trust: bool) -> Vec<Attribute> {
        let made_with = self.made_with();
        let mut template: Vec<Attribute> =
            made_with.iter().map(|(flag, value)| flag.attribute(*value)).collect();
        if self.wrap_with_trusted && can_trust {
            template.push(Flag::WrapWithTrusted.attribute(true));
        }
        template
    }

    /// The first attribute among `found` that breaks a rule, with its value. What the token does not
    /// tell counts as false: a token that does not know a use does not allow it.
    #[must_use]
    pub fn broken_by(&self, found: &[Attribute]) -> Option<(Flag, bool)> {
        self.held().filter(|(flag, _)| !self.free.contains(flag)).find_map(|(flag, wanted)| {
            let value = found.iter().find_map(|attribute| flag.value(attribute));
            (value.unwrap_or(false) != wanted).then_some((flag, !wanted))
        })
    }

    /// The attributes that [`Rules::broken_by`] looks at.
    #[must_use]
    pub fn asked(&self) -> Vec<AttributeType> {
        self.held().map(|(flag, _)| flag.kind()).collect()
    }
}

use Flag::{
    AlwaysSensitive, Decrypt, Derive, Encrypt, Extractable, Local, NeverExtractable, Private,
    Sensitive, Sign, SignRecover, Token, Unwrap, Verify, Wrap,
};

/// What a private key could be made for.
const OF_PRIVATE: &[Flag] = &[Sign, SignRecover, Decrypt, Unwrap, Derive];
/// What a secret key could be made for.
const OF_SECRET: &[Flag] = &[Wrap, Unwrap, Encrypt, Decrypt, Sign, Verify, Derive];
/// What a token says of a key that it made and that never left it.
const NEVER_LEFT: &[Flag] = &[Local, AlwaysSensitive, NeverExtractable];

const ONLINE: Rules = Rules {
    uses: OF_PRIVATE,
    may: &[Sign],
    extractable: false,
    found: NEVER_LEFT,
    free: &[],
    wrap_with_trusted: false,
};

/// A root that came back from the custodians' backup was not made here: it is found neither local nor
/// always sensitive, and need not be extractable again.
const ROOT: Rules = Rules {
    extractable: true,
    found: &[],
    free: &[Extractable],
    wrap_with_trusted: true,
    ..ONLINE
};

const TRANSPORT: Rules = Rules {
    uses: OF_SECRET,
    may: &[Wrap, Unwrap],
    extractable: true,
    found: &[AlwaysSensitive],
    free: &[],
    wrap_with_trusted: true,
};

const DELIVERED: Rules = Rules {
    uses: OF_SECRET,
    may: &[],
    extractable: true,
    found: &[Local, AlwaysSensitive],
    free: &[],
    wrap_with_trusted: false,
};

const CARD_MASTER: Rules =
    Rules { may: &[Derive], extractable: false, found: NEVER_LEFT, ..DELIVERED };

const CARD_MASTER_ENCRYPTING: Rules = Rules { may: &[Derive, Encrypt], ..CARD_MASTER };

const CUSTODIANS: Rules =
    Rules { may: &[Wrap, Unwrap], extractable: false, found: &[], ..DELIVERED };

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident, $text:literal;)*) => {
        /// An attribute that is true or false.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Flag { $($(#[$doc])* $name,)* }

        impl Flag {
            /// The name in the standard: `CKA_SIGN`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The attribute with this value, for a template.
            #[must_use]
            pub const fn attribute(self, value: bool) -> Attribute {
                match self { $(Self::$name => Attribute::$name(value),)* }
            }

            /// The attribute without a value, for a question.
            #[must_use]
            pub const fn kind(self) -> AttributeType {
                match self { $(Self::$name => AttributeType::$name,)* }
            }

            /// The value in `attribute`, if it is this one.
            #[must_use]
            pub const fn value(self, attribute: &Attribute) -> Option<bool> {
                match (self, attribute) {
                    $((Self::$name, Attribute::$name(value)) => Some(*value),)*
                    _ => None,
                }
            }
        }
    };
}

flags! {
    /// Kept on the token, beyond the session.
    Token, "CKA_TOKEN";
    /// Visible after the login only.
    Private, "CKA_PRIVATE";
    /// Never told in plain text.
    Sensitive, "CKA_SENSITIVE";
    /// Has been so since it was made.
    AlwaysSensitive, "CKA_ALWAYS_SENSITIVE";
    /// May leave the token, wrapped.
    Extractable, "CKA_EXTRACTABLE";
    /// Could never leave the token.
    NeverExtractable, "CKA_NEVER_EXTRACTABLE";
    /// Made on the token.
    Local, "CKA_LOCAL";
    /// May sign.
    Sign, "CKA_SIGN";
    /// May sign so that the message can be recovered.
    SignRecover, "CKA_SIGN_RECOVER";
    /// May verify.
    Verify, "CKA_VERIFY";
    /// May encrypt.
    Encrypt, "CKA_ENCRYPT";
    /// May decrypt.
    Decrypt, "CKA_DECRYPT";
    /// May wrap other keys.
    Wrap, "CKA_WRAP";
    /// May unwrap other keys.
    Unwrap, "CKA_UNWRAP";
    /// May have others derived from it.
    Derive, "CKA_DERIVE";
    /// Leaves the token under a trusted wrapping key only.
    WrapWithTrusted, "CKA_WRAP_WITH_TRUSTED";
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
