//! The steps of a ceremony, one function each: what the screen says, what is done, what is recorded.

use aws_lc_rs::rand;
use zeroize::Zeroizing;

use super::approval::Approval;
use super::backup::Backup;
use super::certificate::{certify_root, link_root};
use super::files;
use super::lead::{APPROVAL_LIFE, Lead, base64, old_root, sha256};
use super::lead_error::Cause;
use super::plan::{Custodian, Handover, Kind};
use super::shares::{SPLIT_ENTROPY_BYTES, Share, split};
use super::staff;
use super::transcript::verify::{Expected, Verified, verify};
use super::transcript::wire::{Facts, TRUSTED_BY_OFFICER};
use super::transcript::{DEED, hex};
use super::wrapping::{CheckValue, WrappingKey};
use crate::custody::{Custody, Key, NewKey, State};
use crate::object::{ObjectType, TypedObject};
use crate::purpose::Purpose;

impl Lead<'_> {
    pub(super) fn open(&mut self) -> Result<(), Cause> {
        let plan = self.setting.plan;
        let (threshold, count) = (plan.split.threshold(), plan.split.custodians());
        let what = match plan.kind {
            Kind::Create => "the first root key",
            Kind::Renew => "a new root key, which the old one certifies",
        };
        let practice = if self.setting.rehearsal {
            "THIS IS A REHEARSAL: no key that is made here may be used.\n"
        } else {
            ""
        };
        let custody = self.setting.root.held_by();
        let text = format!(
            "{practice}This ceremony makes {what} of {}. The key will be held by {custody}; its backup \
             can be opened by any {threshold} of {count} custodians together, and by no fewer.\n\
             Ceremony {}, led by {}. Plan (SHA-256): {}",
            plan.city.name,
            self.id,
            self.setting.program,
            self.plan_digest()
        );
        let mut check = vec![
            String::from("The digest of the plan is the one on the paper that you signed."),
            String::from("The machine is the one agreed on; no network cable, no radio."),
        ];
        if custody == "software" {
            check.push(String::from(
                "Custody is by software: whoever copies the file and its secret has the root.",
            ));
        }
        let shown = self.confirm("the plan", text, check, self.everybody())?;
        let facts = Facts::Opened {
            city: plan.city.name.clone(),
            country: plan.city.country.clone(),
            kind: plan.kind.as_str().to_owned(),
            suite: plan.suite.to_string(),
            threshold,
            custodians: self.everybody().iter().map(ToString::to_string).collect(),
            custody,
            plan: self.plan_digest(),
            program: self.setting.program.to_owned(),
        };
        self.record(shown, "", facts)
    }

    pub(super) async fn staff_key(&mut self, custodian: &Custodian) -> Result<(), Cause> {
        let name = &custodian.name;
        let text = format!(
            "{name} gets a signing key of their own, or shows the one they have, in `{}`. With it {name} \
             signs the transcript at the end.",
            custodian.staff.path.display()
        );
        let check = vec![String::from("The medium on which the key lies is your own.")];
        let shown = self.confirm("a custodian's signing key", text, check, vec![name.clone()])?;
        let staff = staff::open(custodian, self.room).await?;
        let key = &staff.key;
        let result = format!("The signing key of {name} is {}. Write it down.", key.handle);
        let facts = Facts::StaffKey {
            custodian: name.to_string(),
            suite: key.suite.to_string(),
            public_key: base64(key.public_key.as_bytes()),
            handle: key.handle.to_string(),
        };
        self.staff.push(staff);
        self.record(shown, &result, facts)
    }

    pub(super) fn make_wrapping_key(&mut self) -> Result<WrappingKey, Cause> {
        let text = "The program draws the wrapping key, 32 random bytes, in its own memory. Under this \
                    key the root's private half will lie in the backup; the shares are made of it.";
        let check = vec![String::from("Nobody photographs or records the screen from here on.")];
        let shown = self.confirm("the wrapping key", text.to_owned(), check, self.everybody())?;
        let key = WrappingKey::generate()?;
        let check_value = key.check_value()?.to_string();
        let result = format!("Check value of the wrapping key: {check_value}. Write it down.");
        self.record(shown, &result, Facts::WrappingKeyMade { check_value })?;
        Ok(key)
    }

    pub(super) async fn make_root(&mut self) -> Result<Key, Cause> {
        let held_by = self.setting.root.held_by();
        let suite = self.setting.plan.suite;
        let text = format!(
            "The root key ({suite}) is made in {held_by}. Its private half can leave it only under a \
             wrapping key."
        );
        let shown = self.confirm("the root key", text, Vec::new(), self.everybody())?;
        let at = self.now();
        let request =
            NewKey { purpose: Purpose::CityRoot, operator: None, suite, state: State::Active, at };
        let key = self.setting.root.generate(request).await?;
        let result = format!("The root is {}. Write it down.", key.handle);
        let facts = Facts::RootMade {
            suite: suite.to_string(),
            public_key: base64(key.public_key.as_bytes()),
            handle: key.handle.to_string(),
            held_by,
        };
        self.record(shown, &result, facts)?;
        Ok(key)
    }

    pub(super) async fn certify(&mut self, root: Key) -> Result<Key, Cause> {
        let plan = self.setting.plan;
        let text = format!(
            "The root signs its own certificate, with the name `{} root` and the country {}. Readers and \
             wallets will believe what stands below this certificate.",
            plan.city.name, plan.city.country
        );
        let check = vec![String::from("The name and the country are the city's.")];
        let shown = self.confirm("the root's certificate", text, check, self.everybody())?;
        let at = self.now();
        let der = certify_root(self.setting.root, &root, &plan.city, plan.life, at).await?;
        let kept = self.setting.root.attach_certificate(&root.handle, &der).await?;
        let fingerprint = sha256(&der);
        let result = format!("Fingerprint of the certificate (SHA-256): {fingerprint}");
        let facts = Facts::RootCertified { certificate: base64(&der), digest: fingerprint };
        self.record(shown, &result, facts)?;
        Ok(kept)
    }

    pub(super) async fn link(&mut self, root: &Key) -> Result<(), Cause> {
        let (old, old_der) = old_root(&self.setting)?;
        let custody = self.setting.old_root.ok_or(Cause::NoOldRoot)?;
        let text = format!(
            "The old root {} certifies the new one. By this certificate readers that know the old root \
             learn to believe the new one.",
            old.handle
        );
        let check = vec![String::from("The old root is the one on your papers.")];
        let shown = self.confirm("the link from the old root", text, check, self.everybody())?;
        let at = self.now();
        let link = link_root(custody, &old, root, &self.setting.plan.city, at).await?;
        let result = format!("Fingerprint of the link (SHA-256): {}", sha256(&link));
        let facts = Facts::RootLinked {
            old_certificate: base64(&old_der),
            link_certificate: base64(&link),
        };
        self.record(shown, &result, facts)
    }

    pub(super) async fn back_up(
        &mut self,
        root: &Key,
        key: &WrappingKey,
        check_value: CheckValue,
    ) -> Result<(), Cause> {
        let path = &self.setting.plan.backup;
        let by_officer = self.setting.root.trusts_by_officer();
        let trusting = if by_officer {
            "For this one wrapping the security officer logs in to the token and makes the wrapping key \
             trusted (CKA_TRUSTED); under no other key does the token give the root out \
             (CKA_WRAP_WITH_TRUSTED).\n"
        } else {
            ""
        };
        let text = format!(
            "{trusting}The root's private half is wrapped and written to `{}`. Without the shares the file \
             is of no use to anybody; copy it afterwards to at least two places.",
            path.display()
        );
        let shown = self.confirm("the backup", text, Vec::new(), self.everybody())?;
        let wrapped = self.setting.root.wrap_root(&root.handle, key).await?;
        let backup = Backup {
            ceremony: self.id,
            suite: root.suite,
            check_value,
            public_key: root.public_key.clone(),
            certificate: root.certificate.as_deref().unwrap_or_default().to_vec(),
            wrapped,
        };
        let bytes = backup.to_bytes();
        files::create(path, &bytes)?;
        let result = format!("Backup (SHA-256): {}", sha256(&bytes));
        let facts = Facts::RootBackedUp {
            digest: sha256(&bytes),
            bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            check_value: check_value.to_string(),
            trusted_by: by_officer.then(|| TRUSTED_BY_OFFICER.to_owned()),
        };
        self.record(shown, &result, facts)
    }

    pub(super) fn split(&self, key: &WrappingKey) -> Result<Vec<Share>, Cause> {
        let mut entropy = Zeroizing::new([0; SPLIT_ENTROPY_BYTES]);
        rand::fill(entropy.as_mut()).map_err(|_| Cause::Random)?;
        Ok(split(key, self.id, self.setting.plan.split, &entropy)?)
    }

    pub(super) fn hand_over(&mut self, custodian: &Custodian, share: &Share) -> Result<(), Cause> {
        let name = &custodian.name;
        let plan = self.setting.plan;
        let (index, count) = (share.index(), plan.split.custodians());
        let (way, handover) = match &custodian.share {
            Handover::Screen => ("is shown on the screen, to be written down".to_owned(), "screen"),
            Handover::File(path) => (format!("is written to `{}`", path.display()), "file"),
        };
        let text = format!("{name} gets share {index} of {count}. It {way}.");
        let check = vec![
            String::from("You alone see the screen; the others turn away."),
            String::from("Keep it apart from the backup and from every other share."),
        ];
        let shown = self.confirm("a custodian's share", text, check, vec![name.clone()])?;
        match &custodian.share {
            Handover::Screen => self.room.show_share(custodian, share)?,
            Handover::File(path) => {
                let heading = [
                    format!("Limen, share {index} of {count} of the root of {}", plan.city.name),
                    format!("ceremony {}, {} shares needed", self.id, share.threshold()),
                    format!("of {name}; keep it secret"),
                ];
                files::create(path, files::share_text(&heading, share).as_bytes())?;
            }
        }
        let facts = Facts::ShareGiven {
            custodian: name.to_string(),
            index,
            commitment: hex(&share.commitment()),
            handover: handover.to_owned(),
        };
        self.record(shown, "", facts)
    }

    pub(super) fn destroy(
        &mut self,
        key: WrappingKey,
        check_value: CheckValue,
    ) -> Result<(), Cause> {
        let text = "Every custodian has a share. The program wipes the wrapping key from its memory; a \
                    token forgot it when it had wrapped the root. From now on the key exists in shares \
                    only.";
        let check = vec![String::from("Every custodian has checked that their share can be read.")];
        let title = "the end of the wrapping key";
        let shown = self.confirm(title, text.to_owned(), check, self.everybody())?;
        drop(key);
        self.record(shown, "", Facts::WrappingKeyDestroyed { check_value: check_value.to_string() })
    }

    pub(super) fn close(&mut self) -> Result<(), Cause> {
        let text = format!(
            "The ceremony ends here. Each custodian signs the transcript with their own key; it is \
             written to `{}`. Anybody can verify it with `limen ceremony verify`.",
            self.setting.plan.transcript.display()
        );
        let check = vec![String::from("What happened in this room is what the steps say.")];
        let shown = self.confirm("the end", text, check, self.everybody())?;
        let signers = self.everybody().iter().map(ToString::to_string).collect();
        self.record(shown, "", Facts::Closed { signers })
    }

    pub(super) async fn sign(&mut self) -> Result<Verified, Cause> {
        let at = self.now().floor_to_second();
        let deed = DEED.parse().map_err(|_| Cause::Random)?;
        for staff in &self.staff {
            let approval = Approval {
                deed: Clone::clone(&deed),
                digest: *self.recorder.digest(),
                by: staff.key.handle,
                at,
                expires_at: at.saturating_add(APPROVAL_LIFE),
            };
            let unsigned = approval.unsigned(&staff.key.public_key);
            let bytes = unsigned.to_be_signed().to_vec();
            let object = TypedObject::parse(ObjectType::Approval, &bytes)?;
            let signature = staff.store.sign(&staff.key.handle, &object).await?;
            self.recorder.approve(&staff.name, &unsigned.complete(&signature));
        }
        let bytes = self.recorder.to_bytes();
        // What we could not verify ourselves, nobody shall have to.
        let verified = verify(&bytes, &Expected::default())?;
        files::create(&self.setting.plan.transcript, &bytes)?;
        // The ceremony is over: a record that is left beside a signed transcript means nothing.
        let _ = files::remove(&files::partial(&self.setting.plan.transcript));
        Ok(verified)
    }
}
