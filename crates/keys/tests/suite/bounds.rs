//! What the key service denies even to a client with every right, so that whoever takes that client
//! over gets no more than its signatures; each with its control.

use keys::custody::{Custody, Key, NewKey, SignError, State};
use keys::object::{ObjectType, TypedObject};
use keys::purpose::Purpose;
use keys::remote::Remote;
use vocabulary::code::OperatorCode;

use crate::post::{AT, Post};
use crate::samples::{self, DOCUMENT_SIGNER};

async fn make(remote: &Remote, purpose: Purpose, operator: &OperatorCode) -> Key {
    remote.generate(NewKey::active(purpose, Some(operator.clone()), AT)).await.unwrap()
}

fn point(key: &Key) -> [u8; 65] {
    key.public_key.as_bytes().try_into().unwrap()
}

async fn certify(remote: &Remote, authority: &Key, point: &[u8; 65]) -> Result<(), SignError> {
    let tbs = samples::tbs("Issuing", "DS", &[samples::usage(DOCUMENT_SIGNER)], point);
    let object = TypedObject::parse(ObjectType::DocumentSignerCertificate, &tbs).unwrap();
    remote.sign(&authority.handle, &object).await.map(drop)
}

#[tokio::test]
async fn authority_certifies_document_signers_of_its_own_and_no_others() {
    let post = Post::new().await;
    let remote = post.remote().await;
    let [harbour, museum] = ["harbour", "museum"].map(|code| code.parse().unwrap());
    let authority = make(&remote, Purpose::IssuingAuthority, &harbour).await;
    let own = make(&remote, Purpose::DocumentSignerMdoc, &harbour).await;
    let json = make(&remote, Purpose::DocumentSignerSdJwt, &harbour).await;
    for signer in [&own, &json] {
        assert_eq!(certify(&remote, &authority, &point(signer)).await, Ok(()));
    }
    let refused = Err(SignError::NotAllowed { purpose: Purpose::IssuingAuthority });
    let others = make(&remote, Purpose::DocumentSignerMdoc, &museum).await;
    let of_another_purpose = make(&remote, Purpose::Bundle, &harbour).await;
    for stranger in [[4; 65], point(&others), point(&of_another_purpose), point(&authority)] {
        assert_eq!(certify(&remote, &authority, &stranger).await, refused);
    }
    remote.set_state(&own.handle, State::Retired, AT).await.unwrap();
    assert_eq!(certify(&remote, &authority, &point(&own)).await, refused);
    let (_, entries, _) = remote.uses(0).await.unwrap();
    assert!(entries > 7, "the refusals stand in the journal");
}
