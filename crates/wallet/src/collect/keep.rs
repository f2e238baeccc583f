//! The end of a collection: what came is verified and kept, all of it or nothing, and every key that
//! holds no document is destroyed.

use alloc::string::String;
use alloc::vec::Vec;

use base64ct::{Base64UrlUnpadded, Encoding};

use super::metadata::Format;
use super::{CollectError, Collection, Found, Hands, Stage};
use crate::log::{self, Entry};
use crate::pass::{Content, Document, PASSES_MAX, Pass};
use crate::secure_element::{DeviceKey, SecureElement};
use crate::state::State;

impl Collection {
    /// Verifies what was collected and puts it into the wallet: all of it, or nothing. Returns
    /// the names of the passes. Store the wallet, then go on with [`Collection::poll`] until it is
    /// done, also after an error: the issuer learns what became of its documents.
    ///
    /// # Errors
    /// [`CollectError`]; the wallet is what it was, and the keys that were made are destroyed.
    pub fn keep(
        &mut self,
        hands: &mut Hands<'_>,
        state: &mut State,
    ) -> Result<Vec<String>, CollectError> {
        if self.stage == Stage::Collected {
            self.stage = Stage::Notification;
        }
        let kept = self.verified(hands, state);
        self.is_kept = kept.is_ok();
        let is_used = |key: DeviceKey| {
            let mut documents = kept.iter().flatten().flat_map(|pass| &pass.documents);
            documents.any(|document| document.key == key)
        };
        let found = core::mem::take(&mut self.passes);
        let made = found.into_iter().flat_map(|found| found.keys);
        made.filter(|key| !is_used(*key)).for_each(|key| hands.element.destroy(key));
        let kept = kept?;
        let mut names: Vec<String> = Vec::new();
        for pass in &kept {
            // A pass comes in several formats, each as a document of its own.
            if !names.contains(&pass.name) {
                names.push(pass.name.clone());
            }
        }
        let entry = Entry {
            at: hands.now,
            with: self.offer.issuer.clone(),
            pass: names.join(", "),
            disclosed: Vec::new(),
            outcome: String::from("collected"),
        };
        log::append(&mut state.log, entry);
        state.passes.extend(kept);
        Ok(names)
    }

    /// Ends the collection, however far it came: destroys every key that was made for it, those of
    /// kept documents excepted.
    pub fn end(self, element: &mut dyn SecureElement) {
        let found = self.passes.iter().flat_map(|found| &found.keys);
        self.pending_keys.iter().chain(&self.dpop).chain(found).for_each(|key| {
            element.destroy(*key);
        });
    }

    /// All passes, verified, if the wallet has room for them.
    fn verified(&self, hands: &Hands<'_>, state: &State) -> Result<Vec<Pass>, CollectError> {
        if state.passes.len() + self.passes.len() > PASSES_MAX {
            return Err(CollectError::Full);
        }
        self.passes.iter().map(|found| self.pass(hands, state, found)).collect()
    }

    /// The issuer may give fewer documents than keys were shown, but each of another key.
    fn pass(&self, hands: &Hands<'_>, state: &State, found: &Found) -> Result<Pass, CollectError> {
        let public = |key: &DeviceKey| Ok((*key, hands.element.public_key(*key)?));
        let shown: Result<Vec<_>, _> = found.keys.iter().map(public).collect();
        let mut free = shown.map_err(CollectError::Element)?;
        let mut documents: Vec<Document> = Vec::new();
        for text in &found.documents {
            let bytes = || {
                let wrong = |_| CollectError::Answer { to: "credential", member: "credential" };
                Base64UrlUnpadded::decode_vec(text).map_err(wrong)
            };
            let content = match found.kind.format {
                Format::Mdoc => Content::Mdoc(bytes()?),
                Format::SdJwt => Content::SdJwt(text.clone()),
                Format::AccessDocument => Content::AccessDocument(bytes()?),
            };
            let anchors = state.trust.issuer_anchors();
            let document = Document::accept(hands.crypto, content, &free, anchors, hands.now)
                .map_err(CollectError::Document)?;
            free.retain(|(key, _)| *key != document.key);
            documents.push(document);
        }
        Ok(Pass {
            name: found.kind.name.clone(),
            issuer: self.offer.issuer.clone(),
            configuration: found.kind.id.clone(),
            documents,
        })
    }
}
