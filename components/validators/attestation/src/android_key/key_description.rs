//! The attestation extension of a key (1.3.6.1.4.1.11129.2.1.17): what the secure hardware and the system say about the
//! key, the device and the app that made it. Schema: Android's "Key and ID attestation", versions 1 to 500.
//!
//! Reading is strict: one spelling of everything, and the members of an authorization list in ascending order, each at
//! most once, so that two readers cannot see two meanings. Unknown members are passed over: newer phones have more.

use std::fmt;

use super::tlv::{Class, Malformed, Reader, only};

/// Longest extension that is read, in bytes. Real ones have 200 to 500; the app's part is at most 1,024.
pub const MAX_EXTENSION_BYTES: usize = 4096;
/// Longest challenge that Android attests, in bytes.
const MAX_CHALLENGE_BYTES: usize = 128;

/// Where something is kept or was checked. A higher level is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecurityLevel {
    /// By the system's software: says nothing about a rooted device.
    Software,
    /// By a trusted execution environment.
    TrustedEnvironment,
    /// By a chip of its own.
    StrongBox,
}

/// Where a key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Made by the hardware, which has never let it go.
    Generated,
    /// Derived from another key.
    Derived,
    /// Brought in from outside.
    Imported,
    /// Not used.
    Reserved,
    /// Brought in encrypted.
    SecurelyImported,
}

/// What the boot loader found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifiedBootState {
    /// Signed by the manufacturer.
    Verified,
    /// Signed by a key of the owner.
    SelfSigned,
    /// Not checked: the boot loader is unlocked.
    Unverified,
    /// The check failed.
    Failed,
}

/// The extension. Borrows from the certificate.
pub struct KeyDescription<'a> {
    /// Version of the schema: 1, 2, 3, 4, or 100 times that of KeyMint.
    pub attestation_version: u32,
    /// Who made the attestation.
    pub attestation_security_level: SecurityLevel,
    /// Version of Keymaster or KeyMint.
    pub key_mint_version: u32,
    /// Who keeps the key.
    pub key_mint_security_level: SecurityLevel,
    /// What the app asked to be attested, at most 128 bytes.
    pub attestation_challenge: &'a [u8],
    /// Empty for ordinary apps.
    pub unique_id: &'a [u8],
    /// What the system says: as good as verified boot.
    pub software_enforced: AuthorizationList<'a>,
    /// What the secure hardware says.
    pub hardware_enforced: AuthorizationList<'a>,
}

/// Properties of a key and of its device. Numbers are those of KeyMint's enumerations.
#[derive(Default)]
pub struct AuthorizationList<'a> {
    /// What it may be used for; 2 is signing.
    pub purposes: Option<Vec<u64>>,
    /// 1 RSA, 3 elliptic curve.
    pub algorithm: Option<u64>,
    /// In bits.
    pub key_size: Option<u64>,
    /// Block modes.
    pub block_modes: Option<Vec<u64>>,
    /// Digests.
    pub digests: Option<Vec<u64>>,
    /// Paddings.
    pub paddings: Option<Vec<u64>>,
    /// 1 is P-256.
    pub ec_curve: Option<u64>,
    /// Parameter set of ML-DSA.
    pub ml_dsa_variant: Option<u64>,
    /// Public exponent.
    pub rsa_public_exponent: Option<u64>,
    /// Digests for OAEP.
    pub rsa_oaep_mgf_digests: Option<Vec<u64>>,
    /// From when it may be used, Unix milliseconds.
    pub active_date_time: Option<u64>,
    /// Until when it may sign, Unix milliseconds.
    pub origination_expire_date_time: Option<u64>,
    /// Until when it may be used, Unix milliseconds.
    pub usage_expire_date_time: Option<u64>,
    /// How often it may be used.
    pub usage_count_limit: Option<u64>,
    /// Nobody needs to unlock it.
    pub no_auth_required: bool,
    /// How the owner unlocks it.
    pub user_auth_type: Option<u64>,
    /// How long it stays unlocked, seconds.
    pub auth_timeout: Option<u64>,
    /// It may be used while the phone is on the body.
    pub allow_while_on_body: bool,
    /// The owner must touch the phone.
    pub trusted_user_presence_required: bool,
    /// The owner must confirm what is signed.
    pub trusted_confirmation_required: bool,
    /// The phone must be unlocked.
    pub unlocked_device_required: bool,
    /// When the key was made by the phone's clock, Unix milliseconds.
    pub creation_date_time: Option<u64>,
    /// Where it comes from.
    pub origin: Option<Origin>,
    /// It cannot be brought back once deleted (Keymaster).
    pub rollback_resistant: bool,
    /// How the device was started.
    pub root_of_trust: Option<RootOfTrust<'a>>,
    /// Version of Android, MMmmss.
    pub os_version: Option<u64>,
    /// Month of the last security fixes, YYYYMM.
    pub os_patch_level: Option<u64>,
    /// Which apps may use the key.
    pub attestation_application_id: Option<AttestationApplicationId<'a>>,
    /// What identifies the device or its kind.
    pub ids: DeviceIds<'a>,
    /// Date of the last fixes of the vendor's part, YYYYMMDD.
    pub vendor_patch_level: Option<u64>,
    /// Date of the last fixes of the boot image, YYYYMMDD.
    pub boot_patch_level: Option<u64>,
    /// SHA-256 over the system's modules.
    pub module_hash: Option<&'a [u8]>,
}

/// What identifies the device or its kind. Ordinary apps cannot ask for the numbers; nothing here is used or kept.
#[derive(Default)]
pub struct DeviceIds<'a> {
    /// Brand.
    pub brand: Option<&'a [u8]>,
    /// Name of the industrial design.
    pub device: Option<&'a [u8]>,
    /// Name of the product.
    pub product: Option<&'a [u8]>,
    /// Serial number.
    pub serial: Option<&'a [u8]>,
    /// IMEI.
    pub imei: Option<&'a [u8]>,
    /// MEID.
    pub meid: Option<&'a [u8]>,
    /// Manufacturer.
    pub manufacturer: Option<&'a [u8]>,
    /// Model.
    pub model: Option<&'a [u8]>,
    /// IMEI of the second slot.
    pub second_imei: Option<&'a [u8]>,
}

/// How the device was started.
pub struct RootOfTrust<'a> {
    /// Hash of the key that signed the system.
    pub verified_boot_key: &'a [u8],
    /// Whether the boot loader is locked.
    pub device_locked: bool,
    /// What the boot loader found.
    pub verified_boot_state: VerifiedBootState,
    /// Hash of everything that was verified; absent before version 3 of the schema.
    pub verified_boot_hash: Option<&'a [u8]>,
}

/// The apps of the Android user id that owns the key: one, or several that share their signers.
pub struct AttestationApplicationId<'a> {
    /// Packages.
    pub packages: Vec<Package<'a>>,
    /// SHA-256 of each signing certificate.
    pub signature_digests: Vec<&'a [u8; 32]>,
}

/// An app.
pub struct Package<'a> {
    /// Its package name.
    pub name: &'a str,
    /// Its version code.
    pub version: u64,
}

impl fmt::Debug for KeyDescription<'_> {
    /// Shows nothing of the device.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyDescription").field("attestation_version", &self.attestation_version).finish_non_exhaustive()
    }
}

impl<'a> KeyDescription<'a> {
    /// Reads the contents of the extension's OCTET STRING.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_EXTENSION_BYTES {
            return Err(Malformed("the extension is too long"));
        }
        let mut fields = only(bytes, Reader::sequence)?;
        let description = Self {
            attestation_version: version(&mut fields)?,
            attestation_security_level: SecurityLevel::read(&mut fields)?,
            key_mint_version: version(&mut fields)?,
            key_mint_security_level: SecurityLevel::read(&mut fields)?,
            attestation_challenge: fields.octets()?,
            unique_id: fields.octets()?,
            software_enforced: AuthorizationList::read(&mut fields)?,
            hardware_enforced: AuthorizationList::read(&mut fields)?,
        };
        fields.end()?;
        if description.attestation_challenge.len() > MAX_CHALLENGE_BYTES {
            return Err(Malformed("the challenge is too long"));
        }
        let hash_is_missing = |list: &AuthorizationList<'_>| {
            list.root_of_trust.as_ref().is_some_and(|root| root.verified_boot_hash.is_none())
        };
        if description.attestation_version >= 3
            && (hash_is_missing(&description.software_enforced) || hash_is_missing(&description.hardware_enforced))
        {
            return Err(Malformed("the root of trust has no hash, which its version requires"));
        }
        Ok(description)
    }

    /// The lower of the levels of the attestation and of the key.
    pub fn security_level(&self) -> SecurityLevel {
        self.attestation_security_level.min(self.key_mint_security_level)
    }
}

impl SecurityLevel {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        match reader.enumerated()? {
            0 => Ok(Self::Software),
            1 => Ok(Self::TrustedEnvironment),
            2 => Ok(Self::StrongBox),
            _ => Err(Malformed("a security level is unknown")),
        }
    }
}

impl Origin {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        match reader.unsigned()? {
            0 => Ok(Self::Generated),
            1 => Ok(Self::Derived),
            2 => Ok(Self::Imported),
            3 => Ok(Self::Reserved),
            4 => Ok(Self::SecurelyImported),
            _ => Err(Malformed("an origin is unknown")),
        }
    }
}

impl VerifiedBootState {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        match reader.enumerated()? {
            0 => Ok(Self::Verified),
            1 => Ok(Self::SelfSigned),
            2 => Ok(Self::Unverified),
            3 => Ok(Self::Failed),
            _ => Err(Malformed("a boot state is unknown")),
        }
    }
}

impl<'a> AuthorizationList<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut fields = reader.sequence()?;
        let mut list = Self::default();
        let mut last = None;
        while !fields.is_empty() {
            let (tag, content) = fields.any()?;
            if tag.class != Class::Context || !tag.constructed {
                return Err(Malformed("a member of an authorization list has no explicit tag"));
            }
            if last.is_some_and(|last| tag.number <= last) {
                return Err(Malformed("the tags of an authorization list do not ascend"));
            }
            last = Some(tag.number);
            only(content, |value| list.set(tag.number, value))?;
        }
        Ok(list)
    }

    /// Sets the member of that number (KeyMint's `Tag`) and reads exactly one value.
    fn set(&mut self, number: u32, value: &mut Reader<'a>) -> Result<(), Malformed> {
        match number {
            1 => self.purposes = Some(numbers(value)?),
            2 => self.algorithm = Some(value.unsigned()?),
            3 => self.key_size = Some(value.unsigned()?),
            4 => self.block_modes = Some(numbers(value)?),
            5 => self.digests = Some(numbers(value)?),
            6 => self.paddings = Some(numbers(value)?),
            10 => self.ec_curve = Some(value.unsigned()?),
            11 => self.ml_dsa_variant = Some(value.unsigned()?),
            200 => self.rsa_public_exponent = Some(value.unsigned()?),
            203 => self.rsa_oaep_mgf_digests = Some(numbers(value)?),
            400 => self.active_date_time = Some(value.unsigned()?),
            401 => self.origination_expire_date_time = Some(value.unsigned()?),
            402 => self.usage_expire_date_time = Some(value.unsigned()?),
            405 => self.usage_count_limit = Some(value.unsigned()?),
            503 => self.no_auth_required = flag(value)?,
            504 => self.user_auth_type = Some(value.unsigned()?),
            505 => self.auth_timeout = Some(value.unsigned()?),
            506 => self.allow_while_on_body = flag(value)?,
            507 => self.trusted_user_presence_required = flag(value)?,
            508 => self.trusted_confirmation_required = flag(value)?,
            509 => self.unlocked_device_required = flag(value)?,
            701 => self.creation_date_time = Some(value.unsigned()?),
            702 => self.origin = Some(Origin::read(value)?),
            703 => self.rollback_resistant = flag(value)?,
            704 => self.root_of_trust = Some(RootOfTrust::read(value)?),
            705 => self.os_version = Some(value.unsigned()?),
            706 => self.os_patch_level = Some(value.unsigned()?),
            709 => {
                let id = only(value.octets()?, AttestationApplicationId::read)?;
                self.attestation_application_id = Some(id);
            }
            710 => self.ids.brand = Some(value.octets()?),
            711 => self.ids.device = Some(value.octets()?),
            712 => self.ids.product = Some(value.octets()?),
            713 => self.ids.serial = Some(value.octets()?),
            714 => self.ids.imei = Some(value.octets()?),
            715 => self.ids.meid = Some(value.octets()?),
            716 => self.ids.manufacturer = Some(value.octets()?),
            717 => self.ids.model = Some(value.octets()?),
            718 => self.vendor_patch_level = Some(value.unsigned()?),
            719 => self.boot_patch_level = Some(value.unsigned()?),
            723 => self.ids.second_imei = Some(value.octets()?),
            724 => self.module_hash = Some(value.octets()?),
            _ => {
                value.any()?;
            }
        }
        Ok(())
    }
}

impl<'a> RootOfTrust<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut fields = reader.sequence()?;
        let root = Self {
            verified_boot_key: fields.octets()?,
            device_locked: fields.boolean()?,
            verified_boot_state: VerifiedBootState::read(&mut fields)?,
            verified_boot_hash: if fields.is_empty() { None } else { Some(fields.octets()?) },
        };
        fields.end()?;
        Ok(root)
    }
}

impl<'a> AttestationApplicationId<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut fields = reader.sequence()?;
        let id = Self {
            packages: members(fields.set()?, Package::read)?,
            signature_digests: members(fields.set()?, |digest| {
                digest
                    .octets()?
                    .try_into()
                    .map_err(|_| Malformed("the digest of a signing certificate is not of 32 bytes"))
            })?,
        };
        fields.end()?;
        Ok(id)
    }
}

impl<'a> Package<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut fields = reader.sequence()?;
        let name = std::str::from_utf8(fields.octets()?).map_err(|_| Malformed("a package name is not UTF-8"))?;
        let package = Self { name, version: fields.unsigned()? };
        fields.end()?;
        Ok(package)
    }
}

fn version(reader: &mut Reader<'_>) -> Result<u32, Malformed> {
    u32::try_from(reader.unsigned()?).map_err(|_| Malformed("a version is too large"))
}

fn numbers(value: &mut Reader<'_>) -> Result<Vec<u64>, Malformed> {
    members(value.set()?, Reader::unsigned)
}

fn flag(value: &mut Reader<'_>) -> Result<bool, Malformed> {
    value.null().map(|()| true)
}

fn members<'a, T>(
    mut set: Reader<'a>,
    mut read: impl FnMut(&mut Reader<'a>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let mut found = Vec::new();
    while !set.is_empty() {
        found.push(read(&mut set)?);
    }
    Ok(found)
}
