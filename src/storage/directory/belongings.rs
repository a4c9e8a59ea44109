//! A user's data in tables that refer to the user by address.

use super::{Edit, Error};
use crate::foundations::address::Address;
use crate::storage::database::Sql;

/// The tables, each with the column that holds [`Address::key`]. Rows that refer to the account's number go with it.
pub(super) const BY_ADDRESS: [(&str, &str); 14] = [
    ("browser_logins", "account"),
    ("correspondents", "account"),
    ("dav_collections", "account"),
    ("held_letters", "account"),
    ("known_networks", "account"),
    ("learned_changes", "owner"),
    ("learned_messages", "owner"),
    ("learned_owners", "owner"),
    ("learned_shards", "owner"),
    ("preferences", "account"),
    ("quarantine_letters", "account"),
    ("quarantine_notes", "account"),
    ("sender_reputation", "owner"),
    ("sendings", "account"),
];

pub(super) const DELETE_USAGE: &str =
    "DELETE FROM mailbox_usage WHERE email IN (SELECT email FROM virtual_users WHERE id = ?)";

impl Edit {
    /// Deletes a user with all rows about them. The mail is not the directory's, and past events stay in the journal.
    pub async fn delete_user(&mut self, address: &Address) -> Result<(), Error> {
        let account = self.user(address).await?;
        let key = account.address.key();
        for (table, column) in BY_ADDRESS {
            let sql = format!("DELETE FROM {table} WHERE {column} = ?");
            self.transaction.execute(Sql::assembled(sql), &[key.as_str().into()]).await?;
        }
        // Other programs may have created this table without the reference that would delete the row.
        self.transaction.execute(DELETE_USAGE, &[account.id.into()]).await?;
        self.transaction.execute("DELETE FROM virtual_users WHERE id = ?", &[account.id.into()]).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// Columns with these names that hold something other than a user's address, or that are not deleted with the user.
    const OTHERS: [(&str, &str); 5] = [
        // The authority over an entry.
        ("alias_state", "owner"),
        ("domain_state", "owner"),
        ("user_state", "owner"),
        // The process that sends.
        ("queue_recipients", "owner"),
        // Given back by the node that owned it.
        ("mailbox_owners", "home"),
    ];

    #[test]
    fn no_table_is_forgotten() {
        let mut found = BTreeSet::new();
        for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite")).unwrap() {
            let sql = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            let mut table = "";
            for line in sql.lines() {
                let mut words = line.split_whitespace();
                match words.next() {
                    Some("CREATE") if words.next() == Some("TABLE") => table = words.next().unwrap(),
                    Some(column @ ("account" | "owner" | "home")) => {
                        _ = found.insert((table.to_owned(), column.to_owned()))
                    }
                    _ => {}
                }
            }
        }
        let known = BY_ADDRESS.iter().chain(&OTHERS).map(|(table, column)| ((*table).to_owned(), (*column).to_owned()));
        assert_eq!(found, known.collect());
    }
}
