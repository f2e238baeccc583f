//! The reader's side of EV2 secure messaging, written from AN12196 for these tests.

use aes::Aes128;
use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use card::{Scope, management};
use cmac::{Cmac, Mac};
use credential::aws_lc::AwsLc;
use credential::crypto::P256Secret;
use presentation::express::issuing::Batch;

use crate::bench::{Bench, KeyAndVersion};

/// The card did not do as it was told: its status word, or an answer that is not its own.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Status([u8; 2]),
    Answer,
}

pub(crate) struct Desk<'b> {
    pub(crate) bench: &'b mut Bench,
    pub(crate) encryption: [u8; 16],
    pub(crate) mac: [u8; 16],
    pub(crate) transaction: [u8; 4],
    pub(crate) counter: u16,
}

pub(crate) const SELECT: [u8; 13] = [0, 0xA4, 4, 0, 7, 0xF0, 0x4C, 0x49, 0x4D, 0x45, 0x4E, 2, 0];

pub(crate) fn native(command: u8, data: &[u8]) -> Vec<u8> {
    if data.is_empty() {
        return vec![management::CLASS, command, 0, 0, 0];
    }
    let length = u8::try_from(data.len()).unwrap();
    [&[management::CLASS, command, 0, 0, length], data, &[0]].concat()
}

impl<'b> Desk<'b> {
    /// With the key of a blank card.
    pub(crate) fn maker(bench: &'b mut Bench) -> Result<Self, Fault> {
        Self::open(bench, card::ROOT, 0, &[0; 16])
    }

    pub(crate) fn open(
        bench: &'b mut Bench,
        scope: Scope,
        number: u8,
        key: &[u8; 16],
    ) -> Result<Self, Fault> {
        let selected = bench.command(&SELECT);
        assert_eq!(selected, [&management::TEMPLATE[..], &[0x90, 0]].concat());
        assert_eq!(bench.command(&native(0x5A, &scope)), [0x91, 0]);
        let mut desk =
            Self { bench, encryption: [0; 16], mac: [0; 16], transaction: [0; 4], counter: 0 };
        let challenge = desk.send(0x71, &[number, 0], [0x91, 0xAF])?;
        let rnd_b = cbc_back(key, [0; 16], &challenge);
        let rnd_a = *b"sixteen bytes ok";
        let answer = [&rnd_a[..], &rnd_b[1..], &rnd_b[..1]].concat();
        let response = desk.send(0xAF, &cbc(key, [0; 16], &answer), [0x91, 0])?;
        let plain = cbc_back(key, [0; 16], &response);
        if plain[4..20] != [&rnd_a[1..], &rnd_a[..1]].concat() {
            return Err(Fault::Answer);
        }
        let vector = |label: &[u8]| {
            let mixed: Vec<u8> = (0..6).map(|it| rnd_a[2 + it] ^ rnd_b[it]).collect();
            [label, &rnd_a[..2], &mixed, &rnd_b[6..], &rnd_a[8..]].concat()
        };
        desk.encryption = mac(key, &vector(&[0xA5, 0x5A, 0, 1, 0, 0x80]));
        desk.mac = mac(key, &vector(&[0x5A, 0xA5, 0, 1, 0, 0x80]));
        desk.transaction = plain[..4].try_into().unwrap();
        Ok(desk)
    }

    pub(crate) fn send(
        &mut self,
        command: u8,
        data: &[u8],
        status: [u8; 2],
    ) -> Result<Vec<u8>, Fault> {
        let mut answer = self.bench.command(&native(command, data));
        let found: [u8; 2] = answer.split_off(answer.len() - 2).try_into().unwrap();
        if found == status { Ok(answer) } else { Err(Fault::Status(found)) }
    }

    fn iv(&self, label: [u8; 2]) -> [u8; 16] {
        let parts = [&label[..], &self.transaction, &self.counter.to_le_bytes(), &[0; 8]];
        cbc(&self.encryption, [0; 16], &parts.concat()).try_into().unwrap()
    }

    /// Header and body as they travel; the body is encrypted where it is to be.
    pub(crate) fn protect(&self, command: u8, header: &[u8], body: Option<&[u8]>) -> Vec<u8> {
        let body = body.map(|body| cbc(&self.encryption, self.iv([0xA5, 0x5A]), &padded(body)));
        let sent = [header, &body.unwrap_or_default()].concat();
        let counter = self.counter.to_le_bytes();
        let tag = mac(&self.mac, &[&[command], &counter[..], &self.transaction, &sent].concat());
        [&sent[..], &short(&tag)].concat()
    }

    pub(crate) fn exchange(
        &mut self,
        command: u8,
        header: &[u8],
        body: Option<&[u8]>,
        is_sealed: bool,
    ) -> Result<Vec<u8>, Fault> {
        let sent = self.protect(command, header, body);
        let mut answer = self.send(command, &sent, [0x91, 0])?;
        self.counter += 1;
        if answer.len() < 8 {
            return Err(Fault::Answer);
        }
        let tag = answer.split_off(answer.len() - 8);
        let counter = self.counter.to_le_bytes();
        let own = mac(&self.mac, &[&[0], &counter[..], &self.transaction, &answer].concat());
        if short(&own) != tag {
            return Err(Fault::Answer);
        }
        if !is_sealed {
            return Ok(answer);
        }
        let mut plain = cbc_back(&self.encryption, self.iv([0x5A, 0xA5]), &answer);
        let end = plain.iter().rposition(|byte| *byte != 0).unwrap();
        assert_eq!(plain[end], 0x80);
        plain.truncate(end);
        Ok(plain)
    }

    pub(crate) fn create(
        &mut self,
        scope: Scope,
        kind: u8,
        keys: &[KeyAndVersion; 3],
    ) -> Result<(), Fault> {
        let mut body = [&scope[..], &[kind]].concat();
        for (key, version) in keys {
            body.extend(key);
            body.push(*version);
        }
        if scope == card::ROOT {
            let sent = self.protect(0xCA, &[], Some(&body));
            return self.send(0xCA, &sent, [0x91, 0]).map(|_| ());
        }
        self.exchange(0xCA, &[], Some(&body), false).map(|_| ())
    }

    pub(crate) fn read(&mut self, file: u8, offset: u8, length: u8) -> Result<Vec<u8>, Fault> {
        self.exchange(0xAD, &[file, offset, 0, 0, length, 0, 0], None, true)
    }

    pub(crate) fn write(&mut self, file: u8, offset: usize, data: &[u8]) -> Result<(), Fault> {
        let [a, b, c, _] = u32::try_from(offset).unwrap().to_le_bytes();
        let [d, e, f, _] = u32::try_from(data.len()).unwrap().to_le_bytes();
        self.exchange(0x8D, &[file, a, b, c, d, e, f], Some(data), false).map(|_| ())
    }

    /// Writes `content` in pieces.
    pub(crate) fn put(&mut self, file: u8, content: &[u8]) -> Result<(), Fault> {
        for (number, chunk) in content.chunks(200).enumerate() {
            self.write(file, number * 200, chunk)?;
        }
        Ok(())
    }

    pub(crate) fn commit(&mut self) -> Result<(), Fault> {
        self.exchange(0xC7, &[], None, false).map(|_| ())
    }

    /// Has the card draw a key: its number and point.
    pub(crate) fn draw(&mut self, of: u8) -> Result<(u8, [u8; 65]), Fault> {
        let told = self.exchange(0xD2, &[of], None, false)?;
        Ok((told[0], told[1..].try_into().unwrap()))
    }

    pub(crate) fn sign(&mut self, number: u8, message: &[u8]) -> Result<Vec<u8>, Fault> {
        self.put(management::MESSAGE_FILE, message)?;
        self.exchange(0xD3, &[number], None, false)
    }

    /// Loads `batch` as the key service seals it for this card.
    pub(crate) fn load(&mut self, batch: &Batch) -> Result<(), Fault> {
        let (_, point) = self.draw(management::keys::AGREES)?;
        let sealed = batch.seal(&AwsLc, &P256Secret::from_bytes([0x5E; 32]), &point);
        self.put(management::INBOX_FILE, &sealed.unwrap().encode())?;
        self.commit()
    }

    /// Changes the key `number` to another than that of the session.
    pub(crate) fn change_other(
        &mut self,
        number: u8,
        old: &[u8; 16],
        (new, version): KeyAndVersion,
    ) -> Result<(), Fault> {
        let folded: Vec<u8> = new.iter().zip(old).map(|(new, old)| new ^ old).collect();
        let body = [&folded[..], &[version], &crc(&new).to_le_bytes()].concat();
        self.exchange(0xC4, &[number], Some(&body), false).map(|_| ())
    }

    /// Changes the key of the session, which ends.
    pub(crate) fn change_own(
        &mut self,
        number: u8,
        (new, version): KeyAndVersion,
    ) -> Result<(), Fault> {
        let sent = self.protect(0xC4, &[number], Some(&[&new[..], &[version]].concat()));
        self.send(0xC4, &sent, [0x91, 0]).map(|_| ())
    }
}

fn padded(body: &[u8]) -> Vec<u8> {
    let mut padded = [body, &[0x80]].concat();
    padded.resize(padded.len().next_multiple_of(16), 0);
    padded
}

fn short(tag: &[u8; 16]) -> Vec<u8> {
    (0..8).map(|it| tag[2 * it + 1]).collect()
}

pub(crate) fn mac(key: &[u8; 16], message: &[u8]) -> [u8; 16] {
    let mut mac = Cmac::<Aes128>::new(&Array(*key));
    mac.update(message);
    mac.finalize().into_bytes().0
}

fn cbc(key: &[u8; 16], mut iv: [u8; 16], data: &[u8]) -> Vec<u8> {
    let cipher = Aes128::new(&Array(*key));
    let block = |block: &[u8]| {
        let mut mixed = Array::<u8, _>::from_fn(|it| block[it] ^ iv[it]);
        cipher.encrypt_block(&mut mixed);
        iv = mixed.into();
        iv
    };
    data.chunks(16).flat_map(block).collect()
}

fn cbc_back(key: &[u8; 16], mut iv: [u8; 16], data: &[u8]) -> Vec<u8> {
    let cipher = Aes128::new(&Array(*key));
    let block = |block: &[u8]| {
        let mut open = Array::<u8, _>::from_fn(|it| block[it]);
        cipher.decrypt_block(&mut open);
        let plain: Vec<u8> = (0..16).map(|it| open[it] ^ iv[it]).collect();
        iv = block.try_into().unwrap();
        plain
    };
    data.chunks(16).flat_map(block).collect()
}

fn crc(data: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    crc
}
