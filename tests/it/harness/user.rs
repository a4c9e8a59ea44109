//! Users to be added to a directory.

use postrider::foundations::secret::Secret;
use postrider::storage::directory::{NewUser, Owner, PasswordOwner};

/// `{BLF-CRYPT}` of `pencil`, cost 4.
pub const PENCIL: &str = "{BLF-CRYPT}$2y$04$abcdefghijklmnopqrstuu/FyAyuZSl3DbPdvio4KrIBdz2k2yhV2";

/// A user without a quota, whose password is `pencil`.
pub fn user(address: &str) -> NewUser {
    NewUser {
        address: address.parse().unwrap(),
        password: Some(Secret::new(PENCIL.to_owned())),
        password_owner: PasswordOwner::Admin,
        quota: None,
        display_name: None,
        owner: Owner::Admin,
    }
}
